"""Runs that fail, for their recording or for what is around it, and go on later."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from barcode import write_recording
from lab import Lab, task_runs
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

import facehog_core.cores
import facehog_core.extract
import flows.cluster
import flows.process_recording
import tasks.chunk
import tasks.short
from facehog_core import Catalogue
from facehog_core.chunking import LEAST_FRAMES_PER_SHARD
from facehog_core.errors import CatalogueError, StoreError
from facehog_core.receipts import ShardHogs
from facehog_core.reconcile import MOST_ATTEMPTS
from facehog_core.schema import Fate

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_run_that_fails_leaves_a_row_with_the_reason_and_goes_on_later(
    lab: Lab, real_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def write_all_but_one(paths: Any, span: Any, hogs: Any) -> Any:
        if span.start == 250:
            raise StoreError(paths.working, "no space left on device", "Make room.")
        return write_shard(paths, span, hogs)

    write_shard = tasks.chunk.write_shard
    monkeypatch.setattr(tasks.chunk, "write_shard", write_all_but_one)
    monkeypatch.setattr(tasks.chunk.process_chunk, "retries", 0)
    state = lab.process(real_clip)

    assert state.is_failed()
    record = lab.record(real_clip)
    assert record.state == Fate.FAILED
    assert "no space left on device" in record.reason
    assert [path.name for path in lab.store.rglob("*.zarr")] == ["store.zarr"], "nothing has a final name"
    assert list(lab.store.rglob("0-250.json"))

    monkeypatch.setattr(tasks.chunk, "write_shard", write_shard)
    monkeypatch.setattr(tasks.chunk, "compute_shard", _refuse_span(tasks.chunk.compute_shard, start=0))
    assert lab.process(real_clip).is_completed(), "what was finished is not computed again"
    assert lab.record(real_clip).state == Fate.FINISHED
    assert list(elsewhere.iterdir()) == [], "Prefect keeps the error where it keeps the rest"


def test_attempts_are_counted_anew_where_the_one_before_died_but_got_on(
    lab: Lab, real_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_first(paths: Any, span: Any, hogs: Any) -> Any:
        if span.start:
            while not list(lab.store.rglob("0-250.json")):
                time.sleep(0.01)
            raise StoreError(paths.working, "something ended this attempt", "Try again.")
        return write_shard(paths, span, hogs)

    write_shard = tasks.chunk.write_shard
    monkeypatch.setattr(tasks.chunk, "write_shard", write_first)
    monkeypatch.setattr(tasks.chunk.process_chunk, "retries", 0)
    counted = []
    for attempt in (1, MOST_ATTEMPTS, MOST_ATTEMPTS):
        assert lab.process(real_clip, attempt=attempt).is_failed()
        with Catalogue(lab.catalogue) as catalogue:
            file = catalogue.file(real_clip)
        assert file is not None
        counted.append((file.attempt, lab.record(real_clip).attempt))
    # The second found a chunk that was done since the first began, and the third nothing more.
    assert counted == [(1, 1), (1, 1), (MOST_ATTEMPTS, MOST_ATTEMPTS)]


def _refuse_span(compute_shard: Any, start: int) -> Any:
    def compute(frames: Any, span: Any, work: Any) -> Any:
        assert span.start != start
        return compute_shard(frames, span, work)

    return compute


@pytest.mark.parametrize(
    ("n_frames", "module", "task", "name"),
    [
        (LEAST_FRAMES_PER_SHARD + 1, tasks.chunk, tasks.chunk.process_chunk, "chunk-0-"),
        (5, facehog_core.extract, tasks.short.describe_short, "describe-"),
    ],
)
def test_what_may_pass_is_tried_again(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_frames: int, module: Any, task: Any, name: str
) -> None:
    path = write_recording(tmp_path / "shaky.mp4", n_frames)
    write_shard = module.write_shard
    troubles = [OSError("the share is gone for a while")]

    def write_at_last(paths: Any, span: Any, hogs: Any) -> Any:
        if troubles and span.start == 0:
            raise troubles.pop()
        return write_shard(paths, span, hogs)

    monkeypatch.setattr(module, "write_shard", write_at_last)
    monkeypatch.setattr(task, "retry_delay_seconds", 0)
    assert lab.process(path).is_completed()

    (run,) = [run for run in task_runs(lab.record(path).flow_run_id) if run.name.startswith(name)]
    assert run.run_count == 2


def test_one_decoder_takes_no_more_cores_than_there_are_workers(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def note(*arguments: Any, n_threads: int) -> Any:
        used.append(n_threads)
        return iter_frames(*arguments, n_threads=n_threads)

    iter_frames = facehog_core.extract.iter_frames
    monkeypatch.setattr(facehog_core.extract, "iter_frames", note)
    monkeypatch.setattr(facehog_core.cores, "list_cores", lambda: list(range(8)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = write_recording(tmp_path / "raw.h264", LEAST_FRAMES_PER_SHARD + 1)
    assert lab.process(path, cluster={"n_workers": 3}).is_completed()
    assert used == [3 + facehog_core.extract.SPARE_THREADS]


def test_a_cluster_that_is_not_there_is_waited_for_without_counting_attempts(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.cluster, "SCHEDULER_TIMEOUT_S", 0)
    path = write_recording(tmp_path / "lonely.mp4", 5)
    state = lab.process(path, cluster={"address": str(tmp_path / "scheduler.json")}, attempt=MOST_ATTEMPTS)

    assert state.is_failed()
    record = lab.record(path)
    assert record.state == Fate.WAITING
    assert "scheduler file" in record.reason
    with Catalogue(lab.catalogue) as catalogue:
        file = catalogue.file(path)
    assert file is not None
    assert (file.attempt, file.not_before is not None) == (0, True)


def test_a_catalogue_that_fails_for_a_while_is_waited_for_without_counting_attempts(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recording(tmp_path / "locked.mp4", 5)

    def fail(*_: Any) -> None:
        raise CatalogueError("catalogue.db", "another process has kept the catalogue to itself", "Try again.")

    with monkeypatch.context() as patched:
        patched.setattr(flows.process_recording.Ledger, "begin", fail)
        state = lab.process(path, attempt=MOST_ATTEMPTS)
    assert state.name == "GivenBack"
    with Catalogue(lab.catalogue) as catalogue:
        file = catalogue.file(path)
    assert file is not None
    assert (file.state, file.attempt, file.not_before is not None) == (Fate.WAITING, 0, True)
    assert lab.process(path).is_completed()


def test_what_fails_around_a_finished_recording_leaves_it_finished(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recording(tmp_path / "done.mp4", 5)
    lab.process(path)
    store = lab.record(path).store
    monkeypatch.setattr(flows.cluster, "SCHEDULER_TIMEOUT_S", 0)
    lab.process(path, cluster={"address": str(tmp_path / "scheduler.json")})

    record = lab.record(path)
    assert (record.state, record.store) == (Fate.FINISHED, store)


@pytest.mark.parametrize("name", ["create_progress_artifact", "update_progress_artifact", "create_markdown_artifact"])
def test_a_recording_does_not_fail_for_what_the_ui_does_not_take(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def time_out(*_: Any, **__: Any) -> None:
        raise httpx.ReadTimeout("the server is busy")

    monkeypatch.setattr(flows.process_recording, name, time_out)
    # Of a shorter one no progress is shown.
    path = write_recording(tmp_path / "unseen.mp4", LEAST_FRAMES_PER_SHARD + 1)
    assert lab.process(path).is_completed()
    assert lab.record(path).state == Fate.FINISHED


def test_a_server_of_prefects_that_does_not_answer_is_no_fault_of_a_recording() -> None:
    nobody = {PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nobody), get_client(sync_client=True) as client:
        for ask in (client.raise_for_api_version_mismatch, client.hello):
            with pytest.raises((RuntimeError, httpx.HTTPError)) as raised:
                ask()
            assert flows.process_recording.may_pass(raised.value)
    assert not flows.process_recording.may_pass(RuntimeError("the program is wrong"))


def count_results() -> int:
    gc.collect()
    return sum(type(thing) is ShardHogs for thing in gc.get_objects())


def test_a_chunk_of_many_shards_holds_the_results_of_no_more_than_two(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count_results()
    # In a file: Dask sends a task by value, so what a test's function closes over is a copy.
    counts = tmp_path / "counts.txt"
    write_shard = tasks.chunk.write_shard

    def count_and_write(paths: Any, span: Any, hogs: Any) -> Any:
        with counts.open("a") as file:
            file.write(f"{count_results()}\n")
        return write_shard(paths, span, hogs)

    monkeypatch.setattr(tasks.chunk, "write_shard", count_and_write)
    # One keyframe: one decoder, and so one chunk, for all.
    path = write_recording(tmp_path / "endless.mp4", 1300, x264="keyint=infinite:scenecut=0")
    assert lab.process(path).is_completed()
    alive = [int(line) for line in counts.read_text().split()]
    assert len(alive) == 6, "the recording has many shards"
    assert max(alive) - before <= 2
