"""Law 2: the same bytes for any chunks, also when a run was killed on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import BEGUN, ENDED, lay_out_run, run_recording
from small_runs import N_FRAMES, SMALL, assert_same_bytes, shards_of

from facehog_core import cores, extract
from facehog_core.chunking import Chunk
from facehog_core.cores import sharing_cores
from facehog_core.decode import DecodedFrame, iter_frames
from facehog_core.errors import StoreGoneError
from facehog_core.extract import compute_shard, extract_chunk
from facehog_core.layout import Work
from facehog_core.receipts import ShardHogs, ShardReceipt
from facehog_core.run_paths import RunPaths
from facehog_core.sealing import seal_store
from facehog_core.store import create_store, read_receipt, read_work, write_shard


@settings(max_examples=8)
@given(st.integers(1, N_FRAMES + 20), st.integers(1, 4), st.randoms(use_true_random=False))
def test_descriptors_are_the_same_bytes_for_any_chunks_in_any_order(
    recording: Path,
    whole: Path,
    tmp_path_factory: pytest.TempPathFactory,
    frames_per_shard: int,
    shards_per_chunk: int,
    chance: Random,
) -> None:
    folder = tmp_path_factory.mktemp("chunks")
    store = run_recording(
        folder,
        recording,
        SMALL,
        frames_per_shard=frames_per_shard,
        shards_per_chunk=shards_per_chunk,
        order=lambda chunks: chance.sample(chunks, len(chunks)),
    )

    assert_same_bytes(store, whole)
    shutil.rmtree(folder)


def test_many_shards_by_one_decoder_are_the_same_bytes(recording: Path, whole: Path, tmp_path: Path) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=7)
    receipts = extract_chunk(paths, Chunk(start=0, stop=N_FRAMES))

    assert len(receipts) == 9
    assert_same_bytes(seal_store(paths, receipts, ENDED), whole)


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Have four cores that nobody uses; list where decoders began, and the threads that they were given."""
    began: list[tuple[int, int]] = []

    def note(*arguments: Any, n_threads: int) -> Iterator[DecodedFrame]:
        began.append((arguments[2], n_threads))
        return iter_frames(*arguments, n_threads=n_threads)

    monkeypatch.setattr(cores, "list_cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(extract, "iter_frames", note)
    return began


@pytest.mark.parametrize(("shards_per_chunk", "began"), [(1, [(7 * n, 1) for n in range(9)]), (9, [(0, 6)])])
def test_one_chunk_for_all_takes_the_cores_that_are_idle_and_makes_the_same_bytes(
    recording: Path,
    whole: Path,
    tmp_path: Path,
    used: list[tuple[int, int]],
    shards_per_chunk: int,
    began: list[tuple[int, int]],
) -> None:
    store = run_recording(tmp_path, recording, SMALL, frames_per_shard=7, shards_per_chunk=shards_per_chunk)

    assert used == began
    assert_same_bytes(store, whole)


# Keyframes are 12 apart: for the last shard's 4 frames, 8 would be decoded again.
@pytest.mark.parametrize(("free_at", "began"), [(7, [(0, 1), (7, 5)]), (49, [(0, 1), (49, 5)]), (56, [(0, 1)])])
def test_one_chunk_for_all_takes_cores_that_others_give_back_where_that_pays(
    recording: Path,
    whole: Path,
    tmp_path: Path,
    used: list[tuple[int, int]],
    free_at: int,
    began: list[tuple[int, int]],
) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=7, shards_per_chunk=9)
    with sharing_cores() as others:
        others.take(4)

        def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
            hogs = compute_shard(frames, span, work)
            if span.stop == free_at:
                others.keep(1)
            return hogs

        receipts = extract_chunk(paths, Chunk(start=0, stop=N_FRAMES), compute=compute)

    assert used == began
    assert_same_bytes(seal_store(paths, receipts, ENDED), whole)


