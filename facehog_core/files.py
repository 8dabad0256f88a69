"""What the catalogue knows of a file, as the sensor asks for it: of one closely, and of ten thousand at a glance."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from .causes import Cause, CauseKind
from .names import Identity
from .path_text import as_text, from_text
from .schema import Fate, File, Run
from .source import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """What the catalogue knows of a path.

    Parameters
    ----------
    path : Path
    signature : Signature
        Size, time and inode when it was last looked at.
    state : Fate
    reason : str
    attempt : int
        How often a run was asked for.
    flow_run_id : str or None
        The latest of these, by Prefect's name.
    run_id : str or None
        The run that it came to.
    not_before : datetime or None
        When a waiting file may be taken up again (UTC), if its run was given back.
    identity : Identity
        Who was recorded and when.
    cause : Cause or None
        What its state hangs on, if that may change by itself.
    """

    path: Path
    signature: Signature
    state: Fate
    reason: str
    attempt: int
    flow_run_id: str | None
    run_id: str | None
    not_before: datetime | None = None
    identity: Identity = field(default_factory=Identity)
    cause: Cause | None = None


class Glance(NamedTuple):
    """The same as a row has it: of 10,000 of them hardly one is looked at closer."""

    path: str
    id: int
    size_bytes: int
    mtime_ns: int
    inode: str
    state: str
    reason: str
    attempt: int
    flow_run_id: str | None
    cause: str | None
    cause_about: str | None
    run_id: str | None
    not_before: datetime | None

    def is_like(self, signature: Signature) -> bool:
        """Say whether nothing tells the file from what it was."""
        return signature.is_of(self.size_bytes, self.mtime_ns, int(self.inode))

    @property
    def record(self) -> FileRecord:
        """The same as a record, but for who was recorded."""
        return FileRecord(
            path=Path(self.path),
            signature=Signature(size_bytes=self.size_bytes, mtime_ns=self.mtime_ns, inode=int(self.inode)),
            state=Fate(self.state),
            reason=self.reason,
            attempt=self.attempt,
            flow_run_id=self.flow_run_id,
            run_id=self.run_id,
            not_before=self.not_before,
            cause=make_cause(self.cause, self.cause_about),
        )


def make_cause(kind: str | None, about: str | None) -> Cause | None:
    """Return what a file's fate hangs on, as its row has it."""
    return None if kind is None else Cause(kind=CauseKind(kind), about=about or "")


_OF_FILE = [getattr(File, name) for name in Glance._fields if name not in ("run_id", "not_before")]


def is_below(folder: Path) -> ColumnElement[bool]:
    """Return the condition that a file lies below a folder."""
    prefix = as_text(folder).rstrip(os.sep) + os.sep
    return func.substr(File.path, 1, len(prefix)) == prefix


def glance_at(session: Session, under: Path) -> dict[str, Glance]:
    """Return the files below a folder by their paths, those that were seen first first."""
    query = select(*_OF_FILE, Run.run_id, File.not_before).outerjoin(File.run).where(is_below(under)).order_by(File.id)
    glances = (Glance._make((from_text(row[0]), *row[1:])) for row in session.execute(query))
    return {glance.path: glance for glance in glances}
