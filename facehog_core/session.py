"""Open a finished session as the scientist uses it: an xarray Dataset."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from .checked_array import CheckedArray
from .errors import StoreError
from .layout import most_pictures_per_file
from .params import HogParams
from .picture import render_pictures
from .recipe import Recipe
from .sealed import believing, check_metadata, check_present, open_group


def open_session(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open the store of a run.

    Parameters
    ----------
    path : str or path-like
        A store: ``<store>/<recording stem>/<run id>.zarr``.

    Returns
    -------
    xarray.Dataset
        Lazily, as Dask arrays: ``descriptors`` (frame, feature), ``histograms`` (frame, cell_row, cell_col,
        orientation) and ``images`` (frame, row, col). Pictures that the store does not hold are rendered from
        the histograms when they are asked for. Coordinates: ``frame`` (the frames' numbers in the recording),
        ``time_s`` (seconds), ``n_dropped_after`` (frames that are missing between each and the next), ``pts``,
        ``keyframe``, ``corrupt``. Where masks are set, ``masked`` (cell_row, cell_col).

    Raises
    ------
    StoreError
        If there is no sealed store, its metadata are not those that were sealed, or a file of it is missing or of
        another size. Also later, when a part is read of which a bit has changed: each is under a checksum.

    Examples
    --------
    >>> session = open_session("store/m12_cam0/1f0c2a9b77d3-5e21c0aa.zarr")  # doctest: +SKIP
    >>> session.descriptors[100:200].mean("frame").values  # doctest: +SKIP
    """
    path = Path(path)
    check_metadata(path)
    group = open_group(path)
    check_present(path, group)
    with believing(path):
        dataset = _open_lazily(path, group)
        if "images" not in dataset:
            dataset["images"] = _lazy_pictures(group, dataset["histograms"])
    return dataset


def _open_lazily(path: Path, group: zarr.Group) -> xr.Dataset:
    import dask.array as da

    try:
        dataset: xr.Dataset = xr.open_zarr(path, chunks={})
    except (ValueError, RuntimeError) as error:
        # Its index is read at once.
        for _, array in group.arrays():
            if array.ndim == 1:
                CheckedArray(path=path, array=array)[:]
        raise StoreError(path, f"it cannot be opened: {error}", "See `facehog verify`.") from error
    for name, variable in dataset.variables.items():
        if variable.chunks:
            checked = CheckedArray(path=path, array=group[str(name)])  # type: ignore[arg-type]
            token = f"{name}-{group.attrs['run_id']}-{group.attrs['metadata_digest']}-{path}"
            lazy = da.from_array(
                checked, chunks=variable.chunks, name=token, meta=np.empty((0,) * checked.ndim, checked.dtype)
            )
            variable.data = lazy
    return dataset


def _lazy_pictures(group: zarr.Group, histograms: xr.DataArray) -> xr.DataArray:
    # Whoever asks a catalogue need not wait for Dask's import.
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    told: dict[str, Any] = dict(group.attrs)
    recipe = Recipe.from_dict(told["recipe"])
    frame_shape = recipe.frame_shape(*(told["source"].get(name, 0) for name in ("width", "height", "rotation")))
    cells = histograms.data.rechunk((histograms.data.chunks[0], *histograms.shape[1:]))
    name = f"pictures-{told['run_id']}"
    draw = partial(_draw_some, params=recipe.hog, frame_shape=frame_shape)
    # Whoever asks for one picture has a few drawn; a shard of histograms is read once for all that are asked for
    # together. Written out, since Dask's own rechunking would take most of the time of opening a session.
    tasks: dict[tuple[str, int, int, int], tuple[Any, ...]] = {}
    lengths: list[int] = []
    most = most_pictures_per_file(frame_shape)
    for shard, n_frames in enumerate(cells.chunks[0]):
        for start in range(0, n_frames, most):
            tasks[name, len(lengths), 0, 0] = (draw, (cells.name, shard, 0, 0, 0), start, start + most)
            lengths.append(min(most, n_frames - start))
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=[cells])
    pictures = da.Array(graph, name, (tuple(lengths), *((length,) for length in frame_shape)), np.float32)
    return xr.DataArray(pictures, dims=("frame", "row", "col"), attrs={"long_name": "HOG pictures"})


def _draw_some(
    cells: NDArray[np.float32], start: int, stop: int, *, params: HogParams, frame_shape: tuple[int, int]
) -> NDArray[np.float32]:
    return render_pictures(cells[start:stop], params, frame_shape)
