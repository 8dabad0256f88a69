from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from facehog_core import scan
from facehog_core.scan import MOST_UNREAD, scan_inbox
from facehog_core.source import Signature

PATTERNS = ["*.mp4", "*.mkv"]


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# -- what lies there --------------------------------------------------------------------------------------


def test_recordings_are_found_in_the_inbox_and_in_its_sub_folders(tmp_path: Path) -> None:
    recordings = {put(tmp_path / name) for name in ("a.mp4", "day 1/b.MKV", "day 1/rig/c.Mp4", "['?*].mp4")}
    for name in ("notes.txt", "d.mp4.txt", "mp4"):
        put(tmp_path / name)

    assert set(scan_inbox(tmp_path, PATTERNS).paths) == recordings


@pytest.mark.parametrize(
    "name",
    [".a.mp4", "~a.mp4", "a.mp4~", "a.mp4.part", "a.mp4.partial", "a.mp4.tmp", "a.mp4.crdownload", ".a.mp4.Xy12"],
)
def test_what_copying_programs_have_not_finished_is_no_recording(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)

    assert not scan_inbox(tmp_path, ["*"]).found


def test_hidden_folders_are_not_searched(tmp_path: Path) -> None:
    put(tmp_path / ".rsync-partial" / "a.mp4")

    assert not scan_inbox(tmp_path, PATTERNS).found


def test_a_folder_with_the_name_of_a_recording_is_searched_not_taken(tmp_path: Path) -> None:
    inside = put(tmp_path / "m12.mp4" / "a.mp4")

    assert set(scan_inbox(tmp_path, PATTERNS).paths) == {inside}


def test_symbolic_links_within_the_inbox_are_not_followed(tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "elsewhere" / "a.mp4")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "file.mp4").symlink_to(elsewhere)
    (inbox / "folder").symlink_to(elsewhere.parent)
    (inbox / "round").symlink_to(inbox)
    (inbox / "broken.mp4").symlink_to(tmp_path / "nothing")

    scan = scan_inbox(inbox, PATTERNS)
    assert not scan.found
    assert sum("symbolic link and is left out" in remark for remark in scan.remarks) == 2


def test_an_inbox_may_be_a_symbolic_link_itself(tmp_path: Path) -> None:
    put(tmp_path / "share" / "a.mp4")
    (tmp_path / "inbox").symlink_to(tmp_path / "share")

    assert set(scan_inbox(tmp_path / "inbox", PATTERNS).paths) == {tmp_path / "inbox" / "a.mp4"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_valid_text_are_found_as_others_are(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/rig\xe9"))
    files = {put(tmp_path / "a.mp4"), put(tmp_path / os.fsdecode(b"m\xff.mp4")), put(folder / "b.mp4")}

    scan = scan_inbox(tmp_path, PATTERNS)
    assert set(scan.paths) == files
    assert scan.remarks == []


@pytest.mark.parametrize("name", ["missing", "file.mp4"])
def test_an_inbox_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path, name: str) -> None:
    put(tmp_path / "file.mp4")

    with pytest.raises(OSError, match=name):
        scan_inbox(tmp_path / name, PATTERNS)


class FailingEntry:
    """An entry of a listing of which the system tells no more than the name."""

    def __init__(self, entry: os.DirEntry[str], error: OSError) -> None:
        self.name, self.path, self._entry, self._error = entry.name, entry.path, entry, error

    def __getattr__(self, name: str) -> object:
        return getattr(self._entry, name)

    def stat(self, *, follow_symlinks: bool = True) -> object:
        raise self._error


def fail_at(monkeypatch: pytest.MonkeyPatch, place: Path, error: OSError) -> None:
    """Let the system fail where it looks at one file or lists one folder."""
    scandir = os.scandir

    @contextmanager
    def listing(path: str) -> Iterator[Iterator[object]]:
        if Path(path) == place:
            raise error
        with scandir(path) as entries:
            yield (FailingEntry(entry, error) if Path(entry.path) == place else entry for entry in entries)

    monkeypatch.setattr(os, "scandir", listing)


PLACES = pytest.mark.parametrize("place", ["day 1", "day 1/b.mp4"])


@PLACES
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOENT])
def test_what_cannot_be_looked_at_does_not_hide_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: int
) -> None:
    kept = put(tmp_path / "a.mp4"), put(tmp_path / "day 2" / "c.mp4")
    hidden = put(tmp_path / "day 1" / "b.mp4")
    fail_at(monkeypatch, tmp_path / place, OSError(number, os.strerror(number)))
    scan = scan_inbox(tmp_path, PATTERNS)

    assert set(scan.paths) == set(kept)
    assert scan.may_hold(str(hidden)) == (number != errno.ENOENT)
    assert scan.unread == ({} if number == errno.ENOENT else {str(tmp_path / place): os.strerror(number)})
    assert not scan.may_hold(str(tmp_path / "day 11" / "b.mp4"))


