"""How files and runs that are found are listed: as a table, as CSV, as JSON."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from .display import console, paint, tell_time

# What may take more than a line on a terminal.
_LONG = ("name", "path", "reason", "store")


def print_rows(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Print a table for people: times by their clock, states in their colours."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, no_wrap=name not in _LONG, overflow="fold")
    for row in rows:
        table.add_row(*(_show(name, value) for name, value in zip(columns, row, strict=True)))
    console.print(table)


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
        case _:
            return escape(str(value))


def write_csv(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Write a table for programs, with a line of names; times are in UTC."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_plain(value) for value in row] for row in rows)


def as_dicts(columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return rows as JSON values; times are in UTC."""
    return [{name: _plain(value) for name, value in zip(columns, row, strict=True)} for row in rows]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
