from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from skimage.feature import _hog, _hoghistogram, hog

from facehog_core import gradient_sums, kernels
from facehog_core.hog import BLOCK_NORMS, HogParams, compute_histograms, compute_hog, normalise_blocks

GRID = [
    HogParams(
        orientations=orientations,
        pixels_per_cell=cell,
        cells_per_block=block,
        block_norm=norm,
        transform_sqrt=transform_sqrt,
    )
    for orientations, (cell, block), (norm, transform_sqrt) in product(
        [1, 2, 3, 8, 9, 12, 20],
        [
            ((1, 1), (2, 2)),
            ((8, 8), (3, 3)),
            ((5, 9), (2, 1)),
            ((7, 4), (1, 3)),
            ((32, 32), (1, 1)),
            ((33, 31), (1, 2)),
        ],
        [("L1", True), ("L1-sqrt", False), ("L2", True), ("L2-Hys", True), ("L2-Hys", False)],
    )
]

GRID_SHAPE = (67, 71)  # No cell size above 1 divides it.

any_params = st.builds(
    HogParams,
    orientations=st.integers(1, 20),
    pixels_per_cell=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    transform_sqrt=st.booleans(),
)
# Few dark levels: their roots make gradients that lie on a border, everywhere.
any_frames = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=24),
    elements=st.sampled_from([0, 1, 2, 3, 4, 9, 254, 255]),
) | hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))


def noise(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float64]:
    """Grey that no two pixels share: but at the frame's edge no gradient lies on a border."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(shape)
    return 100 + 60 * np.sin(rows / 9) * np.cos(cols / 7) + rng.uniform(-40, 40, shape)


def as_skimage(frame: NDArray[Any], params: HogParams, **options: Any) -> Any:
    return hog(
        frame,
        params.orientations,
        params.pixels_per_cell,
        params.cells_per_block,
        params.block_norm,
        transform_sqrt=params.transform_sqrt,
        **options,
    )


def gradients(frame: NDArray[Any], params: HogParams) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    grey = frame.astype(np.float64)
    return _hog._hog_channel_gradient(np.sqrt(grey) if params.transform_sqrt else grey)


def skimage_histograms(frame: NDArray[Any], params: HogParams) -> NDArray[np.float64]:
    """Give what `skimage.feature.hog` normalises; it does not return it."""
    g_row, g_col = gradients(frame, params)
    (n_rows, n_cols), (cell_rows, cell_cols) = frame.shape, params.pixels_per_cell
    n_cells = params.n_cells(frame.shape)
    histograms = np.zeros((*n_cells, params.orientations))
    _hoghistogram.hog_histograms(
        g_col, g_row, cell_cols, cell_rows, n_cols, n_rows, *n_cells[::-1], params.orientations, histograms
    )
    return histograms


def cell_means(pixels: NDArray[np.float64], params: HogParams) -> NDArray[np.float64]:
    (n_rows, n_cols), (cell_rows, cell_cols) = params.n_cells(pixels.shape), params.pixels_per_cell
    whole = pixels[: n_rows * cell_rows, : n_cols * cell_cols]
    return whole.reshape(n_rows, cell_rows, n_cols, cell_cols).mean(axis=(1, 3))


def plain_histograms(frame: NDArray[Any], params: HogParams) -> NDArray[np.float64]:
    """The definition, with an arctangent: an angle within 1e-12 rad of a border belongs above it."""
    g_row, g_col = gradients(frame, params)
    angles = np.arctan2(g_row, g_col) % np.pi
    bins = np.floor((angles + 1e-12) * params.orientations / np.pi) % params.orientations
    magnitudes = np.hypot(g_row, g_col)
    return np.stack([cell_means(magnitudes * (bins == k), params) for k in range(params.orientations)], axis=-1)


def magnitudes_on_borders(frame: NDArray[Any], params: HogParams) -> NDArray[np.float64]:
    """The part of each cell's mean magnitude that scikit-image may put on either side of a border."""
    g_row, g_col = gradients(frame, params)
    in_bins = np.arctan2(g_row, g_col) % np.pi * params.orientations / np.pi
    # Angles along an axis are exact in scikit-image too.
    is_unsure = (abs(in_bins - np.round(in_bins)) < 1e-9) & (g_row != 0) & (g_col != 0)
    return cell_means(np.hypot(g_row, g_col) * is_unsure, params)


