"""An array of a sealed store that is read later: what is wrong with it then is said in words, with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from .errors import StoreError
from .receipts import find_damage
from .sealed import open_group, read_files_laid_out, read_shards

_REMEDY = "Make it anew (`facehog process --force PATH`), or take it from a backup; `facehog verify` sees all of it."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckedArray:
    """An array, for Dask to take parts of.

    Parameters
    ----------
    path : Path
        The store.
    array : zarr.Array
    """

    path: Path
    array: zarr.Array[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size along each dimension."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it holds."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return self.array.ndim

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part.

        Raises
        ------
        StoreError
            If a file is not as it was written, or cannot be read.
        """
        try:
            return np.asarray(self.array[key])
        # What zarr and its codecs raise for a checksum, a chunk and a disk that is bad.
        except (ValueError, RuntimeError, OSError) as error:
            found = next(self._find_damage(key), f"{self.array.basename} cannot be read: {error}")
            raise StoreError(self.path, found, _REMEDY) from error

    def _find_damage(self, key: Any) -> Iterator[str]:
        """Look at the files that a part is read from: those of others are another matter."""
        frames = key[0] if isinstance(key, tuple) else key
        start, stop, _ = frames.indices(self.shape[0]) if isinstance(frames, slice) else (0, self.shape[0], 1)
        group = open_group(self.path)
        parts = [read_files_laid_out(group)]
        parts += [shard.files for shard in read_shards(group) if shard.start < stop and start < shard.stop]
        for files in parts:
            own = {name: size for name, size in files.items() if name.startswith(f"{self.array.basename}/")}
            yield from find_damage(self.path, own)
