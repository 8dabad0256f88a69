"""What a file's fate hangs on, for those who decide whether it may fare better now: not by the words of its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from .errors import ManifestError, TimestampsError
from .path_text import as_text


class CauseKind(StrEnum):
    """What a file waits for, or was refused for."""

    VANISHED = "vanished"
    UNREAD = "unread"
    SIDECAR = "sidecar"
    MANIFEST = "manifest"
    TIMESTAMPS = "timestamps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a file's fate hangs on.

    Parameters
    ----------
    kind : CauseKind
        It is gone, or cannot be looked at; the file beside it cannot be read, or says something else than is true; or
        its timestamps cannot be read.
    about : str, optional
        What was claimed, or the name of the file of timestamps.
    """

    kind: CauseKind
    about: str = ""


def cause_of(error: BaseException) -> Cause | None:
    """Return what a refusal hangs on; None where that is the recording itself."""
    match error:
        case ManifestError():
            return Cause(kind=CauseKind.MANIFEST, about=error.claim)
        case TimestampsError():
            return Cause(kind=CauseKind.TIMESTAMPS, about=as_text(PurePath(error.path).name))
        case _:
            return None
