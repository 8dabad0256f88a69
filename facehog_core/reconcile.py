"""Bring inbox, catalogue and runs into agreement: here a file's fate is decided before its run.

`reconcile` may be called at any time and as often as one likes; whatever was missed (a start, an event, a
crash) is found by the next call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Protocol

from .catalogue import Catalogue, FileRecord
from .choices import choose_by_sidecar, find_sidecar
from .crop import Crop
from .errors import ConfigError, FacehogError, TimestampsError
from .intake import Looks, scan_inbox
from .provenance import now
from .recipe import Recipe, is_run_of, name_run
from .schema import Fate
from .source import Signature
from .timestamps import UNREADABLE_TIMESTAMPS, find_timestamps

log = logging.getLogger(__name__)

# A run that came to no end (power, memory, a decoder that crashed its process, a file that changed under it) is
# asked for again, but not for ever: a file that kills every run would keep the others waiting.
MOST_ATTEMPTS = 3

_OTHER_RECIPE = "was refused under other parameters than are set now; is tried again"
_OTHER_TIMESTAMPS = "was refused for its timestamps, which are others now; is tried again"
_WRONG_SIDECAR = "what is to be done to it cannot be read: "
_VANISHED = "is not seen in the inbox any more; it will be taken up when it is back"


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
        What is done to a recording of which nothing else is said.
    crops : sequence of (str, Crop), optional
        Names of recordings, such as ``*m12*``, and the crop of those: the first that matches counts.
    """

    path: Path
    patterns: Sequence[str]
    settle_s: float
    recipe: Recipe
    crops: Sequence[tuple[str, Crop]] = ()

    def recipe_for(self, path: Path) -> Recipe:
        """Return what is done to one recording: by its name, and by the file beside it.

        Raises
        ------
        ConfigError
            If the file beside it is wrong, or holds what nobody thought of: that is this recording's fate alone.
        OSError
            If the disk or share fails.
        """
        name = path.name.lower()
        matching = (crop for pattern, crop in self.crops if fnmatchcase(name, pattern.lower()))
        try:
            return choose_by_sidecar(replace(self.recipe, crop=next(matching, self.recipe.crop)), path)
        except (FacehogError, OSError):
            raise
        except Exception as error:
            log.debug("%s: what is to be done to it cannot be read", path, exc_info=True)
            raise ConfigError(
                find_sidecar(path), f"{type(error).__name__}: {error}", "Mend it, or remove it."
            ) from error


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
    seen = scan_inbox(inbox.path, inbox.patterns, looks.tell_once)
    known = {path: file for path, file in catalogue.files().items() if path.is_relative_to(inbox.path)}
    looks.forget_all_but(seen)
    # All is noted before any run is asked for: a file has its fate also while nobody takes runs.
    settled = [
        file
        for path, signature in seen.items()
        if (file := _look_at(path, signature, known.get(path), inbox, catalogue, looks, at_s))
    ]
    _note_vanished(known, seen, catalogue)
    taken = sum(_ask(file, "has settled", inbox, catalogue, launcher) for file in settled)
    under_way = [file for file in known.values() if file.state in (Fate.QUEUED, Fate.RUNNING)]
    return taken + sum(_revive(file, inbox, catalogue, launcher) for file in under_way)


def _look_at(
    path: Path,
    signature: Signature,
    known: FileRecord | None,
    inbox: Inbox,
    catalogue: Catalogue,
    looks: Looks,
    at_s: float,
) -> FileRecord | None:
    """Note what a file looks like, and return it if a run is to be asked for."""
    if known and known.state in (Fate.QUEUED, Fate.RUNNING):
        return None  # A run that finds the file changed says so itself.
    is_as_it_was = known is not None and known.signature == signature and known.reason != _VANISHED
    if known and is_as_it_was and known.state in (Fate.FINISHED, Fate.DUPLICATE):
        return None
    # What belongs to a recording may land after it, and must stand still, too.
    is_settled = looks.is_settled(path, [signature, *_look_beside(path, inbox)], at_s)
    if known and (mended := _find_mended(known, inbox, catalogue)):
        # Once: a run under the new parameters may die before it says which run it is.
        catalogue.set_fate(path, Fate.WAITING, mended, signature=signature, attempt=0, forget_run=True, only_from=known)
        return None
    if known and is_as_it_was:
        is_due = known.not_before is None or now() >= known.not_before
        return known if known.state is Fate.WAITING and is_settled and is_due else None
    reason = f"must stand still for {inbox.settle_s:g} s: it may still be arriving"
    if known and known.state is not Fate.WAITING:
        reason = f"has changed since it was {known.state}; {reason}"
    only_from: FileRecord | Literal["unseen"] = known or "unseen"
    catalogue.set_fate(path, Fate.WAITING, reason, signature=signature, attempt=0, only_from=only_from)
    return None


