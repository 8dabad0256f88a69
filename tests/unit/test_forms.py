"""The first two laws over every form of recording: frame i is frame i, and the same bytes in chunks of any length."""

from __future__ import annotations

import functools
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from barcode import read_number
from forms import CHUNKS, COUNTED, FORMS, GOP, IMAGES, REFUSED_FORMS, WHOLE
from recordings import ffmpeg_frames, md5_of, plain_decode
from runs import lay_out_run

from facehog_core.chunking import Chunk
from facehog_core.crop import Crop
from facehog_core.decode import iter_frames
from facehog_core.extract import extract_chunk
from facehog_core.grey import grey_of
from facehog_core.hog import HogParams
from facehog_core.receipts import ShardHogs, ShardReceipt
from facehog_core.recipe import Recipe
from facehog_core.run_paths import RunPaths
from facehog_core.store import read_work
from facehog_core.video import probe

REPOSITORY = Path(__file__).resolve().parents[2]
VIDEOS = [form for form, found in FORMS.items() if found.outcome != IMAGES]
SMALL = Recipe(
    hog=HogParams(pixels_per_cell=(16, 16), cells_per_block=(2, 2)), crop=Crop(x=3, y=5, width=120, height=80)
)
WriteForm = Callable[[str], Path]

probe_once = functools.cache(probe)


class Seen(NamedTuple):
    """A frame: the number that it shows, the checksum of its pixels, and its mark."""

    shows: int
    md5: str
    is_corrupt: bool


def read(path: Path, start: int, stop: int) -> list[Seen]:
    info, index = probe_once(path)
    seen = []
    for number, decoded in enumerate(iter_frames(info, index, start, stop), start):
        assert (decoded.index, decoded.pts) == (number, index.pts[number])
        assert decoded.frame is not None
        seen.append(Seen(read_number(grey_of(decoded.frame).to_float()), md5_of(decoded.frame), decoded.is_corrupt))
    return seen


@functools.cache
def read_whole(path: Path) -> list[Seen]:
    return read(path, 0, probe_once(path)[1].n_frames)


@pytest.mark.parametrize("form", FORMS)
def test_frame_i_shows_i_in_every_form(write_form: WriteForm, form: str) -> None:
    seen = read_whole(write_form(form))
    assert [frame.shows for frame in seen] == list(FORMS[form].shows)
    assert FORMS[form].may_be_marked or not any(frame.is_corrupt for frame in seen)


@pytest.mark.parametrize("form", FORMS)
def test_frames_are_the_same_bytes_in_chunks_of_any_length(write_form: WriteForm, form: str) -> None:
    path = write_form(form)
    whole = read_whole(path)
    for length in (1, 7, GOP, 16):
        for start in range(0, len(whole), length):
            assert read(path, start, min(start + length, len(whole))) == whole[start : start + length]


@pytest.mark.parametrize("form", VIDEOS)
def test_plain_decodes_of_pyav_and_ffmpeg_show_the_same_frames(write_form: WriteForm, form: str) -> None:
    path = write_form(form)
    stream = probe_once(path)[0].stream_index
    ours = [frame.md5 for frame in read_whole(path)]
    assert [md5_of(frame) for frame in plain_decode(path, stream)] == ours
    assert [frame.md5 for frame in ffmpeg_frames(path, f"0:{stream}")] == ours


@pytest.mark.parametrize("form", FORMS)
def test_descriptors_are_the_same_bytes_by_one_decoder_and_by_many(
    write_form: WriteForm, tmp_path: Path, form: str
) -> None:
    paths = lay_out_run(tmp_path, write_form(form), SMALL, frames_per_shard=10)
    n_frames = len(FORMS[form].shows)
    by_one = describe(paths, [Chunk(start=0, stop=n_frames)])
    by_many = describe(paths, list(reversed(list(read_work(paths).plan))))
    assert sum(len(hogs.descriptors) for hogs in by_one.values()) == n_frames
    assert sorted(by_many) == list(by_one)
    for span, hogs in by_one.items():
        assert by_many[span].descriptors.tobytes() == hogs.descriptors.tobytes()
        assert by_many[span].histograms.tobytes() == hogs.histograms.tobytes()
        assert by_many[span].corrupt.tolist() == hogs.corrupt.tolist()


def describe(paths: RunPaths, chunks: Sequence[Chunk]) -> dict[Chunk, ShardHogs]:
    """Return what would be written into each shard."""
    found: dict[Chunk, ShardHogs] = {}

    def write(_: RunPaths, span: Chunk, hogs: ShardHogs) -> ShardReceipt:
        found[span] = hogs
        return ShardReceipt(start=span.start, stop=span.stop, digest="", files={}, corrupt=[], lost=[], grey=[])

    for chunk in chunks:
        extract_chunk(paths, chunk, write=write)
    return found


@pytest.mark.parametrize("form", REFUSED_FORMS)
def test_what_is_no_one_recording_is_refused_in_words(write_form: WriteForm, form: str) -> None:
    path = write_form(form)
    with pytest.raises(REFUSED_FORMS[form].error, match=REFUSED_FORMS[form].says) as caught:
        read(path, 0, probe(path)[1].n_frames)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


# -- the page -----------------------------------------------------------------------------------------------


def test_the_page_of_forms_is_up_to_date() -> None:
    page = runpy.run_path(str(REPOSITORY / "docs" / "list_forms.py"))["write_page"]()
    assert page == (REPOSITORY / "docs" / "forms.md").read_text("utf-8"), "run docs/list_forms.py"


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_as_the_page_says(write_form: WriteForm, form: str) -> None:
    info, index = probe_once(write_form(form))
    if info.container == "images":
        expected = IMAGES
    elif index.is_seekable:
        expected = CHUNKS if index.is_keyframe[1:].any() else WHOLE
    else:
        expected = COUNTED
    assert FORMS[form].outcome == expected
