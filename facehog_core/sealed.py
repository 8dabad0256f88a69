"""A sealed store as its readers find it: what it says of itself, and whether that is what was sealed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import xxhash
import zarr

from .errors import RecipeError, StoreError, tell_error
from .names import Identity
from .path_text import from_text
from .provenance import RunRecord
from .receipts import count_frames, find_damage, read_files

# Format 1 counted the corrupt frames of a shard, and did not say which they are.
FORMAT = 2
READABLE_FORMATS = (1, FORMAT)
METADATA = "zarr.json"
# What zarr raises for metadata that it cannot read, and what is raised for attributes that are not as they should be.
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError)
_REMEDY = "Make it anew from its recording, with the choices of then: `facehog process --force PATH`."


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedShard:
    """What a sealed store says of one of its shards, whatever its format.

    Parameters
    ----------
    start, stop, digest, files, grey
        As in `facehog_core.receipts.ShardReceipt`.
    n_corrupt : int
        Frames that are damaged, or may be.
    """

    start: int
    stop: int
    digest: str
    files: dict[str, tuple[int, str]]
    n_corrupt: int
    grey: list[str]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SealedShard:
        """Read it from a store's attributes."""
        return cls(
            start=values["start"],
            stop=values["stop"],
            digest=values["digest"],
            files=read_files(values["files"]),
            n_corrupt=values["n_corrupt"] if "n_corrupt" in values else count_frames(values["corrupt"]),
            grey=values["grey"],
        )


def open_group(path: Path) -> zarr.Group:
    """Open a sealed store for reading.

    Raises
    ------
    StoreError
        If there is none, it cannot be read, or it is no store of facehog.
    """
    try:
        group = zarr.open_group(path, mode="r")
    except FileNotFoundError as error:
        raise StoreError(path, "there is no store", "See `facehog find` for the stores that there are.") from error
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    if group.attrs.get("facehog_format") not in READABLE_FORMATS or "shards" not in group.attrs:
        formats = " and ".join(map(str, READABLE_FORMATS))
        raise StoreError(path, "this is no sealed store of facehog", f"This version reads formats {formats}.")
    return group


def _unreadable(path: Path, error: Exception) -> StoreError:
    if isinstance(error, RecipeError):
        return StoreError(path, error.fact, error.remedy)
    return StoreError(path, f"its metadata cannot be read: {tell_error(error)}", _REMEDY)


@contextmanager
def believing(path: Path) -> Iterator[None]:
    """Read what a store says of itself: where that is not as it should be, the error says so in words.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def read_shards(group: zarr.Group) -> list[SealedShard]:
    """Read what a sealed store says of its shards, in order."""
    shards: Any = group.attrs["shards"]
    return [SealedShard.from_dict(shard) for shard in shards]


def check_metadata(path: Path) -> dict[str, Any]:
    """Check that what a sealed store says of itself is what was sealed.

    Returns
    -------
    dict
        Its attributes.

    Raises
    ------
    StoreError
        If there is no store, or its root metadata are not those that were sealed.
    """
    try:
        text = (path / METADATA).read_bytes().decode("utf-8")
        metadata = json.loads(text)
        # The digest is of what is said; that it is said in the same words is a matter of how it was written.
        is_sealed = metadata["attributes"]["metadata_digest"] == digest_metadata(metadata)
        is_sealed = is_sealed and text == write_metadata(metadata)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(path, "there is no store", "See `facehog find` for the stores that there are.") from error
    except UNREADABLE:
        is_sealed = False
    if not is_sealed:
        raise StoreError(path, f"{METADATA} is not as it was sealed", _REMEDY)
    return dict(metadata["attributes"])


def write_metadata(metadata: Mapping[str, Any]) -> str:
    """Return the root's metadata as text: each byte follows from what they say."""
    return json.dumps(metadata, indent=2)


def read_files_laid_out(group: zarr.Group) -> dict[str, tuple[int, str]]:
    """Return the files that a store had before its shards, but for its root's metadata: sizes and digests."""
    laid_out: Any = group.attrs.get("files", {})
    return read_files(laid_out)


