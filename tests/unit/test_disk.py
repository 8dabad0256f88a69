from __future__ import annotations

import errno
import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mounts import can_mount, mount_tmpfs, unmount

from facehog_core import disk
from facehog_core.disk import appearing, check_room, measure_room, telling_full_disk, write_durably
from facehog_core.errors import DiskFullError


def test_a_file_that_two_write_at_once_is_always_that_of_one(tmp_path: Path) -> None:
    path, texts = tmp_path / "receipt.json", ["a" * 5000, "b" * 9000]
    write_durably(path, texts[0])
    writers = [
        threading.Thread(target=lambda text=text: [write_durably(path, text) for _ in range(40)]) for text in texts
    ]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(hashlib.md5(path.read_bytes(), usedforsecurity=False).digest())

    assert seen <= {hashlib.md5(text.encode(), usedforsecurity=False).digest() for text in texts}
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "receipt.json"
    write_durably(path, "old")

    def fail(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk.os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write_durably(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_whose_making_fails_stays_as_it_was_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    with appearing(path, suffix=".csv") as unfinished:
        assert unfinished.suffix == ".csv"
        unfinished.write_text("old")
    with suppress(ZeroDivisionError), appearing(path) as unfinished:
        unfinished.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    # Another one that is at work on the same file has a name of its own.
    with appearing(path) as one, appearing(path) as other:
        one.touch()
        other.write_text("new")

    assert path.read_text() == ""
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(DiskFullError, match=r"the disk is full .*Make room, and it goes on"),
        telling_full_disk(tmp_path),
    ):
        raise OSError(number, "No space left on device")


def test_other_errors_of_the_disk_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"), telling_full_disk(tmp_path):
        raise OSError(errno.EIO, "Input/output error")


# -- room -------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 4 MB."""
    (tmp_path / "small").mkdir()
    mount_tmpfs(tmp_path / "small", 4 * 2**20)
    yield tmp_path / "small"
    unmount(tmp_path / "small")


needs_mounts = pytest.mark.skipif(not can_mount(), reason="mounts a small disk: on Linux, as root")


@needs_mounts
def test_a_disk_has_room_for_what_is_free_but_for_a_reserve(small: Path) -> None:
    place = small / "not" / "there"
    room = measure_room(place)
    assert 3.9 * 2**20 < room < 4 * 2**20
    check_room(place, room)
    with pytest.raises(DiskFullError, match=r"about 0.0 GB are needed, and there is room for 0.0 GB. Make room, and"):
        check_room(place, room + 1)


@needs_mounts
def test_the_last_bytes_of_a_disk_are_left_to_others(small: Path) -> None:
    free = shutil.disk_usage(small).free
    (small / "others").write_bytes(bytes(free - 10_000))
    with pytest.raises(DiskFullError, match="the disk is full"), telling_full_disk(small):
        pytest.fail("something was begun")
