"""When a run's store was verified, and with what verdict: the history that says since when something is wrong.

It lies beside the store, a line of JSON for each time, so that it goes wherever the store goes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

SUFFIX = ".verified.jsonl"
# What is said of a recording that is as it was.
UNCHANGED = "unchanged"
About = Literal["store", "source", "frames"]
SOUND, WRONG = "sound", "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One look at a store.

    Parameters
    ----------
    at : datetime
        When it ended (UTC).
    is_deep : bool
        Whether all frames were described again, and not a sample.
    source : str
        What was found of the recording.
    problems : list of str
        What was wrong; empty if nothing was.
    """

    at: datetime
    is_deep: bool
    source: str
    problems: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Verification:
        """Rebuild it from JSON."""
        return cls(**values | {"at": datetime.fromisoformat(values["at"])})


def history_beside(store: Path) -> Path:
    """Return the file that has the history of a store."""
    return store.with_name(store.stem + SUFFIX)


def read_history(store: Path) -> list[Verification]:
    """Return how often a store was verified, oldest first.

    What cannot be read is left out: a line that was cut off by a power cut, say.
    """
    found = []
    with suppress(OSError):
        for line in history_beside(store).read_text("utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError, KeyError):
                found.append(Verification.from_dict(json.loads(line)))
    return found


def note_verification(store: Path, verification: Verification) -> None:
    """Add one to the history of a store.

    Raises
    ------
    OSError
        If it cannot be written: the store may lie where only others may write.
    """
    line = json.dumps(verification.as_dict(), ensure_ascii=False)
    with history_beside(store).open("ab+") as file:
        # A power cut may have cut the last line off: this one is not to be lost with it.
        is_cut_off = file.seek(0, os.SEEK_END) > 0 and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
        # In one piece: two that verify at the same time do not mix their lines.
        file.write(("\n" * is_cut_off + line + "\n").encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the verifications of a store come to.

    Parameters
    ----------
    at : datetime
        When the last one was (UTC).
    verdict : {"sound", "wrong"}
        What it found.
    wrong_since : datetime or None
        The first one that found something wrong, and after which none was sound.
    """

    at: datetime
    verdict: str
    wrong_since: datetime | None


def find_standing(history: Iterable[Verification], sealed_at: datetime | None) -> Standing | None:
    """Return how a store stands; None if it was never verified since it was sealed.

    Parameters
    ----------
    history : iterable of Verification
        Oldest first.
    sealed_at : datetime, optional
        When the store was sealed: earlier ones were of another one.
    """
    standing = None
    for each in history:
        if sealed_at and each.at < sealed_at:
            continue
        since = None if each.is_sound else (standing and standing.wrong_since) or each.at
        standing = Standing(at=each.at, verdict=SOUND if each.is_sound else WRONG, wrong_since=since)
    return standing


def tell_since(
    problem: str, history: Iterable[Verification], sealed_at: datetime | None, about: About = "store"
) -> str:
    """Say since when something is wrong, as far as it was looked at.

    Parameters
    ----------
    problem : str
    history : iterable of Verification
        Earlier ones, oldest first; those before the store was sealed were of another one.
    sealed_at : datetime, optional
        When the store was sealed.
    about : {"store", "source", "frames"}, optional
        What it is about: the store's bytes, the recording, or frames that were described again, which are others each
        time.
    """

    def tells(text: str) -> str:
        return text.partition(" of frames ")[0] if about == "frames" else text

    def would_tell(earlier: Verification) -> bool:
        # A look that could not read the recording, or was at other frames, says nothing of them.
        is_all_read = about == "store" or earlier.source == UNCHANGED
        return earlier.is_sound and is_all_read and (about != "frames" or earlier.is_deep)

    first, sound = None, sealed_at
    for earlier in history:
        if sealed_at and earlier.at < sealed_at:
            continue
        if tells(problem) in map(tells, earlier.problems):
            first = first or earlier.at
        elif would_tell(earlier):
            first, sound = None, earlier.at
    before = "" if sound is None else f"; {'sealed' if sound == sealed_at else 'not so'} at {_tell(sound)}"
    return (f"found first at {_tell(first)}" if first else "found now for the first time") + before


def _tell(moment: datetime) -> str:
    # By this machine's clock, as all times are that people are told.
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
