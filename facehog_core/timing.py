"""When each frame was taken: by whose clock, with which gaps, and what is not right about it.

A sidecar's timestamps come first, then the container's, then a frame rate that was set. A recording that has none
of these (raw H264) is counted: then `time_s` holds frame numbers, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frame_index import NO_PTS
from .path_text import as_text
from .recipe import Recipe
from .seconds import to_seconds
from .timestamps import Timestamps, TimestampsFile, read_timestamps
from .video import FrameIndex, VideoInfo

SECONDS = "s"
COUNTED = "frames, not seconds"

# An interval of more than this many usual ones is a gap.
GAP = 1.5
# A dropped frame leaves a whole multiple of the usual interval. Where more than this share of the intervals is off
# by more than a quarter, the rate itself varies.
_OFF, _MOST_OFF = 0.25, 0.1
# A clock that ticks less than this often in an interval cannot tell a drop from its own rounding.
_LEAST_TICKS = 2
# How far the container's rate may be from the one that was set: clocks are much better than that.
_RATE_TOLERANCE = 0.01
# Units differ by 1000; a recording that is played slowly hardly does so by as much.
_UNIT_IS_WRONG = 300
# Places that are named, of however many there are.
N_LISTED = 20
_N_SAID = 5
# As many as the store's 32 bits hold.
_MOST_MISSING = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What timed the frames: whole ticks, all frames of the recording.

    Parameters
    ----------
    ticks : ndarray of int64, shape (n_frames,)
        `NO_PTS` where a frame is not timed. Python's own integers where 64 bits do not hold them.
    unit : Fraction
        Seconds in a tick.
    source : str
        ``"container"``, or ``"sidecar "`` and the name of the file.
    """

    ticks: NDArray[Any]
    unit: Fraction
    source: str

    @property
    def is_timed(self) -> NDArray[np.bool_]:
        """Which frames have a time."""
        return np.asarray(self.ticks != NO_PTS, np.bool_)

    def intervals(self) -> NDArray[np.float64]:
        """Return the ticks from each frame to the next, shape (n_frames - 1,); NaN beside frames without a time."""
        # Exact also where 64 bits do not hold the difference of two ticks.
        is_wide = self.ticks.dtype != object and np.abs(self.ticks[self.is_timed]).max(initial=0) > 2**62
        intervals = np.diff(self.ticks.astype(object) if is_wide else self.ticks).astype(np.float64)
        intervals[~(self.is_timed[:-1] & self.is_timed[1:])] = np.nan
        return intervals

    def time_s(self) -> NDArray[np.float64]:
        """Return the frames' times in seconds, each rounded once; NaN where there is none."""
        times = np.full(len(self.ticks), np.nan)
        times[self.is_timed] = to_seconds(self.ticks[self.is_timed], self.unit)
        return times


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Where frames are missing.

    Parameters
    ----------
    after : int
        The frame after which they are.
    n_missing : int
        How many usual intervals fit into the gap, but for the one that is always there.
    gap_s : float
        From that frame to the next, in seconds.
    """

    after: int
    n_missing: int
    gap_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Times:
    """The times of all frames of a recording, and what is known of them.

    Parameters
    ----------
    time_s : ndarray of float64, shape (n_frames,)
        Seconds, or frame numbers: `unit` says which. NaN for a frame that is not timed.
    source : str
        ``"container"``, ``"sidecar FILE"``, ``"frame rate R"`` or ``"frame numbers"``.
    unit : str
        ``"s"`` or ``"frames, not seconds"``.
    interval_s : float or None
        The usual interval between frames.
    gaps : tuple of Gap, or None
        All of them; None where no clock tells.
    warnings : list of str
    timestamps : ndarray of int64, shape (n_frames,), or None
        What a sidecar says, exactly, where 64 bits hold it.
    sidecar : dict or None
        What is known of that file, as JSON values; None where there is none.
    """

    time_s: NDArray[np.float64]
    source: str
    unit: str = SECONDS
    interval_s: float | None = None
    gaps: tuple[Gap, ...] | None = None
    warnings: list[str] = field(default_factory=list)
    timestamps: NDArray[np.int64] | None = None
    sidecar: dict[str, Any] | None = None

    @property
    def n_dropped(self) -> int | None:
        """Frames that are missing in all gaps; None where no clock tells."""
        return None if self.gaps is None else sum(gap.n_missing for gap in self.gaps)

    @property
    def n_dropped_after(self) -> NDArray[np.uint32] | None:
        """Frames that are missing between each frame and the next, shape (n_frames,); None where no clock tells."""
        if self.gaps is None:
            return None
        n_missing = np.zeros(len(self.time_s), np.uint32)
        n_missing[[gap.after for gap in self.gaps]] = [gap.n_missing for gap in self.gaps]
        return n_missing

    def as_dict(self) -> dict[str, Any]:
        """Return where the times come from, and the first gaps, as JSON values."""
        return {
            "source": self.source,
            "unit": self.unit,
            "interval_s": self.interval_s,
            "n_gaps": None if self.gaps is None else len(self.gaps),
            "gaps": [asdict(gap) for gap in (self.gaps or ())[:N_LISTED]],
            "sidecar": self.sidecar,
        }

    def as_attributes(self) -> dict[str, Any]:
        """Return what a store says of its times."""
        return {"time_source": self.source, "n_dropped": self.n_dropped, "timing": self.as_dict()}


def time_frames(info: VideoInfo, index: FrameIndex, recipe: Recipe, sidecar: TimestampsFile | None = None) -> Times:
    """Say when each frame of a recording was taken.

    Parameters
    ----------
    info : VideoInfo
    index : FrameIndex
    recipe : Recipe
        With the frame rate, and with what its timestamps are like.
    sidecar : TimestampsFile, optional
        The timestamps that `find_timestamps` found.

    Returns
    -------
    Times
        Of all frames, whichever of them are described.

    Raises
    ------
    TimestampsError
        If the timestamps cannot be read.
    ChangedError
        If they are not those any more that were found.
    """
    by_recording = _by_the_recording(info, index, recipe.frame_rate)
    if recipe.timestamps is None:
        return by_recording
    if sidecar is None:
        path = recipe.timestamps.path_for(Path(info.path))
        missing = f"There are no timestamps at {as_text(path)}: time_s is from: {by_recording.source}."
        return replace(by_recording, warnings=[missing, *by_recording.warnings])
    return _join(by_recording, sidecar, read_timestamps(sidecar, recipe.timestamps))


def _join(by_recording: Times, sidecar: TimestampsFile, stamps: Timestamps) -> Times:
    """Take a sidecar's timestamps for the frames' times, if there is one for each frame."""
    name, n_stamps, n_frames = as_text(sidecar.path.name), len(stamps.ticks), len(by_recording.time_s)
    facts = {
        "path": as_text(sidecar.path),
        "size_bytes": sidecar.size_bytes,
        "digest": sidecar.digest,
        "n_timestamps": n_stamps,
        "tick_s": str(stamps.unit),
        "is_used": n_stamps == n_frames,
    }
    if n_stamps != n_frames:
        differs = (
            f"{name} holds {n_stamps} timestamps, but the recording {n_frames} frames: they are not used, and time_s "
            f"is from: {by_recording.source}."
        )
        return replace(by_recording, warnings=[differs, *by_recording.warnings], sidecar=facts)
    times = _by_clock(Clock(ticks=stamps.ticks, unit=stamps.unit, source=f"sidecar {name}"), [])
    return replace(
        times,
        warnings=[*_warn_of_unit(times, by_recording), *times.warnings],
        timestamps=stamps.ticks if stamps.ticks.dtype == np.int64 else None,
        sidecar=facts,
    )


def _by_the_recording(info: VideoInfo, index: FrameIndex, rate: Fraction | None) -> Times:
    """Say when each frame was taken, without a sidecar."""
    clock = Clock(ticks=index.pts, unit=Fraction(info.time_base), source="container")
    if clock.is_timed.any() and (rate is None or clock.is_timed.all()):
        return _by_clock(clock, [*_warn_of_order(clock, index), *_warn_of_rate(clock, rate)])
    if rate is not None:
        return _by_rate(index.n_frames, rate)
    return Times(
        time_s=np.arange(index.n_frames, dtype=np.float64),
        source="frame numbers",
        unit=COUNTED,
        warnings=[
            "The recording does not time its frames, as raw H264 and images never do, and there are neither timestamps "
            "nor a frame_rate: time_s holds frame numbers, not seconds."
        ],
    )


def _by_rate(n_frames: int, rate: Fraction) -> Times:
    return Times(
        time_s=to_seconds(np.arange(n_frames), 1 / rate), source=f"frame rate {rate}", interval_s=float(1 / rate)
    )


def _by_clock(clock: Clock, warnings: list[str]) -> Times:
    intervals = clock.intervals()
    usual = find_usual(intervals)
    times = Times(
        time_s=clock.time_s(),
        source=clock.source,
        interval_s=None if usual is None else usual * float(clock.unit),
        gaps=tuple(_find_gaps(intervals, usual, clock.unit)),
    )
    found = (_warn_of_untimed(clock), _warn_of_steps(intervals), _warn_of_gaps(times, intervals, usual))
    return replace(times, warnings=[*warnings, *chain.from_iterable(found)])


def _find_gaps(intervals: NDArray[np.float64], usual: float | None, unit: Fraction) -> Iterator[Gap]:
    if usual is None:
        return
    for after in np.flatnonzero(intervals > GAP * usual).tolist():
        n_missing = min(round(intervals[after] / usual) - 1, _MOST_MISSING)
        yield Gap(after=after, n_missing=n_missing, gap_s=float(int(intervals[after]) * unit))


def find_usual(intervals: NDArray[np.float64]) -> float | None:
    """Return the usual interval: the median, and where ticks are coarse the mean of those beside it.

    Milliseconds (MKV) make intervals of 33 and 34 of 33.3, of 1 and 2 of 1.67. Repeated times and steps back say
    nothing of the rate.

    Parameters
    ----------
    intervals : ndarray of float64
        In ticks; NaN where there is none.

    Returns
    -------
    float or None
        In ticks; None where no time follows on another.
    """
    forward = intervals[intervals > 0]
    if not forward.size:
        return None
    median = float(np.median(forward))
    if median < _LEAST_TICKS:
        return median
    return float(forward[np.abs(forward - median) <= 1].mean())


def _warn_of_untimed(clock: Clock) -> Iterator[str]:
    untimed = np.flatnonzero(~clock.is_timed)
    if untimed.size:
        yield (
            f"{untimed.size} of {len(clock.ticks)} frames have no time ({_name_frames(untimed)}): their time_s is NaN."
        )


def _warn_of_steps(intervals: NDArray[np.float64]) -> Iterator[str]:
    """Warn of times that do not ascend."""
    for is_so, said in ((intervals == 0, "repeat the time of"), (intervals < 0, "are timed before")):
        if is_so.any():
            frames = np.flatnonzero(is_so) + 1
            yield f"{frames.size} of {intervals.size + 1} frames {said} the frame before ({_name_frames(frames)})."


def _warn_of_order(clock: Clock, index: FrameIndex) -> Iterator[str]:
    """Warn where times that ascend are those of decoding, put in order, and are not evenly spread."""
    intervals = clock.intervals()
    usual = find_usual(intervals)
    # The index calls times that are the frames' own, and ascend, seekable.
    if index.is_seekable or usual is None or not (intervals > 0).all():
        return
    if (np.abs(intervals - usual) > 1).any():
        yield (
            "The container tells when frames are decoded, not when they are shown: where its times are uneven, single "
            "ones may belong to a neighbouring frame."
        )


def _warn_of_rate(clock: Clock, rate: Fraction | None) -> Iterator[str]:
    usual = find_usual(clock.intervals())
    if rate is None or usual is None:
        return
    found = 1 / (usual * float(clock.unit))
    if abs(found / float(rate) - 1) > _RATE_TOLERANCE:
        yield (
            f"A frame_rate of {float(rate):g} is set, but the container's times make {found:.6g} frames a second: the "
            "container's times are used."
        )


def _warn_of_unit(times: Times, by_recording: Times) -> Iterator[str]:
    found, other = times.interval_s, by_recording.interval_s
    if found and other and not 1 / _UNIT_IS_WRONG < found / other < _UNIT_IS_WRONG:
        yield (
            f"The usual interval is {found:.6g} s by the timestamps and {other:.6g} s by the {by_recording.source}: is "
            "their unit the right one?"
        )


def _warn_of_gaps(times: Times, intervals: NDArray[np.float64], usual: float | None) -> Iterator[str]:
    if not times.gaps or usual is None or times.interval_s is None:
        return
    n_gaps = len(times.gaps)
    said = [f"{gap.n_missing} after frame {gap.after} ({gap.gap_s:.6g} s)" for gap in times.gaps[:_N_SAID]]
    more = f", and {n_gaps - _N_SAID} more" if n_gaps > _N_SAID else ""
    are = f"{times.n_dropped} frames are" if times.n_dropped != 1 else "1 frame is"
    yield (
        f"{are} missing in {n_gaps} gap{'s' * (n_gaps > 1)} of more than {GAP} times the usual "
        f"{1000 * times.interval_s:.6g} ms: {', '.join(said)}{more}.{_qualify(times.gaps, intervals, usual)}"
    )


def _qualify(gaps: Sequence[Gap], intervals: NDArray[np.float64], usual: float) -> str:
    """Say what else than dropped frames may make gaps."""
    if usual < _LEAST_TICKS:
        return " The clock is too coarse for this rate: its rounding looks like gaps."
    tolerance = max(_OFF, 1 / usual)
    whole = intervals[intervals > 0] / usual
    is_off = np.abs(whole - np.maximum(np.rint(whole), 1)) > tolerance
    if is_off.mean() > _MOST_OFF:
        return " The frame rate varies, so these need not be dropped frames."
    n_made_up = np.count_nonzero(_are_made_up_for(intervals / usual, tolerance)[[gap.after for gap in gaps]])
    if n_made_up:
        return (
            f" {n_made_up} of {len(gaps)} {'is' if n_made_up == 1 else 'are'} made up for by shorter intervals beside: "
            "where single times are off, no frame is missing."
        )
    return ""


def _are_made_up_for(intervals: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
    """Say of each interval, in usual ones, whether with one or two beside it it takes as long as so many usual ones.

    It takes two for a time that is late or early, and three for two times that are in each other's place.
    """
    beyond = intervals - 1
    pairs = beyond[:-1] + beyond[1:]
    triples = pairs[:-1] + beyond[2:]
    made_up = np.zeros(len(intervals), np.bool_)
    for sums in (pairs, triples):
        starts = np.flatnonzero(np.abs(sums) <= tolerance)
        for place in range(len(intervals) - len(sums) + 1):
            made_up[starts + place] = True
    return made_up


def _name_frames(frames: NDArray[np.int64]) -> str:
    named = ", ".join(map(str, frames[:_N_SAID].tolist()))
    return f"frame{'s' * (frames.size > 1)} {named}{', ...' if frames.size > _N_SAID else ''}"
