"""Pictures of runs, drawn from their stores when they are asked for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Semaphore

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facehog_core.errors import StoreError
from facehog_core.session import open_session

# So many are kept: those of the pages that were looked at last.
_KEPT = 512
# At once, lest a page of many takes the cores from those that describe recordings.
_DRAWING = Semaphore(1)
# Brighter than all but a few pixels is white.
_WHITE = 0.995


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Which frames of a store there are pictures of.

    Parameters
    ----------
    numbers : tuple of int
        A few of them, evenly spread, by their numbers in the recording.
    middle : int
        The one in the middle, or the sound one that is nearest to it.
    """

    numbers: tuple[int, ...]
    middle: int


def choose_frames(store: Path, n_frames: int = 5) -> Frames:
    """Choose frames of a store that show what is in it.

    Raises
    ------
    StoreError
        If there is no whole store.
    """
    return _choose_frames(store, _stamp(store), n_frames)


def draw_picture(store: Path, frame: int | None = None, height: int | None = None) -> bytes:
    """Draw the HOG picture of a frame as PNG.

    Parameters
    ----------
    store : Path
    frame : int, optional
        Its number in the recording; by default one in the middle.
    height : int, optional
        Of the picture, in pixels; by default that of the crop.

    Raises
    ------
    StoreError
        If there is no whole store, or no such frame in it.
    """
    return _draw_picture(store, _stamp(store), choose_frames(store).middle if frame is None else frame, height)


def _stamp(store: Path) -> int:
    """Return another number when the store was made anew."""
    try:
        return (store / "zarr.json").stat().st_mtime_ns
    except OSError as error:
        raise StoreError(store, f"it cannot be read ({error.strerror})", "See `facehog verify`.") from error


@lru_cache(_KEPT)
def _choose_frames(store: Path, _made: int, n_frames: int) -> Frames:
    with open_session(store) as session:
        numbers, corrupt = session.frame.values, session.corrupt.values
    places = np.unique(np.linspace(0, len(numbers) - 1, n_frames).astype(int))
    sound = np.flatnonzero(~corrupt) if not corrupt.all() else np.arange(len(numbers))
    middle = sound[np.argmin(abs(sound - len(numbers) // 2))]
    return Frames(numbers=tuple(map(int, numbers[places])), middle=int(numbers[middle]))


@lru_cache(_KEPT)
def _draw_picture(store: Path, _made: int, frame: int, height: int | None) -> bytes:
    with _DRAWING, open_session(store) as session:
        if frame not in session.frame.values:
            raise StoreError(store, f"frame {frame} is not among those that are described", "Ask for another one.")
        values = session.images.sel(frame=frame).values
    if np.isnan(values).all():
        raise StoreError(store, f"frame {frame} could not be decoded", "Ask for another one.")
    if height is not None and height < len(values):
        # Before it is made bright: thin lines of a few pixels would vanish.
        size = max(1, round(values.shape[1] * height / len(values))), height
        values = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))
    file = io.BytesIO()
    Image.fromarray(_stretch(values)).save(file, "PNG")
    return file.getvalue()


def _stretch(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    white = np.quantile(values, _WHITE)
    return (255 * np.clip(values / (white or 1), 0, 1)).astype(np.uint8)
