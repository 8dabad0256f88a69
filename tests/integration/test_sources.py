"""The flow on recordings that are not what they seem, or do not stay what they were."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import write_recording
from catalogue_users import file_of
from lab import Lab
from mounts import can_mount, mount_tmpfs, unmount
from rig import FakeLauncher

import tasks.chunk
from facehog_core import Catalogue, Recipe, confirm, open_session
from facehog_core.errors import UnreadableError
from facehog_core.hog import HogParams
from facehog_core.inbox import Inbox
from facehog_core.lookout import Lookout
from facehog_core.schema import Fate
from facehog_core.source import digest_file
from flows import process_recording
from tasks.chunk import process_chunk
from tasks.plan import plan_chunks

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_recording_that_is_not_what_the_file_beside_it_says_is_quarantined(lab: Lab, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "m12.mp4", 5)
    sidecar = tmp_path / "m12.facehog.toml"
    sidecar.write_text("n_frames = 6")
    state = lab.process(path)

    assert state.name == "Quarantined"
    assert lab.record(path).state == Fate.QUARANTINED
    assert "m12.facehog.toml: it says n_frames = 6, and m12.mp4 holds 5" in lab.record(path).reason
    assert lab.left_behind() == []
    sidecar.write_text(f"n_frames = 5\ndigest = 'xxh3_128:{digest_file(path)}'")
    assert lab.process(path).is_completed()


# A short recording is described by one task, a longer one by several.
LENGTHS = pytest.mark.parametrize("n_frames", [5, 300])


def do_before_the_end(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Let something happen to a recording when all of it has been described."""
    check = confirm.check_unchanged
    monkeypatch.setattr(confirm, "check_unchanged", lambda info: (do(), check(info)))


