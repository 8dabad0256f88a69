"""Prove that a store still holds what was written, and that it was made from the recording it names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from .errors import StoreError
from .provenance import RunRecord
from .receipts import ShardHogs, find_damage
from .recipe import Recipe
from .rounding import round_bits
from .sealed import SealedShard, check_metadata, open_group, read_record, read_shards
from .source import digest_file, digest_source
from .view import normalise_cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found of one store.

    Parameters
    ----------
    store : Path
    problems : list of str
        One sentence for each; empty if all is as it was written.
    source : str
        What was found of the recording: ``"unchanged"``, or why that cannot be said.
    """

    store: Path
    problems: list[str]
    source: str

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_store(path: Path, expected: RunRecord | None = None) -> Iterator[int | Verdict]:
    """Check a store: every byte, the values, that the descriptors follow from the histograms, and the source.

    Parameters
    ----------
    path : Path
        A sealed store.
    expected : RunRecord, optional
        What the catalogue says of the run.

    Yields
    ------
    int
        The frames that are checked so far.
    Verdict
        At last.
    """
    try:
        check_metadata(path)
        group, told = open_group(path), read_record(path)
    except StoreError as error:
        # Nothing that it says of itself can be relied on.
        yield Verdict(store=path, problems=[error.fact], source="was not looked at")
        return
    problems = find_damage(path, group.attrs["files"])  # type: ignore[arg-type]
    for shard in read_shards(group):
        problems += _check_shard(path, group, shard)
        yield shard.stop
    problems += _compare(told, expected) if expected else []
    source, source_problems = _check_source(told)
    problems += _check_timestamps(told)
    yield Verdict(store=path, problems=problems + source_problems, source=source)


def _check_shard(path: Path, group: zarr.Group, shard: SealedShard) -> list[str]:
    span = f"frames {shard.start}-{shard.stop}"
    if damage := find_damage(path, shard.files):
        return [f"{span}: {text}" for text in damage]
    try:
        hogs = _read_shard(group, shard)
    except (ValueError, RuntimeError) as error:  # What zarr and its codecs raise for a bad checksum or chunk.
        return [f"{span}: cannot be decoded: {error}"]
    if hogs.digest != shard.digest:
        return [f"{span}: other values are read than were computed"]
    recipe = Recipe.from_dict(group.attrs["recipe"])  # type: ignore[arg-type]
    masked = np.asarray(group["masked"][:]) if "masked" in group else None  # type: ignore[index]
    follows = round_bits(normalise_cells(hogs.histograms, recipe.hog, masked), recipe.keep_bits)
    if not np.array_equal(follows, hogs.descriptors, equal_nan=True):
        return [f"{span}: the descriptors do not follow from the histograms"]
    if masked is not None and not np.isnan(hogs.histograms[:, masked]).all():
        return [f"{span}: the histograms of masked cells are not NaN"]
    return []


def _read_shard(group: zarr.Group, shard: SealedShard) -> ShardHogs:
    def read(name: str) -> Any:
        return group[name][shard.start : shard.stop]  # type: ignore[index]

    return ShardHogs(
        histograms=read("histograms"),
        descriptors=read("descriptors"),
        corrupt=read("corrupt"),
        grey=shard.grey,
    )


def _compare(told: RunRecord, expected: RunRecord) -> list[str]:
    names = ("run_id", "digest", "size_bytes", "recipe", "software", "n_frames", "n_corrupt", "n_dropped", "warnings")
    return [
        f"{name}: the store says {getattr(told, name)!r}, the catalogue {getattr(expected, name)!r}"
        for name in names
        if getattr(told, name) != getattr(expected, name)
    ]


def _check_timestamps(told: RunRecord) -> list[str]:
    sidecar = told.timing.get("sidecar")
    if sidecar is None or not sidecar["is_used"]:
        return []
    try:
        digest = digest_file(sidecar["path"])
    except OSError:
        # As with the recording: what is gone does not make its store unsound.
        return []
    same = digest == sidecar["digest"]
    return [] if same else [f"{sidecar['path']} does not hold the timestamps any more that were read"]


def _check_source(told: RunRecord) -> tuple[str, list[str]]:
    try:
        digest = digest_source(told.path)
    except OSError as error:
        return f"cannot be read ({error.strerror}): {told.path}", []
    if digest == told.digest:
        return "unchanged", []
    return "changed", [f"{told.path} is not the recording any more that was described: its content has changed"]
