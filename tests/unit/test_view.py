from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pims
import pytest
from barcode import write_recording
from frames import disturb, make_frame, planes_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import run_ffmpeg
from runs import ENDED, lay_out_run, make_work, run_recording
from skimage.feature import hog
from skimage.transform import downscale_local_mean

from facehog_core.chunking import Chunk
from facehog_core.crop import Crop
from facehog_core.errors import CropError, ViewError
from facehog_core.grey import grey_of, luma_grey
from facehog_core.hog import HogParams, normalise_blocks
from facehog_core.mask import Box, Mask, Polygon
from facehog_core.picture import render_pictures
from facehog_core.recipe import Recipe
from facehog_core.sealed import open_group, read_record
from facehog_core.sealing import seal_store
from facehog_core.session import open_session
from facehog_core.store import write_shard
from facehog_core.verify import verify_store
from facehog_core.video import VideoInfo, probe
from facehog_core.view import View, average_blocks

FORMATS = ["gray", "yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le", "yuv444p10le"]
HEIGHT, WIDTH = 33, 46


def info_of(pixel_format: str = "yuv420p", rotation: int = 0, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> VideoInfo:
    work = make_work(pixel_format=pixel_format, rotation=rotation, height=shape[0], width=shape[1])
    return work.info


def describe(view: View, frame: av.VideoFrame) -> tuple[NDArray[np.float32], NDArray[np.float32], str]:
    histograms = view.make_histograms(1)
    way = view.describe(frame, histograms[0])
    return histograms[0], view.normalise(histograms)[0], way


masks = st.lists(
    st.builds(Box, x=st.integers(0, 30), y=st.integers(0, 30), width=st.integers(1, 12), height=st.integers(1, 12))
    | st.builds(Polygon, points=st.tuples(*[st.tuples(st.integers(0, 33), st.integers(0, 33))] * 3)),
    min_size=1,
    max_size=3,
).map(tuple)
recipes = st.builds(
    Recipe,
    hog=st.builds(
        HogParams,
        orientations=st.integers(1, 9),
        pixels_per_cell=st.tuples(st.integers(1, 5), st.integers(1, 5)),
        cells_per_block=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    ),
    crop=st.none() | st.builds(Crop, x=st.integers(0, 9), y=st.integers(0, 9), width=st.just(23), height=st.just(24)),
    grey=st.sampled_from(["rgb", "rgb", "luma"]),
    downsample=st.integers(1, 2),
    masks=masks,
    apply_rotation=st.booleans(),
)


def view_of(recipe: Recipe, pixel_format: str = "yuv420p", rotation: int = 0) -> View | None:
    try:
        return View(info=info_of(pixel_format, rotation), recipe=recipe)
    except ViewError:  # A polygon of no area, or masks over everything.
        return None


def turns_of(recipe: Recipe, rotation: int) -> int:
    return rotation // 90 if recipe.apply_rotation else 0


def covered_by(recipe: Recipe, rotation: int) -> NDArray[np.bool_]:
    """Say which pixels of the frame as it is stored are under a mask."""
    shape = (HEIGHT, WIDTH)[:: -1 if turns_of(recipe, rotation) % 2 else 1]
    covered = np.logical_or.reduce([mask.covers(shape) for mask in recipe.masks])
    return np.rot90(covered, -turns_of(recipe, rotation))


# -- masks ------------------------------------------------------------------------------------------------


@given(
    recipes,
    st.sampled_from(FORMATS),
    st.sampled_from([0, 90, -90, 180]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_no_pixel_under_a_mask_has_a_say_in_any_number(
    recipe: Recipe, pixel_format: str, rotation: int, neutral: bool, seed: int
) -> None:
    if (view := view_of(recipe, pixel_format, rotation)) is None:
        return
    frame, other = (make_frame(pixel_format, (HEIGHT, WIDTH), seed, neutral=neutral) for _ in range(2))
    disturb(other, covered_by(recipe, rotation), seed + 1)

    before, after = describe(view, frame), describe(view, other)
    assert before[0].tobytes() == after[0].tobytes()
    assert before[1].tobytes() == after[1].tobytes()


@given(recipes, st.sampled_from([0, 90, -90, 180]), st.integers(0, 2**32 - 1))
def test_a_cell_is_masked_if_one_of_its_pixels_or_a_direct_neighbour_of_one_is_under_a_mask(
    recipe: Recipe, rotation: int, seed: int
) -> None:
    if (view := view_of(recipe, rotation=rotation)) is None:
        return
    covered = np.rot90(covered_by(recipe, rotation), turns_of(recipe, rotation))
    covered = covered[recipe.crop.window] if recipe.crop else covered
    n, (cell_rows, cell_cols) = recipe.downsample, recipe.hog.pixels_per_cell
    n_rows, n_cols = covered.shape[0] // n, covered.shape[1] // n

    def is_under(row: int, col: int) -> bool:
        is_there = 0 <= row < n_rows and 0 <= col < n_cols
        return is_there and bool(covered[row * n : (row + 1) * n, col * n : (col + 1) * n].any())

    assert view.masked is not None
    for cell_row, cell_col in np.ndindex(view.masked.shape):
        pixels = [
            (row, col)
            for row in range(cell_row * cell_rows, (cell_row + 1) * cell_rows)
            for col in range(cell_col * cell_cols, (cell_col + 1) * cell_cols)
        ]
        looked_at = {
            (row + down, col + right)
            for row, col in pixels
            for down, right in [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
        }
        assert view.masked[cell_row, cell_col] == any(is_under(*pixel) for pixel in looked_at)

    frame = make_frame("yuv420p", (HEIGHT, WIDTH), seed, neutral=True)
    histograms, descriptor, _ = describe(view, frame)
    plain, _, _ = describe(View(info=view.info, recipe=replace(recipe, masks=())), frame)
    assert np.isnan(histograms[view.masked]).all()
    assert histograms[~view.masked].tobytes() == plain[~view.masked].tobytes()
    plain[view.masked] = 0
    assert descriptor.tobytes() == normalise_blocks(plain[np.newaxis], recipe.hog)[0].tobytes()


def test_a_coloured_thing_under_a_mask_does_not_change_the_way_that_the_rest_is_made_grey() -> None:
    view = View(info=info_of(), recipe=Recipe(hog=HogParams(pixels_per_cell=(8, 8)), masks=(BOX,)))
    frame = make_frame("yuv420p", (HEIGHT, WIDTH), 0, neutral=True)
    planes_of(frame)[1][4, 4] = 200
    assert grey_of(frame).way == "rgb"
    assert describe(view, frame)[2] == "luma table"


BOX = Box(x=4, y=4, width=8, height=8)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("recordings") / "m12.mp4", 24)


MASKED = Recipe(
    hog=HogParams(pixels_per_cell=(16, 16), cells_per_block=(2, 2)),
    masks=(Box(x=20, y=40, width=10, height=4), Polygon(points=((100, 50), (126, 60), (110, 79)))),
)


def test_a_store_with_masks_says_so_and_is_sound(recording: Path, tmp_path: Path) -> None:
    path = run_recording(tmp_path, recording, MASKED, frames_per_shard=10)
    whole = open_session(run_recording(tmp_path / "whole", recording, replace(MASKED, masks=())))
    session = open_session(path)
    masked = session.masked.values

    assert session.masked.dims == ("cell_row", "cell_col")
    assert np.argwhere(masked).tolist() == [[2, 1], [3, 6], [3, 7], [4, 6], [4, 7]]
    assert session.masked.attrs["share"] == 5 / 60
    assert Recipe.from_dict(session.attrs["recipe"]) == MASKED
    assert np.isnan(session.histograms.values[:, masked]).all()
    assert np.array_equal(session.histograms.values[:, ~masked], whole.histograms.values[:, ~masked])
    blocks = session.descriptors.values.reshape(24, 5, 9, 2, 2, 8)
    for row, col, down, right in np.ndindex(5, 9, 2, 2):
        assert not masked[row + down, col + right] or (blocks[:, row, col, down, right] == 0).all()
    *_, verdict = verify_store(path, read_record(path))
    assert verdict.problems == []


def test_nothing_is_drawn_in_masked_cells(recording: Path, tmp_path: Path) -> None:
    session = open_session(run_recording(tmp_path, recording, replace(MASKED, with_images=True)))
    whole = open_session(run_recording(tmp_path / "whole", recording, replace(MASKED, masks=())))
    pixels = np.kron(session.masked.values, np.ones((16, 16), bool))

    assert (session.images.values[:, pixels] == 0).all()
    assert np.array_equal(session.images.values[:, ~pixels], whole.images.values[:, ~pixels])
    drawn = open_session(run_recording(tmp_path / "drawn", recording, MASKED))
    assert np.array_equal(drawn.images.values, session.images.values)


@pytest.mark.parametrize("recipe", [MASKED, replace(MASKED, masks=())], ids=["masked", "whole"])
def test_a_lost_frame_has_no_descriptor_and_no_picture(recording: Path, tmp_path: Path, recipe: Recipe) -> None:
    view = View(info=probe(recording)[0], recipe=recipe)
    histograms = view.make_histograms(3)
    with av.open(recording) as container:
        for frame, out in zip(container.decode(video=0), histograms, strict=False):
            view.describe(frame, out)
    histograms[1] = np.nan

    assert np.isnan(view.normalise(histograms)).all(axis=1).tolist() == [False, True, False]
    assert not np.isnan(view.normalise(histograms)[[0, 2]]).any()
    pictures = render_pictures(histograms, recipe.hog, view.frame_shape)
    assert np.isnan(pictures).all(axis=(1, 2)).tolist() == [False, True, False]
    assert not np.isnan(pictures[[0, 2]]).any()


def test_a_store_whose_masked_cells_hold_something_is_not_sound(recording: Path, tmp_path: Path) -> None:
    paths = lay_out_run(tmp_path, recording, MASKED)
    from facehog_core.decode import iter_frames
    from facehog_core.extract import compute_shard
    from facehog_core.store import read_work

    work, span = read_work(paths), Chunk(start=0, stop=24)
    hogs = compute_shard(iter_frames(work.info, work.index, 0, 24), span, work)
    filled = np.where(np.isnan(hogs.histograms), np.float32(1), hogs.histograms)
    path = seal_store(paths, [write_shard(paths, span, replace(hogs, histograms=filled))], ENDED)

    *_, verdict = verify_store(path)
    assert verdict.problems == ["frames 0-24: the histograms of masked cells are not NaN"]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (Box(x=160, y=0, width=9, height=9), r"\{'box': \[160, 0, 9, 9\]\} covers no pixel .* of 160 x 96 pixels"),
        (Box(x=0, y=96, width=9, height=9), "covers no pixel"),
        (Polygon(points=((-9, 0), (0, 0), (0, 9))), "covers no pixel"),
        (Polygon(points=((3.6, 3.6), (4.4, 3.6), (4.4, 4.4))), "covers no pixel"),
        (Box(x=0, y=0, width=160, height=96), "the masks leave none of its 15 cells"),
        (Box(x=0, y=31, width=160, height=34), "the masks leave none of its 15 cells"),
    ],
)
def test_masks_that_leave_nothing_or_lie_outside_are_refused_in_words(
    recording: Path, tmp_path: Path, mask: Mask, said: str
) -> None:
    with pytest.raises(ViewError, match=rf"m12\.mp4: .*{said}.* Change `masks`"):
        View(info=probe(recording)[0], recipe=Recipe(masks=(mask,)))


# -- rotation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rotation"),
    [("derived/l_rotated90.mp4", 90), ("real/decord_video_90.mov", -90), ("real/decord_video_0.mov", 0)],
)
def test_frames_are_turned_as_ffmpeg_turns_them(videos_dir: Path, tmp_path: Path, name: str, rotation: int) -> None:
    info, _ = probe(videos_dir / name)
    assert info.rotation == rotation
    view = View(info=info, recipe=Recipe(apply_rotation=True))
    raw = tmp_path / "turned.raw"
    run_ffmpeg("-i", videos_dir / name, "-map", "0:v:0", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", raw)
    rows, cols = view.frame_shape
    expected = np.fromfile(raw, np.uint8)[: rows * cols].reshape(rows, cols)

    with av.open(videos_dir / name) as container:
        values, _ = view.look(luma_grey(next(container.decode(video=0))))
    assert np.array_equal(values, expected)


def test_frames_are_described_as_stored_unless_asked_for(videos_dir: Path) -> None:
    info, _ = probe(videos_dir / "derived/l_rotated90.mp4")
    assert View(info=info, recipe=Recipe()).frame_shape == (540, 720)
    assert View(info=info, recipe=Recipe(apply_rotation=True)).frame_shape == (720, 540)


def test_crop_and_masks_are_those_of_the_turned_frame() -> None:
    frame = make_frame("gray", (HEIGHT, WIDTH), 3)
    turned = make_frame("gray", (WIDTH, HEIGHT), 0)
    planes_of(turned)[0][:, :, 0] = np.rot90(planes_of(frame)[0][:, :, 0])
    recipe = Recipe(hog=HogParams(pixels_per_cell=(4, 6)), crop=Crop(x=2, y=13, width=31, height=33), masks=(BOX,))
    recipe = replace(recipe, masks=(Box(x=5, y=30, width=3, height=9),))

    by_us = View(info=info_of("gray", rotation=90), recipe=replace(recipe, apply_rotation=True))
    as_stored = View(info=info_of("gray", shape=(WIDTH, HEIGHT)), recipe=recipe)
    assert describe(by_us, frame)[0].tobytes() == describe(as_stored, turned)[0].tobytes()
    with pytest.raises(CropError, match=r"outside of the frame of 33 x 46 pixels as it is turned"):
        View(info=by_us.info, recipe=replace(by_us.recipe, crop=Crop(x=0, y=0, width=46, height=33)))


def test_other_turns_than_quarters_are_refused_in_words_if_they_are_to_be_applied() -> None:
    View(info=info_of(rotation=30), recipe=Recipe(hog=HogParams(pixels_per_cell=(8, 8))))
    with pytest.raises(ViewError, match=r"turned by 30 degrees, .* Set `apply_rotation = false`"):
        View(info=info_of(rotation=30), recipe=Recipe(apply_rotation=True))


def test_a_store_of_turned_frames_opens(videos_dir: Path, tmp_path: Path) -> None:
    recipe = Recipe(apply_rotation=True, hog=HogParams(pixels_per_cell=(64, 64)))
    session = open_session(run_recording(tmp_path, videos_dir / "real/decord_video_90.mov", recipe))
    assert session.images.shape == (3, 568, 320)
    assert session.histograms.shape == (3, 8, 5, 8)
    assert session.attrs["source"]["rotation"] == -90
    assert np.isfinite(session.images.values).all()


# -- downsampling -----------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.sampled_from(FORMATS), st.booleans(), st.integers(0, 2**32 - 1))
def test_downsampling_averages_areas_as_scikit_image_does(n: int, pixel_format: str, neutral: bool, seed: int) -> None:
    frame = make_frame(pixel_format, (HEIGHT, WIDTH), seed, neutral=neutral)
    crop = Crop(x=3, y=1, width=41, height=29)
    view = View(
        info=info_of(pixel_format), recipe=Recipe(hog=HogParams(pixels_per_cell=(2, 2)), crop=crop, downsample=n)
    )
    values, levels = view.look(grey_of(frame))
    grey = pims.as_grey(frame.to_ndarray(format="rgb24"))[crop.window]
    whole = grey[: grey.shape[0] // n * n, : grey.shape[1] // n * n]

    assert values.shape == view.frame_shape
    found = values if levels is None else levels[values]
    np.testing.assert_allclose(found, downscale_local_mean(whole, (n, n)), rtol=0, atol=1e-9)


@pytest.mark.usefixtures("decided_ties")
def test_descriptors_of_averaged_mice_equal_scikit_image(videos_dir: Path, tmp_path: Path) -> None:
    path = videos_dir / "real/amadeus_dummy_maushaus.mp4"
    crop = Crop(x=101, y=33, width=601, height=503)
    session = open_session(run_recording(tmp_path, path, Recipe(crop=crop, downsample=3)))

    with av.open(path) as container:
        for number, frame in enumerate(container.decode(video=0)):
            grey = pims.as_grey(frame.to_ndarray(format="rgb24"))[crop.window][:501, :600]
            expected = hog(downscale_local_mean(grey, (3, 3)), 8, (32, 32), (1, 1), "L2-Hys", transform_sqrt=True)
            np.testing.assert_allclose(session.descriptors[number], expected, rtol=0, atol=1e-5)


def test_areas_of_one_level_keep_it_exactly() -> None:
    assert (average_blocks(np.full((9, 9), 77.0), 3) == 77).all()


def test_a_frame_that_is_too_small_after_downsampling_is_refused_in_words(recording: Path) -> None:
    with pytest.raises(CropError, match=r"40 x 24 pixels \(after downsampling by 4\) hold no block of 32 x 32"):
        View(info=probe(recording)[0], recipe=Recipe(downsample=4))


# -- grey -------------------------------------------------------------------------------------------------


def test_by_default_the_decoders_memory_is_described_in_place(recording: Path) -> None:
    view = View(info=probe(recording)[0], recipe=Recipe(crop=Crop(x=8, y=8, width=100, height=64)))
    with av.open(recording) as container:
        frame = next(container.decode(video=0))
        values, levels = view.look(grey_of(frame))
    assert levels is not None
    assert np.shares_memory(values, np.frombuffer(frame.planes[0], np.uint8))


FULL, LIMITED, UNTAGGED = 2, 1, 0
SMALL = Recipe(hog=HogParams(pixels_per_cell=(16, 16)), crop=Crop(x=3, y=5, width=150, height=90))
RECORDED = [
    (pixel_format, color_range, chroma)
    for pixel_format, ranges in {
        "gray": (UNTAGGED, LIMITED, FULL),
        "yuv420p": (UNTAGGED, LIMITED, FULL),
        "yuvj420p": (FULL,),
        "yuv422p": (UNTAGGED, LIMITED, FULL),
        "yuv444p": (UNTAGGED, LIMITED, FULL),
        "yuv420p10le": (UNTAGGED, LIMITED, FULL),
        "yuv422p10le": (LIMITED,),
        "gray10le": (LIMITED,),
    }.items()
    for color_range in ranges
    for chroma in ((128,) if "gray" in pixel_format else (128, 90))
]


def record(folder: Path, pixel_format: str, color_range: int, chroma: int | list[int], n_frames: int = 3) -> Path:
    return write_recording(
        folder / "m12.mkv", n_frames, pixel_format=pixel_format, chroma=chroma, codec={"color_range": color_range}
    )


def descriptors_by_skimage(grey: NDArray[np.float64], recipe: Recipe) -> NDArray[np.float64]:
    params = recipe.hog
    descriptors: NDArray[np.float64] = hog(
        grey[recipe.crop.window] if recipe.crop else grey,
        params.orientations,
        params.pixels_per_cell,
        params.cells_per_block,
        params.block_norm,
        transform_sqrt=params.transform_sqrt,
    )
    return descriptors


@pytest.mark.usefixtures("decided_ties")
@pytest.mark.parametrize(("pixel_format", "color_range", "chroma"), RECORDED)
def test_stored_descriptors_of_every_pixel_format_equal_the_origins_recipe(
    tmp_path: Path, pixel_format: str, color_range: int, chroma: int
) -> None:
    path = record(tmp_path, pixel_format, color_range, chroma)
    store = run_recording(tmp_path / "store", path, SMALL)
    is_deep = "10le" in probe(path)[0].pixel_format

    assert read_record(store).grey == ["rgb" if chroma != 128 or is_deep else "luma table"]
    assert is_deep == ("10le" in pixel_format)
    with av.open(path) as container:
        for number, frame in enumerate(container.decode(video=0)):
            assert frame.color_range == color_range
            expected = descriptors_by_skimage(pims.as_grey(frame.to_ndarray(format="rgb24")), SMALL)
            np.testing.assert_allclose(open_group(store)["descriptors"][number], expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("decided_ties")
@pytest.mark.parametrize(("pixel_format", "color_range", "chroma"), RECORDED)
def test_luma_is_described_as_it_is_stored(tmp_path: Path, pixel_format: str, color_range: int, chroma: int) -> None:
    path = record(tmp_path, pixel_format, color_range, chroma)
    recipe = replace(SMALL, grey="luma")
    store = run_recording(tmp_path / "store", path, recipe)

    assert read_record(store).grey == ["luma"]
    raw = tmp_path / "luma.raw"
    run_ffmpeg("-i", path, "-vf", "extractplanes=y", "-f", "rawvideo", raw)
    is_deep = "10le" in pixel_format
    for number, luma in enumerate(np.fromfile(raw, np.uint16 if is_deep else np.uint8).reshape(3, 96, 160)):
        expected = descriptors_by_skimage(luma / (4.0 if is_deep else 1.0), recipe)
        np.testing.assert_allclose(open_group(store)["descriptors"][number], expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("decided_ties")
def test_a_recording_that_turns_coloured_in_the_middle_is_made_grey_frame_by_frame(tmp_path: Path) -> None:
    path = record(tmp_path, "yuv420p", LIMITED, [128] * 6 + [100] * 6, n_frames=12)
    store = run_recording(tmp_path / "store", path, SMALL, frames_per_shard=4)

    assert [shard["grey"] for shard in open_group(store).attrs["shards"]] == [
        ["luma table"],
        ["luma table", "rgb"],
        ["rgb"],
    ]
    with av.open(path) as container:
        for number, frame in enumerate(container.decode(video=0)):
            expected = descriptors_by_skimage(pims.as_grey(frame.to_ndarray(format="rgb24")), SMALL)
            np.testing.assert_allclose(open_group(store)["descriptors"][number], expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("decided_ties")
def test_colour_footage_equals_the_origins_recipe(videos_dir: Path, tmp_path: Path) -> None:
    path = videos_dir / "real/decord_video_0.mov"
    store = run_recording(tmp_path, path, Recipe())

    assert read_record(store).grey == ["rgb"]
    with av.open(path) as container:
        for number, frame in enumerate(islice(container.decode(video=0), 3)):
            expected = descriptors_by_skimage(pims.as_grey(frame.to_ndarray(format="rgb24")), Recipe())
            np.testing.assert_allclose(open_group(store)["descriptors"][number], expected, rtol=0, atol=1e-5)


def test_luma_of_frames_that_have_none_is_refused_in_words() -> None:
    with pytest.raises(ViewError, match=r"in gbrp, have no Y plane. Set `grey = \"rgb\"`"):
        View(info=info_of("gbrp"), recipe=Recipe(grey="luma"))
    with pytest.raises(ValueError, match="gbrp has no Y plane"):
        luma_grey(av.VideoFrame(8, 8, "gbrp"))


def test_pixel_aspect_is_recorded_and_changes_nothing(videos_dir: Path, tmp_path: Path) -> None:
    path = videos_dir / "real/nwbvw_stub_h264.mp4"
    session = open_session(run_recording(tmp_path, path, Recipe()))
    assert session.attrs["source"]["pixel_aspect"] == "2/1"
    assert session.images.shape == (5, 120, 160)
