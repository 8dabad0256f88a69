"""From ticks of a clock to seconds: by exact arithmetic, rounded once."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Whole numbers up to here are exact in float64.
_EXACT = 2**53


def to_seconds(ticks: NDArray[Any], unit: Fraction) -> NDArray[np.float64]:
    """Return the float64 that is nearest to each tick times the unit.

    Parameters
    ----------
    ticks : ndarray of int64, or of Python's own integers where 64 bits do not hold them
    unit : Fraction
        Seconds in a tick.

    Returns
    -------
    ndarray of float64, of the same shape
    """
    numerator, denominator = unit.numerator, unit.denominator
    most = max(abs(int(ticks.max())), abs(int(ticks.min()))) if ticks.size else 0
    if most * numerator <= _EXACT and denominator <= _EXACT:
        # The product is exact; what is rounded is the quotient alone.
        return ticks.astype(np.float64) * numerator / denominator
    # Python divides integers of any size and rounds once.
    return np.array([tick * numerator / denominator for tick in ticks.tolist()], np.float64)
