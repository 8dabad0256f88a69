from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numcodecs import BitRound
from numpy.typing import NDArray

from facehog_core.rounding import ALL_BITS, RoundingError, join_errors, measure_rounding, round_bits, tell_rounding

FINITE = st.floats(0, 2.0**100, width=32)


@given(arrays(np.float32, st.integers(0, 20), elements=FINITE), st.integers(1, ALL_BITS))
def test_values_are_rounded_as_numcodecs_rounds_them(values: NDArray[np.float32], n_bits: int) -> None:
    codec = BitRound(keepbits=n_bits)
    expected = codec.decode(codec.encode(values.copy()))
    np.testing.assert_array_equal(round_bits(values, n_bits), expected.view(np.float32))


@given(arrays(np.float32, 20, elements=st.floats(2.0**-14, 60000, width=32)))
def test_ten_bits_are_those_of_a_float16(values: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(round_bits(values, 10), values.astype(np.float16).astype(np.float32), strict=True)


@given(arrays(np.float32, 20, elements=FINITE), st.integers(1, ALL_BITS))
def test_rounding_again_changes_nothing(values: NDArray[np.float32], n_bits: int) -> None:
    rounded = round_bits(values, n_bits)
    np.testing.assert_array_equal(round_bits(rounded, n_bits), rounded)


@pytest.mark.parametrize("pattern", [0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001])
@pytest.mark.parametrize("n_bits", [1, 10, 22])
def test_nan_stays_nan(pattern: int, n_bits: int) -> None:
    assert np.isnan(round_bits(np.array([pattern], np.uint32).view(np.float32), n_bits)).all()


def test_errors_of_parts_make_those_of_the_whole() -> None:
    exact = np.random.default_rng(0).uniform(0, 9, (30, 4)).astype(np.float32)
    exact[7] = np.nan
    rounded = round_bits(exact, 5)
    parts = [{"histograms": measure_rounding(exact[i : i + 10], rounded[i : i + 10])} for i in range(0, 30, 10)]
    joined = join_errors(parts)["histograms"]

    difference = np.delete(rounded.astype(float) - exact, 7, axis=0)
    assert joined.n_values == difference.size
    assert joined.largest == np.abs(difference).max()
    assert joined.rms == pytest.approx(np.sqrt(np.mean(difference**2)))


def test_nothing_is_compared_where_all_is_nan() -> None:
    nothing = np.full((2, 3), np.nan, np.float32)

    assert measure_rounding(nothing, nothing) == RoundingError(largest=0, sum_of_squares=0, n_values=0)
    assert measure_rounding(nothing, nothing).rms == 0


def test_what_rounding_cost_is_told_in_a_sentence() -> None:
    errors = {
        "histograms": RoundingError(largest=0.00391, sum_of_squares=4e-6, n_values=4),
        "descriptors": RoundingError(largest=0.5, sum_of_squares=0.25, n_values=1),
    }
    assert tell_rounding(errors, 10) == (
        "As asked for, values are rounded to 10 bits (keep_bits). "
        "That moved histograms by up to 0.0039 (rms 0.001), descriptors by up to 0.5 (rms 0.5)."
    )
