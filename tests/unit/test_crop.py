from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.crop import Crop

crops = st.builds(Crop, x=st.integers(0, 50), y=st.integers(0, 50), width=st.integers(1, 50), height=st.integers(1, 50))


@given(crops, st.integers(1, 120), st.integers(1, 120))
def test_a_crop_fits_exactly_the_frames_that_hold_all_of_its_pixels(crop: Crop, width: int, height: int) -> None:
    frame = np.zeros((height, width))

    assert crop.fits(width, height) == (frame[crop.window].shape == crop.shape)


@given(crops)
def test_the_window_begins_at_the_upper_left_pixel(crop: Crop) -> None:
    rows, cols = np.mgrid[:100, :100]

    assert (rows[crop.window][0, 0], cols[crop.window][0, 0]) == (crop.y, crop.x)
    assert (rows[crop.window][-1, -1], cols[crop.window][-1, -1]) == (
        crop.y + crop.height - 1,
        crop.x + crop.width - 1,
    )


@given(crops)
def test_a_crop_comes_back_from_json_and_from_the_command_line(crop: Crop) -> None:
    assert Crop.from_sequence(json.loads(json.dumps(crop.as_list()))) == crop
    assert Crop.parse(",".join(map(str, crop.as_list()))) == crop


def test_spaces_around_the_numbers_do_not_matter() -> None:
    assert Crop.parse(" 53, 22,916 ,475") == Crop(x=53, y=22, width=916, height=475)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([-1, 0, 5, 5], "crop x must be a whole number of at least 0, got -1"),
        ([0, -2, 5, 5], "crop y must be a whole number of at least 0, got -2"),
        ([0, 0, 0, 5], "crop width must be a whole number of at least 1, got 0"),
        ([0, 0, 5, 0], "crop height must be a whole number of at least 1, got 0"),
        ([0.5, 0, 5, 5], "crop x must be a whole number of at least 0, got 0.5"),
        ([0, 0, True, 5], "crop width must be a whole number of at least 1, got True"),
        ([0, 0, 5], r"four numbers x, y, width, height, got \[0, 0, 5\]"),
        ([0, 0, 5, 5, 5], "four numbers x, y, width, height"),
    ],
)
def test_a_wrong_crop_is_refused_with_the_value_that_is_wrong(values: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Crop.from_sequence(values)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "1,2,0,4"])
def test_what_cannot_be_read_as_a_crop_is_refused_with_the_form_and_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="X,Y,WIDTH,HEIGHT in pixels") as refusal:
        Crop.parse(text)
    assert repr(text) in str(refusal.value)
