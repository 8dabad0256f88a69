"""Values to the bytes of the files that zarr keeps them in, in memory: so that each file is put in its place whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import zarr
from numpy.typing import NDArray
from zarr.core.array import AsyncArray
from zarr.core.buffer import Buffer
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.storage import MemoryStore, StorePath

from .chunking import Chunk


def encode_shards(array: zarr.Array[Any], span: Chunk, values: NDArray[Any]) -> Iterator[tuple[str, bytes]]:
    """Encode the values of whole shards, as the array would write them.

    Parameters
    ----------
    array : zarr.Array
        It says how; nothing is written to it.
    span : Chunk
        Its first axis, from the beginning of a shard to the end of one, or of the array.
    values : ndarray, shape (len(span), ...)

    Yields
    ------
    name : str
        The path of a file from the array's group.
    content : bytes

    Raises
    ------
    ValueError
        If the values have another shape.
    """
    if values.shape != (len(span), *array.shape[1:]):
        raise ValueError(f"{array.name} of frames {span} must be {(len(span), *array.shape[1:])}, got {values.shape}")
    files: dict[str, Buffer] = {}
    metadata, place = array.metadata, StorePath(MemoryStore(files), array.path)
    assert isinstance(metadata, ArrayV3Metadata)
    # Empty chunks are written too, so that a shard's files are the same ones whatever is in them.
    twin = zarr.Array(AsyncArray(metadata, place, config={"write_empty_chunks": True}))
    twin[span.start : span.stop] = values
    for name, content in files.items():
        yield name, content.to_bytes()
