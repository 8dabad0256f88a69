"""The Zarr store of one run: laid out whole, filled shard by shard, published only when sealed.

While a run works, its store stands in ``<run id>.partial/``, beside the receipts of the shards that are done.
A receipt is written after its shard's bytes have reached the disk, so a run that was killed, or whose
machine lost power, trusts the receipts and does the rest. Sealing checks every byte against the receipts and
renames the store to ``<run id>.zarr``: under that name a store is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from .chunking import Chunk, ChunkPlan
from .errors import StoreError
from .picture import render_pictures
from .provenance import RunRecord
from .recipe import Recipe
from .video import FrameIndex, VideoInfo

FORMAT = 1
# Attributes in which a half made store must agree with a run that wants to go on with it. The software is
# among them: a store is not to be made by two versions.
IDENTITY = ("facehog_format", "run_id", "source", "recipe", "software", "plan")

# Bytes of a file of HOG pictures, at most: they are rendered and written a file at a time.
PICTURE_FILE_BYTES = 32 * 2**20
# Frames in a chunk of the small per-frame arrays (time_s, pts, keyframe): half a megabyte.
FRAMES_PER_INDEX_CHUNK = 2**16
_HASH_BUFFER_BYTES = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaths:
    """Where the store of a run is, while it is made and after.

    Parameters
    ----------
    root : Path
        Folder of all stores.
    recording : str
        File name of the recording.
    run_id : str
        Name of the run.
    """

    root: Path
    recording: str
    run_id: str

    @property
    def folder(self) -> Path:
        """Folder of the recording's stores."""
        return self.root / Path(self.recording).stem

    @property
    def final(self) -> Path:
        """The store's name when it is whole."""
        return self.folder / f"{self.run_id}.zarr"

    @property
    def partial(self) -> Path:
        """Folder of all that a run in progress has made."""
        return self.folder / f"{self.run_id}.partial"

    @property
    def working(self) -> Path:
        """The store while it is filled."""
        return self.partial / "store.zarr"

    @property
    def receipts(self) -> Path:
        """Folder of the receipts of finished shards."""
        return self.partial / "receipts"


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
class Work:
    """What a run does, as its working store says.

    Parameters
    ----------
    info : VideoInfo
        The recording.
    index : FrameIndex
        Its frames.
    recipe : Recipe
        What is done to it.
    plan : ChunkPlan
        How it is cut.
    """

    info: VideoInfo
    index: FrameIndex
    recipe: Recipe
    plan: ChunkPlan

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Size of what is described of each frame, as (row, col)."""
        return self.recipe.frame_shape(self.info.width, self.info.height)


def read_work(paths: RunPaths) -> Work:
    """Read what a run does from its working store.

    Raises
    ------
    StoreError
        If the working store is gone.
    """
    group = _open_working(paths)
    attributes: dict[str, Any] = dict(group.attrs)
    return Work(
        info=VideoInfo(**attributes["source"]),
        index=FrameIndex(
            pts=np.asarray(group["pts"][:]),  # type: ignore[index]
            is_keyframe=np.asarray(group["keyframe"][:]),  # type: ignore[index]
            is_seekable=attributes["is_seekable"],
        ),
        recipe=Recipe.from_dict(attributes["recipe"]),
        plan=ChunkPlan(**attributes["plan"]),
    )


def create_store(paths: RunPaths, work: Work, attributes: Mapping[str, Any]) -> None:
    """Make the working store with all of its metadata, or keep the one that an earlier attempt left.

    Parameters
    ----------
    paths : RunPaths
    work : Work
        What the run does. The frames' pts, times and keyframes are written at once.
    attributes : mapping
        What else is known of the run when it starts; JSON values.

    Notes
    -----
    What is half made and does not agree with this run (another version of facehog, say) is removed.
    """
    wanted = {
        "facehog_format": FORMAT,
        "run_id": paths.run_id,
        "source": work.info.as_dict(),
        "is_seekable": work.index.is_seekable,
        "recipe": work.recipe.as_dict(),
        "plan": asdict(work.plan),
        # Tells xarray which arrays are coordinates.
        "coordinates": "time_s pts keyframe corrupt",
        **attributes,
    }
    if paths.working.is_dir() and _agrees(paths.working, wanted):
        return
    shutil.rmtree(paths.partial, ignore_errors=True)
    paths.receipts.mkdir(parents=True)
    # Filled under a name that nobody looks for: a store that is there has all of its metadata.
    unfinished = paths.partial / "unfinished.zarr"
    _lay_out(unfinished, work, wanted)
    _flush_tree(unfinished)
    unfinished.rename(paths.working)
    _flush(paths.partial)


def _agrees(working: Path, wanted: Mapping[str, Any]) -> bool:
    found = zarr.open_group(working, mode="r").attrs
    plain = json.loads(json.dumps({key: wanted.get(key) for key in IDENTITY}))
    return all(found.get(key) == plain[key] for key in IDENTITY)


def _lay_out(path: Path, work: Work, attributes: Mapping[str, Any]) -> None:
    group = zarr.create_group(path, zarr_format=3, attributes=dict(attributes))
    recipe, frame_shape, n = work.recipe, work.frame_shape, work.plan.n_frames
    n_rows, n_cols = recipe.hog.n_cells(frame_shape)

    def per_shard(
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        dims: list[str],
        fill: Any,
        about: str,
        inner: int,
        shard: int,
    ) -> None:
        group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=(inner, *shape[1:]),
            shards=(shard, *shape[1:]),
            compressors=_compressors(np.dtype(dtype)),
            fill_value=fill,
            dimension_names=dims,
            attributes={"long_name": about},
        )

    inner, shard = work.plan.frames_per_inner_chunk, work.plan.frames_per_shard
    per_shard(
        "histograms",
        (n, n_rows, n_cols, recipe.hog.orientations),
        "float32",
        ["frame", "cell_row", "cell_col", "orientation"],
        np.nan,
        "histograms of oriented gradients of the cells, before block normalisation",
        inner,
        shard,
    )
    per_shard(
        "descriptors",
        (n, recipe.hog.n_features(frame_shape)),
        "float32",
        ["frame", "feature"],
        np.nan,
        "HOG descriptors: the normalised blocks of a frame, as scikit-image orders them",
        inner,
        shard,
    )
    per_shard("corrupt", (n,), "bool", ["frame"], False, "whether the decoder flagged the frame", shard, shard)
    if recipe.with_images:
        per_shard(
            "images",
            (n, *frame_shape),
            "float32",
            ["frame", "row", "col"],
            np.nan,
            "HOG pictures",
            1,
            _frames_per_picture_file(frame_shape, inner),
        )

    def per_frame(name: str, values: NDArray[Any], about: str, **attributes: str) -> None:
        group.create_array(
            name,
            data=values,
            chunks=(min(n, FRAMES_PER_INDEX_CHUNK),),
            compressors=_compressors(values.dtype),
            dimension_names=["frame"],
            attributes={"long_name": about, **attributes},
        )

    per_frame("time_s", work.index.time_s(work.info.time_base), "presentation time: pts x time base", unit="s")
    per_frame("pts", work.index.pts, "presentation time stamp, in units of the stream's time base")
    per_frame("keyframe", work.index.is_keyframe, "whether a decoder can start at the frame")


def _compressors(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    # The checksum comes last: it covers the bytes as they lie on the disk.
    codec = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=dtype.itemsize)
    return (codec, Crc32cCodec())


def _frames_per_picture_file(frame_shape: tuple[int, int], frames_per_inner_chunk: int) -> int:
    """Return how many pictures share a file: a divisor of the inner chunk, so that no two tasks share one."""
    most = max(1, PICTURE_FILE_BYTES // (4 * frame_shape[0] * frame_shape[1]))
    return next(n for n in range(min(most, frames_per_inner_chunk), 0, -1) if frames_per_inner_chunk % n == 0)


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
        If the span is not one whole shard, or the working store is gone.
    """
    group = _open_working(paths)
    # Empty chunks are written too, so that a shard's files are the same ones whatever is in them.
    with zarr.config.set({"array.write_empty_chunks": True}):
        files = [
            *_write(group, "histograms", span, hogs.histograms),
            *_write(group, "descriptors", span, hogs.descriptors),
            *_write(group, "corrupt", span, hogs.corrupt),
        ]
        if "images" in group:
            files += _write_pictures(group, span, hogs.histograms)
    for name in files:
        _flush(paths.working / name)
    receipt = ShardReceipt(
        start=span.start,
        stop=span.stop,
        digest=hogs.digest,
        files={name: measure_file(paths.working / name) for name in files},
        n_corrupt=int(hogs.corrupt.sum()),
        grey=hogs.grey,
    )
    _write_durably(paths.receipts / f"{span}.json", json.dumps(asdict(receipt), indent=1))
    return receipt


