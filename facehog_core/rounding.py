"""Values with fewer bits, where a recipe asks for it: stores get smaller, and what that costs is measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Bits of a float32 behind the first one, which is not stored. A float16 has 10.
ALL_BITS = 23


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundingError:
    """How far rounded values are from the float32 ones.

    Parameters
    ----------
    largest : float
        The largest difference.
    sum_of_squares : float
        Of all differences.
    n_values : int
        Values that were compared; NaN is not.
    """

    largest: float
    sum_of_squares: float
    n_values: int

    @property
    def rms(self) -> float:
        """The root of the mean square of the differences."""
        return math.sqrt(self.sum_of_squares / max(self.n_values, 1))


def round_bits(values: NDArray[np.float32], n_bits: int) -> NDArray[np.float32]:
    """Round to the nearest values that have so many bits, to even ones where two are as near.

    Parameters
    ----------
    values : ndarray of float32
    n_bits : int
        From 1 to `ALL_BITS`, with which the values are returned themselves.

    Returns
    -------
    ndarray of float32
        Off by no more than ``2 ** -(n_bits + 1)`` of each value. NaN stays NaN.
    """
    n_dropped = ALL_BITS - n_bits
    if n_dropped == 0:
        return values
    bits = np.ascontiguousarray(values).view(np.uint32)
    half_less = np.uint32((1 << (n_dropped - 1)) - 1)
    is_odd = (bits >> np.uint32(n_dropped)) & np.uint32(1)
    kept = (bits + half_less + is_odd) & ~np.uint32((1 << n_dropped) - 1)
    return np.where(np.isnan(values), values, kept.view(np.float32))


def measure_rounding(exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> RoundingError:
    """Compare rounded values with what they were."""
    error = np.abs(np.subtract(rounded, exact, dtype=np.float64))
    error = error[~np.isnan(error)]
    return RoundingError(
        largest=float(error.max(initial=0)), sum_of_squares=float(np.square(error).sum()), n_values=error.size
    )


def join_errors(errors: Iterable[Mapping[str, RoundingError]]) -> dict[str, RoundingError]:
    """Make the errors of all shards, by array, those of whole arrays."""
    joined: dict[str, RoundingError] = {}
    for name, error in (item for part in errors for item in part.items()):
        before = joined.get(name, RoundingError(largest=0, sum_of_squares=0, n_values=0))
        joined[name] = RoundingError(
            largest=max(before.largest, error.largest),
            sum_of_squares=before.sum_of_squares + error.sum_of_squares,
            n_values=before.n_values + error.n_values,
        )
    return joined


def tell_rounding(errors: Mapping[str, RoundingError], n_bits: int) -> str:
    """Say what rounding cost, in a sentence."""
    told = ", ".join(f"{name} by up to {error.largest:.2g} (rms {error.rms:.2g})" for name, error in errors.items())
    return f"As asked for, values are rounded to {n_bits} bits (keep_bits). That moved {told}."
