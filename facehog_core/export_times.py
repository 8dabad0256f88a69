"""The frames' times as a format takes them that wants seconds, ascending from a session's start, for every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import StoredRun
from .errors import ExportError
from .receipts import spans_of, tell_spans
from .timing import SECONDS

#: As NWB's inspector judges whether times are even: intervals that are equal to so many digits.
_EVEN_DIGITS = 9
#: What even times may be off by in the long run, seconds.
_EVEN_S = 1e-6
#: Seconds since 1970 are that many from 2001 on: no rig runs for 31 years.
_SINCE_1970_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionTimes:
    """When frames were taken, from a session's start.

    Parameters
    ----------
    times_s : ndarray of float64, shape (n_frames,)
        Without NaN: a frame whose time is not known has one between those of its neighbours.
    is_known : ndarray of bool, shape (n_frames,)
        Which of them are the frames' own.
    began_s : float
        What was taken from all times: when the first frame was taken, in seconds since 1970, if that is what they
        count from; otherwise 0.
    rate : float or None
        Frames a second, if they are even: `times_s` is then this and the first one.
    """

    times_s: NDArray[np.float64]
    is_known: NDArray[np.bool_]
    began_s: float
    rate: float | None

    @property
    def remarks(self) -> list[str]:
        """What whoever uses the times must know, a sentence each."""
        told = []
        if not self.is_known.all():
            unknown = np.flatnonzero(~self.is_known)
            frames = f"{unknown.size} of {self.is_known.size} frames"
            told.append(
                f"{frames} have no time: theirs lie evenly between their neighbours' (is_timed is 0 at places "
                f"{tell_spans(spans_of(unknown))})."
            )
        if (np.diff(self.times_s) <= 0).any():
            told.append("Not all times ascend: they are exported as they are, and NWB's inspector will say so.")
        if self.began_s:
            told.append("The times were counted from 1970: they are exported from the first frame on.")
        return told


def read_times(run: StoredRun) -> SessionTimes:
    """Read the times of all frames: 8 bytes a frame.

    Raises
    ------
    ExportError
        If they are not in seconds, or no frame has one.
    """
    times = np.concatenate([run.read("time_s", start, stop) for start, stop in run.spans()])
    is_known = ~np.isnan(times)
    if run.unit("time_s") not in (None, SECONDS) or not is_known.any():
        raise ExportError(
            run.record.path,
            "its frames have no times, and NWB wants seconds",
            "Process it with --frame-rate or --timestamps, or export it to another form.",
        )
    places = np.arange(len(times))
    known_s = times[is_known]
    began_s = float(known_s[0]) if known_s[0] >= _SINCE_1970_S else 0.0
    times = np.interp(places, places[is_known], known_s - began_s)
    return SessionTimes(
        times_s=times, is_known=is_known, began_s=began_s, rate=_find_rate(times) if is_known.all() else None
    )


def _find_rate(times: NDArray[np.float64]) -> float | None:
    intervals = np.diff(times)
    if not intervals.size or intervals[0] <= 0 or np.unique(intervals.round(_EVEN_DIGITS)).size > 1:
        return None
    rate = len(intervals) / float(times[-1] - times[0])
    off_s = np.abs(times[0] + np.arange(len(times)) / rate - times).max()
    return rate if off_s <= _EVEN_S else None