@pytest.fixture(scope="module")
def stills(videos_dir: Path) -> NDArray[np.uint8]:
    """Crops of real mice; the first is a face at the size labs use."""
    frames = [np.load(path)[0] for path in sorted((videos_dir / "stills").glob("*.npy"))]
    return np.stack([frame[:475, :640] for frame in frames if frame.shape[0] >= 475 and frame.shape[1] >= 640])


# scikit-image


@pytest.mark.parametrize("params", GRID, ids=str)
def test_descriptors_equal_scikit_image(params: HogParams) -> None:
    frame = noise(GRID_SHAPE)
    assert not magnitudes_on_borders(frame, params).any()
    np.testing.assert_allclose(compute_hog(frame[None], params)[0], as_skimage(frame, params), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "params", dict.fromkeys(replace(params, cells_per_block=(1, 1), block_norm="L2") for params in GRID), ids=str
)
def test_histograms_equal_scikit_image(params: HogParams) -> None:
    frame = noise(GRID_SHAPE)
    np.testing.assert_allclose(
        compute_histograms(frame, params), skimage_histograms(frame, params), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("orientations", [8, 9, 12])
@pytest.mark.parametrize("pixels_per_cell", [(8, 8), (32, 32)])
def test_real_frames_differ_from_scikit_image_by_no_more_than_their_border_pixels(
    stills: NDArray[np.uint8], orientations: int, pixels_per_cell: tuple[int, int]
) -> None:
    params = HogParams(orientations=orientations, pixels_per_cell=pixels_per_cell)
    for frame in stills:
        difference = compute_histograms(frame, params) - skimage_histograms(frame, params)
        allowed = magnitudes_on_borders(frame, params)[..., None]
        assert np.all(abs(difference) <= allowed + 1e-5)


@pytest.mark.parametrize("cells_per_block", [(1, 1), (2, 3)])
@pytest.mark.parametrize("block_norm", BLOCK_NORMS)
def test_descriptors_of_real_frames_equal_scikit_image_in_blocks_without_border_pixels(
    stills: NDArray[np.uint8], cells_per_block: tuple[int, int], block_norm: str
) -> None:
    params = HogParams(pixels_per_cell=(4, 4), cells_per_block=cells_per_block, block_norm=block_norm)
    for frame in stills:
        on_border = magnitudes_on_borders(frame, params) > 0
        is_sure = ~sliding_window_view(on_border, cells_per_block).any(axis=(2, 3))
        assert is_sure.mean() > 0.1
        blocks = compute_hog(frame[None], params)[0].reshape(*params.n_blocks(frame.shape), -1)
        expected = as_skimage(frame, params).reshape(blocks.shape)
        np.testing.assert_allclose(blocks[is_sure], expected[is_sure], rtol=0, atol=1e-5)


def test_descriptors_of_a_real_frame_with_noise_below_a_grey_level_equal_scikit_image(
    stills: NDArray[np.uint8],
) -> None:
    params = HogParams()
    for frame in stills:
        dithered = frame + np.random.default_rng(1).uniform(0, 1, frame.shape)
        assert not magnitudes_on_borders(dithered, params).any()
        np.testing.assert_allclose(
            compute_hog(dithered[None], params)[0], as_skimage(dithered, params), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("block_norm", BLOCK_NORMS)
def test_flat_frames_have_zeros_only(block_norm: str) -> None:
    frame = np.full((70, 70), 93, np.uint8)
    descriptor = compute_hog(frame[None], HogParams(block_norm=block_norm))[0]
    assert not descriptor.any()
    np.testing.assert_array_equal(descriptor, as_skimage(frame, HogParams(block_norm=block_norm)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (2, 5), (3, 3)])
def test_tiny_frames_equal_scikit_image(shape: tuple[int, int]) -> None:
    frame, params = noise(shape), HogParams(pixels_per_cell=(1, 1), block_norm="L2")
    np.testing.assert_allclose(compute_hog(frame[None], params)[0], as_skimage(frame, params), rtol=0, atol=1e-5)


@given(
    params=st.builds(
        HogParams,
        orientations=st.integers(1, 9),
        pixels_per_cell=st.tuples(st.integers(1, 9), st.integers(1, 9)),
        cells_per_block=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    ),
    shape=st.tuples(st.integers(1, 24), st.integers(1, 24)),
)
def test_a_frame_has_as_many_blocks_as_in_scikit_image(params: HogParams, shape: tuple[int, int]) -> None:
    try:
        blocks = as_skimage(np.zeros(shape), params, feature_vector=False)
    except ValueError:
        with pytest.raises(ValueError, match=f"{shape[0]} x {shape[1]} pixels .* cannot hold one block"):
            params.n_features(shape)
    else:
        assert params.n_blocks(shape) == blocks.shape[:2]
        assert params.n_features(shape) == blocks.size


# The rule for gradients on a border


@given(frame=any_frames, params=any_params)
def test_histograms_equal_the_plain_definition_to_the_last_bit_of_float32(
    frame: NDArray[np.uint8], params: HogParams
) -> None:
    expected = plain_histograms(frame, params).astype(np.float32)
    np.testing.assert_array_max_ulp(compute_histograms(frame, params), expected, maxulp=1)


def test_histograms_of_real_frames_equal_the_plain_definition(stills: NDArray[np.uint8]) -> None:
    for frame, orientations in product(stills, [8, 9, 12]):
        params = HogParams(orientations=orientations)
        expected = plain_histograms(frame, params).astype(np.float32)
        np.testing.assert_array_max_ulp(compute_histograms(frame, params), expected, maxulp=1)


def bin_of(g_row: float, g_col: float, orientations: int) -> int:
    """Find the one bin that the one gradient of a frame falls into."""
    frame = np.zeros((3, 3))
    frame[[0, 2], 1] = max(-g_row, 0), max(g_row, 0)
    frame[1, [0, 2]] = max(-g_col, 0), max(g_col, 0)
    params = HogParams(orientations=orientations, pixels_per_cell=(3, 3), transform_sqrt=False)
    (found,) = np.flatnonzero(compute_histograms(frame, params))
    return int(found)


ROOT = np.sqrt(np.arange(5.0))


@pytest.mark.parametrize(
    ("degrees", "g_row", "g_col"),
    [
        (0, 0.0, 1.0),
        (0, 0.0, -1.0),
        (0, -0.0, 1.0),
        (0, -0.0, -1.0),
        (15, ROOT[4] - ROOT[3], 1.0),
        (22.5, ROOT[2] - ROOT[1], 1.0),
        (22.5, ROOT[1] - ROOT[2], -1.0),
        (30, 1.0, ROOT[3]),
        (45, ROOT[3] - ROOT[2], ROOT[3] - ROOT[2]),
        (45, ROOT[2] - ROOT[3], ROOT[2] - ROOT[3]),
        (60, ROOT[3], 1.0),
        (67.5, 1.0, ROOT[2] - ROOT[1]),
        (90, 1.0, 0.0),
        (90, -1.0, 0.0),
        (112.5, 1.0, ROOT[1] - ROOT[2]),
        (120, ROOT[3], -1.0),
        (135, ROOT[3] - ROOT[2], ROOT[2] - ROOT[3]),
        (135, ROOT[2] - ROOT[3], ROOT[3] - ROOT[2]),
        (157.5, ROOT[2] - ROOT[1], -1.0),
    ],
)
def test_a_gradient_on_a_border_belongs_to_the_bin_above(degrees: float, g_row: float, g_col: float) -> None:
    for orientations in range(1, 33):
        k = degrees * orientations / 180
        if k == int(k):
            assert bin_of(g_row, g_col, orientations) == k


@given(
    border=st.integers(1, 24).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))),
    is_opposite=st.booleans(),
    magnitude=st.floats(1e-3, 360),
)
@example(border=(0, 8), is_opposite=False, magnitude=1.0)
@example(border=(0, 1), is_opposite=True, magnitude=1.0)
def test_a_border_reaches_a_trillionth_of_a_radian_down(
    border: tuple[int, int], is_opposite: bool, magnitude: float
) -> None:
    k, n = border
    for offset, expected in [(1e-9, k), (0.9e-12, k), (-0.9e-12, k), (-1.1e-12, (k - 1) % n), (-1e-9, (k - 1) % n)]:
        angle = np.pi * k / n + offset + (np.pi if is_opposite else 0)
        assert bin_of(magnitude * np.sin(angle), magnitude * np.cos(angle), n) == expected


