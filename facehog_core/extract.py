"""From a plan to receipts: lay out a run, then decode, describe and write its frames shard by shard.

Everything that it needs but the frames themselves stands in the working store, so a task is given two small
values, and nothing larger than a receipt leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chunking import Chunk, ChunkPlan, find_jumps, plan_chunks
from .cores import Cores, sharing_cores
from .decode import DecodedFrame, count_useful_threads, iter_frames
from .effort import Stopwatch
from .errors import ViewError
from .face_position import add_reference
from .layout import Work, most_pictures_per_file
from .looking import look_at_frame
from .provenance import describe_software
from .quality import is_looked_at
from .receipts import ShardHogs, ShardReceipt
from .recipe import Recipe
from .room import check_room_for
from .rounding import ALL_BITS, measure_rounding, round_bits
from .run_paths import RunPaths
from .store import create_store, noting_shard, read_receipt, read_work, write_shard
from .timestamps import TimestampsFile
from .timing import SECONDS, Times, time_frames
from .video import FrameIndex, VideoInfo, check_complete, check_unchanged, read_index
from .view import View

# Several decoding threads each have a frame to do while this thread describes the one before: with so many more threads
# than cores none of the cores waits for it.
SPARE_THREADS = 2
# A decoder is stopped for one with more threads where that is done this much sooner.
WORTH = 0.8
# Where one cannot seek, packets are read from the beginning on. To decode one takes as long as to read so many.
PACKETS_PER_FRAME = 60


def plan_run(
    paths: RunPaths,
    info: VideoInfo,
    recipe: Recipe,
    attributes: Mapping[str, Any],
    sidecar: TimestampsFile | None = None,
) -> ChunkPlan:
    """Plan the chunks of a run and lay out its working store, or keep what an earlier attempt left.

    Parameters
    ----------
    paths : RunPaths
    info : VideoInfo
        What `probe` found.
    recipe : Recipe
    attributes : mapping
        What else is known of the run when it starts; JSON values.
    sidecar : TimestampsFile, optional
        The recording's timestamps, as the run was named after them.

    Returns
    -------
    ChunkPlan

    Raises
    ------
    TruncatedError
        If more of the recording is missing than the recipe allows.
    CropError, ViewError
        If the recipe cannot be applied to the recording.
    TimestampsError
        If the timestamps cannot be read.
    ChangedError
        If the recording is not the file that was probed, or the timestamps not those that were found.
    StoreError
        If the disk has no room for the store.
    """
    check_complete(info, recipe.max_corrupt)
    check_crop(info, recipe)
    index = read_index(info)
    times = time_frames(info, index, recipe, sidecar)
    numbers = choose_frames(info, times, recipe)
    frame_shape = recipe.frame_shape(info.width, info.height, info.rotation)
    plan = plan_chunks(
        index.n_frames,
        np.flatnonzero(index.is_keyframe),
        is_seekable=index.is_seekable,
        frames_per_file=most_pictures_per_file(frame_shape) if recipe.with_images else 1,
        numbers=numbers,
    )
    reference, attributes = add_reference(info, recipe, attributes)
    work = Work(info=info, index=index, recipe=recipe, plan=plan, numbers=numbers, reference=reference)
    create_store(paths, work, attributes, times)
    check_room_for(paths)
    return plan


def choose_frames(info: VideoInfo, times: Times, recipe: Recipe) -> NDArray[np.int64]:
    """Return the numbers of the frames that are described, ascending.

    Raises
    ------
    ViewError
        If there is none.
    """
    remedy = "Choose others by `frames` or `seconds` (--frames, --seconds)."
    is_timed = times.unit == SECONDS and not np.isnan(times.time_s).all()
    if not recipe.frames.is_in_seconds:
        known = f"it has {len(times.time_s)} frames"
    elif is_timed:
        known = f"they are shown from {np.nanmin(times.time_s):g} to {np.nanmax(times.time_s):g} s"
    else:
        known, remedy = "its frames have no times", "Set `frame_rate` or `timestamps`, or choose by `frames` instead."
    numbers = recipe.frames.resolve(times.time_s)
    if not len(numbers) or (recipe.frames.is_in_seconds and not is_timed):
        raise ViewError(
            info.path,
            f"none of its frames is in {recipe.frames}: {known}",
            remedy,
        )
    return numbers


def iter_chosen(
    info: VideoInfo, index: FrameIndex, numbers: NDArray[np.int64], *, n_threads: int = 1
) -> Generator[DecodedFrame]:
    """Decode chosen frames, each once, in order; what lies between them is decoded no further than needed.

    Parameters
    ----------
    info : VideoInfo
    index : FrameIndex
    numbers : ndarray of int64
        The frames, ascending.
    n_threads : int, optional
        Decoding threads, as `facehog_core.decode.iter_frames` takes them.

    Yields
    ------
    DecodedFrame

    Raises
    ------
    FacehogError
        As `facehog_core.decode.iter_frames` does.
    """
    keyframes = np.flatnonzero(index.is_keyframe & index.is_seekable)
    for part in np.split(numbers, find_jumps(numbers, keyframes)):
        n_found = 0
        with closing(iter_frames(info, index, int(part[0]), int(part[-1]) + 1, n_threads=n_threads)) as frames:
            for decoded in frames:
                if decoded.index == part[n_found]:
                    yield decoded
                    n_found += 1


def check_crop(info: VideoInfo, recipe: Recipe) -> None:
    """Check that a recipe can be applied to a recording.

    Raises
    ------
    CropError
        If the crop reaches outside of the frame, or holds no block.
    ViewError
        If the masks leave nothing, or the frames cannot be turned or have no Y.
    """
    View(info=info, recipe=recipe)


def extract_chunk(
    paths: RunPaths,
    chunk: Chunk,
    *,
    n_workers: int | None = None,
    compute: Callable[[Iterator[DecodedFrame], Chunk, Work], Any] | None = None,
    write: Callable[[RunPaths, Chunk, Any], ShardReceipt] | None = None,
) -> list[ShardReceipt]:
    """Describe the frames of a chunk and write them, but for the shards that are there already.

    Parameters
    ----------
    paths : RunPaths
        A run whose working store is laid out.
    chunk : Chunk
        A chunk of its plan: a span of positions among the frames that are described.
    n_workers : int, optional
        The cores of this machine that are meant for this and others like it; all if left out.
    compute, write : callable, optional
        `compute_shard` and `write_shard`, or what wraps them (Prefect's tasks, to show in its UI). What the one
        returns is given to the other.

    Returns
    -------
    list of ShardReceipt
        One for each shard of the chunk, in order.

    Raises
    ------
    ChangedError
        If the recording is not the file that was probed.
    RecordingRefusedError
        If the size of the frames changes.
    StoreError
        If the working store is gone, or the disk is full.
    """
    compute = compute or compute_shard
    write = write or write_shard
    work = read_work(paths)
    shards = list(work.plan.shards_of(chunk))
    receipts = {span: read_receipt(paths, span) for span in shards}
    for is_done, group in groupby(shards, key=lambda span: receipts[span] is not None):
        if is_done:
            continue
        spans = list(group)
        with sharing_cores(n_workers) as cores, closing(_Decoder(work, cores, spans[-1].stop)) as decoder:
            for span in spans:
                with noting_shard(paths, span, work.info.path):
                    hogs = compute(decoder.frames_from(span.start), span, work)
                    # Also after the last frame: a file that is written over is not told from the one that was probed.
                    check_unchanged(work.info)
                    receipts[span] = write(paths, span, hogs)
    return [receipt for receipt in receipts.values() if receipt is not None]


class _Decoder:
    """Decodes the frames of neighbouring shards: one decoder for all, which is not sent back to a keyframe in between.

    Where one decoder does all, it takes the cores that are idle; and another one takes its place when there are so many
    more of them that it pays.

    Parameters
    ----------
    work : Work
    cores : Cores
        What it takes its cores from.
    stop : int
        The position after the last that is wanted, among the frames that are described.
    """

    def __init__(self, work: Work, cores: Cores, stop: int) -> None:
        self._work, self._cores, self._stop = work, cores, stop
        self._most = 1 if work.plan.is_shared_out else count_useful_threads(work.index)
        self._frames: Generator[DecodedFrame] | None = None
        self._n_cores = 0

    def frames_from(self, start: int) -> Iterator[DecodedFrame]:
        """Return the frames from a position on; those before it must have been taken."""
        n_cores = self._cores.take(self._most)
        if self._frames is None or self._pays(start, n_cores):
            self.close()
            n_threads = n_cores if n_cores == 1 else n_cores + SPARE_THREADS
            numbers = self._work.numbers[start : self._stop]
            self._frames = iter_chosen(self._work.info, self._work.index, numbers, n_threads=n_threads)
            self._n_cores = n_cores
        self._cores.keep(self._n_cores)
        return self._frames

    def _pays(self, start: int, n_cores: int) -> bool:
        """Tell whether more cores would be done sooner, though they have to decode from the keyframe before on."""
        if n_cores <= self._n_cores:
            return False
        index, first = self._work.index, int(self._work.numbers[start])
        n_left = int(self._work.numbers[self._stop - 1]) + 1 - first
        n_again = first - index.keyframe_at_or_before(first)
        n_read = 0 if index.is_seekable else first
        there = (n_left + n_again) / n_cores + n_read / PACKETS_PER_FRAME
        return there < WORTH * n_left / self._n_cores

    def close(self) -> None:
        """Let go of the decoder."""
        if self._frames is not None:
            self._frames.close()
            self._frames = None


def compute_shard(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
    """Describe the next frames of a decoder.

    Parameters
    ----------
    frames : iterator of DecodedFrame
        A decoder that stands before the span's first frame.
    span : Chunk
        The frames to take from it.
    work : Work
        What is done to them.

    Returns
    -------
    ShardHogs

    Raises
    ------
    ValueError
        If the decoder gives other frames.
    """
    stopwatch = Stopwatch()
    view, numbers = work.view, work.numbers[span.start : span.stop]
    histograms = view.make_histograms(len(span))
    corrupt = np.zeros(len(span), np.bool_)
    ways: set[str] = set()
    looks = []
    n_described = 0
    for row, decoded in enumerate(stopwatch.decoding(islice(frames, len(span)))):
        if decoded.index != numbers[row]:
            raise ValueError(f"frame {decoded.index} came from the decoder in place of {numbers[row]}")
        corrupt[row] = decoded.is_corrupt
        n_described += 1
        if decoded.frame is None:
            histograms[row] = np.nan
        else:
            ways.add(view.describe(decoded.frame, histograms[row]))
            if is_looked_at(span.start + row) and not decoded.is_corrupt:
                looks.append(look_at_frame(decoded.frame, decoded.index, view, work.reference))
    if n_described != len(span):
        raise ValueError(f"{n_described} frames came from the decoder in place of {span}")
    hogs = ShardHogs(
        histograms=histograms,
        descriptors=view.normalise(histograms),
        corrupt=corrupt,
        grey=sorted(ways),
        effort=stopwatch.read(),
        looks=looks,
        software=describe_software(),
    )
    return hogs if work.recipe.keep_bits == ALL_BITS else _round(hogs, view)


def _round(hogs: ShardHogs, view: View) -> ShardHogs:
    """Round as the recipe asks for it. Descriptors follow from the histograms that are stored."""
    n_bits = view.recipe.keep_bits
    histograms = round_bits(hogs.histograms, n_bits)
    descriptors = round_bits(view.normalise(histograms), n_bits)
    rounding = {
        "histograms": measure_rounding(hogs.histograms, histograms),
        "descriptors": measure_rounding(hogs.descriptors, descriptors),
    }
    return replace(hogs, histograms=histograms, descriptors=descriptors, rounding=rounding)
