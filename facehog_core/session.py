"""Open a finished session as the scientist uses it: an xarray Dataset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .hog import HogParams
from .picture import render_pictures
from .recipe import Recipe
from .store import open_group


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
        the histograms when they are asked for. Coordinates: ``time_s`` (seconds), ``pts``, ``keyframe``,
        ``corrupt``.

    Raises
    ------
    StoreError
        If there is no sealed store.

    Examples
    --------
    >>> session = open_session("store/m12_cam0/1f0c2a9b77d3-5e21c0aa.zarr")  # doctest: +SKIP
    >>> session.descriptors[100:200].mean("frame").values  # doctest: +SKIP
    """
    path = Path(path)
    group = open_group(path)
    dataset: xr.Dataset = xr.open_zarr(path, chunks={})
    if "images" not in dataset:
        recipe = Recipe.from_dict(group.attrs["recipe"])  # type: ignore[arg-type]
        dataset["images"] = _lazy_pictures(dataset.histograms, recipe, dataset.attrs["source"])
    return dataset


def _lazy_pictures(histograms: xr.DataArray, recipe: Recipe, source: dict[str, Any]) -> xr.DataArray:
    frame_shape = recipe.frame_shape(source["width"], source["height"])
    # One frame a block: whoever asks for a picture pays for one.
    cells = histograms.data.rechunk((1, *histograms.shape[1:]))
    pictures = cells.map_blocks(
        _render_block,
        params=recipe.hog,
        frame_shape=frame_shape,
        dtype=np.float32,
        drop_axis=3,
        chunks=(cells.chunks[0], (frame_shape[0],), (frame_shape[1],)),
        meta=np.empty((0, 0, 0), np.float32),
    )
    return xr.DataArray(pictures, dims=("frame", "row", "col"), attrs={"long_name": "HOG pictures"})


def _render_block(cells: NDArray[np.float32], params: HogParams, frame_shape: tuple[int, int]) -> NDArray[np.float32]:
    return render_pictures(cells, params, frame_shape)
