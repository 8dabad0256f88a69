"""How good frames are: against what others measure, whatever the chunks, and where the face lies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pims
import pytest
from barcode import write_recording
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from runs import ENDED, lay_out_run, make_hogs, make_paths, make_work, run_recording, shards_of
from scipy.ndimage import laplace
from scipy.ndimage import shift as shift_picture

from facehog_core import quality
from facehog_core.chunking import Chunk
from facehog_core.crop import Crop
from facehog_core.extract import extract_chunk, plan_run
from facehog_core.face_position import average, count_averaged, locate
from facehog_core.hog import HogParams
from facehog_core.looking import look_at_frame, measure_focus
from facehog_core.mask import Box
from facehog_core.provenance import describe_software
from facehog_core.quality import FrameLook, sum_up, warn_of_quality
from facehog_core.recipe import Recipe
from facehog_core.sealed import open_group, read_record
from facehog_core.sealing import seal_store
from facehog_core.selection import Selection
from facehog_core.store import create_store, read_receipt, read_work, write_shard
from facehog_core.video import probe
from facehog_core.view import View

N_FRAMES = 60
CROP = Crop(x=3, y=5, width=120, height=80)
SMALL = Recipe(hog=HogParams(pixels_per_cell=(16, 16)), crop=CROP)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("recordings") / "m12.mp4", N_FRAMES)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at each seventh frame: the recordings of tests are short."""
    monkeypatch.setattr(quality, "EVERY", 7)


def quality_of(store: Path) -> dict[str, Any]:
    return read_record(store).quality


# -- what is measured -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("often")
def test_brightness_and_focus_are_those_of_the_grey_that_others_make(recording: Path, tmp_path: Path) -> None:
    with av.open(recording) as container:
        greys = [pims.as_grey(frame.to_ndarray(format="rgb24"))[CROP.window] for frame in container.decode(video=0)]
    seen = [np.rint(grey) for grey in greys[::7]]
    found = quality_of(run_recording(tmp_path, recording, SMALL))

    assert found["n_frames"] == len(seen) == 9
    bright = [grey.mean() for grey in seen]
    assert (found["brightness"]["least"], found["brightness"]["most"]) == pytest.approx(
        (min(bright), max(bright)), abs=1e-3
    )
    assert found["focus"]["median"] == pytest.approx(np.median([laplace(grey)[1:-1, 1:-1].var() for grey in seen]))
    assert found["saturated"]["most"] == pytest.approx(max((grey == 255).mean() for grey in seen), abs=1e-6)


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9))
def test_focus_is_the_variance_of_the_laplacian_of_pictures_of_all_sizes(seed: int, n_rows: int, n_cols: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (n_rows, n_cols), np.uint8)
    inner = laplace(levels.astype(float))[1:-1, 1:-1]
    assert measure_focus(levels) == pytest.approx(inner.var() if inner.size else 0.0)


def test_a_blurred_picture_is_out_of_focus_and_a_white_one_saturated() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    blurred = average(sharp, 2).astype(np.uint8)
    assert measure_focus(blurred) < measure_focus(sharp) / 3
    look = look_at_frame(
        av.VideoFrame.from_ndarray(np.full((96, 160), 255, np.uint8), format="gray"), 0, view_of(Recipe())
    )
    assert (look.brightness, look.saturated, look.focus) == (255, 1, 0)


def view_of(recipe: Recipe) -> View:
    return View(info=make_work(width=160, height=96).info, recipe=recipe)


def test_what_is_under_a_mask_has_no_say() -> None:
    recipe = replace(SMALL, masks=(Box(x=40, y=30, width=30, height=20),), crop=None)
    levels = np.random.default_rng(0).integers(0, 256, (96, 160), np.uint8)
    other = levels.copy()
    other[30:50, 40:70] = 255
    small = average(levels, count_averaged((96, 160)))
    looks = [
        look_at_frame(av.VideoFrame.from_ndarray(picture, format="gray"), 0, view_of(recipe), small)
        for picture in (levels, other)
    ]

    assert looks[0] == looks[1]
    assert looks[0] != look_at_frame(av.VideoFrame.from_ndarray(levels, format="gray"), 0, view_of(SMALL), None)
    assert looks[0].brightness == pytest.approx(np.delete(levels.ravel(), hidden_places()).mean(), abs=1e-3)


