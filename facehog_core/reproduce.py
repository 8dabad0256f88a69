"""Make a run a second time, from what its store says, and compare everything that is in the two stores."""

from __future__ import annotations

import os
import pprint
import shlex
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray

from .cores import count_cores
from .describe_again import tell_versions
from .errors import ChangedError, StoreError, UnreadableError
from .extract import extract_chunk, plan_run
from .provenance import RunRecord, describe_host, describe_software, now
from .receipts import ShardReceipt, check_damage, spans_of, tell_spans
from .recipe import Recipe, name_run
from .run_paths import RunPaths
from .sealed import check_whole, open_group, read_record
from .sealing import seal_store
from .source import digest_source, name_results
from .timestamps import TimestampsFile, find_timestamps
from .verify import Step
from .video import probe

# Bytes of an array that are compared at once, at most.
_BLOCK_BYTES = 2**26
#: What a store says of its results, beside the arrays.
_TOLD = ("n_frames", "n_corrupt", "n_dropped", "grey", "warnings")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayComparison:
    """An array of a run, then and now.

    Parameters
    ----------
    name : str
    then, now : str or None
        xxh3_128 of all of its values, in order; None where there is no such array.
    n_differing : int
        Frames that differ.
    frames : str
        Their places, the first few of many.
    largest : float or None
        The largest difference, of numbers with fractions.
    """

    name: str
    then: str | None
    now: str | None
    n_differing: int = 0
    frames: str = ""
    largest: float | None = None

    @property
    def is_same(self) -> bool:
        """Whether it has the same values in the same places."""
        return self.then == self.now

    def __str__(self) -> str:
        if self.is_same:
            return f"{self.name}: the same ({self.then})"
        if self.then is None or self.now is None:
            return f"{self.name}: {'was not there then' if self.then is None else 'is not there now'}"
        if not self.n_differing:
            return f"{self.name}: of another shape or type"
        most = "" if self.largest is None else f", by up to {self.largest:.3g}"
        return f"{self.name}: {self.n_differing} frames differ ({self.frames}){most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of making a run a second time.

    Parameters
    ----------
    run_id : str
    arrays : list of ArrayComparison
    told : list of str
        What the two stores say differently of their results.
    versions : list of str
        What is of another version now.
    """

    run_id: str
    arrays: list[ArrayComparison]
    told: list[str]
    versions: list[str]

    @property
    def is_same(self) -> bool:
        """Whether all results are the same."""
        return not self.told and all(array.is_same for array in self.arrays)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "is_same": self.is_same}


def reproduce_run(store: Path, scratch: Path | None = None) -> Iterator[Step | Reproduction]:
    """Make a run a second time and compare it with its store.

    Parameters
    ----------
    store : Path
        A sealed store.
    scratch : Path, optional
        A folder with as much room as the store takes; one of the temporary ones if left out. Nothing stays there.

    Yields
    ------
    Step
        How far it is.
    Reproduction
        At last.

    Raises
    ------
    StoreError
        If the store is damaged: there is nothing to compare with.
    ChangedError
        If the recording, or its timestamps, are not those any more that were read.
    FacehogError
        If the recording cannot be described.
    """
    check_whole(store)
    then = read_record(store)
    recipe, has_timestamps = Recipe.from_dict(then.recipe), _had_timestamps(then)
    sidecar = _check_source(then)
    if (name := name_run(str(then.digest), recipe, sidecar)) != then.run_id:
        raise StoreError(store, f"what it says that it was made of makes run {name}", "Use the facehog that made it.")
    with tempfile.TemporaryDirectory(prefix="facehog-", dir=scratch) as folder:
        for found in describe_recording(then.path, recipe, Path(folder), has_timestamps=has_timestamps):
            yield _compare(store, then, found) if isinstance(found, Path) else found


def _had_timestamps(then: RunRecord) -> bool:
    """Say whether timestamps were there when a run was made, whether they fitted or not: they may have come later."""
    return then.timing.get("sidecar") is not None


def describe_recording(path: Path, recipe: Recipe, root: Path, *, has_timestamps: bool = True) -> Iterator[Step | Path]:
    """Describe a recording on all cores of this machine, without a catalogue, Prefect or Dask.

    Parameters
    ----------
    path : Path
        The recording.
    recipe : Recipe
    root : Path
        Folder of stores.
    has_timestamps : bool, optional
        Whether the timestamps that the recipe names are looked for.

    Yields
    ------
    Step
        How far it is.
    Path
        The sealed store, at last.

    Raises
    ------
    FacehogError
        If it cannot be described.
    """
    began_at = now()
    info, _ = probe(path, recipe.stream)
    sidecar = find_timestamps(path, recipe.timestamps) if has_timestamps else None
    paths = RunPaths(root=root, recording=name_results(path), run_id=name_run(info.digest, recipe, sidecar))
    plan = plan_run(paths, info, recipe, {"software": describe_software()}, sidecar)
    receipts: list[ShardReceipt] = []
    # Threads: decoding and describing let go of Python's lock.
    with ThreadPoolExecutor(count_cores()) as pool:
        futures = [pool.submit(extract_chunk, paths, chunk) for chunk in plan]
        try:
            for future in as_completed(futures):
                receipts += future.result()
                n_done = sum(receipt.stop - receipt.start for receipt in receipts)
                yield Step(doing="describes again", n_done=n_done, n_all=plan.n_frames)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    check_damage(info.path, receipts, plan.n_frames, recipe.max_corrupt)
    attributes = {
        "host": describe_host(),
        "attempt": 1,
        "flow_run_id": None,
        "started_at": began_at.isoformat(),
        "finished_at": now().isoformat(),
    }
    yield seal_store(paths, receipts, attributes)


def _check_source(then: RunRecord) -> TimestampsFile | None:
    """Check that the recording and its timestamps are those that were read, and return the timestamps."""
    remedy = "Put it back as it was (the rig or a backup has it), then try again."
    try:
        digest = digest_source(then.path)
    except OSError as error:
        raise UnreadableError(then.path, f"the recording cannot be read: {error.strerror}", remedy) from error
    if digest != then.digest:
        raise ChangedError(then.path, "it is not the recording any more that was described", remedy)
    if not _had_timestamps(then):
        return None
    told, found = then.timing["sidecar"], find_timestamps(then.path, Recipe.from_dict(then.recipe).timestamps)
    if found is None or found.digest != told["digest"]:
        raise ChangedError(told["path"], "it does not hold the timestamps any more that were read", remedy)
    return found


# -- comparing --------------------------------------------------------------------------------------------


def _compare(store: Path, then: RunRecord, made: Path) -> Reproduction:
    old, new, again = open_group(store), open_group(made), read_record(made)
    names = dict.fromkeys((*old.array_keys(), *new.array_keys()))
    told = [
        f"{name}: {getattr(then, name)!r} then, {getattr(again, name)!r} now"
        for name in _TOLD
        if getattr(then, name) != getattr(again, name)
    ]
    return Reproduction(
        run_id=str(then.run_id),
        arrays=[compare_arrays(name, old, new) for name in names],
        told=told,
        versions=tell_versions(then),
    )


def compare_arrays(name: str, then: zarr.Group, now: zarr.Group) -> ArrayComparison:
    """Compare an array of two stores, a block at a time."""
    arrays = [group.get(name) for group in (then, now)]
    if any(array is None for array in arrays):
        digests = [None if array is None else _digest(array) for array in arrays]
        return ArrayComparison(name=name, then=digests[0], now=digests[1])
    old: Any
    new: Any
    old, new = arrays
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return ArrayComparison(name=name, then=_digest(old), now=_digest(new))
    hashers = xxhash.xxh3_128(), xxhash.xxh3_128()
    differing: list[NDArray[np.int64]] = []
    largest = 0.0
    for start, pair in _iter_pairs(old, new):
        for hasher, values in zip(hashers, pair, strict=True):
            hasher.update(values.tobytes())
        is_other = _differ(*pair)
        rows = np.flatnonzero(is_other.reshape(len(is_other), -1).any(axis=1))
        differing.append(start + rows)
        if rows.size and pair[0].dtype.kind == "f":
            difference = np.abs(np.subtract(*pair, dtype=np.float64))[is_other]
            largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
    places = np.concatenate(differing) if differing else np.zeros(0, np.int64)
    return ArrayComparison(
        name=name,
        then=hashers[0].hexdigest(),
        now=hashers[1].hexdigest(),
        n_differing=places.size,
        frames=tell_spans(spans_of(places)) if places.size else "",
        largest=largest if places.size and old.dtype.kind == "f" else None,
    )


def _differ(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which values differ, by their bytes: NaN is NaN, and 0 is not -0."""
    kind = f"u{old.dtype.itemsize}"
    return np.asarray(np.ascontiguousarray(old).view(kind) != np.ascontiguousarray(new).view(kind))


