"""A sealed store read in order, a block of frames at a time: memory does not grow with the recording's length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from .errors import StoreError
from .provenance import RunRecord
from .recipe import Recipe
from .sealed import check_metadata, check_present, open_group, read_record

# What is known of each frame, one value a frame, as far as a store has it.
COLUMNS = ("frame", "time_s", "pts", "packet", "keyframe", "corrupt", "n_dropped_after", "timestamps")
# What describes each frame, many values a frame.
ARRAYS = ("descriptors", "histograms")
# Attributes that say how a store is cut and checked, and nothing of what is in it.
_OF_THE_STORE = ("shards", "files", "metadata_digest", "facehog_format", "plan", "coordinates", "is_seekable")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredRun:
    """A sealed store, open for reading block by block.

    Parameters
    ----------
    path : Path
    group : zarr.Group
    record : RunRecord
        What the store says of its run.
    n_frames : int
    frames_per_block : int
        Those of a shard: whoever reads by blocks reads each file of the store once.
    """

    path: Path
    group: zarr.Group
    record: RunRecord
    n_frames: int
    frames_per_block: int

    @classmethod
    def open(cls, path: Path) -> StoredRun:
        """Open a sealed store, if it is whole by its metadata and by the sizes of its files.

        Raises
        ------
        StoreError
            If there is none, or it is damaged.
        """
        check_metadata(path)
        group = open_group(path)
        check_present(path, group)
        plan: Any = group.attrs["plan"]
        return cls(
            path=path,
            group=group,
            record=read_record(path),
            n_frames=plan["n_frames"],
            frames_per_block=plan["frames_per_shard"],
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The arrays that hold one value a frame."""
        return tuple(name for name in COLUMNS if name in self.group)

    @property
    def attributes(self) -> dict[str, Any]:
        """What the store says of its run: how it was made, from what, by what."""
        return {name: value for name, value in self.group.attrs.items() if name not in _OF_THE_STORE}

    @property
    def recipe(self) -> Recipe:
        """What was done to the recording."""
        return Recipe.from_dict(self.record.recipe)

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Shape of a frame's descriptor: (block_row, block_col, value within the block)."""
        hog, told = self.recipe.hog, self.record.stream
        frame_shape = self.recipe.frame_shape(*(told.get(name, 0) for name in ("width", "height", "rotation")))
        n_rows, n_cols = hog.n_blocks(frame_shape)
        return n_rows, n_cols, hog.n_features(frame_shape) // (n_rows * n_cols)

    @property
    def masked(self) -> NDArray[np.bool_] | None:
        """Which cells are masked, (cell_row, cell_col); None if there are no masks."""
        return np.asarray(self._array("masked")[:]) if "masked" in self.group else None

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        return self._array(name).shape

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the type of an array's values."""
        return self._array(name).dtype

    def unit(self, name: str) -> str | None:
        """Return the unit of an array's values, where the store names it."""
        unit = self._array(name).attrs.get("unit")
        return None if unit is None else str(unit)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the blocks of frames ``[start, stop)``, in order."""
        for start in range(0, self.n_frames, self.frames_per_block):
            yield start, min(start + self.frames_per_block, self.n_frames)

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Read the values of some frames.

        Raises
        ------
        StoreError
            If they are not what was written.
        """
        try:
            return np.asarray(self._array(name)[start:stop])
        except (ValueError, RuntimeError) as error:  # What zarr and its codecs raise for a bad checksum or chunk.
            raise StoreError(
                self.path,
                f"{name} of frames {start}-{stop} cannot be read: {error}",
                f"`facehog verify {self.record.run_id}` says all that is wrong and what to do.",
            ) from error

    def _array(self, name: str) -> zarr.Array[Any]:
        array = self.group[name]
        assert isinstance(array, zarr.Array)
        return array
