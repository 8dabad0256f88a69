"""Notice that the system's clock was set back."""

from __future__ import annotations

import time
from collections.abc import Callable

# A clock that is kept right by small steps moves by far less between two looks, seconds.
LEAST_S = 2.0


class WallClock:
    """The system's clock beside one that is never set.

    Parameters
    ----------
    wall, monotonic : callable, optional
        The two clocks, in seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._ahead_s = self._measure()

    def _measure(self) -> float:
        return self._wall() - self._monotonic()

    def went_back_s(self) -> float:
        """Return by how many seconds the clock was set back since the last question, 0 for less than `LEAST_S`."""
        before_s, self._ahead_s = self._ahead_s, self._measure()
        back_s = before_s - self._ahead_s
        return back_s if back_s >= LEAST_S else 0.0
