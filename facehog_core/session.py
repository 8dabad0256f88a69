"""Open a finished session as the scientist uses it: an xarray Dataset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from .layout import count_frames_per_picture_file
from .picture import render_pictures
from .recipe import Recipe
from .sealed import check_metadata, check_present, open_group


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
        another size. What is read later is under checksums; what is wrong then, `facehog verify` says in words.

    Examples
    --------
    >>> session = open_session("store/m12_cam0/1f0c2a9b77d3-5e21c0aa.zarr")  # doctest: +SKIP
    >>> session.descriptors[100:200].mean("frame").values  # doctest: +SKIP
    """
    path = Path(path)
    check_metadata(path)
    group = open_group(path)
    check_present(path, group)
    dataset: xr.Dataset = xr.open_zarr(path, chunks={})
    if "images" not in dataset:
        dataset["images"] = _lazy_pictures(group, dataset["histograms"])
    return dataset


def _lazy_pictures(group: zarr.Group, histograms: xr.DataArray) -> xr.DataArray:
    told: dict[str, Any] = dict(group.attrs)
    recipe = Recipe.from_dict(told["recipe"])
    frame_shape = recipe.frame_shape(*(told["source"].get(name, 0) for name in ("width", "height", "rotation")))
    # Blocks as the files of pictures that are stored: whoever asks for one picture has a few drawn. A shard of
    # histograms, which they are parts of, is read once for all that are asked for together.
    step = count_frames_per_picture_file(frame_shape, told["plan"]["frames_per_inner_chunk"])
    cells = histograms.data.rechunk((step, *histograms.shape[1:]))
    pictures = cells.map_blocks(
        render_pictures,
        recipe.hog,
        frame_shape,
        drop_axis=(1, 2, 3),
        new_axis=(1, 2),
        chunks=(cells.chunks[0], *frame_shape),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
        name=f"pictures-{told['run_id']}",
    )
    return xr.DataArray(pictures, dims=("frame", "row", "col"), attrs={"long_name": "HOG pictures"})
