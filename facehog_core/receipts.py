"""What was computed for a span of frames, and the proof that it is on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from .effort import Effort, Pace, measure_pace
from .errors import DamagedError
from .quality import FrameLook
from .rounding import RoundingError
from .source import measure_file

# What of a receipt is no proof: what it took, by what, and what comes to a sentence for the whole recording.
_NOT_SEALED = ("effort", "looks", "software")
# A sentence with more places than this is not read any more; all of them are in the store.
MOST_SPANS_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardHogs:
    """What was computed for one span of frames.

    Parameters
    ----------
    histograms : ndarray of float32, shape (n_frames, n_cell_rows, n_cell_cols, n_orientations)
    descriptors : ndarray of float32, shape (n_frames, n_features)
    corrupt : ndarray of bool, shape (n_frames,)
        Whether a frame is damaged, or may be. One that could not be decoded has NaN in all its values.
    grey : list of str
        The ways by which frames were made grey, sorted.
    effort : Effort, optional
        How long it took.
    rounding : dict of str to RoundingError
        What rounding cost, by array; empty if nothing was rounded.
    looks : list of FrameLook
        What was seen of some of the frames.
    software : dict of str to str
        The versions that computed it, of everything that shapes a number; empty if that is not known.
    """

    histograms: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    corrupt: NDArray[np.bool_]
    grey: list[str]
    effort: Effort | None = None
    rounding: dict[str, RoundingError] = field(default_factory=dict)
    looks: list[FrameLook] = field(default_factory=list)
    software: dict[str, str] = field(default_factory=dict)

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Whether a frame could not be decoded, shape (n_frames,)."""
        lost: NDArray[np.bool_] = np.logical_and.reduce(np.isnan(self.descriptors), axis=1)
        return lost

    @property
    def digest(self) -> str:
        """xxh3_128 of the values."""
        hasher = xxhash.xxh3_128()
        for array in (self.histograms, self.descriptors, self.corrupt):
            hasher.update(np.ascontiguousarray(array).data)
        return hasher.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReceipt:
    """The proof that one span of frames is described and on disk.

    Parameters
    ----------
    start, stop : int
        The frames, by their places among those that are described.
    digest : str
        xxh3_128 of the arrays' values (histograms, descriptors, corrupt), whatever the compression.
    files : dict of str to (int, str)
        The files of this shard, by their path within the store: size in bytes and xxh3_128.
    corrupt, lost : list of (int, int)
        Frames ``[start, stop)``, by their numbers in the recording, that are damaged, or may be, and those of them
        that could not be decoded at all.
    grey : list of str
        The ways by which frames were made grey.
    effort : Effort, optional
        How long it took. It is no proof of anything, and not sealed.
    rounding : dict of str to RoundingError
        What rounding cost, by array; empty if nothing was rounded.
    looks : list of FrameLook
        What was seen of some of the frames. What all of them come to is sealed, and not each.
    software : dict of str to str
        The versions that made it; empty if that is not known.
    """

    start: int
    stop: int
    digest: str
    files: dict[str, tuple[int, str]]
    corrupt: list[tuple[int, int]]
    lost: list[tuple[int, int]]
    grey: list[str]
    effort: Effort | None = field(default=None, compare=False)
    rounding: dict[str, RoundingError] = field(default_factory=dict)
    looks: list[FrameLook] = field(default_factory=list)
    software: dict[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardReceipt:
        """Rebuild a receipt from JSON."""
        spans = {name: [(int(start), int(stop)) for start, stop in values[name]] for name in ("corrupt", "lost")}
        effort = Effort(**values["effort"]) if values.get("effort") else None
        rounding = {name: RoundingError(**error) for name, error in values.get("rounding", {}).items()}
        # An older facehog has not looked.
        looks = [FrameLook.from_dict(look) for look in values.get("looks", [])]
        read = {"files": read_files(values["files"]), "effort": effort, "rounding": rounding, "looks": looks}
        return cls(**{**values, **spans, **read})

    def as_sealed(self) -> dict[str, Any]:
        """Return what a sealed store keeps of the receipt: the same for any run that gave the same results."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_SEALED}


def read_files(values: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Rebuild sizes and digests of files from JSON."""
    return {name: (int(size), str(digest)) for name, (size, digest) in values.items()}


def spans_of(numbers: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the spans ``[start, stop)`` of consecutive numbers, given ascending ones."""
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1) if len(numbers) else []
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


def join_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans, in order, that follow each other without a gap."""
    joined: list[tuple[int, int]] = []
    for start, stop in spans:
        if joined and joined[-1][1] == start:
            start, _ = joined.pop()
        joined.append((start, stop))
    return joined


def count_frames(spans: Iterable[tuple[int, int]]) -> int:
    """Count the frames in spans."""
    return sum(stop - start for start, stop in spans)


def tell_spans(spans: Sequence[tuple[int, int]]) -> str:
    """Write spans for people: first and last frames, the first few of many."""
    texts = [str(start) if stop == start + 1 else f"{start}-{stop - 1}" for start, stop in spans]
    more = f" and {len(texts) - MOST_SPANS_TOLD} more places" if len(texts) > MOST_SPANS_TOLD else ""
    return ", ".join(texts[:MOST_SPANS_TOLD]) + more


def pace_of(receipts: Iterable[ShardReceipt], since: float = 0.0) -> Pace | None:
    """Measure how fast a run is; None if it has described nothing yet.

    Parameters
    ----------
    receipts : iterable of ShardReceipt
    since : float, optional
        When the run began, in seconds since 1970: what an earlier one has left says nothing of this one's pace.
    """
    efforts = ((receipt.stop - receipt.start, receipt.effort) for receipt in receipts)
    return measure_pace((n_frames, effort) for n_frames, effort in efforts if effort and effort.began_at >= since)


def tell_damage(receipts: Iterable[ShardReceipt], n_frames: int | None = None) -> str | None:
    """Say how many frames are corrupt, and which; None if none is.

    `n_frames` are those of the whole run, where the receipts are not all of it.
    """
    receipts = sorted(receipts, key=lambda receipt: receipt.start)
    corrupt = join_spans(span for receipt in receipts for span in receipt.corrupt)
    if not corrupt:
        return None
    n_frames = n_frames or sum(receipt.stop - receipt.start for receipt in receipts)
    n_lost = count_frames(span for receipt in receipts for span in receipt.lost)
    lost = f" ({n_lost} of them could not be decoded)" if n_lost else ""
    n_corrupt = count_frames(corrupt)
    are, name = ("are", "frames") if n_corrupt > 1 else ("is", "frame")
    return f"{n_corrupt} of {n_frames} frames {are} corrupt{lost}: {name} {tell_spans(corrupt)}"


def check_damage(path: str, receipts: Iterable[ShardReceipt], n_frames: int, most: float) -> None:
    """Check that no more than a share of a recording's frames is corrupt.

    Parameters
    ----------
    path : str
        The recording.
    receipts : iterable of ShardReceipt
        Of what is described so far.
    n_frames : int
        Frames that are to be described.
    most : float
        The share, 0 to 1.

    Raises
    ------
    DamagedError
        If more are.
    """
    receipts = list(receipts)
    n_corrupt = count_frames(span for receipt in receipts for span in receipt.corrupt)
    # Not n_corrupt > most * n_frames: 0.29 * 100 is less than 29.
    if n_corrupt / n_frames > most:
        told = tell_damage(receipts, n_frames)
        # The rest is not looked at any more.
        is_all = sum(receipt.stop - receipt.start for receipt in receipts) == n_frames
        fact = f"{'' if is_all else 'at least '}{told}; at most {100 * most:g} % may be (max_corrupt)"
        remedy = (
            "Copy it again from the rig. If it is as damaged there, raise `max_corrupt` in the file beside it, or by "
            "--max-corrupt."
        )
        raise DamagedError(path, fact, remedy)


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
