"""Bring inbox, catalogue and runs into agreement: here a file's fate is decided before its run.

`reconcile` may be called at any time and as often as one likes; whatever was missed (a start, an event, a
crash) is found by the next call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from .catalogue import Catalogue, FileRecord
from .intake import Looks, Signature, scan_inbox
from .recipe import Recipe
from .schema import Fate

log = logging.getLogger(__name__)

# A run that died without a word (power, memory, a decoder that crashed its process) is asked for again, but
# not for ever: a file that kills every run would keep the others waiting.
MOST_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """A folder in which recordings land, and what is done to them.

    Parameters
    ----------
    path : Path
    patterns : sequence of str
        Names of recordings, such as ``*.mp4``.
    settle_s : float
        How long a file must stand still before it is taken up, in seconds.
    recipe : Recipe
    """

    path: Path
    patterns: Sequence[str]
    settle_s: float
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run that is asked for.

    Parameters
    ----------
    path : Path
        The recording.
    signature : Signature
        What it looks like now.
    recipe : Recipe
    attempt : int
        Counts from 1.
    after : str or None
        The run that was asked for before this one, by the orchestrator's name.
    """

    path: Path
    signature: Signature
    recipe: Recipe
    attempt: int
    after: str | None

    @property
    def key(self) -> str:
        """A name that makes asking twice harmless, and asking again after a run has ended possible."""
        looks = self.signature
        return "|".join(
            map(
                str,
                (self.path, looks.size_bytes, looks.mtime_ns, looks.inode, self.recipe.digest, self.after),
            )
        )


class Life(Enum):
    """What the orchestrator says of a run that it was asked for."""

    ALIVE = "alive"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Launcher(Protocol):
    """Whoever runs what is asked for: Prefect, or a test."""

    def request(self, request: RunRequest) -> str:
        """Ask for a run, and return its name. Asking again with the same key names the same run."""

    def life_of(self, file: FileRecord) -> Life:
        """Say whether the run of a queued or running file goes on."""


def reconcile(inbox: Inbox, catalogue: Catalogue, looks: Looks, launcher: Launcher, at_s: float) -> int:
    """Take up what has settled in an inbox, and what a dead run left.

    Parameters
    ----------
    inbox : Inbox
    catalogue : Catalogue
    looks : Looks
        What was seen before; changed by this call.
    launcher : Launcher
    at_s : float
        Now, by a monotonic clock in seconds.

    Returns
    -------
    int
        Number of runs asked for.

    Raises
    ------
    OSError
        If the inbox cannot be listed. Nothing is concluded from that.
    """
    seen = scan_inbox(inbox.path, inbox.patterns)
    known = {path: file for path, file in catalogue.files().items() if path.is_relative_to(inbox.path)}
    looks.forget_all_but(seen)
    taken = sum(
        _look_at(path, signature, known.get(path), inbox, catalogue, looks, launcher, at_s)
        for path, signature in seen.items()
    )
    taken += sum(
        _revive(file, inbox.recipe, catalogue, launcher)
        for file in known.values()
        if file.state in (Fate.QUEUED, Fate.RUNNING)
    )
    _note_vanished(known, seen, catalogue)
    return taken


def _look_at(
    path: Path,
    signature: Signature,
    known: FileRecord | None,
    inbox: Inbox,
    catalogue: Catalogue,
    looks: Looks,
    launcher: Launcher,
    at_s: float,
) -> bool:
    if known and known.state in (Fate.QUEUED, Fate.RUNNING):
        return False  # A run that finds the file changed says so itself.
    is_settled = looks.is_settled(path, signature, at_s)
    if known is None or known.signature != signature:
        reason = f"must stand still for {inbox.settle_s:g} s: it may still be arriving"
        if known and known.state is not Fate.WAITING:
            reason = f"has changed since it was {known.state}; {reason}"
        catalogue.set_fate(path, Fate.WAITING, reason, signature=signature, attempt=0, only_from=known)
        return False
    if known.state is not Fate.WAITING or not is_settled:
        return False
    return _ask(known, "has settled", inbox.recipe, catalogue, launcher)


def _ask(file: FileRecord, why: str, recipe: Recipe, catalogue: Catalogue, launcher: Launcher) -> bool:
    request = RunRequest(
        path=file.path,
        signature=file.signature,
        recipe=recipe,
        attempt=file.attempt + 1,
        after=file.flow_run_id,
    )
    # First the request, then the note: a crash between the two asks again under the same key, which gives
    # the same run.
    flow_run_id = launcher.request(request)
    log.info("%s: %s; run %s is asked for (attempt %d)", file.path, why, flow_run_id, request.attempt)
    return catalogue.set_fate(
        file.path,
        Fate.QUEUED,
        f"{why}; waits for its run (attempt {request.attempt})",
        attempt=request.attempt,
        flow_run_id=flow_run_id,
        only_from=file,
    )


def _revive(file: FileRecord, recipe: Recipe, catalogue: Catalogue, launcher: Launcher) -> bool:
    life = launcher.life_of(file)
    if life is Life.ALIVE:
        return False
    if life is Life.CANCELLED:
        catalogue.set_fate(
            file.path,
            Fate.FAILED,
            "the run was cancelled by hand; retry it in the Prefect UI",
            only_from=file,
        )
        return False
    if file.attempt >= MOST_ATTEMPTS:
        reason = f"{file.attempt} runs died without a word; see the logs, then `facehog process {file.path}`"
        catalogue.set_fate(file.path, Fate.FAILED, reason, only_from=file)
        return False
    return _ask(file, "its run died without a word", recipe, catalogue, launcher)


def _note_vanished(known: Mapping[Path, FileRecord], seen: Mapping[Path, Signature], catalogue: Catalogue) -> None:
    for path, file in known.items():
        if path not in seen and file.state is Fate.WAITING:
            reason = "is gone from the inbox; it will be taken up when it is back"
            if file.reason != reason:
                catalogue.set_fate(path, Fate.WAITING, reason, only_from=file)
