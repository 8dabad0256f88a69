"""A recording read like an array: by frame number, by slice, lazily."""

from __future__ import annotations

import os
from fractions import Fraction
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pims
from numpy.typing import NDArray

from .container import COPY_AGAIN
from .decode import DecodedFrame, iter_frames
from .errors import DamagedError
from .frame_index import FrameIndex
from .grey import grey_of
from .video import VideoInfo, probe

if TYPE_CHECKING:
    from collections.abc import Generator

    import dask.array

__all__ = ["DecodedFrame", "RecordingReader", "iter_frames"]

# Holds 250 frames of 1280 x 1024: x264's default GOP is then one block, and decoded once.
BLOCK_BYTES = 320 * 2**20


class RecordingReader(pims.FramesSequence):  # type: ignore[misc]
    """The frames of a recording in grey, by number: a sequence for PIMS, dask-image, napari and notebooks.

    Frame i is the i-th frame of a plain sequential decode. Reading forward goes on with the same decoder; a
    jump alone sends it to a keyframe. The reader may be shared between threads and sent to other processes.

    Parameters
    ----------
    path : str or path-like
        A recording in H264, or a folder of numbered images.
    stream : int, optional
        The number of the video stream in the container; that of the best one if left out.

    Attributes
    ----------
    info : VideoInfo
    index : FrameIndex
        What `probe` found.

    Raises
    ------
    FacehogError
        As `facehog_core.video.probe` does.

    Examples
    --------
    >>> with RecordingReader("m12_cam0.mp4") as frames:
    ...     last = frames[-1]  # uint8, shape (row, col), with frame_no and metadata
    ...     some = frames[100:200]  # lazy: decoded when iterated or indexed
    ...     movie = frames.as_dask()  # lazy, shape (frame, row, col)
    """

    def __init__(self, path: str | os.PathLike[str], stream: int | None = None) -> None:
        self.info, self.index = probe(path, stream)
        self._times_s = self.index.time_s(self.info.time_base)
        self._start()

    def _start(self) -> None:
        self._lock = Lock()
        self._decoder: Generator[DecodedFrame] | None = None
        self._next = 0  # the frame that the decoder gives next

    def __getstate__(self) -> dict[str, Any]:
        # A decoder cannot be sent, what was probed can: the file need not be read again.
        return {name: getattr(self, name) for name in ("info", "index", "_times_s")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __len__(self) -> int:
        return self.index.n_frames

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        return self.info.height, self.info.width

    @property
    def pixel_type(self) -> type[np.uint8]:
        """Type of the pixels."""
        return np.uint8

    @property
    def frame_rate(self) -> float | None:
        """Frames per second on average, as the container has it. A frame's time is in its metadata."""
        return float(Fraction(self.info.average_rate)) if self.info.average_rate else None

    def get_frame(self, i: int) -> pims.Frame:
        """Return a frame as uint8 grey.

        Parameters
        ----------
        i : int
            From 0 to ``len(self) - 1``. (``reader[i]`` also takes negative numbers, slices and lists.)

        Returns
        -------
        pims.Frame of uint8, shape (row, col)
            The grey of `facehog_core.grey`, that of colour rounded to the nearest level. `metadata` has `pts`
            (units of the time base), `time_s` (seconds) and `corrupt` (whether the frame is damaged, or may be).

        Raises
        ------
        IndexError
            If there is no such frame.
        DamagedError
            If the frame is lost.
        FacehogError
            As `facehog_core.decode.iter_frames` does.
        """
        with self._lock:
            decoded = self._decode(i)
            if decoded.frame is None:
                raise DamagedError(self.info.path, f"frame {i} of {len(self)} cannot be decoded", COPY_AGAIN)
            metadata = {"pts": decoded.pts, "time_s": float(self._times_s[i]), "corrupt": decoded.is_corrupt}
            return pims.Frame(grey_of(decoded.frame).to_uint8(), frame_no=i, metadata=metadata)

    def _decode(self, i: int) -> DecodedFrame:
        keyframe = self.index.keyframe_at_or_before(i)
        # To go on costs no more than to start again, as long as no keyframe lies in between.
        if self._decoder is None or not keyframe <= self._next <= i:
            self._stop()
            self._decoder = iter_frames(self.info, self.index, i, len(self))
            self._next = i
        # Taken out, and put back if all is well: one that raised gives no more frames.
        decoder, self._decoder = self._decoder, None
        decoded = next(decoded for decoded in decoder if decoded.index == i)
        self._decoder, self._next = decoder, i + 1
        return decoded

    def close(self) -> None:
        """Close the file. Reading on opens it again."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def __repr__(self) -> str:
        height, width = self.frame_shape
        return f"<RecordingReader {self.info.path!r}: {len(self)} frames of {width} x {height}>"

    def as_dask(self, frames_per_block: int | None = None) -> dask.array.Array:
        """Return the recording as a lazy Dask array.

        Each block opens a decoder of its own. Blocks end at keyframes where they can, so that no frame is
        decoded twice; a GOP that is longer than a block is cut, and each of its blocks is decoded from the
        GOP's beginning.

        Parameters
        ----------
        frames_per_block : int, optional
            The most frames of a block. By default as many as `BLOCK_BYTES` hold.

        Returns
        -------
        dask.array.Array of uint8, shape (frame, row, col)
            A frame that is lost is black.
        """
        # Whoever wants no Dask need not pay for its import.
        import dask
        import dask.array as da

        height, width = self.frame_shape
        longest = max(BLOCK_BYTES // (height * width), 1) if frames_per_block is None else frames_per_block
        return da.map_blocks(
            _read_block,
            # One node of the graph, not a copy in each block's task.
            recording=dask.delayed((self.info, self.index), pure=True),
            chunks=(_block_lengths(self.index, longest), height, width),
            dtype=np.uint8,
            meta=np.empty((0, 0, 0), np.uint8),
            name=f"frames-{self.info.digest}-{self.info.stream_index}-{longest}",
        )


def _read_block(
    *, recording: tuple[VideoInfo, FrameIndex], block_info: dict[None, dict[str, Any]]
) -> NDArray[np.uint8]:
    """Decode a block of the Dask array; Dask says in `block_info` which."""
    info, index = recording
    start, stop = block_info[None]["array-location"][0]
    frames = np.empty((stop - start, info.height, info.width), np.uint8)
    for decoded in iter_frames(info, index, start, stop):
        frames[decoded.index - start] = grey_of(decoded.frame).to_uint8() if decoded.frame else 0
    return frames


def _block_lengths(index: FrameIndex, longest: int) -> tuple[int, ...]:
    """Cut a recording into blocks of at most `longest` frames, at keyframes where they can be.

    Whole GOPs are put together as long as they fit; one that is too long is cut into even parts.
    """
    if longest < 1:
        raise ValueError(f"frames_per_block must be at least 1, got {longest}")
    borders = np.unique([0, *np.flatnonzero(index.is_keyframe), index.n_frames])
    lengths: list[int] = []
    has_room = False
    for n_frames in np.diff(borders).tolist():
        if has_room and lengths[-1] + n_frames <= longest:
            lengths[-1] += n_frames
            continue
        n_blocks = -(-n_frames // longest)
        lengths += [n_frames * (block + 1) // n_blocks - n_frames * block // n_blocks for block in range(n_blocks)]
        has_room = n_blocks == 1
    return tuple(lengths)
