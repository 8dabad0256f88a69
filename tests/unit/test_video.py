from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import socket
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import xxhash
from barcode import read_number, write_recording
from recordings import DERIVED, REAL, REFUSED, facts_of, run_ffmpeg

from facehog_core import video
from facehog_core.decode import iter_frames
from facehog_core.errors import ChangedError, FacehogError, NoVideoError, UnreadableError
from facehog_core.recipe import Recipe
from facehog_core.video import VideoInfo, check_complete, digest_file, is_unchanged, probe, read_index

RANGES = {"limited": "tv", "full": "pc", "untagged": "unspec"}


def is_open(path: Path) -> bool:
    return str(path) in (file.path for file in psutil.Process().open_files())


def test_every_shared_recording_is_either_read_or_refused(videos_dir: Path) -> None:
    files = {f"{path.parent.name}/{path.name}" for path in videos_dir.glob("[rd]e*/*")}
    assert files == {*REAL, *DERIVED, *REFUSED}


@pytest.mark.parametrize("name", REAL + DERIVED)
def test_what_is_probed_is_what_other_tools_found(videos_dir: Path, name: str) -> None:
    info, index = probe(videos_dir / name)
    facts = facts_of(videos_dir / name)
    assert info.container.split(",")[0] == facts.container
    assert (info.codec, info.profile, info.pixel_format) == ("h264", facts.profile, facts.pixel_format)
    assert RANGES[info.color_range] == facts.range
    assert (info.width, info.height) == facts.size
    assert info.average_rate is not None
    assert Fraction(info.average_rate) == Fraction(facts.average_rate)
    assert info.header_n_frames == facts.header_n_frames
    assert info.n_frames == index.n_frames == facts.n_frames
    assert np.flatnonzero(index.is_keyframe)[: len(facts.keyframes)].tolist() == facts.keyframes
    assert info.size_bytes == (videos_dir / name).stat().st_size


