from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from catalogue_users import come_to
from mounts import can_mount, mount_tmpfs, unmount
from share import Share

from deployments import sensor as sensor_module
from deployments import store_room, watcher
from deployments.backlog import Backfill, Backlog
from deployments.config_file import load_config
from deployments.sensor import Sensor
from deployments.store_room import StoreRoom
from deployments.watcher import SILENT
from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError, ConfigError
from facehog_core.files import FileRecord
from facehog_core.inbox import Inbox
from facehog_core.lookout import Lookout
from facehog_core.recipe import Recipe
from facehog_core.reconcile import Due, Launcher, Life, RunRequest
from facehog_core.schema import Fate
from facehog_core.source import Signature

needs_mounts = pytest.mark.skipif(not can_mount(), reason="mounts a share: on Linux, as root, with FUSE")
# Never waited for where all is well.
PATIENCE_S = 60


@dataclass
class Asked:
    """Takes runs, and never begins one."""

    paths: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def request(self, request: RunRequest) -> str:
        self.paths.append(request.path.name)
        return f"run-{len(self.paths)}"

    def life_of(self, file: FileRecord) -> Life:
        return Life.ALIVE

    def withdraw(self, file: FileRecord) -> None:
        self.withdrawn.append(file.path.name)


@dataclass
class Lab:
    """Inboxes that a sensor watches."""

    folder: Path
    catalogue: Catalogue
    launcher: Asked = field(default_factory=Asked)
    troubles: dict[str, str] = field(default_factory=dict)
    n_looks: int = 0
    most_queued: int = 100
    priorities: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.room = StoreRoom(self.folder / "store", self.catalogue)

    def put(self, name: str) -> Path:
        path = self.folder / name
        path.write_bytes(b"x")
        return path

    def note(self, troubles: dict[str, str]) -> None:
        self.troubles = {Path(inbox).name: trouble for inbox, trouble in troubles.items()}
        self.n_looks += 1

    @contextmanager
    def watched(self, *names: str, backlog: Backlog | None = None) -> Iterator[Sensor]:
        inboxes = [
            Inbox(
                path=self.folder / name,
                patterns=["*.mp4"],
                settle_s=0.05,
                recipe=Recipe(),
                priority=self.priorities.get(name, 0),
            )
            for name in names
        ]
        sensor = Sensor(
            inboxes,
            self.catalogue,
            self.launcher,
            0.05,
            self.most_queued,
            backlog,
            lambda: self.room.trouble,
            self.note,
        )
        thread = threading.Thread(target=sensor.run)
        thread.start()
        try:
            yield sensor
        finally:
            sensor.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(watcher, "ANSWER_S", 0.3)
    for name in ("rig 1", "rig 2"):
        (tmp_path / name).mkdir()
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        yield Lab(tmp_path, catalogue)


def wait_for(condition: Callable[[], object], what: str) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s, f"waited for {what}"
        time.sleep(0.02)