@PLACES
def test_nothing_is_concluded_from_a_share_that_stops_answering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    put(tmp_path / "day 1" / "b.mp4")
    fail_at(monkeypatch, tmp_path / place, OSError(errno.ESTALE, "Stale file handle"))

    with pytest.raises(OSError, match="Stale"):
        scan_inbox(tmp_path, PATTERNS)


def test_a_disk_that_fails_everywhere_is_not_asked_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir, error, asked = os.scandir, OSError(errno.EIO, "Input/output error"), []
    for number in range(MOST_UNREAD + 10):
        put(tmp_path / f"{number}.mp4")

    class Counting(FailingEntry):
        def stat(self, *, follow_symlinks: bool = True) -> object:
            asked.append(self.name)
            raise error

    @contextmanager
    def listing(path: str) -> Iterator[Iterator[object]]:
        with scandir(path) as entries:
            yield (Counting(entry, error) for entry in entries)

    monkeypatch.setattr(os, "scandir", listing)
    with pytest.raises(OSError, match="Input/output"):
        scan_inbox(tmp_path, PATTERNS)
    assert len(asked) == MOST_UNREAD + 1


@pytest.mark.parametrize(("depth", "names"), [(0, ["a.mp4"]), (1, ["a.mp4", "1/b.mp4"])])
def test_no_deeper_folders_are_searched_than_are_asked_for(tmp_path: Path, depth: int, names: list[str]) -> None:
    for name in ("a.mp4", "1/b.mp4", "1/2/c.mp4"):
        put(tmp_path / name)

    assert set(scan_inbox(tmp_path, PATTERNS, depth=depth).paths) == {tmp_path / name for name in names}


def test_a_deep_tree_is_searched_to_its_end(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 300)

    assert set(scan_inbox(tmp_path, PATTERNS).paths) == set()
    assert set(scan_inbox(tmp_path, PATTERNS).paths) | {put(deep / "a.mp4")} == set(
        scan_inbox(tmp_path, PATTERNS).paths
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["a b.mp4", "a\nb.mp4", "100%s %.mp4", "'\"`$(x).mp4", "-rf.mp4", f"{'n' * 251}.mp4"])
def test_odd_names_are_names(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name)

    assert set(scan_inbox(tmp_path, PATTERNS).paths) == {path}


def test_an_inbox_is_bare_only_if_there_is_nothing_at_all(tmp_path: Path) -> None:
    assert scan_inbox(tmp_path, PATTERNS).is_bare
    put(tmp_path / "notes.txt")
    assert not scan_inbox(tmp_path, PATTERNS).is_bare


def test_inodes_are_left_out_where_they_mean_nothing(tmp_path: Path) -> None:
    path = put(tmp_path / "a.mp4")
    (looked,) = scan_inbox(tmp_path, PATTERNS, has_inodes=False).found.values()

    assert looked.inode == 0
    assert looked.is_like(Signature.of(path))


