"""The story of one recording: probe, plan, describe in chunks, seal, record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State
from prefect.futures import as_completed
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.states import Completed, Failed
from prefect_dask import DaskTaskRunner

from facehog_core.catalogue import Catalogue
from facehog_core.causes import Cause, CauseKind, cause_of
from facehog_core.choices import identify
from facehog_core.chunking import LEAST_FRAMES_PER_SHARD, ChunkPlan
from facehog_core.errors import (
    CatalogueError,
    ChangedError,
    ConfigError,
    DiskFullError,
    FacehogError,
    RecordingRefusedError,
    ServiceError,
    SilentShareError,
)
from facehog_core.headway import note_headway
from facehog_core.locks import hold
from facehog_core.lookout import WRONG_SIDECAR
from facehog_core.names import Identity
from facehog_core.path_text import as_text, from_text
from facehog_core.progress import Progress
from facehog_core.provenance import RunRecord, now
from facehog_core.receipts import ShardReceipt, check_damage, pace_of
from facehog_core.recipe import Recipe, name_run
from facehog_core.room import check_room_for
from facehog_core.run_paths import RunPaths
from facehog_core.schema import Fate
from facehog_core.sealed import check_whole
from facehog_core.source import Signature, digest_source, name_results
from facehog_core.starts import note_of_probe
from facehog_core.store import discard_partial
from facehog_core.store_root import check_root
from facehog_core.timestamps import TimestampsFile, find_timestamps
from facehog_core.video import VideoInfo
from flows.cluster import Cluster
from flows.ledger import Ledger, let_rest
from flows.names import PROCESS_RECORDING
from flows.outage import is_outage
from flows.share_watch import ask_share, watching_share
from flows.summary import summarise
from flows.verdict import hide_tracebacks
from tasks.chunk import process_chunk
from tasks.plan import plan_chunks
from tasks.probe import probe_recording
from tasks.seal import seal
from tasks.short import describe_short

# How long a run waits for another one that describes the same bytes, seconds.
SAME_BYTES_S = 5.0


def _name_flow_run() -> str:
    return Path(runtime.flow_run.parameters["path"]).name


@flow(
    name=PROCESS_RECORDING,
    flow_run_name=_name_flow_run,
    # It is not kept. Where it would be is said nevertheless: otherwise each run asks Prefect's server for that thrice.
    persist_result=False,
    # An error is kept all the same: not in the working folder.
    result_storage=PREFECT_LOCAL_STORAGE_PATH.value(),
)
def process_recording(
    path: str,
    store: Path,
    catalogue: str,
    recipe: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
    attempt: int = 1,
    identity: dict[str, Any] | None = None,
    force: bool = False,
) -> State[Any]:
    """Turn a recording into a sealed store and a row of the catalogue.

    Parameters
    ----------
    path : str
        The recording, as `facehog_core.path_text` writes it; it is only read.
    store : Path
        Folder of all stores.
    catalogue : str
        URL of the catalogue.
    recipe : dict, optional
        `facehog_core.recipe.Recipe.as_dict`; the defaults if left out.
    cluster : dict, optional
        `flows.cluster.Cluster.as_dict`; threads of this process if left out.
    attempt : int, optional
        Counts from 1.
    identity : dict, optional
        `facehog_core.names.Identity.as_dict`: who was recorded and when; what the catalogue knows if left out.
    force : bool, optional
        Whether all is done anew where it has been done before; the store that there is stays until then.

    Returns
    -------
    State
        Completed, also for a duplicate, and named CompletedWithWarnings where there are some; Failed, named
        Quarantined where the file is refused for what it is.
    """
    hide_tracebacks()
    source = Path(from_text(path))
    chosen = Recipe.from_dict(recipe) if recipe else Recipe()
    said = None if identity is None else Identity.from_dict(identity)
    with Catalogue(catalogue, create=True) as records, hold(records.location, str(source)):
        try:
            signature = ask_share(source, lambda: Signature.of(source))
            if said is None and records.file(source) is None:
                said = ask_share(source, lambda: identify(source))
        except SilentShareError as error:
            _miss(records, source, str(error))
            return Failed(name="GivenBack", message=str(error))
        except OSError as error:
            _miss(records, source, reason := f"cannot be read: {error.strerror}")
            return Failed(message=f"{path} {reason}")
        ledger = Ledger(records, store, source, signature, chosen, attempt, str(runtime.flow_run.id), said)
        try:
            with _judging(source, signature):
                workers = Cluster(**cluster or {})
                record = _process(records, ledger, source, signature, store, chosen, workers, force=force)
        except ChangedError as error:
            ledger.wait(str(error))
            return Failed(name="Changed", message=str(error))
        except ConfigError as error:
            # The file beside it has changed since it was queued: as if that had been seen before.
            reason = f"{WRONG_SIDECAR}{error}"
            ledger.end_without_store(Fate.QUARANTINED, reason, Cause(kind=CauseKind.SIDECAR))
            return Failed(name="Quarantined", message=reason)
        except SilentShareError as error:
            ledger.give_back(str(error), can_be_read=False)
            return Failed(name="GivenBack", message=str(error))
        except RecordingRefusedError as error:
            get_run_logger().error("is quarantined: %s", error)
            ledger.end_without_store(Fate.QUARANTINED, str(error), cause_of(error))
            return Failed(name="Quarantined", message=str(error))
        except Exception as error:
            if may_pass(error):
                # A worker that dies may have died of this recording: not for ever.
                ledger.give_back(_say(error), is_attempt=isinstance(error, KilledWorker))
                return Failed(name="GivenBack", message=_say(error))
            # The row comes before the traceback: whoever asks the catalogue must not find a run that is
            # said to go on.
            ledger.end_without_store(Fate.FAILED, _say(error))
            raise
    _show(lambda: create_markdown_artifact(summarise(record), key=f"run-{record.run_id}", description=Path(path).name))
    if record.path != source:
        return Completed(name="Duplicate", message=f"the same bytes as {as_text(record.path)}")
    message = f"{record.n_frames} frames are in {record.store}"
    if record.warnings:
        return Completed(name="CompletedWithWarnings", message=" ".join([f"{message}.", *record.warnings]))
    return Completed(message=message)


@contextmanager
def _judging(path: Path, signature: Signature) -> Iterator[None]:
    """Let a refusal stand only of a recording that may be read, and is what it was when its run began.

    Others were refused for what they were in between: gone, say, or half replaced.
    """
    try:
        yield
    except RecordingRefusedError as error:
        try:
            is_same = ask_share(path, lambda: _look_again(path)) == signature
        except OSError as trouble:
            fact = f"it cannot be read: {trouble.strerror}"
            raise ServiceError(path, fact, "See that facehog's user may read it; it is tried again.") from error
        if is_same:
            raise
        fact = f"it has changed since its run began, or is gone ({error.fact})"
        raise ChangedError(path, fact, "It will be looked at again when it has settled.") from error


def _look_again(path: Path) -> Signature | None:
    try:
        if path.is_file():
            path.open("rb").close()
        return Signature.of(path)
    except FileNotFoundError:
        return None


# What is around a recording and no fault of it: cluster, Prefect's server, catalogue, share, disk. Dask gives up every
# task that waited on workers that died: the one at fault refuses itself before that (see `facehog_core.starts`).
MAY_PASS = (
    ServiceError,
    CatalogueError,
    DiskFullError,
    FutureCancelledError,
    CommClosedError,
    KilledWorker,
    OSError,
)


def may_pass(error: Exception) -> bool:
    """Say whether a run failed for something around its recording, so that it is worth another try later."""
    return isinstance(error, MAY_PASS) or is_outage(error)


def _say(error: Exception) -> str:
    return str(error) if isinstance(error, FacehogError) else f"{type(error).__name__}: {error}"


def _show(call: Callable[[], Any]) -> Any:
    """Show something in the UI, if the server takes it: a recording does not fail for that."""
    try:
        return call()
    except Exception as error:
        if not is_outage(error):
            raise
        get_run_logger().warning("the UI does not show all: %s", error)
        return None


def _connect(runner: DaskTaskRunner) -> None:
    """Connect to the cluster, so that its absence is not taken for a fault of a task."""
    try:
        runner.client.scheduler_info()
    except OSError as error:
        raise ServiceError(
            str(runner.address), f"the Dask scheduler does not answer ({error})", "Start it; see `facehog doctor`."
        ) from error


def _process(
    records: Catalogue,
    ledger: Ledger,
    path: Path,
    signature: Signature,
    store: Path,
    recipe: Recipe,
    cluster: Cluster,
    *,
    force: bool,
) -> RunRecord:
    with ExitStack() as stack:
        runner = stack.enter_context(cluster.make_runner())
        stack.enter_context(watching_share(path, runner))
        _connect(runner)
        check_root(store, records)
        note_of_probe(store, path).unlink(missing_ok=True)
        info = runner.submit(probe_recording, {"path": path, "store": store, "stream": recipe.stream}).result()
        sidecar = ask_share(path, lambda: find_timestamps(path, recipe.timestamps))
        name = ask_share(path, lambda: name_results(path))
        run_id = name_run(info.digest, recipe, sidecar)
        paths = RunPaths(root=store, recording=name, run_id=run_id, token=uuid4().hex)
        with _alone(records, paths.run_id, path):
            made = ledger.find_made(paths.run_id)
            if made is not None and not force:
                # Nobody is told that a recording is finished whose store is damaged.
                check_whole(made)
            else:
                if force:
                    discard_partial(paths)
                if note_headway(paths):
                    ledger.count_anew()
                ledger.begin(info, paths.run_id)
                # Judged here too: chunks stay where a refusal does not stand.
                with _tidying_up(paths, info), _judging(path, signature):
                    _make(runner, ledger, paths, info, recipe, sidecar, made, cluster.n_workers)
                made = paths.final
            # Left by a run that was killed between publishing and tidying up.
            discard_partial(paths)
            return ledger.finish(made)


def _make(
    runner: DaskTaskRunner,
    ledger: Ledger,
    paths: RunPaths,
    info: VideoInfo,
    recipe: Recipe,
    sidecar: TimestampsFile | None,
    old: Path | None,
    n_workers: int | None,
) -> None:
    told = ledger.record
    started = {"software": told.software}
    ended = {
        "host": told.host,
        "attempt": told.attempt,
        "flow_run_id": told.flow_run_id,
        "identity": told.identity.as_dict(),
        "started_at": told.started_at.isoformat(),
    }
    given = {"paths": paths, "info": info, "recipe": recipe, "sidecar": sidecar, "attributes": started}
    if info.n_frames <= LEAST_FRAMES_PER_SHARD:
        runner.submit(describe_short, {**given, "ended": ended, "old": old}).result()
        return
    plan = runner.submit(plan_chunks, given).result()
    check_room_for(paths, ledger.find_others())
    receipts = _describe(runner, paths, plan, info, recipe, n_workers)
    attributes = {**ended, "finished_at": now().isoformat()}
    runner.submit(seal, {"paths": paths, "receipts": receipts, "attributes": attributes, "old": old}).result()


@contextmanager
def _alone(records: Catalogue, run_id: str, path: Path) -> Iterator[None]:
    """Let nobody else make the same run: the same bytes may have landed under two names at once.

    The second one finds them done if the first one is soon; otherwise it does not keep its place here from others.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(hold(records.location, run_id, SAME_BYTES_S))
        except TimeoutError as error:
            raise ServiceError(
                path.name, "the same bytes are being described under another name", "It is looked at again later."
            ) from error
        yield