def hidden_places() -> NDArray[np.int64]:
    rows, cols = np.mgrid[30:50, 40:70]
    return np.ravel_multi_index((rows.ravel(), cols.ravel()), (96, 160))


# -- law 2: the same figures ------------------------------------------------------------------------------


@pytest.mark.usefixtures("often")
def test_figures_do_not_depend_on_how_a_recording_is_cut_nor_on_what_was_done_before(
    recording: Path, tmp_path: Path, reference: Path
) -> None:
    recipe = replace(SMALL, reference=str(reference))
    expected = run_whole(tmp_path / "whole", recording, recipe)
    assert expected["n_frames"] == 9
    assert {"likeness", "reference"} <= expected.keys()
    for frames_per_shard in (4, 10):
        paths = lay_out(tmp_path / str(frames_per_shard), recording, recipe, frames_per_shard)
        everything = Chunk(start=0, stop=N_FRAMES)
        extract_chunk(paths, everything)
        for receipt in sorted(paths.receipts.glob("*.json"))[::2]:
            receipt.unlink()
        assert quality_of(seal_store(paths, extract_chunk(paths, everything)[::-1], ENDED)) == expected


def lay_out(root: Path, recording: Path, recipe: Recipe, frames_per_shard: int) -> Any:
    """Lay a run out as a flow does, and then with shards of another length."""
    info, _ = probe(recording)
    paths = make_paths(root, replace(make_work(recipe=recipe), info=info))
    plan_run(paths, info, recipe, {"software": describe_software()})
    work = read_work(paths)
    plan = replace(work.plan, frames_per_shard=frames_per_shard)
    told = {"software": describe_software(), "reference": open_working(paths).get("reference")}
    create_store(paths, replace(work, plan=plan), told)
    return paths


def open_working(paths: Any) -> dict[str, Any]:
    return dict(json.loads((paths.working / "zarr.json").read_text("utf-8"))["attributes"])


def run_whole(root: Path, recording: Path, recipe: Recipe) -> dict[str, Any]:
    paths = lay_out(root, recording, recipe, N_FRAMES)
    return quality_of(seal_store(paths, extract_chunk(paths, Chunk(start=0, stop=N_FRAMES)), ENDED))


@pytest.mark.usefixtures("often")
def test_frames_are_looked_at_by_their_places_among_those_that_are_described(recording: Path, tmp_path: Path) -> None:
    some = replace(SMALL, frames=Selection(start=1, step=2))
    paths = lay_out_run(tmp_path, recording, some, frames_per_shard=5)
    receipts = [receipt for chunk in read_work(paths).plan for receipt in extract_chunk(paths, chunk)]
    assert [look.frame for receipt in receipts for look in receipt.looks] == [1, 15, 29, 43, 57]


def test_corrupt_frames_are_left_out(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "EVERY", 1)
    index = probe(recording)[1]
    content = bytearray(recording.read_bytes())
    with av.open(recording) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    place = packets[int(index.packets[30])]
    assert place.pos is not None
    content[place.pos : place.pos + place.size] = b"\xff" * place.size
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    record = read_record(run_recording(tmp_path / "store", damaged, SMALL))

    assert record.n_corrupt
    assert record.quality["n_frames"] == N_FRAMES - record.n_corrupt


def test_where_nothing_is_seen_there_are_no_figures() -> None:
    assert sum_up([]) == {}
    assert warn_of_quality({}, 16) == []


