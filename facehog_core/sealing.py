"""Sealing: the store of a run is checked against its receipts, byte by byte, completed, and renamed.

Under the name ``<run id>.zarr`` a store is whole.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import zarr

from .conclusion import conclude
from .disk import flush, flush_tree, telling_full_disk, write_durably
from .errors import StoreError
from .receipts import ShardReceipt, find_damage
from .run_paths import RunPaths
from .sealed import METADATA, digest_metadata, write_metadata
from .store import open_working, remove_partial


def seal_store(
    paths: RunPaths, receipts: Iterable[ShardReceipt], attributes: Mapping[str, Any], old: Path | None = None
) -> Path:
    """Check that a store is whole, complete its attributes and publish it under its final name.

    Sealing what is sealed already changes nothing: an attempt may be cut off right after its last step.

    Parameters
    ----------
    paths : RunPaths
    receipts : iterable of ShardReceipt
        Of all shards, in any order.
    attributes : mapping
        What is known of the run at its end; JSON values. `warnings` are added to those that there are.
    old : Path, optional
        A sealed store of the same run, which this one takes the place of when it is whole.

    Returns
    -------
    Path
        The store under its final name.

    Raises
    ------
    StoreError
        If frames are missing, a file is not what its receipt says, or the disk is full. Nothing is published
        then.
    """
    if paths.final.exists() and (old is None or not paths.working.exists()):
        remove_partial(paths)
        return paths.final
    receipts = sorted(receipts, key=lambda receipt: receipt.start)
    group = open_working(paths)
    _check_whole(paths, group, receipts)
    # A seal that was killed leaves the metadata that zarr had not renamed yet.
    for leftover in paths.working.rglob("*.partial"):
        leftover.unlink()
    with telling_full_disk(paths.working):
        _complete_metadata(paths, group, receipts, attributes)
        flush_tree(paths.working)
    for made in (old, paths.final) if old else ():
        if made.exists():
            _retire(made)
    paths.working.rename(paths.final)
    flush(paths.folder)
    remove_partial(paths)
    return paths.final


def _complete_metadata(
    paths: RunPaths, group: zarr.Group, receipts: list[ShardReceipt], attributes: Mapping[str, Any]
) -> None:
    concluded = conclude(receipts, group.attrs)
    told = (group.attrs.get("warnings", []), attributes.get("warnings", []), concluded["warnings"])
    group.attrs.update(
        {
            **attributes,
            **concluded,
            # Once each: a seal that was cut off has added them already.
            "warnings": list(dict.fromkeys(chain.from_iterable(told))),  # type: ignore[arg-type]
        }
    )
    with warnings.catch_warnings():
        # Consolidated metadata is in no version of the Zarr v3 specification yet; zarr and xarray read it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(paths.working)
    metadata = json.loads((paths.working / METADATA).read_text("utf-8"))
    metadata["attributes"]["metadata_digest"] = digest_metadata(metadata)
    write_durably(paths.working / METADATA, write_metadata(metadata), within=paths.partial)


def _check_whole(paths: RunPaths, group: zarr.Group, receipts: list[ShardReceipt]) -> None:
    told: dict[str, Any] = dict(group.attrs)
    n_frames, reached = told["plan"]["n_frames"], 0
    for receipt in receipts:
        if receipt.start != reached:
            break
        reached = receipt.stop
    if reached != n_frames:
        raise StoreError(
            paths.working,
            f"only the first {reached} of {n_frames} frames are described without a gap",
            "Start the recording again: what is there will be used.",
        )
    files = (told["files"], *(receipt.files for receipt in receipts))
    if damage := [text for part in files for text in find_damage(paths.working, part)]:
        raise StoreError(
            paths.working,
            "; ".join(damage),
            "Check the disk, then start the recording again: the rest will be used.",
        )


def _retire(store: Path) -> None:
    """Take a sealed store out of the way of another one of the same run, which is whole and about to have its name.

    Should that be cut off in between, the run goes on from what it has done.
    """
    removed = store.with_name(f"{store.stem}.{uuid4().hex}.removed")
    store.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)
