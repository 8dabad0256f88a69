"""What becomes of a file, in its row and its story: what the catalogue writes in each of its turns."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from .causes import Cause
from .files import FileRecord, make_cause
from .names import Identity
from .path_text import as_text, from_text
from .provenance import RunRecord, now
from .rows import find_session, identity_of, write_run
from .schema import Event, Fate, File, Run
from .source import Signature


def write_record(
    session: Session, record: RunRecord, cause: Cause | None = None, *, tells_of_file: bool = False
) -> Run:
    """Write a run as it stands, with the fate of the file that it reads.

    Parameters
    ----------
    session : Session
    record : RunRecord
    cause : Cause, optional
        What the state hangs on, if that may change by itself.
    tells_of_file : bool, optional
        Whether it is all that is known of the file, also of one that has a row: where nobody looks at files. Then it is
        not known when it was first seen.
    """
    known = find_file(session, record.path)
    file = known or add_file(session, record.path, None if tells_of_file else record.changed_at)
    if known is None or tells_of_file:
        file.size_bytes, file.mtime_ns, file.inode = record.size_bytes, record.stream.get("mtime_ns", 0), "0"
        file.attempt, file.flow_run_id = record.attempt, record.flow_run_id
    # What was made long ago is news of its file nevertheless: a story does not run backwards.
    is_old = known is not None and known.changed_at > record.changed_at
    moment = now() if is_old else record.changed_at
    if known is None or tells_of_file:
        identify_file(session, file, record.identity)
    run = write_run(session, record, file)
    come_to_run(session, file, run)
    if step := turn_file(session, file, Fate(record.state), record.reason, moment, cause):
        step.run = run
    return run


def add_file(session: Session, path: Path, seen_at: datetime | None) -> File:
    """Add the row of a path; nothing has become of it yet."""
    file = File(path=as_text(path), name=as_text(path.name), first_seen_at=seen_at, attempt=0)
    file.state, file.reason, file.changed_at = Fate.WAITING, "", seen_at or now()
    session.add(file)
    return file


def come_to_run(session: Session, file: File, run: Run) -> None:
    """Note the run that a file has come to, before the state that only those have which came to one."""
    file.run = run
    session.flush()


def find_file(session: Session, path: Path) -> File | None:
    """Return the row of a path, or None."""
    return session.scalar(select(File).where(File.path == as_text(path)))


def path_of(file: File) -> Path:
    """Return the path that a row is of."""
    return Path(from_text(file.path))


def is_as_seen(file: File | None, seen: FileRecord | Literal["unseen"]) -> bool:
    """Say whether a file is in the state, and has the flow run, in which somebody saw it."""
    if file is None or seen == "unseen":
        return file is None and seen == "unseen"
    return (file.state, file.flow_run_id) == (seen.state, seen.flow_run_id)


def note_look(file: File, signature: Signature) -> bool:
    """Note what a file looks like, and say whether that is news."""
    is_news = file.size_bytes is None or not _signature_of(file).is_like(signature)
    file.size_bytes, file.mtime_ns, file.inode = signature.size_bytes, signature.mtime_ns, str(signature.inode)
    return is_news


def _signature_of(file: File) -> Signature:
    return Signature(size_bytes=file.size_bytes, mtime_ns=file.mtime_ns, inode=int(file.inode))


def identify_file(session: Session, file: File, identity: Identity) -> None:
    """Note who was recorded in a file."""
    file.session = find_session(session, identity)
    file.plane, file.camera = identity.plane, identity.camera


def turn_file(
    session: Session, file: File, state: Fate, reason: str, moment: datetime, cause: Cause | None
) -> Event | None:
    """Put a file into a state, and add the step to its story unless nothing is new."""
    is_news = (file.state, file.reason) != (state, reason)
    file.state, file.reason, file.changed_at, file.not_before = state, reason, moment, None
    file.cause, file.cause_about = (cause.kind, cause.about or None) if cause else (None, None)
    if not is_news:
        return None
    step = Event(file=file, at=moment, state=state, reason=reason)
    session.add(step)
    return step


def tell_file(file: File, run_id: str | None) -> FileRecord:
    """Return what is known of a file."""
    return FileRecord(
        path=path_of(file),
        signature=_signature_of(file),
        state=Fate(file.state),
        reason=file.reason,
        attempt=file.attempt,
        flow_run_id=file.flow_run_id,
        run_id=run_id,
        not_before=file.not_before,
        identity=identity_of(file),
        cause=make_cause(file.cause, file.cause_about),
    )
