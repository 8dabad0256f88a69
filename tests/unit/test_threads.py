"""Several decoding threads see what one sees, also of what is damaged, and each time."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import InputContainer
from barcode import write_recording
from bounded import examine_all
from damaged import Found, blank, damage, decode_span, flip, packets_of, spoil
from forms import FORMS, IMAGES
from fuzz import make_case, make_sources

from facehog_core import decode
from facehog_core.video import probe

MANY_THREADS = {
    "x.mp4": "keyint=12:min-keyint=12:scenecut=0:bframes=3",
    "endless.mp4": "keyint=infinite:scenecut=0:bframes=3:b-pyramid=normal",
    "x.h264": "keyint=12:scenecut=0:bframes=0:slices=3:repeat-headers=1",
    "x.mkv": "keyint=24:scenecut=0:bframes=3:cabac=0",
    "x.avi": "keyint=24:scenecut=0:bframes=2",
    "x.ts": "keyint=24:scenecut=0:bframes=3",
}


# Frames that others lean on are shown after those, and are leaned on while they are coded.
PYRAMID = "keyint=24:bframes=2:b-pyramid=normal:slices=2"
FOUND_BY_FUZZING = (283, 488)


def assert_same_by_threads(path: Path) -> list[Found]:
    info, index = probe(path)
    one = decode_span(info, index, 0, index.n_frames)
    for n_threads in (2, 3, 7):
        assert decode_span(info, index, 0, index.n_frames, n_threads=n_threads) == one
    return one


def with_packets(source: Path, target: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    """Copy raw H264 with other packets; the container follows from the name."""
    with av.open(source) as raw, av.open(target, "w") as copy:
        stream = copy.add_stream_from_template(raw.streams.video[0])
        for number, data in enumerate(change([bytes(packet) for packet in raw.demux(video=0) if packet.size])):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 30)
            packet.pts = packet.dts = number
            packet.is_keyframe = number == 0
            copy.mux(packet)
    return target


@pytest.mark.parametrize("name", MANY_THREADS)
def test_damage_is_the_same_by_however_many_threads(tmp_path: Path, name: str) -> None:
    whole = write_recording(tmp_path / name, 48, x264=MANY_THREADS[name], size=(192, 320))
    kinds = (flip, spoil, functools.partial(blank, n_bytes=40))
    # A frame amid others, a later keyframe or one that leans on the first, and the last frame. Where the first one is
    # spoiled, some containers are not even recognised.
    for number, kinds_there in ((0, [flip]), (7, kinds), (24, kinds), (47, kinds)):
        for kind in kinds_there:
            info, index = probe(damage(whole, tmp_path / f"damaged{name}", kind(number, whole)))
            found = decode_span(info, index, 0, index.n_frames)
            for n_threads in (2, 5):
                assert decode_span(info, index, 0, index.n_frames, n_threads=n_threads) == found
            assert decode_span(info, index, 5, 15, n_threads=3) == found[5:15]


@pytest.mark.parametrize("name", ["x.avi", "x.h264", "x.ts", "x.mkv"])
def test_a_frame_that_begins_twice_is_the_same_by_however_many_threads(tmp_path: Path, name: str) -> None:
    # A decoder starts a keyframe anew, so nothing is missing in the end, but with one thread it says that it was.
    whole = write_recording(tmp_path / "whole.h264", 40, x264="keyint=infinite:bframes=0:slices=1")

    def begin_twice(packets: list[bytes]) -> list[bytes]:
        first = packets[0]
        start = first.rindex(b"\0\0\1\x65") - 1
        return [first[:start] + first[start : (start + len(first)) // 2] + first[start:], *packets[1:]]

    assert_same_by_threads(with_packets(whole, tmp_path / name, begin_twice))


@pytest.mark.parametrize("name", ["x.avi", "x.h264", "x.ts", "x.mkv"])
def test_a_frame_that_comes_twice_is_the_same_by_however_many_threads(tmp_path: Path, name: str) -> None:
    # What frames lean on then, a decoder takes from what each thread has seen before; and it says nothing.
    whole = write_recording(tmp_path / "whole.h264", 60, x264=PYRAMID, size=(192, 320))
    path = with_packets(whole, tmp_path / name, lambda packets: packets + packets[58:])
    assert any(frame.is_corrupt for frame in assert_same_by_threads(path))


def test_what_several_threads_saw_otherwise_once_they_see_like_one(tmp_path: Path) -> None:
    sources = make_sources(tmp_path)
    cases = [make_case(number, sources, tmp_path) for number in FOUND_BY_FUZZING]
    for outcome in examine_all(cases, compares=True):
        assert not outcome.is_wrong, f"{outcome.path.name}: {outcome.said}"


@pytest.mark.parametrize("form", [name for name, form in FORMS.items() if form.outcome != IMAGES])
def test_what_is_sound_is_decoded_by_several_threads_to_its_end(
    write_form: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    runs: list[tuple[int, int]] = []

    def note(source: decode._Source, container: InputContainer, origin: int, held: decode._Held) -> Iterator[Any]:
        runs.append((source.n_threads, origin))
        return decode_packets(source, container, origin, held)

    decode_packets = decode._decode_packets
    monkeypatch.setattr(decode, "_decode_packets", note)
    info, index = probe(write_form(form))
    assert not any(frame.is_corrupt for frame in decode_span(info, index, 0, index.n_frames, n_threads=3))
    assert runs == [(3, 0)]


def test_several_threads_go_on_until_something_is_damaged_and_again_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_recording(tmp_path / "whole.mp4", 96, x264="keyint=24:min-keyint=24:scenecut=0:bframes=0")
    info, index = probe(damage(whole, tmp_path / "x.mp4", spoil(52, whole)))
    runs: list[tuple[int, int]] = []

    def note(source: decode._Source, container: InputContainer, origin: int, held: decode._Held) -> Iterator[Any]:
        runs.append((source.n_threads, origin))
        return decode_packets(source, container, origin, held)

    decode_packets = decode._decode_packets
    monkeypatch.setattr(decode, "_decode_packets", note)
    found = decode_span(info, index, 0, 96, n_threads=3)
    # How many sound frames came out before the damage was seen may differ, but not by whom damage is decoded.
    assert (runs[0], runs[-1]) == ((3, 0), (3, 72))
    assert runs[-2] == (1, 48)
    assert [number for number, frame in enumerate(found) if frame.is_corrupt] == list(range(52, 72))


def test_of_several_threads_each_is_done_with_a_frame_before_its_flag_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise a flag may be missing, and only when threads happen to run so.
    whole = write_recording(tmp_path / "whole.mp4", 60, x264="keyint=infinite:bframes=3:b-pyramid=normal")
    info, index = probe(whole)
    asked: list[list[int]] = []  # For each time that the decoder was asked, the packets whose frames came.

    def note(source: decode._Source, container: InputContainer, origin: int, held: decode._Held) -> Iterator[Any]:
        for pictures in decode_packets(source, container, origin, held):
            asked.append([int(index.packets[picture.pts]) for picture in pictures])
            yield pictures

    decode_packets = decode._decode_packets
    monkeypatch.setattr(decode, "_decode_packets", note)
    for n_threads in (2, 40):
        asked.clear()
        decode_span(info, index, 0, 60, n_threads=n_threads)
        n_used = min(n_threads, decode.MOST_THREADS)
        *before, at_the_end = asked
        # What comes out now was begun when there was a thread for it: n_used - 1 times ago.
        began = [n_asked - (n_used - 1) for n_asked, packets in enumerate(before) for _ in packets]
        assert min(np.subtract(began, list(chain(*before)))) >= n_used
        # And before the end each thread was asked for something else.
        assert len(before) == 60 + n_used
        assert len(began) + len(at_the_end) == 60


@pytest.mark.parametrize("name", ["x.h264", "x.mkv"])
def test_damage_in_the_last_frame_is_seen_by_several_threads_each_time(tmp_path: Path, name: str) -> None:
    # Its GOP is over before the first of the threads is asked what it found.
    whole = write_recording(tmp_path / name, 50, x264="keyint=48:scenecut=0:bframes=0", size=(192, 320))
    place = packets_of(whole)[49]

    def change(content: bytearray) -> None:
        content[place.stop - 60 : place.stop - 40] = random.Random(1).randbytes(20)

    info, index = probe(damage(whole, tmp_path / f"damaged{name}", change))
    found = decode_span(info, index, 40, 50)
    assert [frame.is_corrupt for frame in found] == [False] * 9 + [True]
    assert all(decode_span(info, index, 40, 50, n_threads=4) == found for _ in range(12))