def test_the_digest_is_that_of_the_whole_content(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(3_000_001)  # more than one buffer, and not a whole number of them
    file = tmp_path / "content"
    file.write_bytes(content)
    assert digest_file(file) == xxhash.xxh3_128_hexdigest(content)


def test_info_goes_through_json_and_comes_back_equal(videos_dir: Path) -> None:
    info, _ = probe(videos_dir / REAL[0])
    assert VideoInfo.from_dict(json.loads(json.dumps(info.as_dict()))) == info


@pytest.mark.parametrize(("field", "value"), [("width", 0), ("height", -1), ("n_frames", 0), ("time_base", "0/1")])
def test_info_that_makes_no_sense_is_not_made(videos_dir: Path, field: str, value: object) -> None:
    info, _ = probe(videos_dir / REAL[0])
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(info, **{field: value})


@pytest.mark.parametrize(("name", "kind", "says"), [(name, *refusal) for name, refusal in REFUSED.items()])
def test_a_file_that_cannot_be_processed_is_refused_in_one_line(
    videos_dir: Path, name: str, kind: type[FacehogError], says: str
) -> None:
    path = videos_dir / name
    with pytest.raises(FacehogError, match=says) as caught:
        check_complete(probe(path)[0], Recipe().max_corrupt)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert message.startswith(f"{path.name}: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert caught.value.path == str(path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == message
    assert not is_open(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # reading from it would wait for ever
    with pytest.raises(UnreadableError, match="neither a file nor a folder"):
        probe(tmp_path / "pipe")
    for path in (tmp_path / "gone.mp4", tmp_path / "pipe" / "x.mp4"):
        with pytest.raises(UnreadableError, match="no such file"):
            probe(path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recording(tmp_path / "locked.mp4", 2)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # tests may run as root, who may read all
    with pytest.raises(UnreadableError, match="may not be read"):
        probe(path)


@pytest.mark.parametrize(
    "name",
    ["%03d.mp4", "concat:a|b.mp4", "-x.mp4", "file:x.mp4", "http:", "a b ü 鼠.mp4", "x?y=1#2.mp4", "none"],
)
def test_a_name_is_a_name_whatever_it_looks_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_recording(tmp_path / "plain.mp4", 3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    info, _ = probe(name)
    assert info.n_frames == 3
    assert info.path == str(tmp_path / name)


@pytest.mark.parametrize("playlist", ["ffconcat version 1.0\nfile clip.ts\n", "#EXTM3U\n#EXTINF:1,\nclip.ts\n"])
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_a_playlist_does_not_lead_to_other_files(tmp_path: Path, playlist: str, name: str) -> None:
    write_recording(tmp_path / "clip.ts", 3)
    (tmp_path / name).write_text(playlist)
    with pytest.raises(UnreadableError):
        probe(tmp_path / name)


def test_a_playlist_does_not_lead_to_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/clip.ts"
        (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n")
        with pytest.raises(UnreadableError):
            probe(tmp_path / "list.m3u8")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_tags_in_another_encoding_do_no_harm(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "plain.mp4", 3)
    run_ffmpeg("-i", path, "-c", "copy", "-metadata", os.fsdecode(b"title=caf\xe9"), tmp_path / "tagged.mp4")
    assert probe(tmp_path / "tagged.mp4")[0].n_frames == 3


def test_the_h264_is_chosen_not_the_cover(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "plain.mp4", 7)
    cover = tmp_path / "cover.jpg"
    run_ffmpeg("-i", path, "-frames:v", "1", cover)
    both = ("-i", cover, "-i", path, "-map", "0", "-map", "1", "-c", "copy")
    run_ffmpeg(*both, tmp_path / "unmarked.mp4")
    run_ffmpeg(*both, "-disposition:v:0", "attached_pic", tmp_path / "marked.mp4")
    run_ffmpeg(*both, "-disposition:v:0", "default", "-disposition:v:1", "0", tmp_path / "wrong.mkv")
    for name in ("unmarked.mp4", "marked.mp4", "wrong.mkv"):
        info, _ = probe(tmp_path / name)
        assert (info.n_frames, info.remarks) == (7, [])


def test_the_rotation_is_known_though_the_first_frames_are_damaged(videos_dir: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(videos_dir / "derived" / "l_rotated90.mp4", tmp_path))
    with av.open(path) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.pos is not None]
    content = bytearray(path.read_bytes())
    start, size = packets[0]
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    assert probe(path)[0].rotation == 90


def test_a_cover_alone_is_no_video(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "plain.mp4", 1)
    run_ffmpeg("-i", path, "-frames:v", "1", tmp_path / "cover.jpg")
    sound = ("-f", "lavfi", "-i", "sine=duration=1", "-i", tmp_path / "cover.jpg", "-map", "0", "-map", "1")
    run_ffmpeg(*sound, "-c:v", "copy", "-disposition:v:0", "attached_pic", tmp_path / "song.mp4")
    with pytest.raises(NoVideoError):
        probe(tmp_path / "song.mp4")


def test_of_two_videos_the_default_one_is_chosen_then_the_larger(tmp_path: Path) -> None:
    small = write_recording(tmp_path / "small.mp4", 5, size=(64, 160))
    large = write_recording(tmp_path / "large.mp4", 7)
    both = ("-i", small, "-i", large, "-map", "0", "-map", "1", "-c", "copy")
    for small_is, large_is, n_frames in (("default", "0", 5), ("default", "default", 7), ("0", "0", 7)):
        run_ffmpeg(*both, "-disposition:0", small_is, "-disposition:1", large_is, tmp_path / "both.mkv")
        info, _ = probe(tmp_path / "both.mkv")
        assert info.n_frames == n_frames
        told = "It holds 2 streams of video, 0 (h264, 160 x 64), 1 (h264, 160 x 96): stream"
        assert info.remarks == [f"{told} {info.stream_index} is described. Set `stream` to choose."]


def test_the_stream_that_is_chosen_is_described(tmp_path: Path) -> None:
    videos = [write_recording(tmp_path / f"{n}.mp4", n, size=size) for n, size in ((5, (64, 160)), (7, (96, 160)))]
    sound = ("-f", "lavfi", "-i", "sine=duration=1")
    path = tmp_path / "all.mkv"
    run_ffmpeg(*sound, "-i", videos[0], "-i", videos[1], "-map", "0", "-map", "1", "-map", "2", "-c:v", "copy", path)
    for number, n_frames in ((1, 5), (2, 7)):
        info, index = probe(path, number)
        assert (info.stream_index, info.n_frames, info.remarks) == (number, n_frames, [])
        assert read_index(info).n_frames == n_frames
        shown = [read_number(decoded.luma) for decoded in iter_frames(info, index, 0, n_frames)]
        assert shown == list(range(n_frames))
    for number in (0, 3):
        says = (
            rf"no video stream of number {number}\. Set `stream` to one of 1 \(h264, 160 x 64\), 2 \(h264, 160 x 96\)"
        )
        with pytest.raises(NoVideoError, match=says):
            probe(path, number)


def test_a_file_that_grows_while_it_is_read_has_changed(
    videos_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest_and_grow(path: str) -> str:
        with Path(path).open("ab") as file:
            file.write(bytes(100))
        return digest_file(path)

    monkeypatch.setattr(video, "digest_file", digest_and_grow)
    # Also where what is there so far would be refused.
    for name in (REAL[0], "derived/c_trunc60_moov_missing.mp4"):
        path = shutil.copy(videos_dir / name, tmp_path)
        with pytest.raises(ChangedError, match="changed while it was being read"):
            probe(path)


def test_a_file_is_unchanged_until_it_is_touched_or_gone(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "plain.mp4", 3)
    info, _ = probe(path)
    assert is_unchanged(info)
    os.utime(path, ns=(info.mtime_ns + 1, info.mtime_ns + 1))
    assert not is_unchanged(info)
    path.unlink()
    assert not is_unchanged(info)


def test_the_index_is_read_again_without_the_digest(videos_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info, index = probe(videos_dir / REAL[0])
    monkeypatch.setattr(video, "digest_file", None)
    again = read_index(info)
    assert again.pts.tolist() == index.pts.tolist()
    assert again.is_keyframe.tolist() == index.is_keyframe.tolist()
    assert again.is_seekable
    assert not is_open(videos_dir / REAL[0])


def test_the_index_of_another_file_is_not_read(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "plain.mp4", 3)
    info, _ = probe(path)
    write_recording(path, 5)
    with pytest.raises(ChangedError, match="not the file that was probed"):
        read_index(info)
    path.unlink()
    with pytest.raises(ChangedError, match="gone"):
        read_index(info)


def test_probing_closes_the_file(videos_dir: Path) -> None:
    probe(videos_dir / REAL[0])
    assert not is_open(videos_dir / REAL[0])
