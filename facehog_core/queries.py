"""Which files and runs are found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload, selectinload

from .errors import CatalogueError
from .provenance import RunRecord
from .rows import read_record
from .schema import Fate, File, Recording, Run


def find_records(session: Session, filters: Mapping[str, str]) -> list[RunRecord]:
    """Return a record for each file with the run that it came to, and for each earlier run; newest first."""
    wanted = [_condition(File, name, value) for name, value in filters.items()]
    files = select(File).outerjoin(File.run).outerjoin(Run.recording).where(*wanted)
    files = files.options(contains_eager(File.run).options(*_whole_run()))
    wanted = [_condition(Run, name, value) for name, value in filters.items()]
    holder = aliased(File)
    is_current = select(holder.id).where(holder.run_id == Run.id).exists()
    runs = select(Run).join(Run.recording).join(Run.file).where(~is_current, *wanted)
    runs = runs.options(contains_eager(Run.file), *_whole_run())
    found = [read_record(file, file.run, is_turn_of_file=True) for file in session.scalars(files)]
    found += [read_record(run.file, run, is_turn_of_file=False) for run in session.scalars(runs)]
    return sorted(found, key=lambda record: record.changed_at, reverse=True)


def _whole_run() -> tuple[Any, ...]:
    return (
        contains_eager(Run.recording),
        joinedload(Run.parameters),
        joinedload(Run.software),
        joinedload(Run.host),
        joinedload(Run.details),
        joinedload(Run.output),
        selectinload(Run.warnings),
    )


def _condition(table: type[File] | type[Run], name: str, value: str) -> ColumnElement[bool]:
    match name:
        case "state":
            return table.state.in_([_read_fate(part) for part in value.split(",")])
        case "path":
            return File.path.op("GLOB")(value)
        case "name":
            return File.name.op("GLOB")(value)
        case "run":
            return Run.run_id.startswith(value, autoescape=True)
        case "digest":
            return Recording.digest.startswith(value, autoescape=True)
        case "since":
            return table.changed_at >= _read_moment(name, value, of_day=time.min)
        case "until":
            return table.changed_at <= _read_moment(name, value, of_day=time.max)
        case "warnings":
            # A file that no run has taken up has none.
            return (func.coalesce(Run.n_warnings, 0) > 0) == _read_yes_or_no(name, value)
    raise CatalogueError(
        name, f"there is no filter {name!r}", "Choose from state, name, path, run, digest, since, until, warnings."
    )


def _read_fate(text: str) -> Fate:
    try:
        return Fate(text.strip())
    except ValueError as error:
        raise CatalogueError("state", f"there is no state {text!r}", f"Choose from {', '.join(Fate)}.") from error


def _read_yes_or_no(name: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise CatalogueError(name, f"{text!r} is neither yes nor no", f"Write it as {name}=yes or {name}=no.")
    return text == "yes"


def _read_moment(name: str, text: str, of_day: time) -> datetime:
    """Read a moment; of a day alone it is the beginning or the end."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CatalogueError(
            name, f"{text!r} is no date", "Write it as 2026-11-21 or 2026-11-21T08:00 (UTC)."
        ) from error
    if _is_day(text):
        moment = datetime.combine(moment, of_day)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
