from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pims
import pytest
from barcode import draw, read_number
from PIL import Image
from runs import lay_out_run, run_recording
from skimage import io as skio
from skimage.feature import hog
from stills import FORMS, write_stills

from facehog_core import RecordingReader, extract, open_session, stills
from facehog_core.chunking import plan_chunks
from facehog_core.decode import iter_frames
from facehog_core.errors import (
    ChangedError,
    EmptyFileError,
    FacehogError,
    NoVideoError,
    SequenceError,
    UnreadableError,
)
from facehog_core.frame_index import NO_PTS
from facehog_core.grey import grey_of
from facehog_core.hog import HogParams
from facehog_core.recipe import Recipe
from facehog_core.sealed import read_record
from facehog_core.source import digest_source, list_images
from facehog_core.verify import Verdict, verify_store
from facehog_core.video import VideoInfo, check_unchanged, is_unchanged, probe, read_index

SMALL = Recipe(hog=HogParams(pixels_per_cell=(16, 16)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 12 numbered images."""
    return write_stills(tmp_path / "2021.11.05_m12", 12)


def numbers_in(folder: Path, start: int = 0, stop: int | None = None) -> list[int | None]:
    """Return the numbers that frames show, None where there is no frame."""
    info, index = probe(folder)
    frames = list(iter_frames(info, index, start, index.n_frames if stop is None else stop))
    assert [decoded.index for decoded in frames] == list(range(start, start + len(frames)))
    return [decoded.frame and read_number(grey_of(decoded.frame).to_float()) for decoded in frames]


# -- frame i is frame i -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["img{}", "m12 cam0_{:06}", "2021.11.05_{}_raw"])
def test_frame_i_is_the_ith_image_in_natural_order(tmp_path: Path, form: str, name: str) -> None:
    folder = write_stills(tmp_path / "m12", 12, form, name=name)

    assert numbers_in(folder) == list(range(12))
    assert numbers_in(folder, 3, 11) == list(range(3, 11))
    assert numbers_in(folder, 5, 5) == []


def test_a_folder_is_told_of_like_any_recording(folder: Path) -> None:
    info, index = probe(folder)

    assert (info.container, info.codec, info.pixel_format, info.color_range) == ("images", "png", "gray", "full")
    assert (info.width, info.height, info.n_frames, info.stream_index) == (160, 96, 12, 0)
    assert info.path == str(folder)
    assert info.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert info.digest == digest_source(folder)
    assert VideoInfo.from_dict(info.as_dict()) == info
    assert (info.duration_s, info.average_rate) == (None, None), "images do not say when they were taken"
    assert index.pts.tolist() == [NO_PTS] * 12
    assert np.isnan(index.time_s(info.time_base)).all()
    assert index.is_keyframe.all()
    assert [index.keyframe_at_or_before(number) for number in (0, 7, 11)] == [0, 7, 11]
    assert read_index(info).pts.tolist() == index.pts.tolist()


def test_any_image_can_be_decoded_by_itself_so_chunks_are_free(folder: Path) -> None:
    _, index = probe(folder)
    plan = plan_chunks(40_000, np.arange(40_000), is_seekable=index.is_seekable)

    assert (len(plan), plan.n_decoded_again) == (54, 0)


@pytest.mark.usefixtures("decided_ties")
@pytest.mark.parametrize("form", ["png", "jpg", "tif", "png, colour", "jpg, colour", "tif, 16 bits"])
def test_descriptors_are_those_of_scikit_image_on_what_it_reads(tmp_path: Path, form: str) -> None:
    folder = write_stills(tmp_path / "m12", 11, form)
    session = open_session(run_recording(tmp_path / "store", folder, SMALL))

    for number in (0, 2, 10):
        (path,) = folder.glob(f"img{number}.*")
        pixels = skio.imread(path)
        grey = pims.as_grey(pixels) if pixels.ndim == 3 else pixels * (255 / np.iinfo(pixels.dtype).max)
        expected = hog(grey, 8, (16, 16), (1, 1), "L2-Hys", transform_sqrt=True)
        np.testing.assert_allclose(session.descriptors[number].values, expected, rtol=0, atol=1e-5)
    assert session.source["container"] == "images"
    assert session.time_s.values.tolist() == list(range(11)), "images do not say when they were taken"


def test_descriptors_are_the_same_bytes_for_any_chunks(tmp_path: Path, folder: Path) -> None:
    (folder / "img4.png").write_bytes(b"")
    whole = open_session(run_recording(tmp_path / "whole", folder, SMALL))
    for frames_per_shard in (1, 5):
        store = run_recording(
            tmp_path / str(frames_per_shard), folder, SMALL, frames_per_shard=frames_per_shard, order=lambda c: c[::-1]
        )
        assert open_session(store).descriptors.values.tobytes() == whole.descriptors.values.tobytes()


def test_a_run_of_a_folder_is_whole_and_its_source_unchanged(tmp_path: Path, folder: Path) -> None:
    path = run_recording(tmp_path / "store", folder, SMALL)
    *_, verdict = verify_store(path, read_record(path))

    assert verdict == Verdict(store=path, findings=[], source="unchanged", n_described=8)
    assert path.parent == tmp_path / "store" / "2021.11.05_m12", "nothing is cut off the folder's name"

    (folder / "img3.png").write_bytes((folder / "img4.png").read_bytes())
    *_, verdict = verify_store(path)
    assert isinstance(verdict, Verdict)
    assert verdict.source == "changed"


def test_the_reader_gives_images_by_number_in_any_order(folder: Path) -> None:
    with RecordingReader(folder) as frames:
        assert [read_number(frames[number]) for number in (7, 8, 3, -1, 0)] == [7, 8, 3, 11, 0]
        assert [read_number(frame) for frame in frames[4:10]] == [4, 5, 6, 7, 8, 9]
        assert np.array_equal(frames[5], draw(5))
        assert frames[5].metadata["pts"] == NO_PTS
        movie = frames.as_dask(frames_per_block=5)
        assert movie.chunks[0] == (5, 5, 2)
        assert [read_number(frame) for frame in movie.compute()] == list(range(12))
        copy = pickle.loads(pickle.dumps(frames))
        assert read_number(copy[9]) == 9


def test_images_are_never_written_to(folder: Path, tmp_path: Path) -> None:
    def look() -> list[tuple[str, bytes, int]]:
        return [(path.name, path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]

    before = look()
    run_recording(tmp_path / "store", folder, SMALL)
    assert look() == before


# -- damage keeps its place -------------------------------------------------------------------------------


def empty(content: bytes) -> bytes:
    return b""


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def zeros(content: bytes) -> bytes:
    return bytes(len(content))


@pytest.mark.parametrize("form", ["png", "jpg", "tif", "tif, deflate"])
@pytest.mark.parametrize("damage", [empty, half, zeros])
@pytest.mark.parametrize("place", [0, 5, 11])
def test_an_image_that_cannot_be_read_keeps_its_number(
    tmp_path: Path, form: str, damage: Callable[[bytes], bytes], place: int
) -> None:
    folder = write_stills(tmp_path / "m12", 12, form)
    (broken,) = folder.glob(f"img{place}.*")
    broken.write_bytes(damage(broken.read_bytes()))

    assert numbers_in(folder) == [None if number == place else number for number in range(12)]
    info, index = probe(folder)
    flags = [decoded.is_corrupt for decoded in iter_frames(info, index, 0, 12)]
    assert flags == [number == place for number in range(12)]


def test_a_lost_image_has_no_descriptors_and_its_neighbours_have_theirs(tmp_path: Path, folder: Path) -> None:
    whole = open_session(run_recording(tmp_path / "whole", folder, SMALL)).load()
    (folder / "img5.png").write_bytes(half((folder / "img5.png").read_bytes()))
    store = run_recording(tmp_path / "damaged", folder, SMALL)
    session = open_session(store).load()

    assert session.corrupt.values.tolist() == [number == 5 for number in range(12)]
    assert np.isnan(session.descriptors[5]).all()
    assert np.isnan(session.histograms[5]).all()
    others = [number for number in range(12) if number != 5]
    assert session.descriptors[others].values.tobytes() == whole.descriptors[others].values.tobytes()
    assert read_record(store).n_corrupt == 1
    *_, verdict = verify_store(store)
    assert verdict == Verdict(store=store, findings=[], source="unchanged", n_described=8)


def test_an_image_that_its_decoder_reads_through_may_be_wrong_and_is_marked(tmp_path: Path, videos_dir: Path) -> None:
    folder = tmp_path / "m12"
    folder.mkdir()
    for number, pixels in enumerate(np.load(videos_dir / "stills" / "ibl_frames_left.npy")):
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=75)
    content = bytearray((folder / "1.jpg").read_bytes())
    content[50_000:54_096] = bytes(4096)
    (folder / "1.jpg").write_bytes(content)

    info, index = probe(folder)
    frames = list(iter_frames(info, index, 0, 3))
    assert [(decoded.frame is None, decoded.is_corrupt) for decoded in frames] == [
        (False, False),
        (False, True),
        (False, False),
    ]


def test_missing_numbers_and_images_without_one_are_told_of(folder: Path) -> None:
    assert probe(folder)[0].remarks == []
    (folder / "img4.png").unlink()
    (folder / "background.png").write_bytes((folder / "img5.png").read_bytes())

    info, _ = probe(folder)
    assert info.n_frames == 11
    assert [remark.split(":")[0] for remark in info.remarks] == [
        "1 image of the sequence is missing (number 4)",
        "1 image without a number is no frame",
    ]
    assert numbers_in(folder) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]


# -- refused in words -------------------------------------------------------------------------------------


def remove_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def break_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"no image")


def add(name: str, image: Image.Image) -> Callable[[Path], None]:
    return lambda folder: image.save(folder / name)


REFUSED: dict[str, tuple[Callable[[Path], object], type[FacehogError], str]] = {
    "empty": (remove_all, EmptyFileError, r"m12: the folder holds no images \(.jpg"),
    "no images": (
        lambda folder: [path.rename(path.with_suffix(".txt")) for path in folder.iterdir()],
        EmptyFileError,
        "the folder holds no images",
    ),
    "no numbers": (
        lambda folder: remove_all(folder) or add("a.png", Image.new("L", (9, 9)))(folder),
        SequenceError,
        r"carry no numbers \(a.png\)",
    ),
    "another size": (
        add("img7.png", Image.new("L", (160, 97))),
        SequenceError,
        "m12: img7.png has 160 x 97 pixels, and img0.png has 160 x 96",
    ),
    "another sequence": (
        add("cam1_3.png", Image.new("L", (160, 96))),
        SequenceError,
        r"several sequences of images: img#.png \(12 images\), cam#_#.png \(1 image\)",
    ),
    "no image is one": (break_all, UnreadableError, "none of its 12 images can be read, such as img0.png"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_recording_is_refused_in_words(folder: Path, kind: str) -> None:
    spoil, error, said = REFUSED[kind]
    spoil(folder)
    with pytest.raises(error, match=said) as refused:
        probe(folder)
    assert refused.value.path == str(folder)


def test_a_folder_has_no_second_stream(folder: Path) -> None:
    assert probe(folder, 0)[0].stream_index == 0
    with pytest.raises(
        NoVideoError, match=r"^2021.11.05_m12: it has no video stream of number 1. .* leave `stream` out."
    ):
        probe(folder, 1)


def test_an_image_that_is_no_frame_is_named(tmp_path: Path, folder: Path) -> None:
    Image.new("CMYK", (160, 96)).save(tmp_path / "cmyk.jpg")
    (tmp_path / "cmyk.jpg").rename(folder / "img7.png")
    with pytest.raises(SequenceError, match=r"m12: img7.png has CMYK pixels\. Save images"):
        probe(folder)


def test_transparency_is_found_when_the_image_is_read(folder: Path) -> None:
    Image.fromarray(np.dstack([draw(7)] * 4)).save(folder / "img7.png")
    info, index = probe(folder)
    frames = iter_frames(info, index, 0, 12)
    assert [next(frames).index for _ in range(7)] == list(range(7))
    with pytest.raises(SequenceError, match=r"m12: img7\.png is transparent in places"):
        next(frames)


def test_an_image_that_is_far_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stills, "MOST_IMAGE_BYTES", max(image.size_bytes for image in list_images(folder)) - 1)
    with pytest.raises(SequenceError, match=r"has [\d,]+ bytes, and an image has [\d,]+ at most"):
        probe(folder)


def test_an_image_that_may_not_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "img7.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)  # tests may run as root, who may read all
    with pytest.raises(UnreadableError, match=r"m12: img7\.png may not be read"):
        probe(folder)


# -- changes ----------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[Path], object]] = {
    "added": lambda folder: (folder / "img12.png").touch(),
    "removed": lambda folder: (folder / "img5.png").unlink(),
    "touched": lambda folder: os.utime(folder / "img5.png", ns=(0, 0)),
    "renamed": lambda folder: (folder / "img5.png").rename(folder / "img55.png"),
    "gone": lambda folder: folder.rename(folder.with_name("elsewhere")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_changed_is_not_read(folder: Path, change: str) -> None:
    info, index = probe(folder)
    assert is_unchanged(info)
    CHANGES[change](folder)

    assert not is_unchanged(info)
    for read in (check_unchanged, read_index, lambda info: iter_frames(info, index, 0, 1)):
        with pytest.raises(ChangedError, match=r"2021\.11\.05_m12: "):
            read(info)


def test_a_folder_that_changes_while_it_is_probed_has_changed_also_where_it_would_be_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def grow(path: Path) -> bytes:
        content = read(path)
        if path.name == "img11.png":
            (folder / "img12.png").write_bytes(content)
        return content

    monkeypatch.setattr(Path, "read_bytes", grow)
    with pytest.raises(ChangedError, match="added or removed"):
        probe(folder)
    (folder / "img12.png").unlink()
    Image.new("L", (9, 9)).save(folder / "img11.png")
    with pytest.raises(ChangedError, match="added or removed"):
        probe(folder)


def test_an_image_that_goes_away_on_the_way_is_a_change_and_no_fault_of_the_disk(folder: Path) -> None:
    info, index = probe(folder)
    frames = iter_frames(info, index, 0, 12)
    next(frames)
    (folder / "img1.png").unlink()
    with pytest.raises(ChangedError, match=r"img1\.png is gone"):
        next(frames)


def test_no_receipt_is_written_for_a_folder_that_changed_in_the_meantime(tmp_path: Path, folder: Path) -> None:

    paths = lay_out_run(tmp_path / "store", folder, SMALL, frames_per_shard=4)

    def compute(*given: object) -> object:
        hogs = extract.compute_shard(*given)  # type: ignore[arg-type]
        os.utime(folder / "img11.png", ns=(0, 0))
        return hogs

    (chunk, *_) = extract.read_work(paths).plan
    with pytest.raises(ChangedError):
        extract.extract_chunk(paths, chunk, compute=compute)
    assert not list(paths.receipts.iterdir())


def test_reading_on_costs_one_listing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingReader(folder) as frames:
        calls = []
        monkeypatch.setattr(stills, "list_images", lambda path: calls.append(path) or list_images(path))
        for number in range(12):
            frames.get_frame(number)
    assert len(calls) == 1