def test_no_fused_multiply_add_rounds_differently_on_other_machines() -> None:
    kernel = gradient_sums.cumulative_histograms
    fresh = numba.jit(**kernel.targetoptions)(kernel.py_func)  # The code of a cached one cannot be read.
    frame, borders = np.zeros((8, 8), np.uint8), tuple(gradient_sums.bin_borders(8))
    fresh(frame, np.zeros(256), borders, 4, 4, np.zeros((2, 2, 8)))
    (assembly,) = fresh.inspect_asm().values()
    assert re.search(r"\bv?sqrt|fsqrt", assembly)
    assert not re.search(r"\bv?fn?m(add|sub|la|ls)", assembly)


# The laws


@given(
    frames=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, min_side=4, max_side=12)),
    block_norm=st.sampled_from(list(BLOCK_NORMS)),
)
def test_a_descriptor_does_not_depend_on_the_frames_beside_it(frames: NDArray[np.uint8], block_norm: str) -> None:
    params = HogParams(pixels_per_cell=(2, 2), cells_per_block=(2, 1), block_norm=block_norm)
    alone = [compute_hog(frame[None], params)[0] for frame in frames]
    np.testing.assert_array_equal(compute_hog(frames, params), alone, strict=True)


@given(frame=any_frames, params=any_params, top=st.integers(0, 3), left=st.integers(0, 5), step=st.integers(1, 2))
def test_a_view_into_a_larger_plane_equals_its_copy(
    frame: NDArray[np.uint8], params: HogParams, top: int, left: int, step: int
) -> None:
    (n_rows, n_cols) = frame.shape
    plane = np.full((top + step * n_rows + 2, left + n_cols + 3), 200, np.uint8)
    view = plane[top : top + step * n_rows : step, left : left + n_cols]
    view[:] = frame
    view.flags.writeable = False
    np.testing.assert_array_equal(compute_histograms(view, params), compute_histograms(frame, params), strict=True)


