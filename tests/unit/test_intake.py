from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.intake import TEMPORARY, Looks, Signature, is_recording_name, scan_inbox

PATTERNS = ["*.mp4", "*.mkv"]
LOOK = Signature(size_bytes=10, mtime_ns=20, inode=30)
RECORDING = Path("/data/inbox/m12.mp4")


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# -- what lies there --------------------------------------------------------------------------------------


def test_recordings_are_found_in_the_inbox_and_in_its_sub_folders(tmp_path: Path) -> None:
    recordings = {put(tmp_path / name) for name in ("a.mp4", "day 1/b.MKV", "day 1/rig/c.Mp4", "['?*].mp4")}
    for name in ("notes.txt", "d.mp4.txt", "mp4"):
        put(tmp_path / name)

    assert set(scan_inbox(tmp_path, PATTERNS)) == recordings


@pytest.mark.parametrize(
    "name",
    [".a.mp4", "~a.mp4", "a.mp4~", "a.mp4.part", "a.mp4.partial", "a.mp4.tmp", "a.mp4.crdownload", ".a.mp4.Xy12"],
)
def test_what_copying_programs_have_not_finished_is_no_recording(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)

    assert not scan_inbox(tmp_path, ["*"])


def test_hidden_folders_are_not_searched(tmp_path: Path) -> None:
    put(tmp_path / ".rsync-partial" / "a.mp4")

    assert not scan_inbox(tmp_path, PATTERNS)


def test_a_folder_with_the_name_of_a_recording_is_searched_not_taken(tmp_path: Path) -> None:
    inside = put(tmp_path / "m12.mp4" / "a.mp4")

    assert set(scan_inbox(tmp_path, PATTERNS)) == {inside}


def test_symbolic_links_within_the_inbox_are_not_followed(tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "elsewhere" / "a.mp4")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "file.mp4").symlink_to(elsewhere)
    (inbox / "folder").symlink_to(elsewhere.parent)
    (inbox / "round").symlink_to(inbox)
    (inbox / "broken.mp4").symlink_to(tmp_path / "nothing")

    assert not scan_inbox(inbox, PATTERNS)


def test_an_inbox_may_be_a_symbolic_link_itself(tmp_path: Path) -> None:
    put(tmp_path / "share" / "a.mp4")
    (tmp_path / "inbox").symlink_to(tmp_path / "share")

    assert set(scan_inbox(tmp_path / "inbox", PATTERNS)) == {tmp_path / "inbox" / "a.mp4"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_left_out_and_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = put(tmp_path / "a.mp4")
    put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.mp4")))

    assert set(scan_inbox(tmp_path, PATTERNS)) == {kept}
    assert "not valid Unicode" in caplog.text


@pytest.mark.parametrize("name", ["missing", "file.mp4"])
def test_an_inbox_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path, name: str) -> None:
    put(tmp_path / "file.mp4")

    with pytest.raises(OSError, match=name):
        scan_inbox(tmp_path / name, PATTERNS)


def fail_at(monkeypatch: pytest.MonkeyPatch, place: Path, error: OSError) -> None:
    """Let the system fail where it looks at one file or lists one folder."""
    scandir, stat = os.scandir, Path.stat

    def failing(real: Callable[..., object]) -> Callable[..., object]:
        def look(path: str | Path, **kwargs: bool) -> object:
            if Path(path) == place:
                raise error
            return real(path, **kwargs)

        return look

    monkeypatch.setattr(os, "scandir", failing(scandir))
    monkeypatch.setattr(Path, "stat", failing(stat))


@pytest.mark.parametrize("place", ["day 1", "day 1/b.mp4"])
def test_what_may_not_be_read_or_is_gone_does_not_hide_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    kept = put(tmp_path / "a.mp4"), put(tmp_path / "day 2" / "c.mp4")
    put(tmp_path / "day 1" / "b.mp4")
    for error in (PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file or directory")):
        with monkeypatch.context() as patch:
            fail_at(patch, tmp_path / place, error)
            assert set(scan_inbox(tmp_path, PATTERNS)) == set(kept)


@pytest.mark.parametrize("place", ["day 1", "day 1/b.mp4"])
def test_nothing_is_concluded_from_a_share_that_stops_answering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    put(tmp_path / "day 1" / "b.mp4")
    fail_at(monkeypatch, tmp_path / place, OSError(116, "Stale file handle"))

    with pytest.raises(OSError, match="Stale"):
        scan_inbox(tmp_path, PATTERNS)


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12), st.sampled_from(TEMPORARY))
def test_no_name_is_both_temporary_and_a_recording(name: str, temporary: str) -> None:
    assert not is_recording_name(temporary.replace("*", name), ["*"])


@given(st.from_regex(r"[a-z0-9_][a-z0-9 _-]{0,10}", fullmatch=True), st.sampled_from(["mp4", "MP4", "Mkv"]))
def test_upper_and_lower_case_are_the_same(stem: str, suffix: str) -> None:
    assert is_recording_name(f"{stem}.{suffix}", PATTERNS)
    assert is_recording_name(f"{stem}.{suffix}", ["*.MP4", "*.MKV"])


def test_a_file_that_says_what_is_done_to_a_recording_is_none() -> None:
    assert not is_recording_name("m12_cam0.facehog.toml", ["*"])
    assert not is_recording_name("M12.FaceHog.TOML", ["*"])
    assert is_recording_name("facehog.toml.mp4", ["*"])


