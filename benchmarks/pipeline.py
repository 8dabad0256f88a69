"""A recording made into a sealed store by the core alone, on a pool of workers; and its decoding alone.

What is here is sent to worker processes by name, so it stands in a module of its own.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import psutil
from long_footage import RECIPE

from facehog_core.chunking import ChunkPlan, plan_chunks
from facehog_core.extract import extract_chunk, plan_run
from facehog_core.recipe import Recipe
from facehog_core.run_paths import RunPaths
from facehog_core.sealing import seal_store
from facehog_core.video import FrameIndex, VideoInfo, probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Frames ``[start, stop)``, with the times that a plain decoder needs to find them.

    Parameters
    ----------
    start, stop : int
    first_pts, last_pts : int
        Presentation times of the first frame and of the last one.
    """

    start: int
    stop: int
    first_pts: int
    last_pts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a whole run.

    Parameters
    ----------
    plan : ChunkPlan
    store : Path
    """

    plan: ChunkPlan
    store: Path


def worker_processes(n_workers: int, prepare: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """Return a pool of new processes, that inherit nothing of this one; each prepares itself first."""
    return ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn"), initializer=prepare)


@contextmanager
def scratch() -> Iterator[Path]:
    """Lend a folder."""
    with tempfile.TemporaryDirectory(prefix="facehog-bench-") as folder:
        yield Path(folder)


def process_recording(recording: Path, pool: Executor, folder: Path, *, recipe: Recipe = RECIPE) -> Done:
    """Probe, plan, describe, write and seal, as a flow does.

    Parameters
    ----------
    recording : Path
    pool : Executor
        What chunks are given to.
    folder : Path
        Where the store is made; a run that is there already would be gone on with.
    recipe : Recipe, optional

    Returns
    -------
    Done
    """
    info, _ = probe(recording)
    paths = RunPaths(root=folder, recording="bench", run_id="run")
    plan = plan_run(paths, info, recipe, {"software": {}})
    receipts = [receipt for found in pool.map(extract_chunk, [paths] * len(plan), plan) for receipt in found]
    return Done(plan=plan, store=seal_store(paths, receipts, {}))


def cpu_seconds() -> float:
    """Return the CPU time of this process and all that it started: a clock that others on the machine hardly move."""
    this = psutil.Process()
    spent = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(one.user + one.system + one.children_user + one.children_system for one in spent)


def spans_of(info: VideoInfo, index: FrameIndex, plan: ChunkPlan | None = None) -> list[Span]:
    """Return the spans that the chunks of a run have, for those who only decode them."""
    plan = plan or plan_chunks(index.n_frames, index.is_keyframe.nonzero()[0], is_seekable=index.is_seekable)
    return [
        Span(
            start=chunk.start,
            stop=chunk.stop,
            first_pts=int(index.pts[chunk.start]),
            last_pts=int(index.pts[chunk.stop - 1]),
        )
        for chunk in plan
    ]


def decode_plainly(path: Path, span: Span, n_threads: int = 1) -> int:
    """Decode a span as PyAV does when nothing is asked of it, and return how many frames came out.

    Those between the keyframe and the span's first frame are among them.
    """
    n_decoded = 0
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = n_threads
        stream.codec_context.thread_type = "FRAME"
        if span.start:
            container.seek(span.first_pts, stream=stream)
        for frame in container.decode(stream):
            n_decoded += 1
            if frame.pts is not None and frame.pts >= span.last_pts:
                break
    return n_decoded


def decode_all(path: Path, spans: list[Span], pool: Executor) -> int:
    """Decode spans on a pool of workers, each with one thread, and return how many frames came out."""
    return sum(pool.map(decode_plainly, [path] * len(spans), spans))
