"""Frames of a run decoded and described a second time, and what differs from what is stored, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from .chunking import Chunk, ChunkPlan
from .cores import sharing_cores
from .decode import count_useful_threads
from .extract import compute_shard, iter_chosen
from .layout import Work
from .provenance import RunRecord, describe_software
from .receipts import ShardHogs, spans_of, tell_spans
from .recipe import Recipe
from .video import probe

VALUES = ("histograms", "descriptors", "corrupt")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Described:
    """What was described again of a span of frames.

    Parameters
    ----------
    places : ndarray of int64
        The frames' places in the store.
    hogs : ShardHogs
    """

    places: NDArray[np.int64]
    hogs: ShardHogs


def choose_sample(n_frames: int, n_wanted: int, turn: int) -> NDArray[np.int64]:
    """Choose places that are spread over a store, others each time that it is its turn.

    Parameters
    ----------
    n_frames : int
    n_wanted : int
        As many as there are, at most.
    turn : int
        How often it was done before.
    """
    n = min(n_frames, n_wanted)
    step = n_frames / n
    # The golden section of a step, time after time: never near to where it has been lately.
    offset = (turn * 0.6180339887498949) % 1 * step
    return np.unique((offset + step * np.arange(n)).astype(np.int64) % n_frames)


def describe_again(told: RunRecord, group: zarr.Group, parts: Iterable[NDArray[np.int64]]) -> Iterator[Described]:
    """Decode and describe frames of a run's recording, as its store says that it was done.

    Parameters
    ----------
    told : RunRecord
        What the store says of its run.
    group : zarr.Group
        The store, open.
    parts : iterable of ndarray of int64
        Places of frames in the store; ascending, also from part to part.

    Yields
    ------
    Described
        For each part.

    Raises
    ------
    FacehogError
        If the recording cannot be read, or not in this way any more.
    """
    recipe = Recipe.from_dict(told.recipe)
    info, index = probe(told.path, told.stream.get("stream_index", recipe.stream))
    numbers = np.asarray(group["frame"][:]) if "frame" in group else np.arange(told.n_frames or 0)  # type: ignore[index]
    parts = list(parts)
    wanted = np.concatenate(parts)
    plan = ChunkPlan(n_frames=len(wanted), frames_per_shard=len(wanted))
    work = Work(info=info, index=index, recipe=recipe, plan=plan, numbers=numbers[wanted])
    n_before = 0
    with (
        sharing_cores() as cores,
        closing(iter_chosen(info, index, work.numbers, n_threads=cores.take(count_useful_threads(index)))) as frames,
    ):
        for places in parts:
            span = Chunk(start=n_before, stop=n_before + len(places))
            yield Described(places=places, hogs=compute_shard(frames, span, work))
            n_before = span.stop


def tell_differences(group: zarr.Group, described: Described) -> list[str]:
    """Say for each array in which frames it holds other values than were described again."""
    found = []
    for name in VALUES:
        stored = np.asarray(group[name].oindex[described.places])  # type: ignore[union-attr]
        again = getattr(described.hogs, name)
        is_other = ~np.equal(stored, again) & ~(_is_nan(stored) & _is_nan(again))
        places = described.places[is_other.reshape(len(is_other), -1).any(axis=1)]
        if places.size:
            most = f", by up to {_largest(stored, again):.3g}" if again.dtype.kind == "f" else ""
            found.append(f"{name} of frames {tell_spans(spans_of(places))} differ from those described again{most}")
    return found


def _is_nan(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)


def _largest(stored: NDArray[Any], again: NDArray[Any]) -> float:
    difference = np.abs(np.subtract(stored, again, dtype=np.float64))
    return float(np.nan_to_num(difference, nan=np.inf).max(where=~(_is_nan(stored) & _is_nan(again)), initial=0))


def tell_versions(then: RunRecord) -> list[str]:
    """Say which versions of what shapes the numbers are others now than when a run was made."""
    now = describe_software()
    return [
        f"{name} {version}, now {now.get(name, 'not installed')}"
        for name, version in sorted(then.software.items())
        if version != now.get(name)
    ]
