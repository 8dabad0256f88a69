"""The Zarr store of one run while it is made: laid out whole, and filled shard by shard.

It stands in ``<run id>.partial/``, beside the receipts of the shards that are done. A receipt is written after its
shard's bytes have reached the disk, so a run that was killed, or whose machine lost power, trusts the receipts and does
the rest. It is published when it is whole, and not before: `facehog_core.sealing`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray

from .chunking import Chunk, ChunkPlan
from .disk import flush, flush_tree, telling_full_disk, write_durably
from .encoding import encode_shards
from .errors import StoreError, StoreGoneError
from .layout import Work, lay_out
from .picture import render_pictures
from .receipts import ShardHogs, ShardReceipt, find_damage, spans_of
from .recipe import Recipe
from .run_paths import RunPaths
from .sealed import FORMAT, METADATA, UNREADABLE
from .source import measure_file
from .starts import noting_start
from .timing import Times, time_frames
from .video import FrameIndex, VideoInfo
from .warning import warn_of_plan

# Attributes in which a half made store must agree with a run that wants to go on with it. The software is
# among them: a store is not to be made by two versions.
IDENTITY = ("facehog_format", "run_id", "source", "recipe", "software", "plan")


def read_work(paths: RunPaths) -> Work:
    """Read what a run does from its working store.

    Raises
    ------
    StoreError
        If the working store is gone.
    """
    group = open_working(paths)
    attributes: dict[str, Any] = dict(group.attrs)
    index, reference = _read_index(paths)
    return Work(
        info=VideoInfo.from_dict(attributes["source"]),
        index=index,
        recipe=Recipe.from_dict(attributes["recipe"]),
        plan=ChunkPlan(**attributes["plan"]),
        numbers=np.asarray(group["frame"][:]),  # type: ignore[index]
        reference=reference,
    )


def _write_index(paths: RunPaths, work: Work) -> None:
    """Keep the index of the whole recording beside the store, which has only the frames that are described.

    With it lies what frames are compared with: whoever goes on with the run compares with the same.
    """
    arrays = {field.name: getattr(work.index, field.name) for field in fields(work.index)}
    np.savez(paths.index, **arrays | ({} if work.reference is None else {"reference": work.reference}))
    flush(paths.index)


def _read_index(paths: RunPaths) -> tuple[FrameIndex, NDArray[np.float32] | None]:
    try:
        with paths.index.open("rb") as file, np.load(file) as arrays:
            values = {name: array if array.ndim else array.item() for name, array in arrays.items()}
    except FileNotFoundError as error:
        raise _gone(paths) from error
    reference = values.pop("reference", None)
    return FrameIndex(**values), reference


def create_store(paths: RunPaths, work: Work, attributes: Mapping[str, Any], times: Times | None = None) -> None:
    """Make the working store with all of its metadata, or keep the one that an earlier attempt left.

    Parameters
    ----------
    paths : RunPaths
    work : Work
        What the run does. The frames' pts, times and keyframes are written at once.
    attributes : mapping
        What else is known of the run when it starts, `warnings` among it; JSON values.
    times : Times, optional
        When the frames were taken; by the recording's own word if left out.

    Notes
    -----
    What is half made and does not agree with this run (another version of facehog, say), is not whole any more, or
    cannot be read, is removed.

    Raises
    ------
    StoreError
        If the disk is full.
    """
    times = times or time_frames(work.info, work.index, work.recipe)
    wanted = {
        "facehog_format": FORMAT,
        "run_id": paths.run_id,
        "source": work.info.as_dict(),
        "is_seekable": work.index.is_seekable,
        "recipe": work.recipe.as_dict(),
        "plan": asdict(work.plan),
        # Tells xarray which arrays are coordinates.
        "coordinates": "time_s n_dropped_after timestamps pts packet keyframe corrupt",
        **times.as_attributes(),
        **attributes,
        "warnings": [*warn_of_plan(work.info, times), *attributes.get("warnings", [])],
    }
    is_there = paths.working.is_dir() and _agrees(paths, wanted)
    if not is_there:
        remove_partial(paths)
    with telling_full_disk(paths.folder):
        if not is_there:
            _make_working(paths, work, times, wanted)
        _claim(paths)


def _make_working(paths: RunPaths, work: Work, times: Times, attributes: Mapping[str, Any]) -> None:
    paths.receipts.mkdir(parents=True)
    # Filled under a name that nobody looks for: a store that is there has all of its metadata.
    unfinished = paths.partial / "unfinished.zarr"
    _write_index(paths, work)
    lay_out(unfinished, work, times, attributes)
    _note_files(unfinished)
    flush_tree(unfinished)
    unfinished.rename(paths.working)
    flush(paths.partial)


def _claim(paths: RunPaths) -> None:
    """Let those leave the working store alone that are at work for an earlier attempt, which may have been killed.

    What they began and did not end says nothing of the recording.
    """
    if _read_claim(paths) != paths.token:
        shutil.rmtree(paths.begun, ignore_errors=True)
        write_durably(paths.claim, paths.token)


def _read_claim(paths: RunPaths) -> str | None:
    try:
        return paths.claim.read_text("ascii")
    except FileNotFoundError:
        return None


def _note_files(store: Path) -> None:
    """Note in a store which files were laid out, for whoever goes on with it and for `facehog verify`."""
    names = sorted(file.relative_to(store).as_posix() for file in store.rglob("*") if file.is_file())
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    group.attrs["files"] = {name: measure_file(store / name) for name in names if name != METADATA}


def _agrees(paths: RunPaths, wanted: Mapping[str, Any]) -> bool:
    """Say whether what is half made is that of a run, and is there as it was laid out."""
    try:
        found = zarr.open_group(paths.working, mode="r", use_consolidated=False).attrs
        plain = json.loads(json.dumps({key: wanted.get(key) for key in IDENTITY}))
        is_same = all(found.get(key) == plain[key] for key in IDENTITY)
        if not is_same or not paths.receipts.is_dir() or find_damage(paths.working, found["files"]):  # type: ignore[arg-type]
            return False
        _read_index(paths)
    except (*UNREADABLE, FileNotFoundError, StoreGoneError, BadZipFile, EOFError):
        return False
    return True


def remove_partial(paths: RunPaths) -> None:
    """Take what a run has made out of its way, then remove it: a removal may be cut off half-way."""
    with suppress(OSError):  # It is not there; or somebody has a file of it open, and this is Windows.
        paths.partial.rename(paths.folder / f"{paths.run_id}.{uuid4().hex}.removed")
    for removed in (*paths.folder.glob(f"{paths.run_id}.*.removed"), paths.partial):
        shutil.rmtree(removed, ignore_errors=True)


def write_shard(paths: RunPaths, span: Chunk, hogs: ShardHogs) -> ShardReceipt:
    """Write the results of one shard's frames, and its receipt when they are on the disk.

    Writing a shard twice leaves the same bytes.

    Parameters
    ----------
    paths : RunPaths
    span : Chunk
        The frames of exactly one shard.
    hogs : ShardHogs

    Returns
    -------
    ShardReceipt

    Raises
    ------
    StoreError
        If the span is not one whole shard, the working store is gone, or the disk is full.
    """
    group = open_working(paths)
    _check_is_shard(group, span)
    try:
        with telling_full_disk(paths.working):
            return _write_with_receipt(paths, group, span, hogs)
    except (FileNotFoundError, KeyError) as error:
        if (paths.working / METADATA).exists():
            raise
        raise _gone(paths) from error


def _check_is_shard(group: zarr.Group, span: Chunk) -> None:
    plan = ChunkPlan(**group.attrs["plan"])  # type: ignore[arg-type]
    if span not in plan.shards_of(Chunk(start=0, stop=plan.n_frames)):
        raise StoreError(
            str(group.store_path),
            f"frames {span} are not one whole shard of {plan.frames_per_shard}",
            "Two writers in one shard lose data: write what the plan says.",
        )


def _write_with_receipt(paths: RunPaths, group: zarr.Group, span: Chunk, hogs: ShardHogs) -> ShardReceipt:
    began_s = time.perf_counter()
    files = {
        name: _place(paths, name, content)
        for array, part, values in _values_of(group, span, hogs)
        for name, content in encode_shards(_get_array(group, array), part, values)
    }
    writing_s = time.perf_counter() - began_s
    numbers = np.asarray(_get_array(group, "frame")[span.start : span.stop])
    receipt = ShardReceipt(
        start=span.start,
        stop=span.stop,
        digest=hogs.digest,
        files=files,
        corrupt=spans_of(numbers[hogs.corrupt]),
        lost=spans_of(numbers[hogs.lost]),
        grey=hogs.grey,
        effort=replace(hogs.effort, writing_s=writing_s) if hogs.effort else None,
        rounding=hogs.rounding,
        looks=hogs.looks,
        software=hogs.software,
    )
    write_durably(paths.receipts / f"{span}.json", json.dumps(asdict(receipt), indent=1))
    return receipt


def _values_of(group: zarr.Group, span: Chunk, hogs: ShardHogs) -> Iterator[tuple[str, Chunk, NDArray[Any]]]:
    """Yield what is written of a shard's frames, and into which arrays: pictures file by file, since they are large."""
    yield "histograms", span, hogs.histograms
    yield "descriptors", span, hogs.descriptors
    yield "corrupt", span, hogs.corrupt
    if "images" not in group:
        return
    array, recipe = _get_array(group, "images"), Recipe.from_dict(group.attrs["recipe"])  # type: ignore[arg-type]
    step = (array.shards or array.chunks)[0]
    for start in range(span.start, span.stop, step):
        part = Chunk(start=start, stop=min(start + step, span.stop))
        cells = hogs.histograms[part.start - span.start : part.stop - span.start]
        yield "images", part, render_pictures(cells, recipe.hog, (array.shape[1], array.shape[2]))


