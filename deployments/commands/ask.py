"""Ask the catalogue: which runs there are, all about one, what became of a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError, ConfigError
from facehog_core.provenance import RunRecord
from facehog_core.schema import Fate

from ..config import Config
from ..display import aside, console, print_json, print_records, print_run, print_warnings, tell_time
from .common import ConfigOption, JsonOption, configure, normalise

# A command imports what it needs, when it is given: those that only ask are not to wait for what reads video.
if TYPE_CHECKING:
    from facehog_core.store import Progress


def find(
    filters: Annotated[list[str] | None, typer.Argument(metavar="[FILTER...]")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List recordings and runs, newest first.

    All filters must hold: state=finished (or failed,quarantined), name=*m12*, path=/data/*, run=1f0c,
    digest=1f0c, since=2026-11-21, until=2026-11-21T08:00 (UTC), warnings=yes (or no).
    """
    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue) as catalogue:
        records = catalogue.find(_parse_filters(filters or []))
    if as_json:
        print_json([record.as_dict() for record in records])
    elif records:
        print_records(records)
    else:
        aside.print("nothing is found")


def _parse_filters(texts: list[str]) -> dict[str, str]:
    parsed = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not value:
            raise ConfigError(text, "a filter is NAME=VALUE", "Such as state=finished.")
        parsed[name] = value
    return parsed


def show(
    run: Annotated[str, typer.Argument(help="Name of a run, or its beginning.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of a run."""
    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue) as catalogue:
        record = catalogue.run(run)
    progress = _progress_of(record, loaded)
    if as_json:
        print_json(record.as_dict() | ({"progress": asdict(progress)} if progress else {}))
    else:
        print_run(record, str(progress) if progress else None)


def _progress_of(record: RunRecord, config: Config) -> Progress | None:
    """Look how far a running run is."""
    if record.state != Fate.RUNNING or record.run_id is None:
        return None
    from facehog_core.source import name_recording
    from facehog_core.store import RunPaths, measure_progress

    paths = RunPaths(root=config.store, recording=name_recording(record.path), run_id=record.run_id)
    return measure_progress(paths, record.started_at.timestamp() if record.started_at else 0.0)


def why(
    path: Annotated[Path, typer.Argument(help="A file that is or was in an inbox.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of a file, and why."""
    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue) as catalogue:
        story = catalogue.story(normalise(path))
        file = catalogue.file(normalise(path))
        warnings = catalogue.run(file.run_id).warnings if file and file.run_id else []
    if not story:
        raise CatalogueError(
            path,
            "no inbox has seen this file",
            "See `facehog doctor` for the inboxes, or `facehog process` it.",
        )
    if as_json:
        steps = [{"at": step.at.isoformat(), "state": step.state, "reason": step.reason} for step in story]
        print_json([*steps[:-1], {**steps[-1], "warnings": warnings}])
        return
    for step in story:
        console.print(f"[dim]{tell_time(step.at)}[/]  {step.state:<11}  {escape(step.reason)}")
    print_warnings(warnings)