@given(frame=any_frames, params=any_params, black=st.integers(0, 32))
def test_grey_levels_equal_a_frame_of_those_levels_bit_for_bit(
    frame: NDArray[np.uint8], params: HogParams, black: int
) -> None:
    levels = np.clip((np.arange(256.0) - black) * 255 / 219, 0, 255)
    np.testing.assert_array_equal(
        compute_histograms(frame, params, levels=levels), compute_histograms(levels[frame], params), strict=True
    )


@given(frame=any_frames, params=any_params)
def test_stored_values_are_grey_levels_where_none_are_given(frame: NDArray[np.uint8], params: HogParams) -> None:
    np.testing.assert_array_equal(
        compute_histograms(frame, params), compute_histograms(frame.astype(np.float64), params), strict=True
    )


def test_histograms_go_where_they_are_wanted() -> None:
    frame, params = noise((64, 96)), HogParams()
    store = np.full((3, 2, 3, 8), -1, np.float32)
    assert compute_histograms(frame, params, out=store[1]).base is store
    np.testing.assert_array_equal(store[1], compute_histograms(frame, params))
    assert (store[[0, 2]] == -1).all()


def test_any_block_norm_follows_from_stored_histograms() -> None:
    frames = np.stack([noise((70, 100), seed) for seed in range(3)])
    histograms = np.stack([compute_histograms(frame, HogParams()) for frame in frames])
    for norm, block in product(BLOCK_NORMS, [(1, 1), (2, 3)]):
        params = HogParams(block_norm=norm, cells_per_block=block)
        np.testing.assert_array_equal(normalise_blocks(histograms, params), compute_hog(frames, params), strict=True)


@pytest.mark.parametrize("block_norm", BLOCK_NORMS)
def test_blocks_around_an_unknown_cell_are_unknown_and_no_others(block_norm: str) -> None:
    params = HogParams(cells_per_block=(1, 2), block_norm=block_norm)
    histograms = compute_histograms(noise((32, 160)), params)[None]
    histograms[0, 0, 1] = np.nan
    is_unknown = np.isnan(normalise_blocks(histograms, params)).reshape(4, -1)
    np.testing.assert_array_equal(is_unknown.all(axis=1), [True, True, False, False])
    np.testing.assert_array_equal(is_unknown.any(axis=1), [True, True, False, False])


