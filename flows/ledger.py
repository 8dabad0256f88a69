"""What a flow run tells the catalogue about itself, in order."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from facehog_core.catalogue import Catalogue
from facehog_core.causes import Cause
from facehog_core.errors import StoreError, TimestampsError
from facehog_core.locks import is_held
from facehog_core.names import Identity
from facehog_core.path_text import as_text
from facehog_core.provenance import RunRecord, describe_host, describe_software, now
from facehog_core.recipe import Recipe, name_run
from facehog_core.rest import rest_after
from facehog_core.run_paths import RunPaths
from facehog_core.schema import Fate
from facehog_core.sealed import check_whole, read_record
from facehog_core.source import Signature, digest_source, name_results
from facehog_core.timestamps import find_timestamps
from facehog_core.video import VideoInfo
from tasks.record import record_provenance


class Ledger:
    """Keeps the catalogue true while a recording is processed.

    Parameters
    ----------
    records : Catalogue
    store : Path
        Folder of all stores.
    path : Path
        The recording.
    signature : Signature
        What it looks like.
    recipe : Recipe
    attempt : int
        Counts from 1.
    flow_run_id : str
        Prefect's name for the flow run.
    identity : Identity or None
        Who was recorded and when; what the catalogue knows if None.
    """

    def __init__(
        self,
        records: Catalogue,
        store: Path,
        path: Path,
        signature: Signature,
        recipe: Recipe,
        attempt: int,
        flow_run_id: str,
        identity: Identity | None,
    ) -> None:
        self._records = records
        self._store = store
        self._recipe = recipe
        started_at = now()
        self.record = RunRecord(
            path=path,
            state=Fate.RUNNING,
            reason="is being read",
            changed_at=started_at,
            size_bytes=signature.size_bytes,
            recipe=recipe.as_dict(),
            software=describe_software(),
            host=describe_host(),
            attempt=attempt,
            started_at=started_at,
            flow_run_id=flow_run_id,
        )
        records.set_fate(
            path,
            Fate.RUNNING,
            self.record.reason,
            signature=signature,
            attempt=attempt,
            flow_run_id=flow_run_id,
            identity=identity,
        )
        self._known_run: str | None = None
        if file := records.file(path):
            self.record = replace(self.record, identity=file.identity)
            # Of the same bytes: a file that looks different has come to no run yet.
            self._known_run = file.run_id

    def count_anew(self) -> None:
        """Count attempts from this one on: those before it died, but got on."""
        self.record = replace(self.record, attempt=1)
        self._records.set_fate(self.record.path, Fate.RUNNING, self.record.reason, attempt=1)

    def begin(self, info: VideoInfo, run_id: str) -> None:
        """Record that the recording is known and its run begins."""
        self._note(
            run_id=run_id,
            digest=info.digest,
            size_bytes=info.size_bytes,
            stream=info.as_dict(),
            reason=f"{info.n_frames} frames are being described"
            if self._recipe.frames.is_whole
            else f"{self._recipe.frames} of {info.n_frames} are being described",
        )
        # No task of Prefect's: to show that it begins would take longer than to write it.
        self._records.record(self.record)

    def find_others(self) -> list[RunPaths]:
        """Return where the other runs in progress write to."""
        return [
            RunPaths(root=self._store, recording=name_results(run.path), run_id=run.run_id)
            for run in self._records.records(f"state={Fate.RUNNING}")
            if run.run_id and run.run_id != self.record.run_id and is_held(self._records.location, run.run_id)
        ]

    def finish(self, store: Path) -> RunRecord:
        """Record what a sealed store says of itself.

        Returns
        -------
        RunRecord
            Of the run that made the store. Where that read another file with the same bytes, this file is
            recorded as its duplicate.
        """
        made = read_record(store)
        is_own = made.path == self.record.path
        if is_own or not self._records.knows_run(made.run_id):
            record_provenance(self._records, made)
        if not is_own:
            self._records.set_fate(
                self.record.path,
                Fate.DUPLICATE,
                f"holds the same bytes as {as_text(made.path)}, which is finished",
                run_id=made.run_id,
            )
        return made

    def wait(self, reason: str) -> None:
        """Record that the file is not what it was, and is to be looked at again."""
        self._records.set_fate(self.record.path, Fate.WAITING, reason)

    def give_back(self, reason: str, *, is_attempt: bool = False, can_be_read: bool = True) -> None:
        """Record that a run ended for what is around it (cluster, share, disk): that may pass.

        The file is taken up again after a while, which is longer each time: as often as need be, since an outage may
        last, unless the run counts as an attempt.
        """
        if self.end_without_store(Fate.WAITING, reason, can_be_read=can_be_read):
            let_rest(self._records, self.record.path, reason, attempt=self.record.attempt if is_attempt else 0)

    def end_without_store(
        self, state: Fate, reason: str, cause: Cause | None = None, *, can_be_read: bool = True
    ) -> bool:
        """Record why the run ends without a store, and what that hangs on, if it may change by itself.

        Parameters
        ----------
        state : Fate
        reason : str
        can_be_read : bool, optional
            Whether the recording may be read to find out which run it is.

        Returns
        -------
        bool
            False if there is a store nevertheless, from an earlier run or because it was sealed before the
            trouble: then that is what is recorded.
        """
        is_named = self.record.run_id is not None
        if not is_named and not (can_be_read and self._identify(may_read=state is not Fate.WAITING)):
            # There is no content to record, or nothing to name its run by: it is not the run it came to before.
            return self._records.set_fate(self.record.path, state, reason, forget_run=True, cause=cause)
        if made := self.find_made(str(self.record.run_id)):
            # One that is damaged is no result: that may even be the trouble.
            with suppress(StoreError, OSError):
                check_whole(made)
                self.finish(made)
                return False
        self._note(state=state, reason=reason, finished_at=now())
        record_provenance(self._records, self.record, cause)
        return True

    def _identify(self, *, may_read: bool) -> bool:
        """Name a run that ends before it has begun, if that can be had.

        What is given back is not read for that: while a cluster is down, each recording would be, again and again.
        """
        known = self._records.run(self._known_run).digest if self._known_run else None
        if known is None and not may_read:
            return False
        try:
            digest = known or digest_source(self.record.path)
            sidecar = find_timestamps(self.record.path, self._recipe.timestamps)
        except (OSError, TimestampsError):
            return False
        self.record = replace(self.record, digest=digest, run_id=name_run(digest, self._recipe, sidecar))
        return True

    def find_made(self, run_id: str) -> Path | None:
        """Look for a run's store, also under the name of another file with the same bytes."""
        return next(self._store.glob(f"*/{run_id}.zarr"), None)

    def _note(self, **news: object) -> None:
        self.record = replace(self.record, **news, changed_at=now())


def let_rest(records: Catalogue, path: Path, reason: str, attempt: int = 0) -> None:
    """Let a file that waits be taken up again after a while only, which is longer each time."""
    later = now() + rest_after(records.story(path))
    records.set_fate(path, Fate.WAITING, reason, attempt=attempt, not_before=later)
