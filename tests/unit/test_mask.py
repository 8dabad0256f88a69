from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from facehog_core.mask import Box, Polygon, blocks_with_any, read_masks, with_neighbours

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))
# No middle of a pixel lies on an edge between such points but by design: there scikit-image takes another side.
POINTS = st.tuples(*[st.integers(-10, 50).map(lambda n: n + 0.137)] * 2)


@given(SHAPES, st.lists(POINTS, min_size=3, max_size=7))
def test_a_polygon_covers_the_pixels_that_scikit_image_says(
    shape: tuple[int, int], points: list[tuple[float, float]]
) -> None:
    # Its pixels have their middles at whole numbers, ours at halves; and it is asked (row, col).
    turned = np.array([(y - 0.5, x - 0.5) for x, y in points])

    assert np.array_equal(Polygon(points=tuple(points)).covers(shape), polygon2mask(shape, turned))


@given(SHAPES, st.integers(0, 45), st.integers(0, 45), st.integers(1, 30), st.integers(1, 30))
def test_a_box_covers_its_pixels_and_so_does_the_polygon_of_its_corners(
    shape: tuple[int, int], x: int, y: int, width: int, height: int
) -> None:
    covered = Box(x=x, y=y, width=width, height=height).covers(shape)
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))

    for row, col in np.ndindex(shape):
        assert covered[row, col] == (y <= row < y + height and x <= col < x + width)
    assert np.array_equal(Polygon(points=corners).covers(shape), covered)


@given(st.integers(1, 19), st.integers(0, 20), st.integers(0, 20))
def test_polygons_that_share_an_edge_cover_each_pixel_once(split: int, top: int, bottom: int) -> None:
    left = Polygon(points=((0, 0), (top, 0), (bottom, split), (bottom, 20), (0, 20)))
    right = Polygon(points=((20, 0), (top, 0), (bottom, split), (bottom, 20), (20, 20)))

    assert (left.covers((20, 20)) ^ right.covers((20, 20))).all()


@given(SHAPES, st.tuples(st.integers(1, 9), st.integers(1, 9)), st.integers(0, 99))
def test_neighbours_are_those_above_below_and_beside_and_blocks_are_whole(
    shape: tuple[int, int], block: tuple[int, int], seed: int
) -> None:
    pixels = np.random.default_rng(seed).uniform(size=shape) < 0.03
    wider = with_neighbours(pixels)
    for row, col in np.ndindex(shape):
        near = [(row, col), (row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
        assert wider[row, col] == any(pixels[r, c] for r, c in near if 0 <= r < shape[0] and 0 <= c < shape[1])
    found = blocks_with_any(pixels, block)
    assert found.shape == (shape[0] // block[0], shape[1] // block[1])
    for row, col in np.ndindex(found.shape):
        part = pixels[row * block[0] : (row + 1) * block[0], col * block[1] : (col + 1) * block[1]]
        assert found[row, col] == part.any()


def test_masks_come_back_from_the_tables_of_the_configuration() -> None:
    tables = [{"box": [1, 2, 3, 4]}, {"polygon": [[0, 0], [9.5, 0], [0, 9]]}]
    masks = read_masks(tables)

    assert masks == (Box(x=1, y=2, width=3, height=4), Polygon(points=((0, 0), (9.5, 0), (0, 9))))
    assert [mask.as_dict() for mask in masks] == tables
    assert read_masks([]) == ()


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ("box", "masks must be a list of"),
        ([{"box": [1, 2, 3]}], "a mask must be"),
        ([{"box": [1, 2, 3, 4], "polygon": [[0, 0], [1, 0], [0, 1]]}], "a mask must be"),
        ([{"circle": [1, 2, 3]}], "a mask must be"),
        ([[1, 2, 3, 4]], "a mask must be"),
        ([{"box": [-1, 2, 3, 4]}], "box x must be a whole number of at least 0, got -1"),
        ([{"box": [1, 2, 0, 4]}], "box width must be a whole number of at least 1, got 0"),
        ([{"box": [1, 2, 3, 4.5]}], "box height must be a whole number of at least 1, got 4.5"),
        ([{"box": [True, 2, 3, 4]}], "box x must be a whole number"),
        ([{"polygon": [[0, 0], [1, 1]]}], "at least three points, got 2"),
        ([{"polygon": [[0, 0], [1, 1], [1, "a"]]}], r"two numbers x, y, got \[1, 'a'\]"),
        ([{"polygon": [[0, 0], [1, 1], [1, math.inf]]}], "two numbers x, y"),
        ([{"polygon": [[0, 0], [1, 1], [1]]}], "two numbers x, y"),
    ],
)
def test_what_is_no_mask_is_refused_in_words(tables: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_masks(tables)  # type: ignore[arg-type]