# Histograms in float64 too, whose last bits float32 would hide.
ONE_RUN = """
import numpy as np
from facehog_core import gradient_sums, hog, kernels

frames = np.random.default_rng(0).choice(np.arange(256, dtype=np.uint8), (2, 99, 131))
params = hog.HogParams(pixels_per_cell=(16, 43))
descriptors = hog.compute_hog(frames, params)
for kernel in (gradient_sums.cumulative_histograms, kernels.normalised_blocks):
    print(kernel.stats.cache_misses.total())
sums = np.empty((6, 3, 8))
borders = tuple(gradient_sums.bin_borders(8).tolist())
gradient_sums.cumulative_histograms(frames[0], np.sqrt(np.arange(256.0)), borders, 16, 43, sums)
print(descriptors.tobytes().hex(), sums.tobytes().hex())
"""


@pytest.fixture(scope="module")
def runs_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Run twice on a machine that has no vector instructions but those that all have; return what was printed."""
    machine = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path_factory.mktemp("numba")),
    }
    return [
        subprocess.run(
            [sys.executable, "-c", ONE_RUN],
            env=os.environ | machine,
            capture_output=True,
            text=True,
            check=True,
            timeout=200,
        ).stdout.splitlines()
        for _ in range(2)
    ]


def test_descriptors_have_the_same_bytes_on_a_machine_with_other_vector_instructions(
    runs_elsewhere: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    exec(ONE_RUN, {})
    assert capsys.readouterr().out.splitlines()[-1] == runs_elsewhere[0][-1] == runs_elsewhere[1][-1]


def test_a_second_process_finds_the_kernels_compiled(runs_elsewhere: list[list[str]]) -> None:
    first, second = runs_elsewhere
    assert first[:2] == ["1", "1"]
    assert second[:2] == ["0", "0"]


@pytest.mark.parametrize("kernel", [gradient_sums.cumulative_histograms, kernels.normalised_blocks])
def test_kernels_release_the_gil(kernel: Any) -> None:
    assert kernel.targetoptions["nogil"]


@pytest.mark.parametrize(
    ("frame", "options", "fact"),
    [
        (np.zeros((2, 64, 64), np.uint8), {}, "3-D uint8"),
        (np.zeros((64, 64), np.float32), {}, "2-D float32"),
        (np.zeros((64, 64), np.int8), {}, "2-D int8"),
        (np.zeros((64, 64), np.uint8), {"levels": np.zeros(255)}, "levels"),
        (np.zeros((64, 64), np.uint8), {"levels": np.zeros(256, np.float32)}, "levels"),
        (np.zeros((64, 64)), {"levels": np.zeros(256)}, "levels"),
        (np.zeros((64, 64), np.uint8), {"out": np.zeros((2, 2, 9), np.float32)}, "out"),
        (np.zeros((64, 64), np.uint8), {"out": np.zeros((2, 2, 8))}, "out"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(frame: NDArray[Any], options: dict[str, Any], fact: str) -> None:
    with pytest.raises(ValueError, match=fact):
        compute_histograms(frame, HogParams(), **options)


@pytest.mark.parametrize(
    "histograms", [np.zeros((2, 3, 8), np.float32), np.zeros((1, 2, 3, 9), np.float32), np.zeros((1, 2, 3, 8))]
)
def test_histograms_of_other_parameters_are_refused(histograms: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=re.escape("(n_frames, cell_row, cell_col, 8)")):
        normalise_blocks(histograms, HogParams())


def test_a_frame_without_a_whole_cell_has_no_histograms() -> None:
    params = HogParams(pixels_per_cell=(10**9, 8))
    assert compute_histograms(np.zeros((64, 64), np.uint8), params).shape == (0, 8, 8)


def test_a_frame_smaller_than_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match=r"31 x 64 pixels .* at least 32 x 32"):
        compute_hog(np.zeros((1, 31, 64), np.uint8), HogParams())