def _look_beside(path: Path, inbox: Inbox) -> list[Signature | None]:
    """Look at what says what is to be done to a recording, and at its timestamps; None for what is not there."""
    beside = []
    with suppress(ConfigError, OSError):  # Is said when the recording is asked for.
        beside.append(find_sidecar(path))
        if timestamps := inbox.recipe_for(path).timestamps:
            beside.append(timestamps.path_for(path))
    return [_look_if_there(found) for found in beside]


def _look_if_there(path: Path) -> Signature | None:
    try:
        return Signature.of(path)
    except OSError:
        return None  # Whoever reads it says what is wrong with it.


def _find_mended(file: FileRecord, inbox: Inbox, catalogue: Catalogue) -> str | None:
    """Say why a file that was refused may fare better now: under a crop that fits, say. None if nothing has changed."""
    if file.state not in (Fate.QUARANTINED, Fate.FAILED):
        return None
    had_wrong_sidecar = file.reason.startswith(_WRONG_SIDECAR)
    try:
        recipe = inbox.recipe_for(file.path)
        if had_wrong_sidecar or (file.run_id is not None and not is_run_of(file.run_id, recipe)):
            return _OTHER_RECIPE
        return _OTHER_TIMESTAMPS if _has_other_timestamps(file, recipe, catalogue) else None
    except ConfigError as error:
        return _OTHER_RECIPE if had_wrong_sidecar and file.reason != f"{_WRONG_SIDECAR}{error}" else None
    except (TimestampsError, OSError):
        return None


def _has_other_timestamps(file: FileRecord, recipe: Recipe, catalogue: Catalogue) -> bool:
    """Say whether a file was refused for timestamps that are mended, gone, or not looked for any more."""
    # As a FacehogError begins: with the name of the file that it is about.
    if recipe.timestamps is None or not file.reason.startswith(f"{recipe.timestamps.path_for(file.path).name}: "):
        # A run that would have been named by them has no name, by which it could be told from others.
        return file.run_id is None and f": {UNREADABLE_TIMESTAMPS}" in file.reason
    found = find_timestamps(file.path, recipe.timestamps)
    if found is None or file.run_id is None:
        return True
    return file.run_id != name_run(catalogue.run(file.run_id).digest or "", recipe, found)


def _ask(file: FileRecord, why: str, inbox: Inbox, catalogue: Catalogue, launcher: Launcher) -> bool:
    if catalogue.file(file.path) != file:
        return False  # It has moved on since it was looked at, perhaps to its end: a run would be one too many.
    if file.attempt >= MOST_ATTEMPTS:
        reason = f"{why}, but {file.attempt} runs of it came to no end; see the logs, then `facehog process` it"
        catalogue.set_fate(file.path, Fate.FAILED, reason, only_from=file)
        return False
    try:
        recipe = inbox.recipe_for(file.path)
    except ConfigError as error:
        # The recording's own fault: it is no news for what lies beside it.
        catalogue.set_fate(file.path, Fate.QUARANTINED, f"{_WRONG_SIDECAR}{error}", only_from=file)
        return False
    except OSError as error:
        # The inbox itself was listed a moment ago: whatever fails, the next look is soon enough for this one.
        reason = f"{_WRONG_SIDECAR}{error.strerror}; is tried again"
        if file.state is Fate.WAITING and file.reason != reason:
            catalogue.set_fate(file.path, Fate.WAITING, reason, only_from=file)
        return False
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


def _revive(file: FileRecord, inbox: Inbox, catalogue: Catalogue, launcher: Launcher) -> bool:
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
    return _ask(file, "its run died without a word", inbox, catalogue, launcher)


def _note_vanished(known: Mapping[Path, FileRecord], seen: Mapping[Path, Signature], catalogue: Catalogue) -> None:
    for path, file in known.items():
        if path not in seen and file.state is Fate.WAITING and file.reason != _VANISHED:
            catalogue.set_fate(path, Fate.WAITING, _VANISHED, only_from=file)