def list_files(group: zarr.Group) -> dict[str, tuple[int, str]]:
    """Return all files that a store was sealed with, but for its root's metadata: sizes and digests."""
    files = read_files_laid_out(group)
    for shard in read_shards(group):
        files |= shard.files
    return files


def check_whole(path: Path) -> None:
    """Check every byte of a sealed store.

    Raises
    ------
    StoreError
        If there is none, or a file of it is missing or not as it was written.
    """
    check_metadata(path)
    with believing(path):
        damage = find_damage(path, list_files(open_group(path)))
    if damage:
        more = f" (and {len(damage) - 1} more files are damaged)" if len(damage) > 1 else ""
        raise StoreError(path, f"{damage[0]}{more}", _REMEDY)


def check_present(path: Path, group: zarr.Group) -> None:
    """Check that a sealed store has all of its files, in their sizes; none is read.

    zarr takes a file that is missing for one of fill values, and would give NaN without a word.

    Raises
    ------
    StoreError
        If not.
    """
    with believing(path):
        wrong = [name for name, (size, _) in list_files(group).items() if _size_of(path / name) != size]
    if wrong:
        more = f" and {len(wrong) - 1} more files" if len(wrong) > 1 else ""
        raise StoreError(path, f"{wrong[0]}{more}: missing, or not of the size that was written", _REMEDY)


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def digest_metadata(metadata: Mapping[str, Any]) -> str:
    """Return the xxh3_128 of all that the root's metadata says, but for this digest itself."""
    attributes = {key: value for key, value in metadata["attributes"].items() if key != "metadata_digest"}
    text = json.dumps({**metadata, "attributes": attributes}, sort_keys=True, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(text.encode())


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
        If there is no sealed store of facehog, or what it says cannot be read.
    """
    group = open_group(path)
    with believing(path):
        return _read_record(path, group)


def _read_record(path: Path, group: zarr.Group) -> RunRecord:
    told: dict[str, Any] = dict(group.attrs)
    source, shards = told["source"], read_shards(group)
    n_corrupt = sum(shard.n_corrupt for shard in shards)
    n_frames = told["plan"]["n_frames"]
    n_described = f"{n_frames} of {source['n_frames']}" if n_frames < source["n_frames"] else f"{n_frames}"
    warnings = told.get("warnings", [])
    finished_at = datetime.fromisoformat(told["finished_at"])
    return RunRecord(
        path=Path(from_text(source["path"])),
        state="finished",
        reason=_tell(n_described, n_corrupt, len(warnings)),
        changed_at=finished_at,
        run_id=told["run_id"],
        digest=source["digest"],
        size_bytes=source["size_bytes"],
        stream=source,
        recipe=told["recipe"],
        # By what frames were described; by what the run was planned, where an older facehog has noted no more.
        software=told.get("worker_software") or told["software"],
        host=told["host"],
        attempt=told["attempt"],
        started_at=datetime.fromisoformat(told["started_at"]),
        finished_at=finished_at,
        n_frames=n_frames,
        n_corrupt=n_corrupt,
        # Stores that were made before frames' times were looked at do not have these.
        n_dropped=told.get("n_dropped"),
        grey=sorted({way for shard in shards for way in shard.grey}),
        store=path,
        store_size_bytes=sum(size for shard in shards for size, _ in shard.files.values()),
        arrays={name: _describe_array(array) for name, array in group.arrays()},
        shards=[{"start": shard.start, "stop": shard.stop, "digest": shard.digest} for shard in shards],
        timing=told.get("timing", {}),
        warnings=warnings,
        quality=told.get("quality", {}),
        flow_run_id=told["flow_run_id"],
        identity=Identity.from_dict(told.get("identity", {})),
    )


def _tell(n_frames: str, n_corrupt: int, n_warnings: int) -> str:
    corrupt = f", {n_corrupt} of them corrupt" if n_corrupt else ""
    warned = f"; with {n_warnings} warning{'s' * (n_warnings > 1)}" if n_warnings else ""
    are = "frame is" if n_frames == "1" else "frames are"
    return f"{n_frames} {are} described{corrupt}{warned}"


def _describe_array(array: zarr.Array[Any]) -> dict[str, Any]:
    dims = getattr(array.metadata, "dimension_names", None) or ()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "dims": list(dims)}