def test_a_receipt_of_an_older_facehog_is_read_and_the_figures_are_of_the_rest(tmp_path: Path) -> None:
    work = make_work()
    paths = make_paths(tmp_path, work)
    create_store(paths, work, {"software": {"av": "18.1.0"}})
    for span in shards_of(work):
        write_shard(paths, span, make_hogs(work, span))
    file = paths.receipts / "0-10.json"
    old = {name: value for name, value in json.loads(file.read_text()).items() if name not in ("looks", "software")}
    file.write_text(json.dumps(old))
    receipts = [read_receipt(paths, span) for span in shards_of(work)]
    store = seal_store(paths, [receipt for receipt in receipts if receipt], ENDED)

    assert [quality_of(store)[name] for name in ("n_frames", "brightness")] == [
        2,
        {"median": 35.0, "least": 30.0, "most": 40.0},
    ]
    # What was seen of each frame is not kept in every store.
    assert not {"looks", "software"} & set(open_group(store).attrs["shards"][0])  # type: ignore[index,call-overload,arg-type]


# -- where the face lies ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frame, saved as a picture."""
    path = tmp_path_factory.mktemp("reference") / "face.png"
    with av.open(recording) as container:
        next(container.decode(video=0)).to_image().save(path)
    return path


@pytest.fixture(scope="module")
def mouse(videos_dir: Path) -> NDArray[np.uint8]:
    """The first frame of a real mouse, as grey."""
    with av.open(videos_dir / "real" / "aind_bvt_clip.mp4") as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-30, 30), st.floats(0.6, 1.4))
def test_a_face_that_moved_is_found_where_it_is(
    mouse: NDArray[np.uint8], rows: int, cols: int, brighter: int, contrast: float
) -> None:
    window = slice(60, 440), slice(60, 560)
    n = count_averaged((380, 500))
    seen = shift_picture(mouse.astype(float), (rows, cols), order=0)[window] * contrast + brighter
    found = locate(average(np.clip(seen, 0, 255).astype(np.uint8), n), average(mouse[window], n))

    assert (found.row * n, found.col * n) == pytest.approx((rows, cols), abs=2)
    assert found.likeness > quality.LEAST_LIKENESS


def test_another_picture_is_not_taken_for_the_face(mouse: NDArray[np.uint8], videos_dir: Path) -> None:
    with av.open(videos_dir / "real" / "lightningpose_mirror-mouse_test_vid.mp4") as container:
        other = next(container.decode(video=0)).to_ndarray(format="gray")
    n_rows, n_cols = (min(sizes) for sizes in zip(mouse.shape, other.shape, strict=True))
    pictures = [picture[:n_rows, :n_cols] for picture in (mouse, other, np.zeros_like(mouse))]
    small = [average(picture, count_averaged((n_rows, n_cols))) for picture in pictures]

    assert locate(small[0], small[0]).likeness == pytest.approx(1)
    assert locate(small[1], small[0]).likeness < quality.LEAST_LIKENESS
    assert locate(small[2], small[0]).likeness == 0


@pytest.mark.parametrize("downsample", [1, 3])
def test_a_reference_may_be_of_the_frame_or_of_the_crop(
    recording: Path, reference: Path, tmp_path: Path, downsample: int
) -> None:
    cropped = tmp_path / "crop.png"
    with Image.open(reference) as picture:
        picture.crop((CROP.x, CROP.y, CROP.x + CROP.width, CROP.y + CROP.height)).save(cropped)
    small = replace(SMALL, downsample=downsample)
    found = [
        run_whole(tmp_path / path.stem, recording, replace(small, reference=str(path))) for path in (reference, cropped)
    ]

    assert found[0]["moved"]["most"] < 2 * downsample
    assert [told.pop("reference")["path"] for told in found] == [str(reference), str(cropped)]
    assert found[0] == found[1]


def moved(row: float, col: float, likeness: float = 0.9) -> FrameLook:
    return FrameLook(frame=0, brightness=40, saturated=0, focus=9, shift=(row, col), likeness=likeness)