def _iter_pairs(old: Any, new: Any) -> Iterator[tuple[int, tuple[NDArray[Any], NDArray[Any]]]]:
    step = max(1, _BLOCK_BYTES // max(1, old.dtype.itemsize * int(np.prod(old.shape[1:]))))
    for start in range(0, old.shape[0], step):
        span = slice(start, start + step)
        yield start, (np.asarray(old[span]), np.asarray(new[span]))


def _digest(array: Any) -> str:
    hasher = xxhash.xxh3_128()
    for _, (values, _again) in _iter_pairs(array, array):
        hasher.update(values.tobytes())
    return hasher.hexdigest()


# -- by hand ----------------------------------------------------------------------------------------------

_BY_HAND = """\
# Run {run_id} of {path!r}, made again by hand.
# The recording's content must have the xxh3_128 {digest}.
# Python {python}, and in an environment of its own:
#   pip install FOLDER {packages}
# FOLDER is facehog's own, as it was in version {facehog}: the one that `pip install .` was given. It is in no index.
# (FFmpeg's libraries come with av: {libraries}.)
from pathlib import Path

from facehog_core.recipe import Recipe
from facehog_core.reproduce import compare_arrays, describe_recording
from facehog_core.sealed import open_group

recipe = Recipe.from_dict(
{recipe}
)
*_, store = describe_recording(Path({path!r}), recipe, Path("again"), has_timestamps={has_timestamps})
then, now = open_group(Path({store!r})), open_group(store)
for name in now.array_keys():
    print(compare_arrays(name, then, now))
"""


def tell_by_hand(record: RunRecord) -> str:
    """Write a program that makes a run again in the versions that made it, for whoever wants to see each step."""
    software = dict(record.software)
    python = software.pop("python", "3")
    libraries = [f"{name} {software.pop(name)}" for name in sorted(software) if name.startswith("lib")]
    facehog = software.pop("facehog", "that is not noted")
    # Of several that wrote parts of it, the first; what was not there had no say.
    packages = {name: version.partition(" and ")[0] for name, version in software.items() if version != "not installed"}
    return _BY_HAND.format(
        facehog=facehog,
        run_id=record.run_id,
        path=os.fspath(record.path),
        digest=record.digest,
        python=python,
        packages=" ".join(shlex.quote(f"{name}=={version}") for name, version in packages.items()),
        libraries=", ".join(libraries) or "not noted",
        recipe="    " + pprint.pformat(record.recipe, width=100, sort_dicts=False).replace("\n", "\n    ") + ",",
        store=os.fspath(record.store or ""),
        has_timestamps=_had_timestamps(record),
    )
