"""Export runs, and where they come from, to the forms that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from facehog_core.catalogue import Catalogue
from facehog_core.errors import ConfigError, ExportError
from facehog_core.provenance import RunRecord

from ..display import aside, console, print_json, print_warnings
from .common import ConfigOption, JsonOption, configure, normalise


def export(
    run: Annotated[str, typer.Argument(help="Name of a run, or its beginning.")],
    form: Annotated[str, typer.Option("--to", help="nwb, parquet, csv, mat (7.3) or npz.", metavar="FORM")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file, or a folder; here if left out.", metavar="FILE")
    ] = None,
    arrays: Annotated[
        str | None,
        typer.Option(help="descriptors, histograms or both, by a comma; both if left out, of csv descriptors."),
    ] = None,
    about: Annotated[
        list[str] | None,
        typer.Option(
            help="For nwb, may be repeated: subject_id=m12, species='Mus musculus', sex=F, age=P90D, "
            "session_start_time=2026-11-21T08:00+01:00, session_id, experimenter, lab, institution.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a run to a form that others read: NWB, Parquet, CSV, MATLAB's or NumPy's."""
    from facehog_core.export import export_run
    from facehog_core.session_facts import SessionFacts

    loaded, _ = configure(config)
    facts = SessionFacts.from_mapping(dict(map(_split, about or [])))
    with Catalogue(loaded.catalogue, stores=loaded.store) as catalogue:
        record = catalogue.run(run)
    if record.store is None:
        raise ExportError(run, f"the run is {record.state}: {record.reason}", "Finished runs can be exported.")
    target = _name_target(output, record, form)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=aside,
        transient=True,
    ) as progress:  # fmt: skip
        bar = progress.add_task(target.name, total=None)
        remarks = export_run(
            record.store,
            target,
            form,
            arrays=[name.strip() for name in arrays.split(",")] if arrays is not None else None,
            facts=facts,
            force=force,
            tell=lambda n_done, n_all: progress.update(bar, completed=n_done, total=n_all),
        )
    if as_json:
        print_json({"path": str(target), "size_bytes": target.stat().st_size, "remarks": remarks})
    else:
        console.print(f"{target}: {target.stat().st_size / 1e6:.1f} MB", markup=False, soft_wrap=True)
        print_warnings(remarks)


def provenance(
    run: Annotated[str, typer.Argument(help="Name of a run, or its beginning.")],
    config: ConfigOption = None,
) -> None:
    """Write an RO-Crate beside a run's store: where it and the recording's other runs come from, for any program."""
    from facehog_core.crate import write_crate

    loaded, _ = configure(config)
    with Catalogue(loaded.catalogue, stores=loaded.store) as catalogue:
        record = catalogue.run(run)
    if record.store is None:
        raise ExportError(run, f"the run is {record.state}: {record.reason}", "Finished runs have a provenance.")
    console.print(str(write_crate(record.store.parent)), markup=False, soft_wrap=True)


def _split(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not value:
        raise ConfigError("--about", f"{text!r} is not NAME=VALUE", "Such as --about subject_id=m12.")
    return name, value


def _name_target(output: Path | None, record: RunRecord, form: str) -> Path:
    """Name the file; one that is named by its folder alone is named after the recording and the run."""
    path = normalise(output or Path())
    return path / f"{record.path.stem}_{record.run_id}.{form}" if path.is_dir() else path