def test_a_face_that_lies_more_than_half_a_cell_away_is_warned_of() -> None:
    assert warn_of_quality(sum_up([moved(-9, 12), moved(-9, 12), moved(200, 0, 0.1)]), 16) == []
    (told,) = warn_of_quality(sum_up([moved(-12, 16)]), 16)
    assert told.startswith(
        "The face lies 20 pixels from where the reference has it (16 to the right, 12 up): that is more"
    )


def test_frames_that_do_not_look_like_the_reference_do_not_say_where_the_face_lies() -> None:
    found = sum_up([moved(0, 0), moved(90, 9, 0.1)])
    assert "moved" not in found
    (told,) = warn_of_quality(found, 16)
    assert told.startswith("Where the face lies is not known: 1 of 2 frames that were looked at do not look like")


def write_no_picture(path: Path) -> None:
    path.write_text("mouse 12 was hungry today")


def write_other_size(path: Path) -> None:
    Image.new("L", (100, 50)).save(path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda _: None, "the reference cannot be read: No such file"),
        (write_no_picture, "the reference is no picture that can be read"),
        (write_other_size, "the reference has 100 x 50 pixels, and a frame of m12.mp4 has 160 x 96, the crop 120 x 80"),
    ],
)
def test_a_reference_that_cannot_be_used_is_a_warning_and_no_fault_of_the_recording(
    recording: Path, tmp_path: Path, write: Any, said: str
) -> None:
    write(tmp_path / "face.png")
    info, _ = probe(recording)
    recipe = replace(SMALL, reference=str(tmp_path / "face.png"))
    paths = make_paths(tmp_path, replace(make_work(recipe=recipe), info=info))
    plan = plan_run(paths, info, recipe, {"software": {}})
    record = read_record(seal_store(paths, [r for chunk in plan for r in extract_chunk(paths, chunk)], ENDED))

    (warning,) = record.warnings
    assert warning.startswith(f"Where the face lies is not known: face.png: {said}")
    assert "Save a frame of a recording as a picture" in warning
    assert record.quality["n_frames"] == 1
    assert "moved" not in record.quality


def test_the_reference_has_no_say_in_the_name_of_a_run_nor_in_its_numbers(
    recording: Path, reference: Path, tmp_path: Path
) -> None:
    with_reference = replace(SMALL, reference=str(reference))
    assert with_reference.digest == SMALL.digest
    assert Recipe.from_dict(with_reference.as_dict()) == with_reference
    shards = [
        [
            receipt.digest
            for receipt in extract_chunk(lay_out(tmp_path / name, recording, recipe, 20), Chunk(start=0, stop=20))
        ]
        for name, recipe in (("a", SMALL), ("b", with_reference))
    ]
    assert shards[0] == shards[1]


# -- by what it was made ----------------------------------------------------------------------------------


def test_the_versions_of_workers_are_recorded_and_told_where_they_are_others(tmp_path: Path) -> None:
    work = make_work()
    paths = make_paths(tmp_path, work)
    create_store(paths, work, {"software": {"av": "18.1.0", "numpy": "2.4.6"}})
    versions = ["18.1.0", "18.0.0", "18.1.0"]
    receipts = [
        write_shard(paths, span, replace(make_hogs(work, span), software={"av": version, "numpy": "2.4.6"}))
        for span, version in zip(shards_of(work), versions, strict=True)
    ]
    record = read_record(seal_store(paths, receipts, ENDED))

    assert record.software == {"av": "18.0.0 and 18.1.0", "numpy": "2.4.6"}
    told = "Workers had other versions than the flow, and may write other last bits: av 18.0.0 and 18.1.0, not 18.1.0."
    assert told in record.warnings


def test_each_shard_says_by_what_it_was_made(recording: Path, tmp_path: Path) -> None:
    paths = lay_out_run(tmp_path, recording, SMALL)
    (receipt,) = extract_chunk(paths, Chunk(start=0, stop=N_FRAMES))
    assert receipt.software == describe_software()
