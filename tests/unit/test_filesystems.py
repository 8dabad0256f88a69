from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from facehog_core.filesystems import is_network, name_filesystem


def mount(monkeypatch: pytest.MonkeyPatch, mounts: Sequence[tuple[Path, str] | tuple[Path, str, str]]) -> None:
    """Pretend that these folders are mounted, in this order."""
    partitions = [
        SimpleNamespace(mountpoint=str(where), fstype=kind, opts=opts[0] if opts else "rw")
        for where, kind, *opts in mounts
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: partitions if all else [])


def test_a_folder_has_the_kind_that_the_system_tells(tmp_path: Path) -> None:
    told = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if told.returncode:
        pytest.skip("this system's `stat` does not tell kinds of file systems")

    # `stat` knows ext2 to ext4 by one name.
    assert name_filesystem(tmp_path)[:3] == told.stdout.strip()[:3]


def test_the_nearest_mount_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, [(tmp_path / "share", "nfs4"), (Path("/"), "ext4"), (tmp_path / "share" / "scratch", "XFS")])

    assert name_filesystem(tmp_path / "share" / "m12") == "nfs4"
    assert name_filesystem(tmp_path / "share" / "scratch" / "m12") == "xfs"
    assert name_filesystem(tmp_path / "sharepoint") == "ext4"


def test_of_two_mounts_on_one_folder_the_later_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, [(Path("/"), "ext4"), (tmp_path, "autofs"), (tmp_path, "nfs4")])

    assert name_filesystem(tmp_path) == "nfs4"


def test_a_path_need_not_exist_nor_its_share_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, [(Path("/"), "ext4"), (tmp_path / "gone", "cifs")])

    assert name_filesystem(tmp_path / "gone" / "not" / "there") == "cifs"


def test_a_symbolic_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    mount(monkeypatch, [(Path("/"), "ext4"), (tmp_path / "share", "smb3")])

    assert name_filesystem(tmp_path / "link" / "new.db") == "smb3"


def test_a_relative_path_starts_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mount(monkeypatch, [(Path("/"), "ext4"), (tmp_path, "nfs")])

    assert name_filesystem("catalogue.db") == "nfs"


def test_a_network_drive_of_windows_is_told_by_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, [(tmp_path, "NTFS", "rw,remote")])

    assert name_filesystem(tmp_path) == "remote"


def test_what_the_system_does_not_tell_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, [])

    assert name_filesystem(tmp_path) == "unknown"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "lustre", "remote"])
def test_shares_are_network_file_systems(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "apfs", "ntfs", "tmpfs", "overlay", "fuseblk", "unknown"]
)
def test_disks_are_not(kind: str) -> None:
    assert not is_network(kind)


def test_the_file_system_of_this_test_is_asked_for_by_string_too() -> None:
    assert name_filesystem(os.curdir) == name_filesystem(Path.cwd())