def _place(paths: RunPaths, name: str, content: bytes) -> tuple[int, str]:
    """Put a file of the working store in its place, whole, and return its size and digest.

    A task that was given up may write the same file at any time, also while the store is published: it is replaced by
    the same bytes or, once the working store is gone, not made.
    """
    target = paths.working / name
    for folder in reversed(target.relative_to(paths.working).parents[:-1]):
        # Not the folders above: they are there as long as the run is.
        (paths.working / folder).mkdir(exist_ok=True)
    write_durably(target, content, within=paths.partial)
    return len(content), xxhash.xxh3_128_hexdigest(content)


def open_working(paths: RunPaths) -> zarr.Group:
    """Open the store while it is filled.

    Raises
    ------
    StoreGoneError
        If it is gone.
    """
    try:
        return zarr.open_group(paths.working, mode="r+", use_consolidated=False)
    except FileNotFoundError as error:
        raise _gone(paths) from error


def _gone(paths: RunPaths) -> StoreGoneError:
    return StoreGoneError(
        paths.working,
        "the store in progress is gone, or another attempt goes on with it",
        "Start the recording again; nothing was published.",
    )


def _get_array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def read_receipt(paths: RunPaths, span: Chunk) -> ShardReceipt | None:
    """Return the receipt of a shard that an earlier attempt finished, if its files are what it says.

    Parameters
    ----------
    paths : RunPaths
    span : Chunk
        The frames of one shard.
    """
    try:
        receipt = ShardReceipt.from_dict(json.loads((paths.receipts / f"{span}.json").read_text("utf-8")))
    except (FileNotFoundError, *UNREADABLE):
        return None
    return None if find_damage(paths.working, receipt.files) else receipt


@contextmanager
def noting_shard(paths: RunPaths, span: Chunk, recording: str) -> Iterator[None]:
    """Note that a shard is begun, and take the note back when it ends in order.

    Raises
    ------
    CrashError
        If it was begun often and never ended: it ends the processes that work on it.
    StoreGoneError
        If the working store is gone, or another attempt goes on with it.
    """
    if not paths.working.is_dir() or _read_claim(paths) != paths.token:
        raise _gone(paths)
    with noting_start(paths.begun / str(span), recording, f"describing frames {span}"):
        yield


def discard_partial(paths: RunPaths) -> None:
    """Remove what a run left that will not be gone on with."""
    remove_partial(paths)
    with suppress(OSError):  # Other runs of the recording are there, or it is gone.
        paths.folder.rmdir()