def test_one_chunk_for_all_leaves_alone_what_is_of_no_use_and_not_meant_for_it(
    recording: Path, tmp_path: Path, used: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        with sharing_cores() as others:
            left.append(others.take(4))
        return compute_shard(frames, span, work)

    for n_useful, n_workers in ((12, 2), (3, None)):
        monkeypatch.setattr(extract, "count_useful_threads", lambda index, n=n_useful: n)
        paths = lay_out_run(tmp_path / str(n_useful), recording, SMALL, frames_per_shard=60, shards_per_chunk=2)
        extract_chunk(paths, Chunk(start=0, stop=N_FRAMES), n_workers=n_workers, compute=compute)
    assert used == [(0, 4), (0, 5)]
    assert left == [2, 1]


KILLED = """
import sys, time
from itertools import count
from pathlib import Path
from facehog_core.chunking import Chunk
from facehog_core.extract import compute_shard, extract_chunk
from facehog_core.run_paths import RunPaths

root, recording, run_id, stop = sys.argv[1:]
paths = RunPaths(root=Path(root), recording=recording, run_id=run_id)
begun = count()

def compute_some(*given):
    if next(begun) == 6:
        time.sleep(3600)  # until it is killed
    return compute_shard(*given)

extract_chunk(paths, Chunk(start=0, stop=int(stop)), compute=compute_some)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_run_that_was_killed_goes_on_with_the_shards_that_it_had_not_done(
    recording: Path, whole: Path, tmp_path: Path
) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=4)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), paths.recording, paths.run_id, str(N_FRAMES)]
    )
    try:
        while len(list(paths.receipts.glob("*.json"))) < 3 and process.poll() is None:
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    done = {span: receipt for span in shards_of(paths) if (receipt := read_receipt(paths, span))}
    assert 3 <= len(done) <= 6
    before = {name: stamp(paths.working / name) for receipt in done.values() for name in receipt.files}
    computed = []

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        computed.append(span)
        return compute_shard(frames, span, work)

    receipts = extract_chunk(paths, Chunk(start=0, stop=N_FRAMES), compute=compute)

    assert set(computed).isdisjoint(done)
    assert {name: stamp(paths.working / name) for name in before} == before
    assert_same_bytes(seal_store(paths, receipts, ENDED), whole)


def test_tasks_of_an_attempt_that_was_killed_leave_its_recording_to_the_next_one(
    recording: Path, whole: Path, tmp_path: Path
) -> None:
    killed = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=20, shards_per_chunk=3)
    following = replace(killed, token="next")
    computed: list[tuple[str, Chunk]] = []

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        computed.append((following.claim.read_text(), span))
        # Begins while the other's task is at its first shard.
        create_store(following, work, BEGUN)
        return compute_shard(frames, span, work)

    (chunk,) = read_work(killed).plan
    with pytest.raises(StoreGoneError, match="another attempt goes on with it"):
        extract_chunk(killed, chunk, compute=compute)
    receipts = extract_chunk(following, chunk, compute=compute)

    assert computed == [("", shards_of(killed)[0]), ("next", shards_of(killed)[1]), ("next", shards_of(killed)[2])]
    assert_same_bytes(seal_store(following, receipts, ENDED), whole)


def stamp(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, path.stat().st_ino


def test_only_shards_that_are_missing_or_damaged_are_done_again(recording: Path, whole: Path, tmp_path: Path) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL, frames_per_shard=10)
    everything = Chunk(start=0, stop=N_FRAMES)
    receipts = extract_chunk(paths, everything)
    (paths.receipts / "20-30.json").unlink()
    (damaged,) = [name for name in receipts[4].files if name.startswith("histograms")]
    (paths.working / damaged).write_bytes(b"\0" * 100)
    written = []

    def write(paths: RunPaths, span: Chunk, hogs: ShardHogs) -> ShardReceipt:
        written.append(span)
        return write_shard(paths, span, hogs)

    again = extract_chunk(paths, everything, write=write)

    assert written == [Chunk(start=20, stop=30), Chunk(start=40, stop=50)]
    assert again == receipts
    assert_same_bytes(seal_store(paths, again, ENDED), whole)