def test_a_signature_changes_with_size_time_and_replacement(tmp_path: Path) -> None:
    path = put(tmp_path / "a.mp4", b"one")
    first = Signature.of(path)
    os.utime(path, ns=(0, first.mtime_ns + 1))
    assert Signature.of(path) == replace(first, mtime_ns=first.mtime_ns + 1)

    put(tmp_path / "b.mp4", b"two").replace(path)
    os.utime(path, ns=(0, first.mtime_ns))
    replaced = Signature.of(path)
    assert (replaced.size_bytes, replaced.mtime_ns) == (first.size_bytes, first.mtime_ns)
    assert replaced != first


# -- folders of images ------------------------------------------------------------------------------------

STILLS = ["*.mp4", "*.png"]


def put_images(folder: Path, n_images: int = 3, suffix: str = "png") -> Path:
    for number in range(n_images):
        put(folder / f"img{number}.{suffix}")
    return folder


def test_a_folder_that_holds_images_is_one_recording(tmp_path: Path) -> None:
    folders = {put_images(tmp_path / name) for name in ("2021.11.05_m12", "m13.mp4", "day 1/rig/cam0")}
    video = put(tmp_path / "day 1" / "a.mp4")
    beside = put(tmp_path / "m13.mp4" / "b.mp4")
    put(tmp_path / "2021.11.05_m12" / "times.csv")

    assert set(scan_inbox(tmp_path, STILLS)) == {*folders, video, beside}


def test_images_are_no_recording_where_the_patterns_do_not_name_them(tmp_path: Path) -> None:
    put_images(tmp_path / "png")
    folder = put_images(tmp_path / "tif", suffix="TIF")

    assert not scan_inbox(tmp_path, PATTERNS)
    assert set(scan_inbox(tmp_path, ["*.tif"])) == {folder}


def test_a_folder_is_found_as_whoever_takes_it_up_will_see_it(tmp_path: Path) -> None:
    # Were the two not the same, the sensor would take the folder for changed for ever.
    folder = put_images(tmp_path / "m12")
    put(folder / "other.jpg")
    put(folder / ".img9.png")
    put(folder / "img9.png.part")
    (folder / "img8.png").symlink_to(folder / "img1.png")
    if sys.platform == "linux":
        put(Path(os.fsdecode(os.fsencode(folder) + b"/m\xff7.png")))

    assert scan_inbox(tmp_path, STILLS) == {folder: Signature.of(folder)}


def test_a_folder_of_nothing_but_temporary_images_is_no_recording(tmp_path: Path) -> None:
    put(tmp_path / "m12" / ".img1.png.Xy12")
    put(tmp_path / "m13" / "img1.png.part")

    assert not scan_inbox(tmp_path, ["*"])


def test_images_in_the_inbox_itself_are_no_recording_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_images(tmp_path)
    folder, looks = put_images(tmp_path / "m12"), Looks(10)
    for _ in range(3):
        assert set(scan_inbox(tmp_path, STILLS, looks.tell_once)) == {folder}

    assert caplog.text.count("holds images itself: put those of each recording into a folder of their own") == 1


def test_a_folder_that_may_not_be_looked_into_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = put_images(tmp_path / "a")
    put_images(tmp_path / "b")
    fail_at(monkeypatch, tmp_path / "b", PermissionError(13, "Permission denied"))

    assert set(scan_inbox(tmp_path, STILLS)) == {kept}


def test_a_look_at_a_folder_lists_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_images(tmp_path / "m12", 50)
    scandir, listed = os.scandir, []
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path)) or scandir(path))
    scan_inbox(tmp_path, STILLS)

    assert listed == [tmp_path, tmp_path / "m12"]


# -- when it may be taken up ------------------------------------------------------------------------------


@given(
    settle_s=st.floats(0.1, 100),
    steps=st.lists(st.tuples(st.floats(0, 60), st.booleans()), min_size=1, max_size=20),
)
def test_a_file_is_settled_once_it_has_looked_the_same_for_long_enough(
    settle_s: float, steps: list[tuple[float, bool]]
) -> None:
    looks, at_s, look = Looks(settle_s), 1000.0, LOOK
    changed_at_s = None
    for pause_s, changes in steps:
        at_s += pause_s
        if changes or changed_at_s is None:
            look = replace(look, size_bytes=look.size_bytes + 1)
            changed_at_s = at_s

        assert looks.is_settled(RECORDING, look, at_s) == (at_s - changed_at_s >= settle_s)


@pytest.mark.parametrize("change", [{"size_bytes": 11}, {"mtime_ns": 19}, {"inode": 31}])
def test_any_change_makes_a_file_wait_anew(change: dict[str, int]) -> None:
    looks = Looks(10)
    looks.is_settled(RECORDING, LOOK, 0)

    assert not looks.is_settled(RECORDING, replace(LOOK, **change), 9)
    assert not looks.is_settled(RECORDING, replace(LOOK, **change), 18.9)
    assert looks.is_settled(RECORDING, replace(LOOK, **change), 19)


def test_a_file_need_not_stand_still_where_that_is_not_asked_for() -> None:
    assert Looks(0).is_settled(RECORDING, LOOK, 5)


def test_files_settle_each_for_itself() -> None:
    looks, other = Looks(10), RECORDING.with_name("other.mp4")
    looks.is_settled(RECORDING, LOOK, 0)
    looks.is_settled(other, LOOK, 5)

    assert looks.is_settled(RECORDING, LOOK, 10)
    assert not looks.is_settled(other, LOOK, 10)


def test_a_file_that_was_gone_waits_anew() -> None:
    looks = Looks(10)
    looks.is_settled(RECORDING, LOOK, 0)
    looks.forget_all_but([])

    assert not looks.is_settled(RECORDING, LOOK, 100)
