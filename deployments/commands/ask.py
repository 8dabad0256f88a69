"""Ask the catalogue: which runs there are, all about one, what became of a file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facehog_core.catalogue import COLUMNS, Catalogue
from facehog_core.csv_rows import write_rows
from facehog_core.errors import CatalogueError, ConfigError
from facehog_core.filter_values import FIELDS
from facehog_core.filters import And, parse_filter
from facehog_core.path_text import as_text
from facehog_core.provenance import RunRecord
from facehog_core.schema import Fate
from facehog_core.story import StoryEvent

from ..config import Config
from ..display import aside, console, plain, print_json, print_run, print_story, print_warnings
from ..listing import as_dicts, print_fitting_rows, print_rows
from .common import ConfigOption, JsonOption, configure, normalise

# A command imports what it needs, when it is given: those that only ask are not to wait for what reads video.
if TYPE_CHECKING:
    from facehog_core.progress import Progress


# So many are listed for people who do not say how many they want.
SHOWN = 100


def find(
    where: Annotated[list[str] | None, typer.Argument(metavar="[FILTER...]")] = None,
    sort: Annotated[
        str, typer.Option(help="Fields by commas; with a - the greatest comes first.", metavar="FIELDS")
    ] = "-changed",
    columns: Annotated[str | None, typer.Option(help="Fields by commas, as they are listed.", metavar="FIELDS")] = None,
    limit: Annotated[
        int | None,
        typer.Option(help=f"How many at most; 0 for all. A table has {SHOWN}, JSON and CSV all.", min=0, metavar="N"),
    ] = None,
    comparable_with: Annotated[
        str | None,
        typer.Option(help="Finished runs by the same parameters as this one's, of as large a picture.", metavar="RUN"),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Answer in CSV: the table's columns, or --columns.")] = False,
) -> None:
    """List recordings and runs, newest first.

    A filter such as "subject=CSE020 and date>=2021-11 and corrupt<1%": comparisons joined by and, or, not and brackets.
    Texts may hold * and ?; none is what is not known; times are by this machine's clock. There is a row for each file
    with the run that it came to, and for each earlier run. Fields: FIELDS.
    """
    if as_json and as_csv:
        raise ConfigError("--csv", "--json is given too", "Choose one of the two.")
    loaded, _ = configure(config)
    chosen = tuple(name.strip() for name in columns.split(",")) if columns else COLUMNS
    most = (limit or None) if limit is not None or as_json or as_csv else SHOWN
    wanted = asked = parse_filter(" ".join(where or []))
    with Catalogue(loaded.catalogue) as catalogue:
        if comparable_with:
            wanted = And((asked, catalogue.comparable_with(comparable_with)))
        if as_json and columns is None:
            print_json([record.as_dict() for record in catalogue.records(wanted, sort=sort, limit=most)])
            return
        # One more than are shown tells whether there are more.
        rows = catalogue.rows(wanted, sort=sort, columns=chosen, limit=None if most is None else most + 1)
        other_cases = [] if rows else catalogue.other_cases(asked)
    shown = rows[:most]
    if as_json:
        print_json(as_dicts(chosen, shown))
    elif as_csv:
        write_rows(sys.stdout, chosen, shown)
    elif shown and columns:
        print_rows(chosen, shown)
    elif shown:
        if left_out := print_fitting_rows(chosen, shown):
            aside.print(f"the terminal is too narrow for: {', '.join(left_out)}")
    else:
        aside.print("nothing is found")
    if other_cases:
        aside.print(f"there is {', '.join(other_cases)}: lower and upper case differ", markup=False)
    if len(rows) > len(shown):
        aside.print(f"these are the first {most}; there are more: --limit 0 lists all")


find.__doc__ = str(find.__doc__).replace("FIELDS", ", ".join(FIELDS))


def show(
    run: Annotated[str, typer.Argument(help="Name of a run, or its beginning.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of a run."""
    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue, stores=loaded.store) as catalogue:
        record, history, looks = catalogue.run_with_history(run)
    progress = _progress_of(record, loaded)
    vitals = _vitals_of(record.path, loaded) if record.state == Fate.RUNNING else None
    if as_json:
        told = {"history": list(map(_tell, history)), "verifications": [look.as_dict() for look in looks]}
        told |= {"progress": asdict(progress)} if progress else {}
        told |= {"vitals": vitals} if vitals else {}
        print_json(record.as_dict() | told)
    else:
        lines = [str(progress)] if progress else []
        print_run(record, history, looks, [*lines, vitals["told"]] if vitals else lines)


def _progress_of(record: RunRecord, config: Config) -> Progress | None:
    """Look how far a running run is."""
    if record.state != Fate.RUNNING or record.run_id is None:
        return None
    from facehog_core.progress import measure_progress
    from facehog_core.run_paths import RunPaths
    from facehog_core.source import name_results

    paths = RunPaths(root=config.store, recording=name_results(record.path), run_id=record.run_id)
    return measure_progress(paths, record.started_at.timestamp() if record.started_at else 0.0)


def _vitals_of(path: Path, config: Config) -> dict[str, str] | None:
    """Look whether the run that a recording is at goes on."""
    from ..health import StoreDisk

    return next((run for run in StoreDisk(config).vitals() if run["path"] == as_text(path)), None)


def why(
    path: Annotated[Path, typer.Argument(help="A file that is or was in an inbox.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of a file, and why."""
    loaded, _ = configure(config)
    path = normalise(path)
    with Catalogue(loaded.catalogue) as catalogue:
        story = catalogue.whole_story(path)
    if story is None:
        raise CatalogueError(
            path,
            "no inbox has seen this file",
            "See `facehog doctor` for the inboxes, or `facehog process` it.",
        )
    vitals = _vitals_of(path, loaded) if story.steps[-1].state is Fate.RUNNING else None
    if as_json:
        steps = list(map(_tell, story.steps))
        more = {"vitals": vitals} if vitals else {}
        print_json([*steps[:-1], {**steps[-1], "warnings": story.warnings, **more}])
        return
    print_story(story.steps)
    if vitals:
        console.print(f"  {plain(vitals['told'])}", soft_wrap=True)
    if story.seen_at is None:
        aside.print("when it was first seen is not known, nor what came before: the catalogue was made of stores")
    print_warnings(story.warnings)


def _tell(step: StoryEvent) -> dict[str, str]:
    return {"at": step.at.isoformat(), "state": step.state, "reason": step.reason}
