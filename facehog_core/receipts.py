"""What was computed for a span of frames, and the proof that it is on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from .disk import measure_file


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardHogs:
    """What was computed for one span of frames.

    Parameters
    ----------
    histograms : ndarray of float32, shape (n_frames, n_cell_rows, n_cell_cols, n_orientations)
    descriptors : ndarray of float32, shape (n_frames, n_features)
    corrupt : ndarray of bool, shape (n_frames,)
    grey : list of str
        The ways by which frames were made grey, sorted.
    """

    histograms: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    corrupt: NDArray[np.bool_]
    grey: list[str]

    @property
    def digest(self) -> str:
        """xxh3_128 of the values."""
        hasher = xxhash.xxh3_128()
        for array in (self.histograms, self.descriptors, self.corrupt):
            hasher.update(np.ascontiguousarray(array).data)
        return hasher.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReceipt:
    """The proof that one span of frames is described and on disk.

    Parameters
    ----------
    start, stop : int
        The frames.
    digest : str
        xxh3_128 of the arrays' values (histograms, descriptors, corrupt), whatever the compression.
    files : dict of str to (int, str)
        The files of this shard, by their path within the store: size in bytes and xxh3_128.
    n_corrupt : int
        Frames that the decoder flagged.
    grey : list of str
        The ways by which frames were made grey.
    """

    start: int
    stop: int
    digest: str
    files: dict[str, tuple[int, str]]
    n_corrupt: int
    grey: list[str]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardReceipt:
        """Rebuild a receipt from JSON."""
        files = {name: (int(size), str(digest)) for name, (size, digest) in values["files"].items()}
        return cls(**{**values, "files": files})


def find_damage(store: Path, files: Mapping[str, tuple[int, str]]) -> list[str]:
    """Compare files of a store with what was written, and say in words what differs.

    Parameters
    ----------
    store : Path
    files : mapping of str to (int, str)
        Path within the store, to size in bytes and xxh3_128.

    Returns
    -------
    list of str
        One sentence for each file that is not as it was; empty if all are.
    """
    damage = []
    for name, (size, digest) in files.items():
        try:
            found_size, found_digest = measure_file(store / name)
        except FileNotFoundError:
            damage.append(f"{name} is missing")
        except OSError as error:
            damage.append(f"{name} cannot be read: {error.strerror}")
        else:
            if found_size != size:
                damage.append(f"{name} has {found_size} bytes and not the {size} that were written")
            elif found_digest != digest:
                damage.append(f"{name} has other bytes than those that were written")
    return damage
