"""Compare two runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from facehog_core.catalogue import Catalogue
from facehog_core.comparison import compare_runs

from ..display import console, plain, print_json
from .common import ConfigOption, JsonOption, configure

_COLOURS = {"yes": "green", "with care": "yellow", "no": "red"}


def diff(
    first: Annotated[str, typer.Argument(help="Name of a run, or its beginning.", metavar="RUN")],
    second: Annotated[str, typer.Argument(help="Another.", metavar="RUN")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what differs between two runs, and whether their numbers were made by the same parameters."""
    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue) as catalogue:
        records = catalogue.run(first), catalogue.run(second)
    verdict = compare_runs(*records)
    if as_json:
        print_json(asdict(verdict))
        return
    console.print(f"by the same parameters: [{_COLOURS[verdict.answer]}]{verdict.answer}[/]")
    for reason in verdict.reasons:
        console.print(f"  {plain(reason)}")
    for remark in verdict.remarks:
        console.print(f"  but: {plain(remark)}")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "", *(str(record.run_id) for record in records)):
        table.add_column(name, overflow="fold")
    for difference in verdict.differences:
        table.add_row(difference.about, difference.name, _show(difference.first), _show(difference.second))
    if verdict.differences:
        console.print(table)


def _show(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            # A mean of two is 88.66999999999999.
            return f"{value:.10g}"
        case _:
            return plain(value)
