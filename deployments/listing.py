"""How files and runs that are found are listed: as a table, as CSV, as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.measure import Measurement
from rich.table import Table

from facehog_core.csv_rows import as_plain

from .display import PIPE_COLUMNS, console, paint, plain, tell_time

# What may take more than a line on a terminal, and the fewest characters of it in a line.
_LONG = ("name", "path", "reason", "store")
_LEAST_WIDTH = 24
# What can be done without where a terminal is narrow; the first goes first. None of the others is ever cut.
_SPARED = ("warnings", "changed", "date", "subject", "corrupt", "frames", "run")


def print_rows(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Print a table for people, with all columns: times by their clock, states in their colours."""
    _print(_make_table(columns, _show_rows(columns, rows)))


def print_fitting_rows(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """Print a table for people as `print_rows` does, such that it fits on their terminal.

    Where it is too narrow, reasons stand below names, then columns are left out.

    Returns
    -------
    list of str
        What was left out.
    """
    told, left_out = [dict(zip(columns, row, strict=True)) for row in _show_rows(columns, rows)], []
    table = _make_table(columns, [list(row.values()) for row in told])
    if _measure(table).maximum <= console.width or "name" not in columns:
        _print(table)
        return []
    for row in told:
        row["name"] = f"{row['name']}\n[dim]{row.pop('reason', '')}[/]"
    for spared in (None, *_SPARED):
        if spared in columns:
            left_out.append(spared)
        kept = [name for name in columns if name not in (*left_out, "reason")]
        table = _make_table(kept, [[row[name] for name in kept] for row in told])
        if _measure(table).minimum <= console.width:
            break
    _print(table)
    return left_out


def _measure(table: Table) -> Measurement:
    # On a terminal of any width: Rich thinks of no table as wider than its own.
    return Measurement.get(console, console.options.update(width=PIPE_COLUMNS), table)


def _make_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        is_long = name in _LONG
        table.add_column(name, no_wrap=not is_long, overflow="fold", min_width=_LEAST_WIDTH if is_long else None)
    for row in rows:
        table.add_row(*row)
    return table


def _print(table: Table) -> None:
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    # Lines are filled up to the longest one, which helps nobody in a file.
    sys.stdout.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def _show_rows(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[list[str]]:
    return [[_show(name, value) for name, value in zip(columns, row, strict=True)] for row in rows]


def _show(name: str, value: Any) -> str:
    match name, value:
        case _, None:
            return ""
        case "state", _:
            return paint(value)
        case "warnings", 0:
            return ""
        case "warnings", _:
            return f"[yellow]{value}[/]"
        case _, datetime():
            return tell_time(value)
        case "size", _:
            return f"{value / 1e6:.1f} MB"
        case _, float():
            return f"{value:.5g}"
        case _:
            return plain(value)


def as_dicts(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return rows as JSON values; times are in UTC."""
    return [{name: as_plain(value) for name, value in zip(columns, row, strict=True)} for row in rows]