@contextmanager
def _tidying_up(paths: RunPaths, info: VideoInfo) -> Iterator[None]:
    """Remove what a run leaves that nobody will go on with."""
    try:
        yield
    except RecordingRefusedError:
        discard_partial(paths)
        raise
    except ChangedError:
        # A file that was only touched goes on from what is done; what was described of other bytes is of no use.
        with suppress(OSError):
            if digest_source(info.path) != info.digest:
                discard_partial(paths)
        raise


def _describe(
    runner: DaskTaskRunner, paths: RunPaths, plan: ChunkPlan, info: VideoInfo, recipe: Recipe, n_workers: int | None
) -> list[ShardReceipt]:
    """Deal the chunks out, and gather their receipts as they come."""
    log, began_at = get_run_logger(), time.time()
    about = f"{paths.recording}: frames described"
    progress = _show(lambda: create_progress_artifact(progress=0.0, key=f"progress-{paths.run_id}", description=about))
    given = {"paths": paths, "n_workers": n_workers}
    futures = [runner.submit(process_chunk, {**given, "chunk": chunk}) for chunk in plan]
    receipts: list[ShardReceipt] = []
    try:
        for future in as_completed(futures):
            receipts += future.result()
            check_damage(info.path, receipts, plan.n_frames, recipe.max_corrupt)
            n_done = sum(receipt.stop - receipt.start for receipt in receipts)
            told = Progress(n_done=n_done, n_frames=plan.n_frames, pace=pace_of(receipts, began_at))
            if progress:
                news = {"progress": 100 * n_done / plan.n_frames, "description": f"{paths.recording}: {told}"}
                _show(partial(update_progress_artifact, progress, **news))
            log.info("%s", told)
    except BaseException:
        # The cluster may be shared: chunks that nobody waits for must not keep it busy.
        for future in futures:
            future.wrapped_future.cancel()
        raise
    return receipts


def _miss(records: Catalogue, path: Path, reason: str) -> None:
    """Note of a run that its file cannot be looked at: a share that is gone comes back."""
    if records.file(path):
        records.set_fate(path, Fate.WAITING, reason, attempt=0)
        let_rest(records, path, reason)
