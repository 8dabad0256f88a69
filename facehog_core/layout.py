"""The arrays of a store, made whole before anything is computed: names, dims, shards, compression, checksums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec

from .chunking import ChunkPlan
from .recipe import Recipe
from .rounding import ALL_BITS
from .timing import Times
from .video import FrameIndex, VideoInfo
from .view import View

# A file of HOG pictures, at most: they are drawn and written a file at a time.
PICTURE_FILE_BYTES = 32 * 2**20
PICTURES_PER_FILE = 25
# Bytes of histograms or descriptors that are compressed together, at most: all frames of a shard, and as many rows of
# cells as fit. Whoever reads one cell of all frames reads a part of each shard, by one request.
INNER_CHUNK_BYTES = 4 * 2**20
_ABOUT_PTS = "presentation time stamp, in units of the stream's time base; the least int64: none"
# Frames in a chunk of the small per-frame arrays (time_s, pts, keyframe): half a megabyte.
FRAMES_PER_INDEX_CHUNK = 2**16
# Chosen by benchmarks/bench_codec.py. The checksum comes last: it covers the bytes as they lie on the disk.
# For values that change little from frame to frame and lie in that order: less than half the time that zstd takes at
# its fastest, and a few per cent larger.
FAST_COMPRESSORS = (BloscCodec(cname="lz4", clevel=9, shuffle="shuffle", typesize=4), Crc32cCodec())
# Pictures are runs of zeros and of whole values that come again: sorting their bytes makes them larger.
_PICTURE_COMPRESSORS = (BloscCodec(cname="lz4", clevel=9, shuffle="noshuffle", typesize=4), Crc32cCodec())


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run does, as its working store says.

    Parameters
    ----------
    info : VideoInfo
        The recording.
    index : FrameIndex
        Its frames.
    recipe : Recipe
        What is done to it.
    plan : ChunkPlan
        How it is cut.
    numbers : ndarray of int64
        The frames that are described, ascending. A chunk's span is one of places among them.
    reference : ndarray of float32, optional
        What frames are compared with, to see where the face lies.
    """

    info: VideoInfo
    index: FrameIndex
    recipe: Recipe
    plan: ChunkPlan
    numbers: NDArray[np.int64]
    reference: NDArray[np.float32] | None = None

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Size of what is described of each frame, as (row, col)."""
        return self.recipe.frame_shape(self.info.width, self.info.height, self.info.rotation)

    @property
    def view(self) -> View:
        """What is described of each frame."""
        return View(info=self.info, recipe=self.recipe)


def lay_out(path: Path, work: Work, times: Times, attributes: Mapping[str, Any]) -> None:
    """Make a store with all of its arrays; those that are known before decoding are filled."""
    group = zarr.create_group(path, zarr_format=3, attributes=dict(attributes))
    _make_arrays_of_shards(group, work)
    index, numbers = work.index, work.numbers
    _fill(group, "frame", numbers, "number of the frame in the recording, from 0, in presentation order")
    _fill(group, "time_s", times.time_s[numbers], f"time of the frame, from: {times.source}", unit=times.unit)
    if times.n_dropped_after is not None:
        about = "frames that are missing between this one and the next of the recording, by their times"
        _fill(group, "n_dropped_after", times.n_dropped_after[numbers], about)
    if times.timestamps is not None and times.sidecar is not None:
        about = f"the timestamps of {times.source}, exactly"
        _fill(group, "timestamps", times.timestamps[numbers], about, unit=f"{times.sidecar['tick_s']} s")
    packets = index.packets[numbers]
    _fill(group, "pts", index.pts[numbers], _ABOUT_PTS)
    _fill(group, "packet", packets, "number of the frame's packet in the file's video stream; -1: not there")
    _fill(group, "keyframe", index.is_keyframe[numbers], "whether a decoder can start at the frame")
    if (masked := work.view.masked) is not None:
        group.create_array(
            "masked",
            data=masked,
            compressors=_compressors(masked.dtype),
            dimension_names=["cell_row", "cell_col"],
            attributes={"long_name": "whether the cell is under a mask, or beside one", "share": float(masked.mean())},
        )


def _make_arrays_of_shards(group: zarr.Group, work: Work) -> None:
    n, hog, frame_shape = work.plan.n_frames, work.recipe.hog, work.frame_shape
    n_cell_rows, n_cell_cols = hog.n_cells(frame_shape)
    n_features, n_block_rows = hog.n_features(frame_shape), hog.n_blocks(frame_shape)[0]
    shard = work.plan.frames_per_shard
    # Whoever gives bits away wants small stores, and lz4 makes nothing of a byte that is half zero.
    compressors = FAST_COMPRESSORS if work.recipe.keep_bits == ALL_BITS else None
    _make(
        group,
        "histograms",
        "histograms of oriented gradients of the cells, before block normalisation",
        {"frame": n, "cell_row": n_cell_rows, "cell_col": n_cell_cols, "orientation": hog.orientations},
        frames=(shard, shard),
        band=_count_rows_per_band(n_cell_rows, 4 * shard * n_cell_cols * hog.orientations),
        is_frame_last=True,
        compressors=compressors,
    )
    features_per_row = n_features // n_block_rows
    _make(
        group,
        "descriptors",
        "HOG descriptors: the normalised blocks of a frame, as scikit-image orders them",
        {"frame": n, "feature": n_features},
        frames=(shard, shard),
        band=features_per_row * _count_rows_per_band(n_block_rows, 4 * shard * features_per_row),
        is_frame_last=True,
        compressors=compressors,
    )
    _make(
        group,
        "corrupt",
        "whether the frame is damaged, or may be; one that could not be decoded is NaN",
        {"frame": n},
        frames=(shard, shard),
        dtype="bool",
        fill=False,
    )
    if work.recipe.with_images:
        _make(
            group,
            "images",
            "HOG pictures",
            {"frame": n, "row": frame_shape[0], "col": frame_shape[1]},
            frames=(1, _count_pictures_per_file(frame_shape, shard)),
            compressors=_PICTURE_COMPRESSORS,
        )


def _make(
    group: zarr.Group,
    name: str,
    about: str,
    dims: Mapping[str, int],
    *,
    frames: tuple[int, int],
    band: int | None = None,
    is_frame_last: bool = False,
    compressors: tuple[Any, ...] | None = None,
    dtype: str = "float32",
    fill: float = np.nan,
) -> None:
    """Make an array whose files are cut along its frames only.

    Parameters
    ----------
    group, name, about, dims, compressors, dtype, fill
        As Zarr has them.
    frames : (int, int)
        Those of an inner chunk and of a shard.
    band : int, optional
        Length of an inner chunk along the second dimension, if it does not take all.
    is_frame_last : bool, optional
        Whether the frames of each value lie side by side within an inner chunk.
    """
    _, *rest = dims.values()
    inner, shard = frames
    group.create_array(
        name,
        shape=tuple(dims.values()),
        dtype=dtype,
        chunks=(inner, *rest) if band is None else (inner, band, *rest[1:]),
        shards=(shard, *rest),
        filters=[TransposeCodec(order=(*range(1, len(dims)), 0))] if is_frame_last else None,
        compressors=compressors or _compressors(np.dtype(dtype)),
        fill_value=fill,
        dimension_names=list(dims),
        attributes={"long_name": about},
    )


def _count_rows_per_band(n_rows: int, row_bytes: int) -> int:
    """Return how many rows of cells are compressed together: a divisor of all, so that bands are of one size."""
    most = max(1, INNER_CHUNK_BYTES // row_bytes)
    return next(n for n in range(min(most, n_rows), 0, -1) if n_rows % n == 0)


def _fill(group: zarr.Group, name: str, values: NDArray[Any], about: str, **attributes: str) -> None:
    group.create_array(
        name,
        data=values,
        chunks=(min(len(values), FRAMES_PER_INDEX_CHUNK),),
        compressors=_compressors(values.dtype),
        dimension_names=["frame"],
        attributes={"long_name": about, **attributes},
    )


def _compressors(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    codec = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=dtype.itemsize)
    return (codec, Crc32cCodec())


def most_pictures_per_file(frame_shape: tuple[int, int]) -> int:
    """Return how many pictures a file holds at most: a shard that is a multiple of it has few files."""
    return min(max(1, PICTURE_FILE_BYTES // (4 * frame_shape[0] * frame_shape[1])), PICTURES_PER_FILE)


def _count_pictures_per_file(frame_shape: tuple[int, int], frames_per_shard: int) -> int:
    """Return how many pictures share a file: a divisor of the shard, so that no two tasks share one."""
    most = min(most_pictures_per_file(frame_shape), frames_per_shard)
    return next(n for n in range(most, 0, -1) if frames_per_shard % n == 0)