def test_a_beat_comes_before_each_question_to_the_system(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "day/c.mp4", *(f"images/{number}.png" for number in range(7))):
        put(tmp_path / name)
    beats: list[None] = []
    scan_inbox(tmp_path, [*PATTERNS, "*.png"], beat=lambda: beats.append(None))

    assert len(beats) == 3 + 3 + 7


def test_a_file_that_grows_is_seen_to_grow_where_listings_give_old_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.mp4")
    # As Windows answers: what is in the listing is not asked again.
    fail_at(monkeypatch, path, OSError(errno.EIO, "the listing is old"))
    monkeypatch.setattr(scan, "_LISTS_OLD_SIZES", True)
    assert scan_inbox(tmp_path, PATTERNS).paths == {path: Signature.of(path)}


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

    assert set(scan_inbox(tmp_path, STILLS).paths) == {*folders, video, beside}


def test_images_are_no_recording_where_the_patterns_do_not_name_them(tmp_path: Path) -> None:
    put_images(tmp_path / "png")
    folder = put_images(tmp_path / "tif", suffix="TIF")

    assert not scan_inbox(tmp_path, PATTERNS).found
    assert set(scan_inbox(tmp_path, ["*.tif"]).paths) == {folder}


def test_a_folder_is_found_as_whoever_takes_it_up_will_see_it(tmp_path: Path) -> None:
    # Were the two not the same, the sensor would take the folder for changed for ever.
    folder = put_images(tmp_path / "m12")
    put(folder / "other.jpg")
    put(folder / ".img9.png")
    put(folder / "img9.png.part")
    (folder / "img8.png").symlink_to(folder / "img1.png")
    if sys.platform == "linux":
        put(Path(os.fsdecode(os.fsencode(folder) + b"/m\xff7.png")))

    assert scan_inbox(tmp_path, STILLS).paths == {folder: Signature.of(folder)}


def test_a_folder_of_nothing_but_temporary_images_is_no_recording(tmp_path: Path) -> None:
    put(tmp_path / "m12" / ".img1.png.Xy12")
    put(tmp_path / "m13" / "img1.png.part")

    assert not scan_inbox(tmp_path, ["*"]).found


def test_images_in_the_inbox_itself_are_no_recording_and_that_is_said(tmp_path: Path) -> None:
    put_images(tmp_path)
    folder = put_images(tmp_path / "m12")
    scan = scan_inbox(tmp_path, STILLS)

    assert set(scan.paths) == {folder}
    (remark,) = scan.remarks
    assert remark.endswith("holds images itself: put those of each recording into a folder of their own")


def test_a_folder_that_may_not_be_looked_into_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = put_images(tmp_path / "a")
    put_images(tmp_path / "b")
    fail_at(monkeypatch, tmp_path / "b", PermissionError(13, "Permission denied"))

    assert set(scan_inbox(tmp_path, STILLS).paths) == {kept}


def test_a_look_at_a_folder_lists_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_images(tmp_path / "m12", 50)
    scandir, listed = os.scandir, []
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path)) or scandir(path))
    scan_inbox(tmp_path, STILLS)

    assert listed == [tmp_path, tmp_path / "m12"]


def test_places_that_may_not_be_looked_into_silence_no_inbox_however_many_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = put(tmp_path / "open" / "a.mp4")
    locked = [put(tmp_path / f"{number}" / "a.mp4").parent for number in range(2 * MOST_UNREAD)]
    scandir = os.scandir

    def list_folder(path: str) -> object:
        if Path(path) in locked:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", list_folder)
    scan = scan_inbox(tmp_path, PATTERNS)
    assert set(scan.paths) == {kept}
    assert set(scan.unread) == set(map(str, locked))


def test_what_stops_answering_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "day 1" / "b.mp4")
    fail_at(monkeypatch, path, OSError(errno.ESTALE, "Stale file handle"))
    with pytest.raises(OSError, match="Stale") as caught:
        scan_inbox(tmp_path, PATTERNS)
    assert caught.value.filename == str(path)
