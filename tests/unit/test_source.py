from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from facehog_core import source
from facehog_core.source import (
    ImageFile,
    ImagesDigest,
    Signature,
    digest_file,
    digest_looks,
    digest_source,
    list_images,
    measure_file,
    name_recording,
    open_file,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of eleven small files with names of images."""
    made = tmp_path / "2021.11.05_m12"
    made.mkdir()
    for number in range(11):
        (made / f"img{number}.png").write_bytes(b"%d" % number)
    return made


def test_images_are_listed_in_natural_order_and_nothing_else_is(folder: Path) -> None:
    for name in ("times.csv", "img3.png.part", ".img4.png", "~img5.png", "Thumbs.db"):
        (folder / name).touch()
    (folder / "img99.png").mkdir()
    (folder / "img98.png").symlink_to(folder / "img1.png")

    assert [image.name for image in list_images(folder)] == [f"img{number}.png" for number in range(11)]


def replace_one(folder: Path) -> None:
    """Put another image of equal size and time in an image's place."""
    status = (folder / "img3.png").stat()
    (folder / "img3.png").rename(folder.parent / "old")
    (folder / "img3.png").write_bytes(b"x")
    os.utime(folder / "img3.png", ns=(status.st_atime_ns, status.st_mtime_ns))


def swap_two(folder: Path) -> None:
    for path, other in (("img3.png", "swap"), ("img4.png", "img3.png"), ("swap", "img4.png")):
        (folder / path).rename(folder / other)


CHANGES: dict[str, Callable[[Path], object]] = {
    "added": lambda folder: (folder / "img11.png").write_bytes(b"11"),
    "removed": lambda folder: (folder / "img5.png").unlink(),
    "grown": lambda folder: (folder / "img5.png").write_bytes(b"55"),
    "touched": lambda folder: os.utime(folder / "img5.png", ns=(0, 0)),
    "renamed": lambda folder: (folder / "img10.png").rename(folder / "img12.png"),
    "swapped": swap_two,
}


@pytest.mark.parametrize("change", [*CHANGES, "replaced"])
def test_a_folder_looks_different_when_any_of_its_images_does(folder: Path, change: str) -> None:
    before = Signature.of(folder)
    assert Signature.of(folder) == before
    (CHANGES | {"replaced": replace_one})[change](folder)

    assert Signature.of(folder) != before


@pytest.mark.parametrize("change", CHANGES)
def test_another_machine_sees_the_change_too(folder: Path, change: str) -> None:
    before = digest_looks(list_images(folder))
    CHANGES[change](folder)

    assert digest_looks(list_images(folder)) != before


def test_looks_do_not_depend_on_the_order_of_a_listing_nor_do_those_for_all_machines_on_inodes(folder: Path) -> None:
    images = list_images(folder)
    elsewhere = [replace(image, inode=image.inode + 7) for image in images]

    assert Signature.of_images(reversed(images)) == Signature.of(folder)
    assert digest_looks(reversed(elsewhere)) == digest_looks(images)
    assert Signature.of_images(elsewhere) != Signature.of(folder)


def test_what_lies_beside_the_images_changes_nothing(folder: Path) -> None:
    before = Signature.of(folder), digest_looks(list_images(folder)), digest_source(folder)
    (folder / "times.csv").touch()
    (folder / "Thumbs.db").touch()

    assert (Signature.of(folder), digest_looks(list_images(folder)), digest_source(folder)) == before


def test_a_folder_has_the_size_of_its_images_and_the_time_of_the_last(folder: Path) -> None:
    os.utime(folder / "img3.png", ns=(0, 2**62))
    signature = Signature.of(folder)

    assert (signature.size_bytes, signature.mtime_ns) == (12, 2**62)
    assert Signature.of_images([]).size_bytes == 0


def test_the_digest_is_of_contents_in_order_whatever_the_folder_and_the_images_are_called(folder: Path) -> None:
    digest = digest_source(folder)
    other = folder.with_name("other")
    other.mkdir()
    for number in range(11):
        shutil.copy(folder / f"img{number}.png", other / f"frame_{number + 5:04}.png")
    assert digest_source(other) == digest

    swap_two(folder)
    assert digest_source(folder) != digest


@given(contents=st.lists(st.binary(max_size=9), max_size=5), other=st.lists(st.binary(max_size=9), max_size=5))
def test_two_folders_have_one_digest_only_if_each_image_is_the_same(contents: list[bytes], other: list[bytes]) -> None:
    digests = []
    for images in (contents, other):
        digest = ImagesDigest()
        for image in images:
            digest.add(image)
        digests.append(digest.hexdigest())

    assert (digests[0] == digests[1]) == (contents == other)


def test_images_that_are_read_have_the_digest_of_their_files(folder: Path) -> None:
    content = ImagesDigest()
    for image in list_images(folder):
        content.add((folder / image.name).read_bytes())

    assert content.hexdigest() == digest_source(folder)


def test_a_file_has_the_digest_of_its_content(folder: Path) -> None:
    path = folder / "img3.png"
    assert digest_source(path) == digest_file(path) != digest_source(folder)


def test_a_recording_is_called_as_its_folder_or_as_its_file_without_the_suffix(folder: Path) -> None:
    (folder / "m12.cam0.mp4").touch()

    assert name_recording(folder) == "2021.11.05_m12"
    assert name_recording(folder / "m12.cam0.mp4") == "m12.cam0"
    assert name_recording("/nowhere/m12.mp4") == "m12"


def test_an_image_that_is_gone_while_the_folder_is_listed_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        name = "img3.png"

        def is_file(self, **_: bool) -> bool:
            return True

        def stat(self, **_: bool) -> os.stat_result:
            raise FileNotFoundError

    class Listing(list[object]):
        def __enter__(self) -> Listing:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    kept = list_images(folder)
    entries = Listing([*os.scandir(folder), Gone()])
    monkeypatch.setattr(os, "scandir", lambda _: entries)
    assert list_images(folder) == kept
    assert all(isinstance(image, ImageFile) for image in kept)


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


@needs_pipes
def test_a_named_pipe_is_no_file_and_nobody_waits_for_its_other_end(tmp_path: Path) -> None:
    pipe = tmp_path / "m12.mp4"
    os.mkfifo(pipe)
    for read in (digest_file, digest_source, open_file):
        with pytest.raises(OSError, match="it is no regular file"):
            read(pipe)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=tmp_path.name):
        open_file(tmp_path)


@given(st.binary(max_size=100), st.integers(1, 40))
def test_a_file_is_measured_whole_whatever_the_buffer(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, n_buffer: int
) -> None:
    path = tmp_path_factory.mktemp("d") / "file"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_HASH_BUFFER_BYTES", n_buffer)

        assert measure_file(path) == (len(content), xxhash.xxh3_128_hexdigest(content))
