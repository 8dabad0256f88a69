"""Which frames of a recording are described: a range of numbers or of seconds, and every n-th of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# No recording has as many frames or seconds; larger integers make trouble where they become floats.
_MOST = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A choice of frames, made before the recording is known; by default all of them.

    Parameters
    ----------
    start, stop : int, optional
        The first frame, and the frame after the last. Frames beyond the recording's end are not asked for.
    start_s, stop_s : float, optional
        Instead of those the times, in seconds as `time_s` has them: frames are taken from the one on and before the
        other.
    step : int, optional
        Of those frames the first and every `step`-th after it are taken.

    Raises
    ------
    ValueError
        If a value is wrong, nothing can be in the range, or numbers are mixed with seconds.
    """

    start: int = 0
    stop: int | None = None
    start_s: float | None = None
    stop_s: float | None = None
    step: int = 1

    def __post_init__(self) -> None:
        _check_number("start", self.start, 0)
        _check_number("step", self.step, 1)
        if self.stop is not None:
            _check_number("stop", self.stop, self.start + 1)
        for name in ("start_s", "stop_s"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _as_seconds(name, value))
        if self.is_in_seconds and (self.start, self.stop) != (0, None):
            raise ValueError("a range of frames and a range of seconds were both given: choose one")
        if self.start_s is not None and self.stop_s is not None and self.stop_s <= self.start_s:
            raise ValueError(f"stop_s must be greater than start_s, got {self.start_s:g} to {self.stop_s:g}")

    @classmethod
    def parse(cls, *, frames: str | None = None, seconds: str | None = None) -> Selection:
        """Make a selection from ``"START:STOP"`` or ``"START:STOP:STEP"``, as the command line writes it.

        Each part may be left empty. The step is a number of frames in both.
        """
        if frames and seconds:
            raise ValueError("a range of frames and a range of seconds were both given: choose one")
        text, unit, read = (frames, "", int) if frames else (seconds or ":", "_s", float)
        parts = text.split(":")
        if not 2 <= len(parts) <= 3:
            raise ValueError(f"must be START:STOP or START:STOP:STEP, got {text!r}")
        readers: list[tuple[str, Callable[[str], float]]] = [
            (f"start{unit}", read),
            (f"stop{unit}", read),
            ("step", int),
        ]
        try:
            given = {name: of(part) for (name, of), part in zip(readers, parts, strict=False) if part.strip()}
        except ValueError as error:
            raise ValueError(f"must be START:STOP or START:STOP:STEP, got {text!r}") from error
        return cls(**given)  # type: ignore[arg-type]

    @property
    def is_in_seconds(self) -> bool:
        """Whether the range is one of times."""
        return self.start_s is not None or self.stop_s is not None

    @property
    def is_whole(self) -> bool:
        """Whether every frame of every recording is taken."""
        return self == Selection()

    def __str__(self) -> str:
        span: tuple[str, float, float | None] = ("frames", self.start, self.stop)
        if self.is_in_seconds:
            span = ("seconds", self.start_s or 0, self.stop_s)
        name, start, stop = span
        end = "the end" if stop is None else f"{stop:.12g}"
        return f"{name} {start:.12g} to {end}" + (f", one in {self.step}" if self.step > 1 else "")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name; ``Selection(**selection.as_dict()) == selection``."""
        return asdict(self)

    def resolve(self, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the numbers of the frames that are taken, ascending.

        Parameters
        ----------
        times_s : ndarray of float64, shape (n_frames,)
            When each frame of the recording is shown; NaN, which is in no range of times, where that is not known.
        """
        if not self.is_in_seconds:
            return np.arange(len(times_s), dtype=np.int64)[self.start : self.stop : self.step]
        from_s = -math.inf if self.start_s is None else self.start_s
        to_s = math.inf if self.stop_s is None else self.stop_s
        return np.flatnonzero((times_s >= from_s) & (times_s < to_s))[:: self.step].astype(np.int64)


def _check_number(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if value >= _MOST:
        raise ValueError(f"{name} is larger than any recording")


def _as_seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
        raise ValueError(f"{name} must be a number of seconds, got {value!r}")
    return float(value)
