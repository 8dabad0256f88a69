from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.crop import Crop
from facehog_core.mask import Box, Polygon
from facehog_core.params import BLOCK_NORMS, HogParams
from facehog_core.recipe import GREYS, Recipe, is_run_of, name_run
from facehog_core.selection import Selection
from facehog_core.timestamps import UNITS, TimestampsFile, TimestampsSource

SIZES = st.integers(1, 40)
CROPS = st.builds(Crop, x=st.integers(0, 9), y=st.integers(0, 9), width=SIZES, height=SIZES)
BOXES = st.builds(Box, x=st.integers(0, 9), y=st.integers(0, 9), width=SIZES, height=SIZES)
NUMBERS = st.floats(-10, 50)
POLYGONS = st.builds(Polygon, points=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=5).map(tuple))
RECIPES = st.builds(
    Recipe,
    hog=st.builds(
        HogParams,
        orientations=st.integers(1, 12),
        pixels_per_cell=st.tuples(SIZES, SIZES),
        cells_per_block=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        block_norm=st.sampled_from(list(BLOCK_NORMS)),
        transform_sqrt=st.booleans(),
    ),
    crop=st.none() | CROPS,
    with_images=st.booleans(),
    grey=st.sampled_from(GREYS),
    downsample=st.integers(1, 3),
    masks=st.lists(BOXES | POLYGONS, max_size=2).map(tuple),
    apply_rotation=st.booleans(),
    frames=st.builds(Selection, start=st.integers(0, 5), stop=st.none() | st.integers(6, 9), step=st.integers(1, 3))
    | st.builds(Selection, start_s=st.floats(0, 5), step=st.integers(1, 3)),
    max_corrupt=st.floats(0, 1),
    keep_bits=st.integers(1, 23),
    stream=st.none() | st.integers(0, 3),
    frame_rate=st.none() | st.fractions(min_value=Fraction(1, 1000), max_value=1000),
    timestamps=st.none()
    | st.builds(
        TimestampsSource,
        file=st.sampled_from(["{stem}_times.csv", "times/{name}.txt"]),
        column=st.none() | st.integers(1, 3) | st.sampled_from(["time", "1"]),
        unit=st.sampled_from(list(UNITS)),
    ),
)


@given(RECIPES)
def test_a_recipe_comes_back_from_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


@given(RECIPES, RECIPES)
def test_two_recipes_share_a_digest_only_if_they_are_the_same(one: Recipe, other: Recipe) -> None:
    assert (one.digest == other.digest) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        {"hog": HogParams(orientations=9)},
        {"hog": HogParams(pixels_per_cell=(32, 16))},
        {"hog": HogParams(cells_per_block=(2, 1))},
        {"hog": HogParams(block_norm="L1")},
        {"hog": HogParams(transform_sqrt=False)},
        {"crop": Crop(x=0, y=0, width=64, height=64)},
        {"with_images": True},
        {"grey": "luma"},
        {"downsample": 2},
        {"masks": (Box(x=0, y=0, width=9, height=9),)},
        {"masks": (Polygon(points=((0, 0), (9, 0), (0, 9))),)},
        {"apply_rotation": True},
        {"frames": Selection(stop=9)},
        {"frames": Selection(stop_s=9)},
        {"frames": Selection(step=9)},
        {"max_corrupt": 0.1},
        {"keep_bits": 10},
        {"stream": 1},
        {"frame_rate": Fraction(30)},
        {"timestamps": TimestampsSource(file="{stem}.csv")},
    ],
    ids=lambda change: str(next(iter(change.values()))),
)
def test_every_choice_changes_the_name_of_the_run(change: dict[str, object]) -> None:
    assert name_run("0" * 32, replace(Recipe(), **change)) != name_run("0" * 32, Recipe())


def test_the_name_of_the_default_recipe_is_the_one_that_stores_already_bear() -> None:
    assert Recipe().digest == "ffeeb7fb218e8dd7"


def test_a_run_is_named_after_content_and_recipe() -> None:
    recipe = Recipe()

    assert name_run("0123456789abcdef" * 2, recipe) == f"0123456789ab-{recipe.digest[:8]}"


def test_a_recipe_of_an_older_facehog_is_read() -> None:
    told = Recipe().as_dict()
    assert Recipe.from_dict({name: told[name] for name in ("hog", "crop", "with_images")}) == Recipe()


def test_a_rate_is_above_0() -> None:
    with pytest.raises(ValueError, match="frame_rate must be above 0, got -1"):
        Recipe(frame_rate=Fraction(-1))


def test_a_run_is_named_after_its_timestamps_too() -> None:
    recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    one, other = (TimestampsFile(path=Path("m.csv"), size_bytes=1, digest=digit * 32) for digit in "12")
    names = {name_run("0" * 32, recipe, found) for found in (None, one, other)}
    assert len(names) == 3
    assert all(is_run_of(name, recipe) for name in names)
    assert name_run("0" * 32, recipe, replace(one, path=Path("moved.csv"))) in names


def test_what_is_described_of_a_frame_is_the_crop_or_else_all_of_it() -> None:
    assert Recipe().frame_shape(width=720, height=540) == (540, 720)
    assert Recipe(crop=Crop(x=1, y=2, width=30, height=40)).frame_shape(width=720, height=540) == (40, 30)
    assert Recipe(downsample=3).frame_shape(width=722, height=540) == (180, 240)
    assert Recipe(apply_rotation=True).frame_shape(width=720, height=540, rotation=-90) == (720, 540)
    assert Recipe(apply_rotation=True).frame_shape(width=720, height=540, rotation=180) == (540, 720)
    assert Recipe().frame_shape(width=720, height=540, rotation=90) == (540, 720)


def test_a_recipe_of_a_version_that_knew_fewer_choices_is_read() -> None:
    told = {"hog": HogParams(orientations=9).as_dict(), "crop": [1, 2, 64, 96], "with_images": True}
    expected = Recipe(hog=HogParams(orientations=9), crop=Crop(x=1, y=2, width=64, height=96), with_images=True)

    assert Recipe.from_dict(told) == expected
    # The run keeps its name, by which its store is found.
    old = xxhash.xxh3_64_hexdigest(json.dumps(told, sort_keys=True, separators=(",", ":")).encode())
    assert expected.digest == old


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grey": "gray"}, "grey must be one of rgb, luma, got 'gray'"),
        ({"keep_bits": 0}, "keep_bits must be a whole number from 1 to 23, got 0"),
        ({"keep_bits": 24}, "keep_bits must be a whole number from 1 to 23, got 24"),
        ({"keep_bits": True}, "keep_bits must be a whole number"),
        ({"downsample": 0}, "downsample must be a whole number of at least 1, got 0"),
        ({"downsample": 1.5}, "downsample must be a whole number of at least 1, got 1.5"),
        ({"downsample": True}, "downsample must be a whole number"),
        ({"apply_rotation": 90}, "apply_rotation must be true or false, got 90"),
        ({"max_corrupt": 5}, "max_corrupt must be a share from 0 to 1, got 5"),
        ({"max_corrupt": -0.1}, "max_corrupt must be a share from 0 to 1, got -0.1"),
        ({"max_corrupt": "5 %"}, "max_corrupt must be a share from 0 to 1, got '5 %'"),
        ({"max_corrupt": True}, "max_corrupt must be a share from 0 to 1, got True"),
        ({"stream": -1}, "stream must be a whole number of at least 0, got -1"),
        ({"stream": "v"}, "stream must be a whole number of at least 0, got 'v'"),
    ],
)
def test_a_wrong_choice_is_one_error_with_field_value_and_choices(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Recipe(**change)
