"""Between what the catalogue's rows hold and the records that others see."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import xxhash
from sqlalchemy import select
from sqlalchemy.orm import Session

from .names import Identity
from .path_text import as_text, from_text
from .provenance import RunRecord
from .quality import median_of
from .schema import (
    Details,
    File,
    Host,
    Output,
    Parameters,
    Recording,
    Run,
    RunVerification,
    RunWarning,
    Sitting,
    Software,
    Subject,
)
from .verifications import Verification, find_standing

# What a run's row and its record have in common.
_SAME = (
    *("state", "reason", "changed_at", "attempt", "started_at", "finished_at", "flow_run_id"),
    *("n_frames", "n_corrupt", "n_dropped"),
)
_OF_STREAM = ("width", "height", "duration_s")
_FIGURES = ("brightness", "saturated", "focus", "moved")

Shared = TypeVar("Shared", Parameters, Software, Host)


def find_session(session: Session, identity: Identity) -> Sitting | None:
    """Return the row of a session, made if it is not there; None if neither subject nor day is known."""
    name, day = identity.subject, identity.session_date
    if name is None and day is None:
        return None
    subject = None
    if name is not None:
        subject = session.scalar(select(Subject).where(Subject.name == name))
        if subject is None:
            subject = Subject(name=name)
            session.add(subject)
            session.flush()
    subject_id = subject.id if subject else None
    found = session.scalar(select(Sitting).where(Sitting.subject_id == subject_id, Sitting.date == day))
    if found is None:
        found = Sitting(subject=subject, date=day)
        session.add(found)
        session.flush()
    return found


def identity_of(file: File) -> Identity:
    """Return who was recorded and when."""
    sitting = file.session
    subject = sitting.subject if sitting else None
    return Identity(
        subject=subject.name if subject else None,
        session_date=sitting.date if sitting else None,
        plane=file.plane,
        camera=file.camera,
    )


def write_run(session: Session, record: RunRecord, file: File) -> Run:
    """Make the row of a run say what its record does, with all that belongs to it."""
    assert record.run_id is not None
    assert record.digest is not None
    run = session.scalar(select(Run).where(Run.run_id == record.run_id))
    if run is None:
        run = Run(run_id=record.run_id, details=Details(stream={}))
    for name in _SAME:
        setattr(run, name, getattr(record, name))
    if run.finished_at:
        # By a clock that was set back meanwhile it would end before it starts.
        run.finished_at = max(run.started_at, run.finished_at)
    # A run that failed before it read anything keeps what was read of the recording before.
    if record.stream:
        run.details.stream = record.stream
        for name in _OF_STREAM:
            setattr(run, name, record.stream.get(name))
    run.file = file
    run.recording = _find_recording(session, record)
    run.parameters = _find_parameters(session, record)
    run.software = _find_shared(
        session, Software, record.software, facehog=record.software.get("facehog"), versions=record.software
    )
    run.host = _find_shared(session, Host, record.host, name=record.host.get("name"), facts=record.host)
    run.output = _output_of(record)
    for name in _FIGURES:
        setattr(run, name, median_of(record.quality, name))
    run.n_warnings = len(record.warnings)
    session.add(run)
    if [warning.text for warning in run.warnings] != record.warnings:
        run.warnings.clear()
        # The old ones go before the new ones come, which have their numbers.
        session.flush()
        run.warnings += [RunWarning(number=number, text=text) for number, text in enumerate(record.warnings)]
    _stand(run)
    session.flush()
    return run


def add_verifications(run: Run, found: Iterable[Verification]) -> None:
    """Add to a run those of its verifications that it does not have yet."""
    known = {verification.at for verification in run.verifications}
    run.verifications += [
        RunVerification(at=new.at, is_deep=new.is_deep, source=new.source, problems=new.problems)
        for new in {each.at: each for each in found}.values()
        if new.at not in known
    ]
    _stand(run)


def history_of(run: Run) -> list[Verification]:
    """Return the verifications of a run, oldest first."""
    found = (
        Verification(at=row.at, is_deep=row.is_deep, source=row.source, problems=row.problems)
        for row in run.verifications
    )
    return sorted(found, key=lambda each: each.at)


def _stand(run: Run) -> None:
    """Note what the verifications of a run come to: those since its store was made, which may have been made anew."""
    standing = find_standing(history_of(run), run.finished_at)
    run.verified_at = standing.at if standing else None
    run.verdict = standing.verdict if standing else None
    run.wrong_since = standing.wrong_since if standing else None


def _find_recording(session: Session, record: RunRecord) -> Recording:
    found = session.scalar(select(Recording).where(Recording.digest == record.digest))
    return found or Recording(digest=record.digest, name=as_text(record.path.name), size_bytes=record.size_bytes)


def _find_parameters(session: Session, record: RunRecord) -> Parameters:
    digest, crop = str(record.run_id).partition("-")[2], record.recipe.get("crop")
    return _find_shared(
        session,
        Parameters,
        [digest, record.recipe],
        digest=digest,
        crop=None if crop is None else ",".join(map(str, crop)),
        grey=record.recipe.get("grey", "rgb"),
        recipe=record.recipe,
    )


def _find_shared(session: Session, table: type[Shared], told: Any, **values: Any) -> Shared:
    """Return the row of what many runs share, made if it is not there."""
    content = xxhash.xxh3_128_hexdigest(json.dumps(told, sort_keys=True, separators=(",", ":")).encode())
    return session.scalar(select(table).where(table.content == content)) or table(content=content, **values)


def _output_of(record: RunRecord) -> Output | None:
    if record.store is None:
        return None
    return Output(
        store=as_text(record.store),
        size_bytes=record.store_size_bytes,
        grey=record.grey,
        arrays=record.arrays,
        timing=record.timing,
        shards=record.shards,
        quality=record.quality or None,
    )


def read_record(file: File, run: Run | None, *, is_turn_of_file: bool) -> RunRecord:
    """Join what is known of a file and a run.

    Parameters
    ----------
    file : File
    run : Run or None
    is_turn_of_file : bool
        Whether it is the file's own fate that is told, and not that of the run.
    """
    told = file if is_turn_of_file or run is None else run
    known: Mapping[str, Any] = {} if run is None else _told_of_run(run)
    return RunRecord(
        path=Path(from_text(file.path)),
        state=told.state,
        reason=told.reason,
        changed_at=told.changed_at,
        size_bytes=file.size_bytes if is_turn_of_file or run is None else run.recording.size_bytes,
        attempt=told.attempt,
        flow_run_id=told.flow_run_id,
        identity=identity_of(file),
        **known,
    )


def _told_of_run(run: Run) -> dict[str, Any]:
    output = run.output
    told = {
        "run_id": run.run_id,
        "digest": run.recording.digest,
        "stream": run.details.stream,
        "recipe": run.parameters.recipe,
        "software": run.software.versions,
        "host": run.host.facts,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "n_frames": run.n_frames,
        "n_corrupt": run.n_corrupt,
        "n_dropped": run.n_dropped,
        "warnings": [warning.text for warning in run.warnings],
        "verified": _verified(run),
    }
    if output is None:
        return told
    return told | {
        "grey": output.grey,
        "store": Path(from_text(output.store)),
        "store_size_bytes": output.size_bytes,
        "arrays": output.arrays,
        "timing": output.timing,
        "shards": output.shards,
        "quality": output.quality or {},
    }


def _verified(run: Run) -> dict[str, Any]:
    if run.verified_at is None:
        return {}
    since = run.wrong_since and run.wrong_since.isoformat()
    return {"at": run.verified_at.isoformat(), "verdict": run.verdict, "wrong_since": since}
