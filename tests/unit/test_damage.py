"""Damage keeps its place: what was hit is lost or marked, and nothing else."""

from __future__ import annotations

import functools
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from barcode import read_number, write_recording
from damaged import Found, blank, damage, decode_span, flip, packets_of, spoil
from recordings import ffmpeg_frames
from remuxed import with_edits

from facehog_core import decode
from facehog_core.decode import iter_frames
from facehog_core.grey import grey_of
from facehog_core.video import probe

# 300 frames of a mouse each: without B-frames, with them, and with an open GOP and a B-pyramid.
MICE = ["derived/ref_yuv420p_nob_g60.mp4", "derived/j_bframes.mp4", "derived/a_bframes_opengop.mp4"]


def read(path: Path, start: int = 0, stop: int | None = None) -> list[Found]:
    info, index = probe(path)
    return decode_span(info, index, start, index.n_frames if stop is None else stop)


def gop_of(path: Path, number: int) -> range:
    return probe(path)[1].gop_at(number)


@pytest.mark.parametrize("name", MICE)
def test_what_is_not_damaged_is_not_marked(videos_dir: Path, name: str) -> None:
    assert not any(found.is_corrupt for found in read(videos_dir / name))


def test_a_flipped_bit_marks_its_frame_and_all_that_lean_on_it(videos_dir: Path, tmp_path: Path) -> None:
    mouse = videos_dir / MICE[0]
    good = [frame.md5 for frame in ffmpeg_frames(mouse)]
    found = read(damage(mouse, tmp_path / "mouse.mp4", flip(150, mouse)))
    # Without B-frames packets are in the order of display. The next keyframe is 180.
    assert [number for number, frame in enumerate(found) if frame.is_corrupt] == list(range(150, 180))
    assert [number for number, frame in enumerate(found) if frame.md5 != good[number]] == list(range(150, 180))


def test_a_packet_that_is_no_h264_is_lost_under_its_own_number(videos_dir: Path, tmp_path: Path) -> None:
    mouse = videos_dir / MICE[0]
    good = [frame.md5 for frame in ffmpeg_frames(mouse)]
    found = read(damage(mouse, tmp_path / "mouse.mp4", spoil(150, mouse)))
    assert [number for number, frame in enumerate(found) if frame.md5 is None] == [150]
    assert [number for number, frame in enumerate(found) if frame.is_corrupt] == list(range(150, 180))
    assert [frame.md5 for frame in found[:150] + found[180:]] == good[:150] + good[180:]


@pytest.mark.parametrize("name", MICE)
@pytest.mark.parametrize("kind", [flip, blank, spoil])
def test_frames_that_are_not_marked_are_those_of_the_whole_file(
    videos_dir: Path, tmp_path: Path, name: str, kind: Callable[[int, Path], Callable[[bytearray], None]]
) -> None:
    mouse = videos_dir / name
    good = [frame.md5 for frame in ffmpeg_frames(mouse)]
    for number in random.Random(3).sample(range(5, 290), 4):
        found = read(damage(mouse, tmp_path / "mouse.mp4", kind(number, mouse)))
        assert any(frame.is_corrupt for frame in found)
        unmarked = [place for place, frame in enumerate(found) if not frame.is_corrupt]
        assert [found[place].md5 for place in unmarked] == [good[place] for place in unmarked]
        # No more than two GOPs: one is damaged, and in an open GOP leads over into the next.
        assert len(found) - len(unmarked) <= 2 * 60


@pytest.mark.parametrize("name", MICE)
def test_a_damaged_file_is_the_same_in_chunks_of_any_length(videos_dir: Path, tmp_path: Path, name: str) -> None:
    mouse = videos_dir / name
    # Also the keyframe's own packet, after which the decoder has nothing to lean on, and the last one.
    first = int(probe(mouse)[1].packets[gop_of(mouse, 100).start])
    for case, change in enumerate(
        [flip(150, mouse), blank(80, mouse), spoil(first, mouse), blank(first, mouse, 300), spoil(299, mouse)]
    ):
        info, index = probe(damage(mouse, tmp_path / f"{case}.mp4", change))
        whole = decode_span(info, index, 0, index.n_frames)
        assert any(frame.is_corrupt for frame in whole)
        marked = [number for number, frame in enumerate(whole) if frame.is_corrupt]
        before = max(marked[0] - 2, 0)
        for start in {0, before, max(marked[-1] - 2, 0), *marked[:2], marked[-1]}:
            # The longest is longer than a GOP.
            for length in (1, 7, 70) if start == before else (1, 7):
                stop = min(start + length, len(whole))
                assert decode_span(info, index, start, stop) == whole[start:stop]


