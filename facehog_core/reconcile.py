"""Ask for runs of what is due: once each, those that have waited longest first, and not for ever.

It may be done at any time and as often as one likes. What is due is found by `facehog_core.lookout`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from .catalogue import Catalogue
from .files import FileRecord
from .names import Identity
from .path_text import as_text
from .recipe import Recipe
from .schema import Fate
from .source import Signature

log = logging.getLogger(__name__)

# A run that came to no end (power, memory, a decoder that crashed its process, a file that changed under it) is
# asked for again, but not for ever: a file that kills every run would keep the others waiting. A run counts anew where
# the one before it got on (`facehog_core.headway`).
MOST_ATTEMPTS = 3

ITS_TURN = "has settled; waits until the runs before it have begun"
#: Why a file has failed of which nobody wants anything any more: of a backfill that was cancelled, say.
NOT_ASKED_FOR = "is not asked for any more; `facehog backfill` or `facehog process` it"


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
                (as_text(self.path), looks.size_bytes, looks.mtime_ns, looks.inode, self.recipe.digest, self.after),
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

    def withdraw(self, file: FileRecord) -> None:
        """Take back the run of a file if it has not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A recording of which a run is to be asked for.

    Parameters
    ----------
    file : FileRecord
    recipe : Recipe
    identity : Identity or None
        Who was recorded and when; what is known of that stays if it is None.
    why : str
        What made it due.
    rank : tuple of int
        The lowest comes first.
    """

    file: FileRecord
    recipe: Recipe
    identity: Identity | None
    why: str
    rank: tuple[int, int]


def take_up(
    dues: Iterable[Due],
    catalogue: Catalogue,
    launcher: Launcher,
    room: int | None = None,
    held: str | None = None,
) -> tuple[int, list[Due]]:
    """Ask for runs of what is due, those that have waited longest first.

    Parameters
    ----------
    dues : iterable of Due
    catalogue : Catalogue
    launcher : Launcher
    room : int, optional
        How many may be asked for. What does not fit stays in the catalogue, where it costs nothing and can be
        overtaken.
    held : str, optional
        Why no run is to be begun now.

    Returns
    -------
    n_asked : int
        Number of runs asked for.
    rest : list of Due
        What does not fit yet.
    """
    room = 0 if held else room
    n_asked, rest = 0, []
    for due in sorted(dues, key=lambda due: due.rank):
        if room is not None and n_asked >= room:
            rest.append(_let_wait(due, held or ITS_TURN, catalogue))
        else:
            n_asked += _ask(due, catalogue, launcher)
    return n_asked, rest


def take_back(folder: Path, reason: str, catalogue: Catalogue, launcher: Launcher) -> None:
    """Take back the runs that recordings of a folder wait for: each would keep its place until its share answers.

    Parameters
    ----------
    folder : Path
    reason : str
        Why.
    catalogue : Catalogue
    launcher : Launcher
    """
    if not catalogue.count(Fate.QUEUED):
        return
    for queued in catalogue.records(f"state={Fate.QUEUED}"):
        file = catalogue.file(queued.path) if queued.path.is_relative_to(folder) else None
        # First the note: a run that was taken back and has a file that waits for it was cancelled by hand.
        if file and file.state is Fate.QUEUED:
            catalogue.set_fate(file.path, Fate.WAITING, reason, attempt=max(0, file.attempt - 1), only_from=file)
            launcher.withdraw(file)


def _let_wait(due: Due, reason: str, catalogue: Catalogue) -> Due:
    file = due.file
    if file.state is not Fate.WAITING or file.reason == reason:
        return due
    catalogue.set_fate(file.path, Fate.WAITING, reason, only_from=file)
    return replace(due, file=replace(file, reason=reason, not_before=None))


def _ask(due: Due, catalogue: Catalogue, launcher: Launcher) -> bool:
    file = due.file
    known = catalogue.file(file.path)
    if known is None or replace(known, identity=file.identity) != file:
        return False  # It has moved on since it was looked at, perhaps to its end: a run would be one too many.
    if file.attempt >= MOST_ATTEMPTS:
        reason = f"{due.why}, but {file.attempt} runs of it came to no end; see the logs, then `facehog process` it"
        catalogue.set_fate(file.path, Fate.FAILED, reason, only_from=file)
        return False
    request = RunRequest(
        path=file.path,
        signature=file.signature,
        recipe=due.recipe,
        attempt=file.attempt + 1,
        after=file.flow_run_id,
    )
    # First the request, then the note: a crash between the two asks again under the same key, which gives
    # the same run.
    flow_run_id = launcher.request(request)
    log.info("%s: %s; run %s is asked for (attempt %d)", file.path, due.why, flow_run_id, request.attempt)
    return catalogue.set_fate(
        file.path,
        Fate.QUEUED,
        f"{due.why}; waits for its run (attempt {request.attempt})",
        attempt=request.attempt,
        flow_run_id=flow_run_id,
        identity=due.identity,
        only_from=file,
    )
