"""Prove that a store still holds what was written, and that it was made from the recording it names.

Every byte of the store and of the recording is read. Of some frames, or of all, it is shown as well that the recording
gives the numbers that are stored: they are decoded and described again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import zarr
from numpy.typing import NDArray

from .describe_again import choose_sample, describe_again, tell_differences, tell_versions
from .errors import FacehogError, StoreError
from .path_text import as_text, as_word, from_text
from .provenance import RunRecord, now
from .receipts import ShardHogs, find_damage
from .recipe import Recipe
from .rounding import round_bits
from .sealed import (
    METADATA,
    SealedShard,
    believing,
    check_metadata,
    list_files,
    open_group,
    read_files_laid_out,
    read_record,
    read_shards,
)
from .source import digest_file, digest_source
from .verifications import UNCHANGED, About, Verification, tell_since
from .view import normalise_cells

# Frames that are described again, unless all are: each may take the decoding of a GOP.
N_SAMPLED = 8
# What zarr and its codecs raise for a bad checksum or chunk.
_UNDECODABLE = (ValueError, RuntimeError)
# The cells that are masked; none if there are no masks.
_Masked: TypeAlias = NDArray[np.bool_] | Literal["unknown"] | None

_MAKE_ANEW = "Make it anew, with the choices of then: `facehog process --force {path}`."
_FIND_STORE = "If it was moved, set `store` in facehog.toml to the folder that has all stores now; if it is lost, "
_LOOK_AGAIN = "Check the disk or share that it is on, then verify it again."
_NOT_LOOKED_AT = "was not looked at"
_NO_PART = "Remove it: it is no part of the store, and nothing of facehog reads it."
_NO_RECORDING = "Take the store from a backup: without its recording it cannot be made anew."
_FIND_RECORDING = "Put the recording back as it was (the rig or a backup has it): its store is of that one."
_OTHER_VALUES = "Another store, or another catalogue, was put there: `facehog reproduce {run_id}` says which is right."
_OTHER_ROW = "Believe the store, which is as it was sealed; the catalogue is not."
_OTHER_NUMBERS = "`facehog reproduce {run_id}` says all that differs."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong.

    Parameters
    ----------
    fact : str
        What, and where: the file, the array, the frames.
    remedy : str
        What to do.
    since : str, optional
        Since when, as far as it was looked at.
    about : {"store", "source", "frames"}, optional
        What it is about: the store, the recording, or frames that were described again.
    """

    fact: str
    remedy: str
    since: str = ""
    about: About = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found of one store.

    Parameters
    ----------
    store : Path
    findings : list of Finding
        Empty if all is as it was written.
    source : str
        What was found of the recording: ``"unchanged"``, or why that cannot be said.
    at : datetime
        When it was verified (UTC).
    n_described : int
        Frames that were decoded and described again.
    is_deep : bool
        Whether those were to be all.
    """

    store: Path
    findings: list[Finding]
    source: str
    at: datetime = field(default_factory=now, compare=False)
    n_described: int = 0
    is_deep: bool = False

    @property
    def problems(self) -> list[str]:
        """One sentence for each finding."""
        return [found.fact for found in self.findings]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def as_verification(self) -> Verification:
        """Return what the store's history keeps of it."""
        return Verification(at=self.at, is_deep=self.is_deep, source=self.source, problems=self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "store": str(self.store),
            "at": self.at.isoformat(),
            "is_sound": self.is_sound,
            "problems": self.problems,
            "remedies": [found.remedy for found in self.findings],
            "since": [found.since for found in self.findings],
            "source": self.source,
            "n_described": self.n_described,
            "is_deep": self.is_deep,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a verification is.

    Parameters
    ----------
    doing : {"reads", "describes again"}
    n_done, n_all : int
        Frames.
    """

    doing: str
    n_done: int
    n_all: int


def verify_store(
    path: Path,
    expected: RunRecord | None = None,
    *,
    is_deep: bool = False,
    history: Sequence[Verification] = (),
) -> Iterator[Step | Verdict]:
    """Check a store: every byte, the values, that the descriptors follow from the histograms, and the source.

    Where all of that is as it was, frames of the source are described again, and compared.

    Parameters
    ----------
    path : Path
        A sealed store.
    expected : RunRecord, optional
        What the catalogue says of the run.
    is_deep : bool, optional
        Describe all frames again, and not a few.
    history : sequence of Verification, optional
        Earlier ones, oldest first: they say since when something is wrong, and which frames were looked at.

    Yields
    ------
    Step
        How far it is.
    Verdict
        At last, whatever the disk or share says.
    """
    try:
        with believing(path):
            yield from _verify(path, expected, is_deep=is_deep, history=history)
    except StoreError as error:
        # Nothing that it says of itself can be relied on.
        remedy = _MAKE_ANEW.format(path=as_word(expected.path)) if expected else error.remedy
        if not path.exists():
            remedy = _FIND_STORE + remedy[:1].lower() + remedy[1:]
        found = Finding(fact=error.fact, remedy=remedy)
        yield _judge(path, [found], _NOT_LOOKED_AT, history, None)
    except OSError as error:
        found = Finding(fact=f"it cannot be read: {error.strerror or error}", remedy=_LOOK_AGAIN)
        yield _judge(path, [found], _NOT_LOOKED_AT, history, None)


def _verify(
    path: Path, expected: RunRecord | None, *, is_deep: bool, history: Sequence[Verification]
) -> Iterator[Step | Verdict]:
    check_metadata(path)
    group, told = open_group(path), read_record(path)
    source, of_source = _check_source(told)
    of_store = yield from _check_store(path, group, told, can_be_made=source == UNCHANGED)
    findings = [*of_store, *(_compare(told, expected) if expected else []), *of_source]
    n_described = 0
    if source == UNCHANGED and not of_store:
        parts = _choose_parts(group, told, is_deep=is_deep, turn=len(history))
        n_described, differences = yield from _check_numbers(group, told, parts)
        findings += differences
    yield _judge(path, findings, source, history, told.finished_at, n_described=n_described, is_deep=is_deep)


def _judge(
    path: Path,
    findings: Iterable[Finding],
    source: str,
    history: Sequence[Verification],
    sealed_at: datetime | None,
    **more: Any,
) -> Verdict:
    dated = [replace(found, since=tell_since(found.fact, history, sealed_at, found.about)) for found in findings]
    return Verdict(store=path, findings=dated, source=source, **more)


# -- the store --------------------------------------------------------------------------------------------


def _check_store(
    path: Path, group: zarr.Group, told: RunRecord, *, can_be_made: bool
) -> Generator[Step, None, list[Finding]]:
    """Read a store, and return what is wrong with it."""
    remedy = _MAKE_ANEW.format(path=as_word(told.path)) if can_be_made else _NO_RECORDING
    damage = find_damage(path, read_files_laid_out(group))
    masked, of_mask = _read_masked(group, damage)
    damage += of_mask
    for shard in read_shards(group):
        damage += _check_shard(path, group, shard, masked)
        yield Step(doing="reads", n_done=shard.stop, n_all=told.n_frames or shard.stop)
    strange = [Finding(fact=f"{name} does not belong to it", remedy=_NO_PART) for name in _find_strange(path, group)]
    return [*(Finding(fact=fact, remedy=remedy) for fact in damage), *strange]


def _read_masked(group: zarr.Group, damage: Sequence[str]) -> tuple[_Masked, list[str]]:
    """Return which cells are masked, and what is wrong with that.

    Nothing is read of files that are damaged: where one is missing, zarr gives fill values without a word.
    """
    if "masked" not in group:
        return None, []
    if any(fact.startswith("masked/") for fact in damage):
        return "unknown", []
    try:
        return np.asarray(group["masked"][:]), []  # type: ignore[index]
    except _UNDECODABLE as error:
        return "unknown", [f"masked: cannot be decoded: {error}"]


def _find_strange(path: Path, group: zarr.Group) -> list[str]:
    """Return the files that lie in a store and are no part of it."""
    known = {METADATA, *list_files(group)}
    found = {file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir()}
    return sorted(found - known)


def _check_shard(path: Path, group: zarr.Group, shard: SealedShard, masked: _Masked) -> list[str]:
    span = f"frames {shard.start}-{shard.stop}"
    if damage := find_damage(path, shard.files):
        return [f"{span}: {text}" for text in damage]
    try:
        hogs = _read_shard(group, shard)
    except _UNDECODABLE as error:
        return [f"{span}: cannot be decoded: {error}"]
    if hogs.digest != shard.digest:
        return [f"{span}: other values are read than were computed"]
    if isinstance(masked, str):
        # Nor is it known what the descriptors are to follow from.
        return []
    recipe = Recipe.from_dict(group.attrs["recipe"])  # type: ignore[arg-type]
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


def _compare(told: RunRecord, expected: RunRecord) -> list[Finding]:
    names = (
        *("run_id", "digest", "size_bytes", "recipe", "software", "n_frames", "n_corrupt", "n_dropped", "quality"),
        "warnings",
    )
    found = [
        Finding(
            fact=f"{name}: the store says {getattr(told, name)!r}, the catalogue {getattr(expected, name)!r}",
            remedy=_OTHER_ROW,
        )
        for name in names
        if getattr(told, name) != getattr(expected, name)
    ]
    return [*found, *_compare_shards(told, expected)]


def _compare_shards(told: RunRecord, expected: RunRecord) -> list[Finding]:
    """Compare the digests of values: a store that another run was sealed in agrees with itself."""
    known = {(shard["start"], shard["stop"]): shard["digest"] for shard in expected.shards}
    others = [
        f"{shard['start']}-{shard['stop']}"
        for shard in told.shards
        if known and known.get((shard["start"], shard["stop"])) != shard["digest"]
    ]
    if not others:
        return []
    more = f" and {len(others) - 5} shards more" if len(others) > 5 else ""
    fact = f"the values of frames {', '.join(others[:5])}{more} are not those that the catalogue knows"
    return [Finding(fact=fact, remedy=_OTHER_VALUES.format(run_id=told.run_id))]


# -- the source -------------------------------------------------------------------------------------------


def _check_source(told: RunRecord) -> tuple[str, list[Finding]]:
    stamps = _check_timestamps(told)
    try:
        digest = digest_source(told.path)
    except OSError as error:
        return f"cannot be read ({error.strerror}): {as_text(told.path)}", stamps
    if digest == told.digest:
        return UNCHANGED, stamps
    fact = f"{as_text(told.path)} is not the recording any more that was described: its content has changed"
    return "changed", [*stamps, Finding(fact=fact, remedy=_FIND_RECORDING, about="source")]


def _check_timestamps(told: RunRecord) -> list[Finding]:
    sidecar = told.timing.get("sidecar")
    if sidecar is None or not sidecar["is_used"]:
        return []
    try:
        digest = digest_file(from_text(sidecar["path"]))
    except OSError:
        # As with the recording: what is gone does not make its store unsound.
        return []
    if digest == sidecar["digest"]:
        return []
    fact = f"{sidecar['path']} does not hold the timestamps any more that were read"
    return [Finding(fact=fact, remedy=_FIND_RECORDING.replace("recording", "timestamps"))]


# -- the numbers ------------------------------------------------------------------------------------------


def _choose_parts(group: zarr.Group, told: RunRecord, *, is_deep: bool, turn: int) -> list[NDArray[np.int64]]:
    if is_deep:
        return [np.arange(shard.start, shard.stop) for shard in read_shards(group)]
    return [part[None] for part in choose_sample(told.n_frames or 0, N_SAMPLED, turn)]


def _check_numbers(
    group: zarr.Group, told: RunRecord, parts: Sequence[NDArray[np.int64]]
) -> Generator[Step, None, tuple[int, list[Finding]]]:
    """Describe frames again, and return how many they were, and what differs."""
    differences: list[str] = []
    n_done, n_all = 0, sum(map(len, parts))
    try:
        for described in describe_again(told, group, parts):
            differences += tell_differences(group, described)
            n_done += len(described.places)
            yield Step(doing="describes again", n_done=n_done, n_all=n_all)
    except FacehogError as error:
        differences.append(f"the recording cannot be described any more: {error.fact}")
    if differences and (versions := tell_versions(told)):
        differences = [f"{text} (other versions: {', '.join(versions)})" for text in differences]
    remedy = _OTHER_NUMBERS.format(run_id=told.run_id)
    return n_done, [Finding(fact=fact, remedy=remedy, about="frames") for fact in differences]