def test_a_lost_keyframe_costs_its_gop_and_no_other(videos_dir: Path, tmp_path: Path) -> None:
    mouse = videos_dir / MICE[0]
    good = [frame.md5 for frame in ffmpeg_frames(mouse)]
    found = read(damage(mouse, tmp_path / "mouse.mp4", spoil(120, mouse)))
    assert [number for number, frame in enumerate(found) if frame.is_corrupt] == list(range(120, 180))
    assert found[120].md5 is None
    assert [frame.md5 for frame in found[:120] + found[180:]] == good[:120] + good[180:]


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts", "x.h264"])
def test_frames_that_lean_on_a_packet_that_never_came_are_marked(tmp_path: Path, name: str) -> None:
    # No container and no decoder says so; the frames' own headers do.
    whole = write_recording(
        tmp_path / "whole.mp4", 60, x264="keyint=20:min-keyint=20:scenecut=0:bframes=0:ref=1:repeat-headers=1"
    )
    path = tmp_path / name
    with av.open(whole) as source, av.open(path, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(list(source.demux(video=0))[:-1]):
            if number != 27:
                packet.stream = stream
                target.mux(packet)
    info, index = probe(path)
    frames = list(iter_frames(info, index, 0, index.n_frames))
    assert [decoded.index for decoded in frames if decoded.is_corrupt] == list(range(27, 39))
    shown = [read_number(grey_of(decoded.frame).to_float()) for decoded in frames if not decoded.is_corrupt]
    assert shown == [*range(27), *range(40, 60)]


def test_damage_in_a_stream_of_one_keyframe_marks_all_that_follows(tmp_path: Path) -> None:
    # Intra refresh mends the picture, but never to the same bytes.
    whole = write_recording(tmp_path / "whole.mp4", 100, x264="keyint=12:intra-refresh=1:bframes=0")
    path = damage(whole, tmp_path / "x.mp4", spoil(30, whole))
    found = read(path)
    assert [number for number, frame in enumerate(found) if frame.is_corrupt] == list(range(30, 100))
    for start in (25, 29, 36, 90):
        assert read(path, start, start + 5) == found[start : start + 5]


def test_what_follows_a_frame_that_is_all_there_is_lost_under_its_number(tmp_path: Path) -> None:
    whole = write_recording(tmp_path / "whole.mp4", 20, x264="keyint=10:min-keyint=10:bframes=0")

    def change(content: bytearray) -> None:
        for number in range(1, 20):
            spoil(number, whole)(content)

    found = read(damage(whole, tmp_path / "x.mp4", change))
    assert found == [read(whole)[0], *[Found(None, True)] * 19]


def test_without_error_concealment_the_decoder_would_be_silent(
    videos_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Why decode.CAREFUL is set and not left to FFmpeg's defaults.
    mouse = videos_dir / MICE[0]
    path = damage(mouse, tmp_path / "mouse.mp4", flip(150, mouse))
    monkeypatch.setattr(decode, "CAREFUL", decode.CAREFUL | {"ec": "0"})
    assert not any(frame.is_corrupt for frame in read(path))


def test_a_damaged_recording_is_not_written_to(videos_dir: Path, tmp_path: Path) -> None:
    mouse = Path(shutil.copy(videos_dir / MICE[1], tmp_path / "mouse.mp4"))
    damage(mouse, mouse, spoil(150, videos_dir / MICE[1]))
    content, status = mouse.read_bytes(), mouse.stat()
    read(mouse, 140, 160)
    assert mouse.read_bytes() == content
    assert (mouse.stat().st_mtime_ns, list(tmp_path.iterdir())) == (status.st_mtime_ns, [mouse])


@pytest.mark.parametrize("x264", ["keyint=30:bframes=0:scenecut=0", "keyint=30:bframes=3:scenecut=0"])
def test_damage_in_frames_that_an_edit_list_hides_marks_what_leans_on_them(tmp_path: Path, x264: str) -> None:
    whole = write_recording(tmp_path / "whole.mp4", 60, x264=x264, pts=[number - 9 for number in range(60)])
    good = read(whole)
    assert len(good) == 51
    for kind in (flip, spoil, lambda number, source: blank(number, source, 300)):
        for number in (0, 3, 5, 7):
            path = damage(whole, tmp_path / "x.mp4", kind(number, whole))
            found = read(path)
            assert any(frame.is_corrupt for frame in found)
            # The second keyframe is frame 30 of all, of which 9 are hidden.
            assert found[21:] == good[21:]
            assert all(frame.is_corrupt or frame == good[place] for place, frame in enumerate(found))
            assert read(path, 20, 24) == found[20:24]


def test_damage_in_hidden_frames_amid_others_marks_nothing_before_it(tmp_path: Path) -> None:
    # Frames 0 to 5, and from 12 on; keyframes are 0, 8 and 16.
    whole = with_edits(tmp_path / "edits.mp4", 24, [(200, 0), (400, 12)])
    found = read(damage(whole, tmp_path / "x.mp4", flip(10, whole)))
    assert [number for number, frame in enumerate(found) if frame.is_corrupt] == [6, 7, 8, 9]
    assert [frame for frame in found if not frame.is_corrupt] == [*read(whole)[:6], *read(whole)[10:]]


@pytest.mark.parametrize("kind", [spoil, lambda number, source: blank(number, source, 64)])
def test_a_file_whose_first_keyframe_is_damaged_keeps_the_numbers_of_the_others(
    videos_dir: Path, tmp_path: Path, kind: Callable[[int, Path], Callable[[bytearray], None]]
) -> None:
    mouse = videos_dir / MICE[0]
    good = [frame.md5 for frame in ffmpeg_frames(mouse)]
    found = read(damage(mouse, tmp_path / "mouse.mp4", kind(0, mouse)))
    assert [number for number, frame in enumerate(found) if frame.is_corrupt] == list(range(60))
    assert [frame.md5 for frame in found[60:]] == good[60:]


def zero_heads(first: int, stop: int, source: Path) -> Callable[[bytearray], None]:
    """Write zeros over all from the head of one chunk of an AVI to that of another."""
    places = packets_of(source)
    hole = slice(places[first].start - 8, places[stop].start - 8)

    def change(content: bytearray) -> None:
        content[hole] = bytes(hole.stop - hole.start)

    return change


@pytest.mark.parametrize("x264", ["keyint=12:bframes=0:scenecut=0", "keyint=12:bframes=3:scenecut=0"])
def test_chunks_of_an_avi_whose_heads_are_gone_are_lost_under_their_numbers(tmp_path: Path, x264: str) -> None:
    whole = write_recording(tmp_path / "whole.avi", 72, x264=x264)
    good = read(whole)
    # One chunk; a GOP's length, after which times of keyframes coincide with others; and a keyframe.
    for first, stop in ((30, 31), (30, 42), (36, 37)):
        found = read(path := damage(whole, tmp_path / "x.avi", zero_heads(first, stop, whole)))
        assert len(found) == 72
        assert sum(frame.md5 is None for frame in found) >= stop - first
        assert all(frame.is_corrupt or frame == good[number] for number, frame in enumerate(found))
        after = (stop - 1) // 12 * 12 + 12
        assert found[:24] + found[after:] == good[:24] + good[after:]
        for start in range(0, 72, 7):
            assert read(path, start, min(start + 7, 72)) == found[start : start + 7]


def test_damage_in_an_avi_with_b_frames_costs_no_other_gop(tmp_path: Path) -> None:
    # Its times are those of decoding: they cannot tell where a damaged frame is shown.
    whole = write_recording(tmp_path / "whole.avi", 72, x264="keyint=12:bframes=3:scenecut=0")
    good = read(whole)
    for number in (29, 30, 36):
        found = read(damage(whole, tmp_path / "x.avi", spoil(number, whole)))
        assert found[:24] + found[48:] == good[:24] + good[48:]
        assert all(frame.is_corrupt or frame == good[number] for number, frame in enumerate(found))


def test_an_avi_whose_index_is_damaged_loses_nothing(tmp_path: Path) -> None:
    whole = write_recording(tmp_path / "whole.avi", 72, x264="keyint=12:bframes=0:scenecut=0")

    def change(content: bytearray) -> None:
        entry = content.index(b"idx1") + 8 + 16 * 30
        content[entry : entry + 16] = bytes(16)

    assert read(damage(whole, tmp_path / "x.avi", change)) == read(whole)


SMALL = {
    "x.mp4": {"pts": [number - 5 for number in range(36)]},  # 5 of them hidden
    "x.avi": {"x264": "keyint=12:min-keyint=12:scenecut=0:bframes=0"},
    "b.avi": {},
    "x.mkv": {},
    "x.ts": {},
    "x.flv": {},
    "x.h264": {},
}


@pytest.mark.parametrize("name", SMALL)
def test_damage_is_the_same_for_whoever_reads_it_in_any_container(tmp_path: Path, name: str) -> None:
    options = {"x264": "keyint=12:min-keyint=12:scenecut=0:bframes=3"} | SMALL[name]
    whole = write_recording(tmp_path / name, 36, **options | {"x264": f"{options['x264']}:repeat-headers=1"})
    good = read(whole)
    # A frame that others lean on, the second keyframe, and the first that leans on it.
    for number in (2, 12, 13):
        for kind in (flip, spoil, functools.partial(blank, n_bytes=40)):
            path = damage(whole, tmp_path / f"damaged{name}", kind(number, whole))
            info, index = probe(path)
            found = decode_span(info, index, 0, index.n_frames)
            for start, stop in ((0, 3), (5, 6), (11, 12), (12, 13), (13, 14), (13, 30), (30, 31)):
                stop = min(stop, index.n_frames)
                assert decode_span(info, index, min(start, stop), stop) == found[start:stop]
            if kind is flip or len(found) < len(good):
                continue  # A decoder may not notice, and where nothing tells that a frame is missing, others move up.
            assert any(frame.is_corrupt for frame in found)
            assert all(frame.is_corrupt or frame == good[place] for place, frame in enumerate(found))
