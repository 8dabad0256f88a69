from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.errors import EmptyFileError, SequenceError
from facehog_core.sequence import NumberedImages, is_still_name, natural_key, number_images

NUMBERS = st.lists(st.integers(0, 10**6), min_size=1, max_size=30, unique=True)
FOLDER = "/data/inbox/m12"


@given(numbers=NUMBERS, seed=st.integers(), width=st.integers(0, 7))
def test_images_are_in_the_order_of_their_numbers_however_they_are_padded(
    numbers: list[int], seed: int, width: int
) -> None:
    names = [f"img{number:0{width}}.png" for number in numbers]
    random.Random(seed).shuffle(names)

    found = number_images(FOLDER, names)
    assert [int(name[3:-4]) for name in found.names] == sorted(numbers)


@given(st.lists(st.text("ab1٣²-. ", max_size=8), max_size=8))
def test_any_names_can_be_put_in_order(names: list[str]) -> None:
    mixed = random.Random(0).sample(names, len(names))
    assert sorted(mixed, key=natural_key) == sorted(names, key=natural_key)


@given(numbers=NUMBERS.filter(lambda numbers: len(numbers) > 3))
def test_the_numbers_between_the_first_and_the_last_are_there_or_missing(numbers: list[int]) -> None:
    missing = number_images(FOLDER, [f"{number}.tif" for number in numbers]).missing

    told = {number for span in missing for number in span}
    assert not told & set(numbers)
    assert not told or min(numbers) < min(told) <= max(told) < max(numbers)
    if told and missing[0].step == 1:
        assert told | set(numbers) == set(range(min(numbers), max(numbers) + 1))


@pytest.mark.parametrize(
    ("numbers", "remarks"),
    [
        (range(10), []),
        ([0, 1, 2, 4, 5], ["1 image of the sequence is missing (number 3)"]),
        ([7, 8, 9, 13, 14, 17, 18], ["5 images of the sequence are missing (numbers 10 to 12, 15 to 16)"]),
        ([0, 10, 20, 30, 60, 70], ["2 images of the sequence are missing (numbers 40 to 50 by 10)"]),
        ([n for n in range(40) if n % 4], ["9 images", "(numbers 4, 8, 12, 16 and 5 more gaps)"]),
        # Time stamps count nothing.
        ([1636113181033, 1636113181066, 1636113181101, 1636113181133], []),
        ([5], []),
    ],
)
def test_missing_numbers_are_told_and_time_stamps_are_not_taken_for_numbers(
    numbers: list[int], remarks: list[str]
) -> None:
    told = " ".join(number_images(FOLDER, [f"img_{number}.png" for number in numbers]).remarks)

    for remark in remarks:
        assert remark in told
    assert bool(told) == bool(remarks)


@pytest.mark.parametrize(
    "names",
    [
        [f"cam{cam}_{i:04}.png" for cam in (0, 1) for i in range(20)],
        [f"img{i}.png" for i in range(20)] + [f"img{i}.jpg" for i in range(20)],
        [f"left_{i}.tif" for i in range(20)] + [f"right_{i}.tif" for i in range(20)],
        [f"img_{i}.png" for i in range(20)] + ["img_3 (1).png"],
        [f"trial{trial}_{i}_raw.png" for trial in (3, 4, 5) for i in range(10) if i != 4],
    ],
)
def test_several_sequences_in_one_folder_are_refused_and_named(names: list[str]) -> None:
    with pytest.raises(SequenceError, match=r"several sequences of images: .*#.* images?\), .*own") as error:
        number_images(FOLDER, names)
    assert error.value.path == FOLDER


@pytest.mark.parametrize(
    "names",
    [
        # Time in words and digits, and the camera's own number.
        [f"2021-11-05_12-33-{frame // 30:02}.{frame % 30 * 33333:06}.png" for frame in range(90)],
        [f"m12_cam1_{frame:05}_t{frame * 33:07}.png" for frame in range(30)],
        ["2021.11.05_m12_1.png", "2021.11.05_m12_2.png"],
        ["IMG_1.PNG", "img_2.png"],
    ],
)
def test_names_that_differ_in_more_than_a_count_are_one_sequence(names: list[str]) -> None:
    assert number_images(FOLDER, names[::-1]).names == tuple(names)


def test_two_images_of_one_number_are_refused() -> None:
    with pytest.raises(SequenceError, match=r"img01.png and img1.png carry the same number"):
        number_images(FOLDER, ["img1.png", "img2.png", "img01.png"])


def test_images_without_a_number_are_no_frames_and_told_of() -> None:
    found = number_images(FOLDER, ["background.png", "img2.png", "img1.png"])

    assert found == NumberedImages(names=("img1.png", "img2.png"), left_out=("background.png",))
    assert found.remarks == ["1 image without a number is no frame: background.png."]


def test_a_folder_without_numbered_images_is_refused() -> None:
    with pytest.raises(SequenceError, match=re.escape("carry no numbers (a.png, b.png)")):
        number_images(FOLDER, ["b.png", "a.png"])
    with pytest.raises(EmptyFileError, match=r"holds no images \(.jpg, .jpeg, .png, .tif, .tiff\)"):
        number_images(FOLDER, [])


def test_names_that_are_no_valid_text_are_frames_and_are_named_in_messages() -> None:
    found = number_images(FOLDER, ["\udcff1.png", "\udcff2.png", "\udcff.png"])
    assert found.names == ("\udcff1.png", "\udcff2.png")
    assert found.remarks == ["1 image without a number is no frame: \N{REPLACEMENT CHARACTER}DCFF.png."]
    with pytest.raises(SequenceError) as refused:
        number_images(FOLDER, ["\udcff.png"])
    str(refused.value).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "is_still"),
    [
        *[("a1.png", True), ("A1.JPG", True), ("a1.tiff", True), ("a1.mp4", False), ("a1.png.part", False)],
        *[(".a1.png", False), ("~a1.png", False), ("png", False), ("a1.bmp", False), ("a\udcff1.png", True)],
    ],
)
def test_an_image_is_known_by_its_suffix(name: str, is_still: bool) -> None:
    assert is_still_name(name) is is_still
