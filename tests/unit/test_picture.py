from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.feature import hog

from facehog_core.hog import HogParams, compute_histograms
from facehog_core.picture import render_pictures

GRID = [
    HogParams(orientations=orientations, pixels_per_cell=cell)
    for orientations, cell in product(
        [1, 2, 3, 7, 8, 9, 12],
        [(1, 2), (2, 2), (3, 3), (4, 6), (5, 7), (8, 8), (9, 16), (16, 16), (32, 32), (33, 31), (48, 20)],
    )
]


def skimage_picture(frame: NDArray[np.float64], params: HogParams) -> NDArray[np.float64]:
    return hog(
        frame,
        params.orientations,
        params.pixels_per_cell,
        (1, 1),
        transform_sqrt=params.transform_sqrt,
        visualize=True,
    )[1]


def render(frame: NDArray[np.float64], params: HogParams) -> NDArray[np.float32]:
    return render_pictures(compute_histograms(frame, params)[None], params, frame.shape)[0]


@pytest.mark.parametrize("params", GRID, ids=str)
def test_pictures_equal_scikit_image(params: HogParams) -> None:
    frame = np.random.default_rng(0).uniform(0, 255, (107, 121))
    expected = skimage_picture(frame, params)
    np.testing.assert_allclose(render(frame, params), expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_pictures_of_real_frames_equal_scikit_image(videos_dir: Path) -> None:
    for path in (videos_dir / "stills").glob("*.npy"):
        # Noise below a grey level: no gradient lies on a border, where scikit-image is not sure of the bin.
        still = np.load(path)[0].astype(np.float64)
        frame = still + np.random.default_rng(0).uniform(0, 1, still.shape)
        expected = skimage_picture(frame, HogParams())
        np.testing.assert_allclose(render(frame, HogParams()), expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_a_picture_does_not_depend_on_the_frames_beside_it() -> None:
    params = HogParams(pixels_per_cell=(16, 16))
    frames = np.random.default_rng(0).uniform(0, 255, (3, 50, 70))
    histograms = np.stack([compute_histograms(frame, params) for frame in frames])
    np.testing.assert_array_equal(
        render_pictures(histograms, params, (50, 70)), [render(frame, params) for frame in frames], strict=True
    )


def test_a_flat_frame_has_a_black_picture() -> None:
    assert not render(np.full((70, 70), 99.0), HogParams()).any()


@pytest.mark.parametrize("pixels_per_cell", [(1, 1), (3, 1), (5, 1)])
def test_a_line_that_leaves_the_frame_is_cut_where_scikit_image_gives_up(
    pixels_per_cell: tuple[int, int],
) -> None:
    params = HogParams(orientations=1, pixels_per_cell=pixels_per_cell)
    frame = np.random.default_rng(0).uniform(0, 255, (10, 6))
    with pytest.raises(IndexError):
        skimage_picture(frame, params)
    # With a column to spare on either side no line is cut.
    wider = np.pad(compute_histograms(frame, params), ((0, 0), (1, 1), (0, 0)))
    whole = render_pictures(wider[None], params, (10, 8))[0]
    np.testing.assert_array_equal(render(frame, params), whole[:, 1:-1])


@pytest.mark.parametrize("frame_shape", [(64, 95), (32, 96), (96, 64)])
def test_histograms_of_another_frame_size_are_refused(frame_shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"histograms of shape .*, got \(2, 3, 8\)"):
        render_pictures(np.zeros((1, 2, 3, 8), np.float32), HogParams(), frame_shape)


def test_histograms_with_another_number_of_orientations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 3, 9\)"):
        render_pictures(np.zeros((1, 2, 3, 9), np.float32), HogParams(), (64, 96))