def count(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


@pytest.fixture
def share(lab: Lab) -> Iterator[Share]:
    """Mount a share at rig 1; what other machines write to it lies in another folder."""
    (lab.folder / "server").mkdir()
    share = Share(lab.folder / "server", lab.folder / "rig 1")
    share.attach()
    yield share
    share.detach()


@needs_mounts
def test_a_share_that_hangs_keeps_no_other_inbox_waiting_is_told_once_and_goes_on_when_it_is_back(
    lab: Lab, share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lab.put("server/before.mp4")
    with lab.watched("rig 1", "rig 2"):
        wait_for(lambda: lab.launcher.paths == ["before.mp4"], "the first recording")
        with share.hanging():
            wait_for(lambda: lab.troubles.get("rig 1") == SILENT, "the word that the share hangs")
            lab.put("server/hidden.mp4")
            lab.put("rig 2/meanwhile.mp4")
            wait_for(lambda: "meanwhile.mp4" in lab.launcher.paths, "the other inbox")
            assert lab.launcher.withdrawn == ["before.mp4"], "its run would keep its place from others"
            n_looks = lab.n_looks
            wait_for(lambda: lab.n_looks > n_looks + 3, "a sensor that goes on")
        wait_for(lambda: "rig 1" not in lab.troubles, "the share to be well again")
        wait_for(lambda: "hidden.mp4" in lab.launcher.paths, "what had landed there")

        wait_for(lambda: lab.launcher.paths.count("before.mp4") == 2, "what was taken back")

    assert sorted(lab.launcher.paths) == ["before.mp4", "before.mp4", "hidden.mp4", "meanwhile.mp4"]
    assert lab.launcher.withdrawn == ["before.mp4"]
    file = lab.catalogue.file(lab.folder / "rig 1" / "before.mp4")
    assert file is not None
    assert (file.state, file.attempt) == (Fate.QUEUED, 1)
    assert count(caplog, SILENT) == count(caplog, "is well again") == 1


@needs_mounts
def test_a_sensor_can_be_stopped_while_a_share_hangs(lab: Lab, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor_module, "PARTING_S", 0.1)
    with lab.watched("rig 1"):
        wait_for(lambda: lab.n_looks, "a look")
        hang = share.hanging()
        hang.__enter__()
        wait_for(lambda: lab.troubles.get("rig 1") == SILENT, "the word that the share hangs")
    hang.__exit__(None, None, None)


@needs_mounts
def test_a_share_that_fails_is_told_once_and_what_waits_stands_still_anew(
    lab: Lab, share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    lab.put("server/before.mp4")
    with lab.watched("rig 1"):
        wait_for(lambda: lab.launcher.paths == ["before.mp4"], "the first recording")
        share.kill()
        wait_for(lambda: "cannot be looked at" in lab.troubles.get("rig 1", ""), "the word that the share fails")
        n_looks = lab.n_looks
        wait_for(lambda: lab.n_looks > n_looks + 3, "some looks")
        unmount(share.target)
        share.attach()
        lab.put("server/after.mp4")
        wait_for(lambda: "after.mp4" in lab.launcher.paths, "the next recording")

    assert lab.launcher.paths == ["before.mp4", "after.mp4"]
    assert count(caplog, "Transport endpoint is not connected") == 1


@needs_mounts
def test_a_share_that_goes_and_comes_back_forgets_nothing_and_starts_nothing(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    share = lab.folder / "rig 1"
    names = [f"{number}.mp4" for number in range(5)]
    mount_tmpfs(share, 2**20)
    for name in names:
        lab.put(f"rig 1/{name}")
    with lab.watched("rig 1"):
        wait_for(lambda: len(lab.launcher.paths) == 5, "five runs")
        for name in names:
            come_to(lab.catalogue, share / name, Fate.FINISHED, "5 frames are described")
        before = lab.catalogue.files()
        unmount(share)
        wait_for(lambda: "is its share mounted?" in lab.troubles.get("rig 1", ""), "the word that it is empty")
        # What is there again has other inodes; times and sizes are the same.
        later = lab.folder / "later"
        later.mkdir()
        mount_tmpfs(later, 2**20)
        for name, file in reversed(list(zip(names, before.values(), strict=True))):
            os.utime(lab.put(f"later/{name}"), ns=(0, file.signature.mtime_ns))
        subprocess.run(["mount", "--move", later, share], check=True)
        wait_for(lambda: not lab.troubles, "the share to be well again")
        lab.put("rig 1/new.mp4")
        wait_for(lambda: "new.mp4" in lab.launcher.paths, "a new recording")
        after = lab.catalogue.files()
    unmount(share)

    assert lab.launcher.paths == [*names, "new.mp4"]
    assert [after[path].state for path in before] == [Fate.FINISHED] * 5
    assert [after[path].signature.inode for path in before] != [file.signature.inode for file in before.values()]
    assert count(caplog, "is its share mounted?") == count(caplog, "is well again") == 1


def test_what_does_not_fit_into_the_queue_waits_and_the_rig_that_matters_more_comes_first(lab: Lab) -> None:
    lab.most_queued, lab.priorities = 2, {"rig 2": 1}
    # The whole backlog stands still before the first run is asked for.
    for path in [lab.put(f"rig 1/{number}.mp4") for number in range(3)]:
        lab.catalogue.set_fate(path, Fate.QUEUED, "by hand", signature=Signature.of(path))
    with lab.watched("rig 1", "rig 2"):
        paths = [lab.put(f"rig 1/{number}.mp4") for number in range(5, 8)] + [lab.put("rig 2/urgent.mp4")]

        def all_wait() -> bool:
            files = lab.catalogue.files()
            return all(path in files and files[path].reason.startswith("has settled; waits") for path in paths)

        wait_for(all_wait, "all to wait for their turn")
        assert lab.launcher.paths == []
        for number in range(3):
            come_to(lab.catalogue, lab.folder / f"rig 1/{number}.mp4", Fate.FINISHED, "is done")
        wait_for(lambda: len(lab.launcher.paths) == 2, "as many as there is room for")
        time.sleep(0.2)
        assert lab.launcher.paths == ["urgent.mp4", "5.mp4"]


def test_what_others_have_queued_who_share_the_catalogue_takes_no_room(lab: Lab) -> None:
    lab.most_queued = 1
    ours = lab.put("rig 1/ours.mp4")
    looks = Signature.of(ours)
    lab.catalogue.set_fate(Path("/rig 1/of others.mp4"), Fate.QUEUED, "by another machine", signature=looks)
    with lab.watched("rig 1"):
        wait_for(lambda: lab.launcher.paths == ["ours.mp4"], "a run of ours")


def _look(path: Path):
    from facehog_core.source import Signature

    return Signature.of(path)


@needs_mounts
def test_while_the_stores_disk_is_full_all_wait_and_say_so_and_go_on_when_there_is_room(
    lab: Lab, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_room, "LOOK_S", 0.05)
    store = lab.folder / "store"
    store.mkdir()
    mount_tmpfs(store, 2**20)
    others = store / "others"
    try:
        others.write_bytes(bytes(2**20))
        lab.room.start()
        wait_for(lambda: lab.room.trouble, "the disk to be full")
        with lab.watched("rig 1"):
            path = lab.put("rig 1/a.mp4")
            wait_for(
                lambda: (file := lab.catalogue.file(path)) is not None and "waits for room" in file.reason,
                "the word that it waits for room",
            )
            n_looks = lab.n_looks
            wait_for(lambda: lab.n_looks > n_looks + 5, "some looks")
            assert lab.launcher.paths == []
            others.unlink()
            wait_for(lambda: lab.launcher.paths == ["a.mp4"], "the run")
    finally:
        lab.room.stop()
        lab.room.join(PATIENCE_S)
        unmount(store)
    assert count(caplog, "waits for room") == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("nobody thought of this"), CatalogueError("c.db", "it is locked", "Wait.")]
)
def test_what_fails_at_one_inbox_is_told_and_tried_again_and_keeps_no_other_waiting(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    look, fails = Lookout.look, threading.Event()
    fails.set()

    def stumble(self: Lookout, launcher: Launcher) -> list[Due]:
        if self.inbox.path.name == "rig 1" and fails.is_set():
            raise error
        return look(self, launcher)

    monkeypatch.setattr(Lookout, "look", stumble)
    with lab.watched("rig 1", "rig 2"):
        lab.put("rig 1/a.mp4")
        lab.put("rig 2/b.mp4")
        wait_for(lambda: lab.launcher.paths == ["b.mp4"], "the other inbox")
        wait_for(lambda: str(error) in lab.troubles.get("rig 1", ""), "the word that it fails")
        fails.clear()
        wait_for(lambda: lab.launcher.paths == ["b.mp4", "a.mp4"], "the inbox that failed")
        wait_for(lambda: not lab.troubles, "all to be well again")


# -- backfills --------------------------------------------------------------------------------------------


@pytest.fixture
def backlog(lab: Lab) -> Backlog:
    (lab.folder / "facehog.toml").write_text('[[inbox]]\npath = "rig 1"\nsettle_s = 0.05\n')
    return Backlog(load_config(lab.folder / "facehog.toml"))


def test_a_backfill_is_watched_until_all_in_it_have_come_to_their_end(lab: Lab, backlog: Backlog) -> None:
    archive = lab.folder / "archive"
    archive.mkdir()
    paths = [lab.put("archive/a.mp4"), lab.put("archive/b.mp4")]
    with lab.watched("rig 1", backlog=backlog):
        backlog.add(Backfill(path=str(archive)))
        wait_for(lambda: len(lab.launcher.paths) == 2, "both runs")
        come_to(lab.catalogue, paths[0], Fate.FINISHED, "is done")
        n_looks = lab.n_looks
        wait_for(lambda: lab.n_looks > n_looks + 10, "some looks")
        assert [inbox.path for inbox in backlog.inboxes()] == [archive], "one of them is not done"
        lab.catalogue.set_fate(paths[1], Fate.QUARANTINED, "is no recording")
        wait_for(lambda: not backlog.inboxes(), "the end of the backfill")
        lab.put("archive/late.mp4")
        lab.put("rig 1/new.mp4")
        wait_for(lambda: "new.mp4" in lab.launcher.paths, "the inbox")
    assert "late.mp4" not in lab.launcher.paths, "it is watched no longer"


def test_what_is_new_comes_before_a_backfill_unless_that_is_said_to_be_urgent(lab: Lab, backlog: Backlog) -> None:
    archive = lab.folder / "archive"
    archive.mkdir()
    backlog.add(Backfill(path=str(archive)))
    assert [inbox.priority for inbox in backlog.inboxes()] == [-1]
    backlog.add(Backfill(path=str(archive), priority=5))
    assert [inbox.priority for inbox in backlog.inboxes()] == [5]


def test_a_backfill_that_is_not_asked_for_any_more_is_watched_no_longer(lab: Lab, backlog: Backlog) -> None:
    archive = lab.folder / "archive"
    archive.mkdir()
    lab.most_queued = 0
    with lab.watched("rig 1", backlog=backlog):
        backlog.add(Backfill(path=str(archive)))
        path = lab.put("archive/a.mp4")
        wait_for(lambda: lab.catalogue.file(path), "a look at the archive")
        assert backlog.remove(archive)
        n_looks = lab.n_looks
        wait_for(lambda: lab.n_looks > n_looks + 3, "the sensor to see it")
        lab.put("archive/b.mp4")
        wait_for(lambda: lab.n_looks > n_looks + 20, "some looks")
    assert lab.catalogue.file(archive / "b.mp4") is None
    assert not backlog.remove(archive)


@pytest.mark.parametrize("place", ["rig 1", "rig 1/day", ".", "nothing"])
def test_a_backfill_and_an_inbox_keep_apart(lab: Lab, backlog: Backlog, place: str) -> None:
    (lab.folder / "rig 1/day").mkdir()
    with pytest.raises(ConfigError, match=r"within the inbox|no folder"):
        backlog.add(Backfill(path=str(lab.folder / place)))


def test_a_backfill_of_a_folder_whose_share_is_not_mounted_yet_waits_for_it(lab: Lab, backlog: Backlog) -> None:
    archive = lab.folder / "archive"
    archive.mkdir()
    with lab.watched("rig 1", backlog=backlog):
        backlog.add(Backfill(path=str(archive)))
        wait_for(lambda: "is its share mounted?" in lab.troubles.get("archive", ""), "the word that it is empty")
        n_looks = lab.n_looks
        wait_for(lambda: lab.n_looks > n_looks + 3, "some looks")
        assert [inbox.path for inbox in backlog.inboxes()] == [archive]
        lab.put("archive/a.mp4")
        wait_for(lambda: lab.launcher.paths == ["a.mp4"], "the run")