def _open_working(paths: RunPaths) -> zarr.Group:
    try:
        return zarr.open_group(paths.working, mode="r+", use_consolidated=False)
    except FileNotFoundError as error:
        raise StoreError(
            paths.working,
            "the store in progress is gone",
            "Start the recording again; nothing was published.",
        ) from error


def _write(group: zarr.Group, name: str, span: Chunk, values: NDArray[Any]) -> list[str]:
    array = group[name]
    assert isinstance(array, zarr.Array)
    length = (array.shards or array.chunks)[0]
    if span.start % length or (span.stop % length and span.stop != array.shape[0]):
        raise StoreError(
            str(group.store_path),
            f"frames {span} of {name} are not whole shards of {length}",
            "Two writers in one shard lose data: write what the plan says.",
        )
    array[span.start : span.stop] = values
    zeros = (0,) * (array.ndim - 1)
    shards = range(span.start // length, -(-span.stop // length))
    return [f"{name}/{array.metadata.encode_chunk_key((i, *zeros))}" for i in shards]


def _write_pictures(group: zarr.Group, span: Chunk, histograms: NDArray[np.float32]) -> list[str]:
    array = group["images"]
    assert isinstance(array, zarr.Array)
    recipe = Recipe.from_dict(group.attrs["recipe"])  # type: ignore[arg-type]
    step = (array.shards or array.chunks)[0]
    files: list[str] = []
    for start in range(span.start, span.stop, step):
        part = Chunk(start=start, stop=min(start + step, span.stop))
        cells = histograms[part.start - span.start : part.stop - span.start]
        files += _write(group, "images", part, render_pictures(cells, recipe.hog, (array.shape[1], array.shape[2])))
    return files


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
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return None if find_damage(paths.working, receipt.files) else receipt


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


def seal_store(paths: RunPaths, receipts: Iterable[ShardReceipt], attributes: Mapping[str, Any]) -> Path:
    """Check that a store is whole, complete its attributes and publish it under its final name.

    Parameters
    ----------
    paths : RunPaths
    receipts : iterable of ShardReceipt
        Of all shards, in any order.
    attributes : mapping
        What is known of the run at its end; JSON values.

    Returns
    -------
    Path
        The store under its final name.

    Raises
    ------
    StoreError
        If frames are missing or a file is not what its receipt says. Nothing is published then.
    """
    receipts = sorted(receipts, key=lambda receipt: receipt.start)
    group = _open_working(paths)
    _check_whole(paths, int(group.attrs["plan"]["n_frames"]), receipts)  # type: ignore[call-overload,index,arg-type]
    # A writer that was killed leaves the file it had not renamed yet.
    for leftover in paths.working.rglob("*.partial"):
        leftover.unlink()
    shards = [asdict(receipt) for receipt in receipts]
    group.attrs.update({**attributes, "shards": shards})
    with warnings.catch_warnings():
        # Consolidated metadata is in no version of the Zarr v3 specification yet; zarr and xarray read it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(paths.working)
    _flush_tree(paths.working, pattern="zarr.json")
    paths.working.rename(paths.final)
    _flush(paths.folder)
    shutil.rmtree(paths.partial, ignore_errors=True)
    return paths.final


def _check_whole(paths: RunPaths, n_frames: int, receipts: list[ShardReceipt]) -> None:
    reached = 0
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
    damage = [text for receipt in receipts for text in find_damage(paths.working, receipt.files)]
    if damage:
        raise StoreError(
            paths.working,
            "; ".join(damage),
            "Check the disk, then start the recording again: the rest will be used.",
        )


def discard_partial(paths: RunPaths) -> None:
    """Remove what a run left that will not be gone on with."""
    shutil.rmtree(paths.partial, ignore_errors=True)
    if paths.folder.is_dir() and not any(paths.folder.iterdir()):
        paths.folder.rmdir()


def open_group(path: Path) -> zarr.Group:
    """Open a sealed store for reading.

    Raises
    ------
    StoreError
        If there is none, or it is no store of facehog.
    """
    try:
        group = zarr.open_group(path, mode="r")
    except FileNotFoundError as error:
        raise StoreError(path, "there is no store", "See `facehog find` for the stores that there are.") from error
    if group.attrs.get("facehog_format") != FORMAT or "shards" not in group.attrs:
        raise StoreError(path, "this is no sealed store of facehog", f"This version reads format {FORMAT}.")
    return group


def read_record(path: Path) -> RunRecord:
    """Read from a sealed store what the catalogue says of its run.

    Parameters
    ----------
    path : Path
        ``<run id>.zarr``.

    Returns
    -------
    RunRecord
        In state ``finished``.

    Raises
    ------
    StoreError
        If there is no sealed store of facehog.
    """
    group = open_group(path)
    told: dict[str, Any] = dict(group.attrs)
    source = told["source"]
    receipts = [ShardReceipt.from_dict(shard) for shard in told["shards"]]
    n_corrupt = sum(receipt.n_corrupt for receipt in receipts)
    finished_at = datetime.fromisoformat(told["finished_at"])
    return RunRecord(
        path=Path(source["path"]),
        state="finished",
        reason=f"{source['n_frames']} frames are described" + (f", {n_corrupt} of them corrupt" if n_corrupt else ""),
        changed_at=finished_at,
        run_id=told["run_id"],
        digest=source["digest"],
        size_bytes=source["size_bytes"],
        stream=source,
        recipe=told["recipe"],
        software=told["software"],
        host=told["host"],
        attempt=told["attempt"],
        started_at=datetime.fromisoformat(told["started_at"]),
        finished_at=finished_at,
        n_frames=source["n_frames"],
        n_corrupt=n_corrupt,
        grey=sorted({way for receipt in receipts for way in receipt.grey}),
        store=path,
        store_size_bytes=sum(size for receipt in receipts for size, _ in receipt.files.values()),
        arrays={name: _describe_array(array) for name, array in group.arrays()},
        flow_run_id=told["flow_run_id"],
    )


def _describe_array(array: zarr.Array[Any]) -> dict[str, Any]:
    dims = getattr(array.metadata, "dimension_names", None) or ()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "dims": list(dims)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has got, in frames that are on disk."""

    n_done: int
    n_frames: int


def measure_progress(paths: RunPaths) -> Progress | None:
    """Look how far a run has got, from its receipts; None while nothing is laid out."""
    try:
        n_frames = int(_open_working(paths).attrs["plan"]["n_frames"])  # type: ignore[call-overload,index,arg-type]
    except (StoreError, KeyError):
        return None
    spans = [name.stem.split("-") for name in paths.receipts.glob("*.json")]
    return Progress(n_done=sum(int(stop) - int(start) for start, stop in spans), n_frames=n_frames)


def measure_file(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes and the xxh3_128 of its content."""
    hasher, size = xxhash.xxh3_128(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_HASH_BUFFER_BYTES):
            hasher.update(block)
            size += len(block)
    return size, hasher.hexdigest()


def _write_durably(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Wait until a file or folder has reached the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows keeps a folder's entries by its own journal and cannot open one to flush it.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_tree(path: Path, pattern: str = "*") -> None:
    for found in path.rglob(pattern):
        _flush(found)
    _flush(path)
