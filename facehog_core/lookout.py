"""Bring inbox, catalogue and runs into agreement: here a file's fate is decided before its run.

A look may be taken at any time and as often as one likes; whatever was missed (a start, an event, a crash) is found by
the next one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from .catalogue import Catalogue
from .causes import Cause, CauseKind, cause_of
from .choices import read_manifest, sidecars_of
from .confirm import tell_missing
from .errors import CatalogueError, ConfigError, ManifestError, TimestampsError
from .files import FileRecord, Glance
from .filesystems import keeps_inodes, name_filesystem
from .inbox import Inbox
from .intake import Looks
from .names import Identity
from .path_text import as_text
from .recipe import Recipe, is_run_of, name_run
from .reconcile import ITS_TURN, NOT_ASKED_FOR, Due, Launcher, Life
from .rest import is_rested
from .scan import Scan, scan_inbox
from .schema import Fate
from .source import Signature
from .timestamps import find_timestamps

log = logging.getLogger(__name__)

# So many files, and most of those that are there, do not get new inodes one by one: their disk was mounted anew.
FEWEST_RENUMBERED = 3

# So many are made ready at a time: of a thousand that landed at once most wait longer than until the next look.
MOST_DUE = 200

_ASKED_ANEW = "is asked for again"
_OTHER_RECIPE = "was refused under other parameters than are set now; is tried again"
_OTHER_MANIFEST = "was refused for what the file beside it said, which is something else now; is tried again"
_OTHER_TIMESTAMPS = "was refused for its timestamps, which are others now; is tried again"
#: How the reason begins if the file beside a recording cannot be read.
WRONG_SIDECAR = "what is to be done to it cannot be read: "
_UNREAD = "cannot be looked at, and is looked at again: "
_UNFORESEEN = "facehog does not know what to do with it; the log of the sensor has more: "
_DONE = frozenset({Fate.FINISHED, Fate.DUPLICATE})
_REFUSED = frozenset({Fate.QUARANTINED, Fate.FAILED})
_UNDER_WAY = frozenset({Fate.QUEUED, Fate.RUNNING})
_VANISHED = "is not seen in the inbox any more; it will be taken up when it is back"
# What is written where the system would not even tell a file's size.
_UNKNOWN = Signature(size_bytes=0, mtime_ns=0, inode=0)


class Lookout:
    """Looks at one inbox again and again, and decides the fate of each file in it.

    Parameters
    ----------
    inbox : Inbox
    catalogue : Catalogue
    clock : callable, optional
        Returns the seconds of a monotonic clock.
    beat : callable, optional
        Is called before each question to the share, which may not return.
    is_backfill : bool, optional
        Whether it is looked at until all in it have come to their end: then it must hold something.

    Attributes
    ----------
    trouble : str or None
        What was odd about the inbox at the last look.
    n_found : int
        Recordings that the last look found.
    is_settling : bool
        Whether a file has still to stand still.
    is_done : bool
        Whether the last look found nothing of which anything is still to be expected.
    """

    def __init__(
        self,
        inbox: Inbox,
        catalogue: Catalogue,
        clock: Callable[[], float] = time.monotonic,
        beat: Callable[[], None] = lambda: None,
        is_backfill: bool = False,
    ) -> None:
        self.inbox = inbox
        self._is_backfill = is_backfill
        self.trouble: str | None = None
        self.n_found = 0
        self.is_settling = self.is_done = False
        self._catalogue = catalogue
        self._clock = clock
        self._beat = beat
        self._looks = Looks(inbox.settle_s)
        self._known: dict[str, Glance] = {}
        self._stamp: str | None = None
        self._place: tuple[int, int] | None = None
        self._has_inodes = True

    def look(self, launcher: Launcher) -> list[Due]:
        """Look at the inbox once, and note what became of each file.

        Parameters
        ----------
        launcher : Launcher
            Is asked how the runs fare that it was asked for.

        Returns
        -------
        list of Due
            What has settled, and what a dead run left.

        Raises
        ------
        OSError
            If the inbox cannot be listed. Nothing is concluded from that.
        """
        self.is_done = False
        began_s = self._clock()
        try:
            self._know_place()
            scan = scan_inbox(
                self.inbox.path,
                self.inbox.patterns,
                depth=self.inbox.depth,
                has_inodes=self._has_inodes,
                beat=self._beat,
            )
        except OSError:
            self._looks.start_anew()
            raise
        ended_s = self._clock()
        known = self._know()
        self._tell(scan, known)
        settled = sorted(self._note(scan, known, began_s, ended_s), key=lambda glance: glance.id)
        self._note_missing(scan, known)
        left = self._know()
        self.is_done = not (self.trouble or scan.unread) and all(
            (glance := left.get(path)) is not None and glance.state in _DONE | _REFUSED and glance.is_like(signature)
            for path, signature in scan.found.items()
        )
        for glance in settled[MOST_DUE:]:
            if glance.reason != ITS_TURN:
                self._wait(glance, ITS_TURN)
        dues = [due for glance in settled[:MOST_DUE] if (due := self._prepare(glance, "has settled"))]
        under_way = [glance for glance in known.values() if glance.state in _UNDER_WAY]
        return dues + [due for glance in under_way if (due := self._revive(glance, scan, launcher))]

    def _know_place(self) -> None:
        """Learn what kind of file system the inbox is on, whenever another one is mounted there."""
        self._beat()
        found = self.inbox.path.stat()
        if self._place != (place := (found.st_dev, found.st_ino)):
            self._has_inodes = keeps_inodes(name_filesystem(self.inbox.path))
            self._place = place

    def _know(self) -> dict[str, Glance]:
        """Return what the catalogue knows of the inbox; it is read again only if anybody has written to it."""
        # First the stamp: what is written in between is read twice rather than missed.
        if self._stamp != (stamp := self._catalogue.stamp()):
            self._known = self._catalogue.glance(self.inbox.path)
            self._stamp = stamp
        return self._known

    def _tell(self, scan: Scan, known: Mapping[str, Glance]) -> None:
        self.n_found = len(scan.found)
        for remark in scan.remarks:
            self._looks.tell_once(remark)
        for path, said in scan.unread.items():
            self._looks.tell_once(f"{as_text(path)} is left out: {said}")
        self.trouble = None
        if scan.is_bare and known:
            s = "s" if len(known) > 1 else ""
            self.trouble = f"is empty, and {len(known)} recording{s} of it are known: is its share mounted?"
        elif scan.is_bare and self._is_backfill:
            self.trouble = "is empty: is its share mounted? If that is right, `facehog backfill --cancel` takes it back"

    def _note(self, scan: Scan, known: Mapping[str, Glance], began_s: float, ended_s: float) -> list[Glance]:
        """Note what is new of each file, and return those that a run is to be asked for."""
        new = {
            path: signature
            for path, signature in scan.found.items()
            if (glance := known.get(path)) is None
            or not (glance.state in _UNDER_WAY or (glance.state in _DONE and glance.is_like(signature)))
        }
        known = {**known, **self._renumber(new, known, n_found=len(scan.found))}
        self.is_settling = False
        self._looks.forget_all_but(new)
        # Those that were written first come first.
        oldest_first = sorted(new.items(), key=lambda item: (item[1].mtime_ns, item[0]))
        settled = []
        for path, signature in oldest_first:
            with self._keeping_apart(path, signature, known.get(path)):
                if glance := self._look_at(path, signature, known.get(path), began_s, ended_s):
                    settled.append(glance)
        return settled

    @contextmanager
    def _keeping_apart(self, path: str, signature: Signature, glance: Glance | None) -> Iterator[None]:
        """Make what nobody thought of the fate of one file: it keeps no other waiting."""
        try:
            yield
        except (OSError, CatalogueError):
            raise
        except Exception as error:
            # Whatever text the error has, the catalogue takes it.
            reason = f"{_UNFORESEEN}{type(error).__name__}: {ascii(str(error))[1:-1]}"
            if glance and (glance.state, glance.reason) == (Fate.FAILED, reason) and glance.is_like(signature):
                return
            log.exception("%s: cannot be seen to", path)
            # Who was recorded is not asked: that may be what fails.
            identity = None if glance else Identity()
            seen: FileRecord | Literal["unseen"] = glance.record if glance else "unseen"
            self._catalogue.set_fate(
                Path(path), Fate.FAILED, reason, signature=signature, identity=identity, only_from=seen
            )

    def _renumber(self, new: Mapping[str, Signature], known: Mapping[str, Glance], n_found: int) -> dict[str, Glance]:
        """Find files that have nothing but another inode because their disk was mounted anew, and note that."""
        renumbered = {
            path: signature.inode
            for path, signature in new.items()
            if (glance := known.get(path))
            and not glance.is_like(signature)
            and glance.is_like(replace(signature, inode=0))
        }
        if len(renumbered) < FEWEST_RENUMBERED or 2 * len(renumbered) <= n_found:
            return {}
        log.info("%s: %d files have new inodes and are what they were", self.inbox.path, len(renumbered))
        self._catalogue.renumber(renumbered)
        return {path: known[path]._replace(inode=str(inode)) for path, inode in renumbered.items()}

    def _look_at(
        self, path: str, signature: Signature, glance: Glance | None, began_s: float, ended_s: float
    ) -> Glance | None:
        """Note what a file looks like, and return it if a run is to be asked for."""
        is_as_it_was = glance is not None and glance.is_like(signature)
        if glance and is_as_it_was and glance.state in _DONE:
            return None
        # What belongs to a recording may land after it, and must stand still, too.
        beside = self._look_beside(Path(path))
        is_settled = self._looks.is_settled(path, (signature, *beside), began_s, ended_s)
        if glance and (mended := self._find_mended(glance, beside)):
            # Once: a run under the new parameters may die before it says which run it is.
            self._wait(glance, mended, signature, attempt=0, forget_run=True)
            return None
        if glance and is_as_it_was and glance.cause not in (CauseKind.VANISHED, CauseKind.UNREAD):
            if glance.state != Fate.WAITING:
                return None
            self.is_settling |= not is_settled
            is_due = is_settled and is_rested(glance.not_before)
            return glance if is_due and self._is_whole(glance) else None
        self.is_settling = True
        reason = f"must stand still for {self.inbox.settle_s:g} s: it may still be arriving"
        if glance and glance.state != Fate.WAITING:
            reason = f"has changed since it was {glance.state}; {reason}"
        self._wait(glance or path, reason, signature, attempt=0)
        return None

    def _wait(
        self,
        glance: Glance | str,
        reason: str,
        signature: Signature | None = None,
        *,
        attempt: int | None = None,
        forget_run: bool = False,
        cause: CauseKind | None = None,
    ) -> None:
        only_from: FileRecord | Literal["unseen"] = glance.record if isinstance(glance, Glance) else "unseen"
        self._catalogue.set_fate(
            Path(glance.path if isinstance(glance, Glance) else glance),
            Fate.WAITING,
            reason,
            signature=signature,
            attempt=attempt,
            forget_run=forget_run,
            cause=Cause(kind=cause) if cause else None,
            only_from=only_from,
        )

    def _look_beside(self, path: Path) -> tuple[Signature | None, ...]:
        """Look at what says what is to be done to a recording, and at its timestamps; None for what is not there."""
        self._beat()
        beside = sidecars_of(path)
        with suppress(ConfigError, OSError):  # Is said when the recording is asked for.
            if timestamps := self.inbox.recipe_for(path).timestamps:
                beside.append(timestamps.path_for(path))
        return tuple(map(_look_if_there, beside))

    def _is_whole(self, glance: Glance) -> bool:
        """Say whether all has arrived that was promised; if not, note what is missing."""
        path = Path(glance.path)
        self._beat()
        try:
            missing = tell_missing(path, read_manifest(path), glance.size_bytes)
            flag = self.inbox.flag_of(path)
            if missing is None and flag and not flag.exists():
                missing = f"waits for {as_text(flag.name)}, which says that it is ready"
        except ManifestError as error:
            cause = cause_of(error)
            self._catalogue.set_fate(path, Fate.QUARANTINED, str(error), cause=cause, only_from=glance.record)
            return False
        except ConfigError:
            return True  # Is said where it is asked for.
        except OSError as error:
            # More may be promised: of a share that fails nothing is concluded.
            missing = f"{WRONG_SIDECAR}{error.strerror}; is tried again"
        if missing and glance.reason != missing:
            self._wait(glance, missing)
        return missing is None

    def _find_mended(self, glance: Glance, beside: Sequence[Signature | None]) -> str | None:
        """Say why a file that was refused may fare better now: under a crop that fits, say. None if nothing changed."""
        if (glance.state, glance.reason) == (Fate.FAILED, NOT_ASKED_FOR):
            return _ASKED_ANEW
        # Nothing may have changed since the last look, at thousands of files that were refused long ago.
        if glance.state not in _REFUSED or self._looks.is_judged(glance.path, (self.inbox, glance, beside)):
            return None
        file = glance.record
        had_wrong_sidecar = glance.cause == CauseKind.SIDECAR
        try:
            recipe = self.inbox.recipe_for(file.path)
            if _has_other_manifest(file):
                return _OTHER_MANIFEST
            if had_wrong_sidecar or (file.run_id is not None and not is_run_of(file.run_id, recipe)):
                return _OTHER_RECIPE
            return _OTHER_TIMESTAMPS if _has_other_timestamps(file, recipe, self._catalogue) else None
        except ConfigError as error:
            return _OTHER_RECIPE if had_wrong_sidecar and file.reason != f"{WRONG_SIDECAR}{error}" else None
        except TimestampsError:
            return None
        except OSError:
            self._looks.forget_judgement(glance.path)
            return None

    def _note_missing(self, scan: Scan, known: Mapping[str, Glance]) -> None:
        """Note of what waits that it is not there, or cannot be looked at: a share that is back brings it back."""
        for path, said in scan.unread_files.items():
            if path not in known:
                self._wait(path, _UNREAD + said, _UNKNOWN, cause=CauseKind.UNREAD)
        for path, glance in known.items():
            if glance.state != Fate.WAITING or path in scan.found:
                continue
            is_unread = path in scan.unread_files
            reason = _UNREAD + scan.unread_files[path] if is_unread else _VANISHED
            if glance.reason != reason and (is_unread or not scan.may_hold(path)):
                self._wait(glance, reason, cause=CauseKind.UNREAD if is_unread else CauseKind.VANISHED)

    def _prepare(self, glance: Glance, why: str) -> Due | None:
        """Find out what is to be done to a recording that is due; None if that cannot be had."""
        with self._keeping_apart(glance.path, glance.record.signature, glance):
            return self._make_due(glance, why)
        return None

    def _make_due(self, glance: Glance, why: str) -> Due | None:
        file = glance.record
        self._beat()
        try:
            recipe = self.inbox.recipe_for(file.path)
        except ConfigError as error:
            # The recording's own fault: it is no news for what lies beside it.
            cause, reason = Cause(kind=CauseKind.SIDECAR), f"{WRONG_SIDECAR}{error}"
            self._catalogue.set_fate(file.path, Fate.QUARANTINED, reason, cause=cause, only_from=file)
            return None
        except OSError as error:
            # The inbox itself was listed a moment ago: whatever fails, the next look is soon enough for this one.
            reason = f"{WRONG_SIDECAR}{error.strerror}; is tried again"
            if file.state is Fate.WAITING and file.reason != reason:
                self._catalogue.set_fate(file.path, Fate.WAITING, reason, only_from=file)
            return None
        # Here, where a share may be waited for, and not where runs are asked for.
        identity = self._catalogue.identify_queued(file)
        return Due(file=file, recipe=recipe, identity=identity, why=why, rank=(-self.inbox.priority, glance.id))

    def _revive(self, glance: Glance, scan: Scan, launcher: Launcher) -> Due | None:
        """See to a file that is queued or running."""
        file = glance.record
        life = launcher.life_of(file)
        if life is Life.ALIVE:
            return None
        if life is Life.CANCELLED:
            reason = "the run was cancelled by hand; retry it in the Prefect UI"
            self._catalogue.set_fate(file.path, Fate.FAILED, reason, only_from=file)
            return None
        if glance.path in scan.found:
            return self._prepare(glance, "its run died without a word")
        if not scan.may_hold(glance.path):
            self._wait(glance, _VANISHED, cause=CauseKind.VANISHED)
        return None


def _look_if_there(path: Path) -> Signature | None:
    try:
        return Signature.of(path)
    except OSError:
        return None  # Whoever reads it says what is wrong with it.


def _has_other_manifest(file: FileRecord) -> bool:
    """Say whether a file was refused for what the file beside it said, and that says something else now."""
    if file.cause is None or file.cause.kind is not CauseKind.MANIFEST:
        return False
    return file.cause.about not in read_manifest(file.path).claims


def _has_other_timestamps(file: FileRecord, recipe: Recipe, catalogue: Catalogue) -> bool:
    """Say whether a file was refused for timestamps that are mended, gone, or not looked for any more."""
    if file.cause is None or file.cause.kind is not CauseKind.TIMESTAMPS:
        return False
    if recipe.timestamps is None or as_text(recipe.timestamps.path_for(file.path).name) != file.cause.about:
        # A run that would have been named by them has no name, by which it could be told from others.
        return file.run_id is None
    found = find_timestamps(file.path, recipe.timestamps)
    if found is None or file.run_id is None:
        return True
    return file.run_id != name_run(catalogue.run(file.run_id).digest or "", recipe, found)
