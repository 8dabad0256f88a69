"""How a recording is cut into the work of tasks: arithmetic only, no file is opened.

Two borders meet here. A decoder can only start at a keyframe, so a chunk that starts elsewhere decodes the
frames before it for nothing. And Zarr's shard is the unit that one writer owns: two tasks that write into one
shard lose data silently. So a chunk is a whole number of shards, and the shard's length is chosen such that
its borders fall near keyframes.

Where only some frames of a recording are described, chunks and shards are spans of those: of positions among the
frames that were chosen, not of frame numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# 750 frames are 4 to 8 s of work for one core at 1280 x 1024 and 40 MB of results in memory: long beside the 0.1 s that
# Prefect and Dask take for a task, short beside a recording. With 1,000 a worker would hold a tenth more memory at its
# peak than with the shards of a short recording (benchmarks/bench_flow.py).
FRAMES_PER_SHARD = 750
# Short recordings are cut finer, so that they still spread over the cores.
LEAST_FRAMES_PER_SHARD = 250
SHARDS_OF_A_SHORT_RECORDING = 8
# Where only some frames are described, which lie far apart, each takes more decoding.
FEWEST_FRAMES_PER_SHARD = 50
# Where GOPs are longer than shards, a chunk of several shards spares its decoder to begin within one. It is not worth
# fewer chunks to spare less than this share of the frames.
FEW_DECODED_AGAIN = 0.03
MOST_SHARDS_PER_CHUNK = 8
# When chunks would decode more than a fifth of the frames again, one decoder with a thread for each core is faster:
# that is nearly as fast as FFmpeg's, which chunks beat by about as much.
MOST_DECODED_AGAIN = 0.2
# Decoding on over fewer frames than these (0.25 s at 1280 x 1024) is cheaper than opening the file again and seeking.
FEWEST_SKIPPED = 60


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Chunk:
    """Consecutive frames ``[start, stop)``, the work of one task.

    Parameters
    ----------
    start, stop : int
        First frame, and the frame after the last.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"a chunk needs 0 <= start < stop, got [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start

    def __str__(self) -> str:
        return f"{self.start}-{self.stop}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPlan:
    """How a recording is cut into shards, and the shards dealt out to chunks.

    Parameters
    ----------
    n_frames : int
        Frames that are described.
    frames_per_shard : int
        Frames in each shard but the last.
    shards_per_chunk : int
        Consecutive shards that one task fills with one decoder.
    n_decoded_again : int
        Frames that are decoded a second time because chunks do not start at keyframes.
    """

    n_frames: int
    frames_per_shard: int
    shards_per_chunk: int = 1
    n_decoded_again: int = 0

    def __post_init__(self) -> None:
        for name in ("n_frames", "frames_per_shard", "shards_per_chunk"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def __iter__(self) -> Iterator[Chunk]:
        return self._spans(0, self.n_frames, self.frames_per_shard * self.shards_per_chunk)

    def __len__(self) -> int:
        return -(-self.n_frames // (self.frames_per_shard * self.shards_per_chunk))

    def shards_of(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the spans of the shards that a chunk fills, in order."""
        return self._spans(chunk.start, chunk.stop, self.frames_per_shard)

    def _spans(self, start: int, stop: int, step: int) -> Iterator[Chunk]:
        for first in range(start, stop, step):
            yield Chunk(start=first, stop=min(first + step, stop))

    @property
    def is_shared_out(self) -> bool:
        """Whether there are chunks for several cores; otherwise one decoder does all, and may take more than one.

        What fills one shard only is short: to share it out is not worth it.
        """
        return len(self) > 1 or self.shards_per_chunk == 1

    @property
    def decoded_again(self) -> float:
        """Frames decoded a second time, for each frame that is described."""
        return self.n_decoded_again / self.n_frames


def count_decoded_again(
    n_frames: int,
    keyframes: Sequence[int] | NDArray[np.intp],
    frames_per_chunk: int,
    numbers: NDArray[np.int64] | None = None,
) -> int:
    """Count the frames that chunks of this length decode only to get to their first frame, a second time.

    Parameters
    ----------
    n_frames : int
        Frames of the recording.
    keyframes : sequence or ndarray of int
        Frames at which a decoder can start, ascending.
    frames_per_chunk : int
        Length of the chunks.
    numbers : ndarray of int, optional
        The frames that are described, ascending; all if left out.
    """
    numbers = np.arange(n_frames) if numbers is None else numbers
    starts = np.arange(frames_per_chunk, len(numbers), frames_per_chunk)
    # What the chunk before has decoded ends at its last frame.
    again = numbers[starts - 1] + 1 - _origins(numbers[starts], keyframes)
    return int(np.maximum(again, 0).sum())


def find_jumps(numbers: NDArray[np.int64], keyframes: Sequence[int] | NDArray[np.intp]) -> NDArray[np.intp]:
    """Find where a decoder does better to start again at a keyframe than to decode all frames in between.

    Parameters
    ----------
    numbers : ndarray of int
        The frames that are wanted, ascending.
    keyframes : sequence or ndarray of int
        Frames at which a decoder can start, ascending.

    Returns
    -------
    ndarray of int
        Positions in `numbers`, ascending.
    """
    return np.flatnonzero(_count_skipped(numbers, keyframes) >= FEWEST_SKIPPED) + 1


def _count_skipped(numbers: NDArray[np.int64], keyframes: Sequence[int] | NDArray[np.intp]) -> NDArray[np.int64]:
    """Count the frames between each wanted frame and the keyframe to which a decoder may jump for the next one."""
    return _origins(numbers[1:], keyframes) - (numbers[:-1] + 1)


def _origins(numbers: NDArray[np.int64], keyframes: Sequence[int] | NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the keyframe at or before each frame."""
    # A recording may begin with frames that lean on no keyframe: those are decoded from frame 0.
    origins = np.concatenate([[0], np.asarray(keyframes, np.int64)])
    return origins[np.searchsorted(origins, numbers, side="right") - 1]


def plan_chunks(
    n_frames: int,
    keyframes: Sequence[int] | NDArray[np.intp],
    *,
    is_seekable: bool = True,
    frames_per_file: int = 1,
    numbers: NDArray[np.int64] | None = None,
) -> ChunkPlan:
    """Choose the shards and chunks of a recording.

    The plan depends on the recording and the frames that are chosen alone, not on the number of workers, so that a run
    that was stopped on one machine goes on with the same shards on another.

    Parameters
    ----------
    n_frames : int
        Frames of the recording.
    keyframes : sequence or ndarray of int
        Frames at which a decoder can start, ascending.
    is_seekable : bool, optional
        Whether a decoder can start elsewhere than at the beginning. Where it cannot, one chunk does all.
    frames_per_file : int, optional
        Frames in the smallest files of the store, of which each shard has whole ones.
    numbers : ndarray of int, optional
        The frames that are described, ascending; all if left out.

    Returns
    -------
    ChunkPlan
    """
    keyframes = np.asarray(keyframes, np.intp)
    numbers = np.arange(n_frames) if numbers is None else numbers
    n_chosen, n_decoded = len(numbers), _count_decoded(numbers, keyframes if is_seekable else keyframes[:0])
    most = max(FRAMES_PER_SHARD * n_chosen // n_decoded, FEWEST_FRAMES_PER_SHARD)
    target = min(max(n_chosen // SHARDS_OF_A_SHORT_RECORDING, LEAST_FRAMES_PER_SHARD), most)
    lengths = _lengths_around(target, frames_per_file)

    def distance(length: int) -> int:
        return abs(length - target)

    def again(length: int) -> int:
        return count_decoded_again(n_frames, keyframes, length, numbers)

    if is_seekable:
        # Still as many chunks as a short recording has, so that all cores have some.
        most_shards = min(n_chosen // SHARDS_OF_A_SHORT_RECORDING // target, MOST_SHARDS_PER_CHUNK)
        for n_shards in range(1, max(most_shards, 1) + 1):
            n_again, _, best = min((again(length * n_shards), distance(length), length) for length in lengths)
            if n_again <= FEW_DECODED_AGAIN * n_decoded:
                break
        if n_again <= MOST_DECODED_AGAIN * n_decoded:
            return _plan(n_chosen, best, shards_per_chunk=n_shards, n_decoded_again=n_again)
    usual = min(lengths, key=distance)
    return _plan(n_chosen, usual, shards_per_chunk=-(-n_chosen // usual))


def _count_decoded(numbers: NDArray[np.int64], keyframes: NDArray[np.intp]) -> int:
    """Count the frames that one decoder decodes to get at all that are wanted, jumping where that is better."""
    skipped = _count_skipped(numbers, keyframes)
    first = _origins(numbers[:1], keyframes)[0]
    return int(numbers[-1] + 1 - first - skipped[skipped >= FEWEST_SKIPPED].sum())


def _plan(n_frames: int, frames_per_shard: int, *, shards_per_chunk: int = 1, n_decoded_again: int = 0) -> ChunkPlan:
    return ChunkPlan(
        n_frames=n_frames,
        frames_per_shard=frames_per_shard,
        shards_per_chunk=shards_per_chunk,
        n_decoded_again=n_decoded_again,
    )


def _lengths_around(target: int, frames_per_file: int) -> list[int]:
    """Return lengths of shards around a target: multiples of what a file holds."""
    around = range(target // 2, target * 3 // 2 + 1)
    return [length for length in around if length % frames_per_file == 0] or [frames_per_file]