@LENGTHS
def test_a_recording_that_is_replaced_in_mid_run_leaves_nothing_and_is_taken_up_as_it_is_then(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_frames: int
) -> None:
    path = write_recording(tmp_path / "m12.mp4", n_frames)

    def replace() -> None:
        # As `cp --preserve` of another take: nothing but the bytes tells.
        status, content = path.stat(), path.read_bytes()
        path.write_bytes(content.replace(b"Lavf", b"Lave"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    with monkeypatch.context() as patch:
        do_before_the_end(patch, replace)
        state = lab.process(path)
    assert state.name == "Changed"
    with Catalogue(lab.catalogue) as catalogue:
        file = catalogue.file(path)
    assert file is not None
    assert file.state is Fate.WAITING
    assert "its content changed while it was processed" in file.reason
    assert [found for found in lab.left_behind() if found.is_file()] == []

    assert lab.process(path).is_completed()
    with Catalogue(lab.catalogue) as catalogue:
        (made,) = catalogue.records("state=finished")
    assert made.digest == digest_file(path)


def do_before_the_probe(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Let something happen to a recording when its run has begun."""
    check = process_recording.check_root
    monkeypatch.setattr(process_recording, "check_root", lambda *given: (do(), check(*given)))


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("no video")], ids=["gone", "replaced"])
def test_nothing_is_refused_for_what_it_was_while_somebody_was_at_it(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    path = write_recording(tmp_path / "m12.mp4", 5)
    content, status = path.read_bytes(), path.stat()
    with monkeypatch.context() as patch:
        do_before_the_probe(patch, lambda: change(path))
        assert lab.process(path).name == "Changed"
    with Catalogue(lab.catalogue) as catalogue:
        assert file_of(catalogue, path).state is Fate.WAITING
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert lab.process(path).is_completed()


def lock_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file not be read."""
    opened = Path.open

    def refuse(self: Path, *given: Any, **more: Any) -> Any:
        if self == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return opened(self, *given, **more)

    monkeypatch.setattr(Path, "open", refuse)


def test_a_recording_that_may_not_be_read_waits_until_it_may(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recording(tmp_path / "m12.mp4", 5)
    with monkeypatch.context() as patch:
        lock_up(path, patch)
        assert lab.process(path).name == "GivenBack"
    with Catalogue(lab.catalogue) as catalogue:
        file = file_of(catalogue, path)
    assert file.state is Fate.WAITING
    assert "Permission denied" in file.reason
    assert file.not_before is not None
    assert lab.process(path).is_completed()


def test_what_was_described_stays_where_a_refusal_in_mid_run_does_not_stand(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recording(tmp_path / "m12.mp4", 300)
    describe = process_recording._describe

    with monkeypatch.context() as patch:

        def describe_and_be_refused(*given: Any) -> None:
            describe(*given)
            lock_up(path, patch)
            raise UnreadableError(path, "it cannot be opened", "Copy it again from the rig.")

        patch.setattr(process_recording, "_describe", describe_and_be_refused)
        assert lab.process(path).name == "GivenBack"
    assert len(list(lab.store.rglob("receipts/*.json"))) == 2
    assert lab.process(path).is_completed()


@LENGTHS
def test_a_recording_that_is_only_touched_goes_on_from_what_is_done(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_frames: int
) -> None:
    path = write_recording(tmp_path / "m12.mp4", n_frames)
    with monkeypatch.context() as patch:
        do_before_the_end(patch, lambda: os.utime(path))
        assert lab.process(path).name == "Changed"
    assert list(lab.store.rglob("receipts/*.json")), "what was described stays"
    assert lab.process(path).is_completed()
    assert not list(lab.store.rglob("*.partial"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_recording_may_have_any_name_that_the_disk_takes(lab: Lab, tmp_path: Path) -> None:
    odd = "-o 100%s {0} %(x)s\n'\"`$(x)&;*?[a]<b>\\ü "
    name = odd + "n" * (255 - len(odd.encode()) - 4) + ".mp4"
    path = write_recording(tmp_path / "m12.mp4", 5).rename(tmp_path / name)
    assert len(os.fsencode(name)) == 255

    assert lab.process(path).is_completed()
    record = lab.record(path)
    assert record.state == Fate.FINISHED
    assert record.store is not None
    assert open_session(record.store).sizes["frame"] == 5
    with Catalogue(lab.catalogue) as catalogue:
        assert [step.state for step in catalogue.story(path)][-1] == Fate.FINISHED


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_and_hangs_nothing(lab: Lab, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m12.mp4")
    state = lab.process(tmp_path / "m12.mp4")

    assert state.name == "Quarantined"
    with Catalogue(lab.catalogue) as catalogue:
        file = catalogue.file(tmp_path / "m12.mp4")
    assert file is not None
    assert file.state is Fate.QUARANTINED


@pytest.mark.skipif(not can_mount(), reason="mounts a small disk: on Linux, as root")
def test_a_disk_without_room_is_found_before_a_frame_is_described_and_is_waited_for(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recording(tmp_path / "m12.mp4", 300)
    lab.store.mkdir()
    mount_tmpfs(lab.store, 2**20)
    try:
        with monkeypatch.context() as patch:
            for task in (plan_chunks, process_chunk):
                patch.setattr(task, "retries", 0)
            patch.setattr(tasks.chunk, "compute_shard", lambda *_: pytest.fail("a frame was described"))
            state = lab.process(path, Recipe(hog=HogParams(pixels_per_cell=(4, 4))))
        assert state.name == "GivenBack"
        with Catalogue(lab.catalogue) as catalogue:
            file = catalogue.file(path)
        assert file is not None
        assert file.state is Fate.WAITING
        assert "GB are needed, and there is room for" in file.reason
        assert file.not_before is not None
        subprocess.run(["mount", "-o", "remount,size=200m", lab.store], check=True)
        assert lab.process(path, Recipe(hog=HogParams(pixels_per_cell=(4, 4)))).is_completed()
    finally:
        unmount(lab.store)


@LENGTHS
def test_a_forced_attempt_does_all_anew_and_leaves_the_same_bytes(lab: Lab, tmp_path: Path, n_frames: int) -> None:
    path = write_recording(tmp_path / "m12.mp4", n_frames)
    lab.process(path)
    store = lab.record(path).store
    assert store is not None
    before, inode = open_session(store).descriptors.values, store.stat().st_ino
    assert lab.process(path, attempt=2, force=True).is_completed()

    record = lab.record(path)
    assert (record.state, record.attempt, record.store) == (Fate.FINISHED, 2, store)
    assert store.stat().st_ino != inode, "it is another one"
    np.testing.assert_array_equal(open_session(store).descriptors.values, before)
    assert [found.name for found in store.parent.iterdir()] == [store.name], "nothing is left of the old one"


def test_a_forced_attempt_that_fails_leaves_the_store_that_there_was(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recording(tmp_path / "m12.mp4", 5)
    lab.process(path)
    store = lab.record(path).store
    do_before_the_end(monkeypatch, lambda: os.utime(path))
    assert lab.process(path, attempt=2, force=True).name == "Changed"
    assert store is not None
    assert open_session(store).sizes["frame"] == 5


def test_a_file_beside_a_queued_recording_that_is_spoilt_keeps_it_in_quarantine_until_that_is_mended(
    lab: Lab, tmp_path: Path
) -> None:
    path = write_recording(tmp_path / "m12.mp4", 5)
    sidecar = tmp_path / "m12.facehog.toml"
    sidecar.write_text("every = ")
    assert lab.process(path).name == "Quarantined"
    inbox = Inbox(path=tmp_path, patterns=["*.mp4"], settle_s=0, recipe=Recipe())
    with Catalogue(lab.catalogue) as catalogue:
        lookout, launcher = Lookout(inbox, catalogue), FakeLauncher()
        assert lookout.look(launcher) == lookout.look(launcher) == []
        file = catalogue.file(path)
        assert file is not None
        assert (file.state, "this is not TOML" in file.reason) == (Fate.QUARANTINED, True)
        sidecar.write_text("every = 2")
        lookout.look(launcher)
        assert [due.recipe.frames.step for due in lookout.look(launcher)] == [2]
