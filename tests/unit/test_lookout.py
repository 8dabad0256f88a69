from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from catalogue_users import come_to
from rig import SETTLE_S, Rig, settle

from facehog_core import lookout as lookout_module
from facehog_core.catalogue import Catalogue
from facehog_core.causes import cause_of
from facehog_core.errors import ManifestError
from facehog_core.files import FileRecord
from facehog_core.inbox import Inbox
from facehog_core.lookout import FEWEST_RENUMBERED, Lookout
from facehog_core.names import Identity
from facehog_core.recipe import Recipe
from facehog_core.reconcile import MOST_ATTEMPTS, NOT_ASKED_FOR, take_up
from facehog_core.scan import Scan
from facehog_core.schema import Fate


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    (tmp_path / "inbox").mkdir()
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        yield Rig(folder=tmp_path / "inbox", catalogue=catalogue)


def finish(rig: Rig, *names: str) -> list[Path]:
    """Let recordings land, and come to their end."""
    paths = [rig.put(name) for name in names]
    settle(rig)
    for path in paths:
        name = str(rig.file(path).flow_run_id)
        rig.begin(name)
        rig.end(name, Fate.FINISHED)
    return paths


def write_anew(path: Path) -> None:
    """Give a file another inode, as a disk does that was restored from a backup."""
    found, content = path.stat(), path.read_bytes()
    new = path.with_name("new")
    new.write_bytes(content)
    os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns))
    new.replace(path)


# -- a disk that is mounted anew --------------------------------------------------------------------------


def test_a_disk_that_was_mounted_anew_starts_no_runs_and_is_known_from_then_on(rig: Rig) -> None:
    paths = finish(rig, *(f"{number}.mp4" for number in range(FEWEST_RENUMBERED)))
    for path in paths:
        write_anew(path)

    assert settle(rig) == 0
    assert {rig.file(path).state for path in paths} == {Fate.FINISHED}
    assert [rig.file(path).signature.inode for path in paths] == [path.stat().st_ino for path in paths]
    # Noted once: new files in the same inbox do not put the old ones into doubt again.
    finish(rig, *(f"new {number}.mp4" for number in range(3 * FEWEST_RENUMBERED)))
    rig.restart()
    assert settle(rig) == 0


def test_one_file_that_is_replaced_is_a_change_also_if_size_and_time_are_the_same(rig: Rig) -> None:
    paths = finish(rig, *(f"{number}.mp4" for number in range(2 * FEWEST_RENUMBERED)))
    write_anew(paths[0])

    assert settle(rig) == 1
    assert rig.file(paths[0]).state is Fate.QUEUED


def test_inodes_of_a_share_say_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout_module, "name_filesystem", lambda _: "cifs")
    path, late = *finish(rig, "a.mp4"), rig.put("late.mp4")
    write_anew(path)
    rig.look()
    for _ in range(3):
        write_anew(late)
    assert rig.look(after_s=SETTLE_S) == 1, "a file whose inode is another one each time settles, too"
    assert rig.file(path).state is Fate.FINISHED


# -- what cannot be looked at -----------------------------------------------------------------------------


@pytest.fixture
def sick(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the names in the inbox that the system does not tell anything about."""
    names: dict[str, str] = {}
    scan_inbox = lookout_module.scan_inbox

    def scan(*args: object, **kwargs: object) -> Scan:
        scan = scan_inbox(*args, **kwargs)  # type: ignore[arg-type]
        for name, said in names.items():
            path = str(rig.folder / name)
            scan.found.pop(path)
            scan.unread[path] = scan.unread_files[path] = said
        return scan

    monkeypatch.setattr(lookout_module, "scan_inbox", scan)
    return names


def test_a_file_that_the_disk_does_not_give_has_a_fate_and_others_go_on(rig: Rig, sick: dict[str, str]) -> None:
    bad, good, known = rig.put("bad.mp4"), rig.put("good.mp4"), rig.put("known.mp4")
    sick["bad.mp4"] = os.strerror(errno.EIO)
    rig.look()
    sick["known.mp4"] = os.strerror(errno.EIO)
    assert rig.look(after_s=SETTLE_S) == 1
    assert rig.file(good).state is Fate.QUEUED
    for path in (bad, known):
        assert rig.file(path).state is Fate.WAITING
        assert rig.file(path).reason == "cannot be looked at, and is looked at again: Input/output error"
    sick.clear()
    assert rig.look() == 0
    assert "must stand still" in rig.file(bad).reason
    assert rig.look(after_s=SETTLE_S) == 2


def test_nothing_is_concluded_of_what_lies_in_a_folder_that_the_disk_does_not_give(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rig.put("day 1/a.mp4")
    rig.look()
    before, story = rig.file(path), rig.catalogue.story(path)
    scandir = os.scandir

    def fail(folder: str) -> object:
        if Path(folder).name == "day 1":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return scandir(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", fail)
        assert rig.look(after_s=SETTLE_S) == 0
    assert (rig.file(path), rig.catalogue.story(path)) == (before, story)


def test_a_run_that_died_is_not_asked_for_again_while_its_file_is_not_there(rig: Rig) -> None:
    path, other = rig.put("a.mp4"), rig.put("b.mp4")
    settle(rig)
    rig.launcher.runs[str(rig.file(path).flow_run_id)].life = lookout_module.Life.DEAD
    away = path.rename(rig.folder.parent / "away.mp4")
    assert rig.look() == 0
    assert "not seen in the inbox any more" in rig.file(path).reason
    assert rig.file(other).state is Fate.QUEUED
    away.rename(path)
    assert settle(rig) == 1


def test_an_inbox_that_is_empty_though_recordings_of_it_are_known_is_odd(rig: Rig) -> None:
    rig.look()
    assert rig.lookout.trouble is None
    (path,) = finish(rig, "a.mp4")
    assert rig.lookout.trouble is None
    path.unlink()
    rig.look()
    assert rig.lookout.trouble == "is empty, and 1 recording of it are known: is its share mounted?"


# -- when it has settled ----------------------------------------------------------------------------------


def test_stillness_counts_from_the_end_of_one_look_to_the_beginning_of_another(rig: Rig) -> None:
    rig.put("a.mp4")
    times = iter([0.0, 300.0, 301.0, 301.0, 309.9, 309.9, 310.0, 310.0])
    lookout = Lookout(rig.inbox, rig.catalogue, lambda: next(times))
    # The first look hangs for five minutes: the file may have been written until a moment ago.
    assert [len(lookout.look(rig.launcher)) for _ in range(4)] == [0, 0, 0, 1]


# -- what it costs ----------------------------------------------------------------------------------------


def test_the_catalogue_is_read_again_only_if_anybody_has_written(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = finish(rig, "a.mp4")
    rig.look()
    glances = []
    glance = rig.catalogue.glance
    monkeypatch.setattr(rig.catalogue, "glance", lambda under: glances.append(under) or glance(under))
    for _ in range(5):
        rig.look()
    assert glances == []
    with Catalogue(str(rig.catalogue._database.url)) as other:
        other.set_fate(path, Fate.WAITING, "by another process")
    rig.look()
    assert len(glances) == 1


def test_a_file_that_was_refused_is_judged_again_only_if_something_has_changed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put("a.mp4")
    rig.put("a.facehog.toml", b"crop = 1")
    settle(rig)
    rig.look()
    asked = []
    recipe_for = Inbox.recipe_for
    monkeypatch.setattr(lookout_module, "is_run_of", lambda *_: pytest.fail("was judged"))
    monkeypatch.setattr(Inbox, "recipe_for", lambda self, path: asked.append(path) or recipe_for(self, path))
    for _ in range(5):
        rig.look()
    # Once a look, for where its timestamps are.
    assert len(asked) == 5


# -- whose turn it is -------------------------------------------------------------------------------------


def test_no_more_runs_are_asked_for_than_may_wait_and_those_that_came_first_come_first(rig: Rig) -> None:
    rig.most_queued = 2
    paths = [rig.put(f"{name}.mp4") for name in "edcba"]
    for age_s, path in enumerate(paths):
        os.utime(path, ns=(0, (1000 + age_s) * 10**9))
    assert settle(rig) == 2
    assert [rig.file(path).state for path in paths] == [Fate.QUEUED] * 2 + [Fate.WAITING] * 3
    assert {rig.file(path).reason for path in paths[2:]} == {"has settled; waits until the runs before it have begun"}
    steps = len(rig.catalogue.story(paths[-1]))
    assert rig.look(after_s=60) == 0
    rig.begin(str(rig.file(paths[0]).flow_run_id))
    assert rig.look() == 1
    assert [rig.file(path).state for path in paths[2:]] == [Fate.QUEUED, Fate.WAITING, Fate.WAITING]
    assert len(rig.catalogue.story(paths[-1])) == steps, "its story does not grow while it waits"


def test_what_waits_for_its_turn_and_changes_must_stand_still_anew(rig: Rig) -> None:
    rig.most_queued = 0
    path = rig.put("a.mp4")
    settle(rig)
    rig.put("a.mp4", b"more")
    rig.most_queued = 1
    assert rig.look() == 0
    assert "must stand still" in rig.file(path).reason
    assert rig.look(after_s=SETTLE_S) == 1


def test_the_inbox_with_the_higher_priority_comes_first(rig: Rig) -> None:
    folders = [rig.folder / name for name in ("archive", "rig")]
    lookouts = [
        Lookout(replace(rig.inbox, path=folder, priority=priority), rig.catalogue, lambda: rig.at_s)
        for folder, priority in zip(folders, (-1, 0), strict=True)
    ]
    for name in ("archive/a.mp4", "archive/b.mp4", "rig/c.mp4"):
        rig.put(name)
    for rig.at_s in (0.0, SETTLE_S):
        dues = [due for lookout in lookouts for due in lookout.look(rig.launcher)]
    n_asked, rest = take_up(dues, rig.catalogue, rig.launcher, 2)
    assert n_asked == 2
    assert [run.request.path.name for run in rig.launcher.runs.values()] == ["c.mp4", "a.mp4"]
    assert [due.file.path.name for due in rest] == ["b.mp4"]


def test_whoever_asks_for_runs_looks_at_no_share(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    asked: list[Path] = []

    def identify(path: Path, _known: Identity | None) -> Identity:
        asked.append(path)
        return Identity(subject="CSE020")

    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True, identify=identify) as catalogue:
        rig = Rig(folder=tmp_path / "inbox", catalogue=catalogue)
        path = rig.put("a.mp4")
        rig.look()
        rig.at_s += SETTLE_S
        dues = rig.lookout.look(rig.launcher)
        asked.clear()
        # The share hangs from here on.
        path.unlink()
        assert take_up(dues, catalogue, rig.launcher)[0] == 1
        assert asked == []
        assert rig.file(path).identity.subject == "CSE020"


def test_a_sidecar_with_the_whole_name_is_for_that_file_alone(rig: Rig) -> None:
    paths = [rig.put("m12.mp4"), rig.put("m12.mkv.mp4"), rig.put("m13.mp4")]
    rig.put("m12.facehog.toml", b"every = 2")
    rig.put("m12.mkv.mp4.facehog.json", b'{"every": 3}')
    settle(rig)
    asked = {run.request.path: run.request.recipe for run in rig.launcher.runs.values()}
    assert [asked[path].frames.step for path in paths] == [2, 3, 1]
    assert asked[paths[2]] == Recipe()


# -- what must be there before it is taken up -------------------------------------------------------------


def test_a_recording_waits_for_the_bytes_that_are_promised(rig: Rig) -> None:
    path = rig.put("m12.mp4", b"x" * 10)
    rig.put("m12.facehog.toml", b"size_bytes = 20")
    assert settle(rig) == 0
    assert rig.file(path).state is Fate.WAITING
    said = "has 10 of the 20 bytes that m12.facehog.toml names: the rest may still arrive"
    assert rig.file(path).reason == said
    assert settle(rig) == 0
    assert [step.reason for step in rig.catalogue.story(path)].count(said) == 1
    rig.put("m12.mp4", b"x" * 20)
    assert settle(rig) == 1


def test_a_recording_with_more_bytes_than_are_promised_is_refused_until_one_of_the_two_is_mended(rig: Rig) -> None:
    path = rig.put("m12.mp4", b"x" * 30)
    rig.put("m12.facehog.toml", b"size_bytes = 20")
    assert settle(rig) == 0
    assert rig.file(path).state is Fate.QUARANTINED
    assert "it says size_bytes = 20, and m12.mp4 has 30" in rig.file(path).reason
    rig.restart()
    assert settle(rig) == settle(rig) == 0
    assert rig.file(path).state is Fate.QUARANTINED
    rig.put("m12.facehog.toml", b"size_bytes = 30")
    assert rig.look() == 0
    assert "which is something else now" in rig.file(path).reason
    assert rig.look(after_s=SETTLE_S) == 1


@pytest.mark.parametrize("mended", [b"n_frames = 5", b"subject = 'CSE020'", None])
def test_a_recording_that_a_run_refused_for_what_is_said_of_it_is_tried_again_when_that_is_mended(
    rig: Rig, mended: bytes | None
) -> None:
    path, sidecar = rig.put("m12.mp4"), rig.put("m12.facehog.toml", b"n_frames = 9")
    settle(rig)
    error = ManifestError(sidecar, "it holds 5", "Copy it again.", "n_frames = 9")
    rig.catalogue.set_fate(path, Fate.QUARANTINED, str(error), forget_run=True, cause=cause_of(error))
    assert settle(rig) == 0
    sidecar.unlink() if mended is None else sidecar.write_bytes(mended)
    assert settle(rig) == 1


def test_a_recording_waits_for_its_flag(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    inbox = replace(rig.inbox, ready="{stem}.done")
    lookout = Lookout(inbox, rig.catalogue, lambda: rig.at_s)
    for rig.at_s in (0.0, SETTLE_S, 10 * SETTLE_S):
        assert lookout.look(rig.launcher) == []
    assert rig.file(path).reason == "waits for m12.done, which says that it is ready"
    rig.put("m12.done", b"")
    assert len(lookout.look(rig.launcher)) == 1


@pytest.mark.parametrize("place", ["flag", "manifest"])
def test_a_share_that_fails_is_no_word_that_all_has_arrived(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = rig.put("m12.mp4")
    rig.put("m12.facehog.toml", b"size_bytes = 20" if place == "manifest" else b"")
    lookout = Lookout(replace(rig.inbox, ready="{stem}.done"), rig.catalogue, lambda: rig.at_s)

    def fail(*_: object) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(*((Path, "exists") if place == "flag" else (lookout_module, "read_manifest")), fail)
        for rig.at_s in (0.0, SETTLE_S, 2 * SETTLE_S):
            assert lookout.look(rig.launcher) == []
        assert (rig.file(path).state, os.strerror(errno.EIO) in rig.file(path).reason) == (Fate.WAITING, True)
        steps = len(rig.catalogue.story(path))
        assert lookout.look(rig.launcher) == []
        assert len(rig.catalogue.story(path)) == steps
    rig.put("m12.done", b"")
    rig.put("m12.facehog.toml", b"")
    lookout.look(rig.launcher)
    rig.at_s += SETTLE_S
    assert len(lookout.look(rig.launcher)) == 1


@pytest.mark.parametrize("ready", ["done", "../{stem}", "{stem", "{0}", "{stem.x}", "{name!r}", "a\\{stem}"])
def test_a_flag_is_a_file_beside_the_recording_and_named_after_it(rig: Rig, ready: str) -> None:
    with pytest.raises(ValueError, match="ready must be a file name with"):
        replace(rig.inbox, ready=ready)


def test_of_a_thousand_that_land_at_once_some_are_made_ready_and_all_say_that_they_wait(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout_module, "MOST_DUE", 3)
    paths = [rig.put(f"{number}.mp4") for number in range(5)]
    rig.look()
    assert rig.look(after_s=SETTLE_S) == 3
    assert {rig.file(path).reason for path in paths[3:]} == {"has settled; waits until the runs before it have begun"}
    assert rig.look() == 2


# -- what nobody thought of -------------------------------------------------------------------------------


def test_what_nobody_thought_of_is_the_fate_of_one_file_and_keeps_no_other_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What pytest tells of a test from one process to another is to be text.
    monkeypatch.setattr(lookout_module.log, "disabled", True)
    odd, good = rig.put("a.mp4"), rig.put("b.mp4")
    tell_missing = lookout_module.tell_missing

    def stumble(path: Path, *given: object) -> str | None:
        if path == odd:
            raise RuntimeError("\ud800\0")
        return tell_missing(path, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(lookout_module, "tell_missing", stumble)
        assert settle(rig) == 1
        assert (rig.file(odd).state, rig.file(good).state) == (Fate.FAILED, Fate.QUEUED)
        assert r"RuntimeError: \ud800\x00" in rig.file(odd).reason
        story = rig.catalogue.story(odd)
        assert settle(rig) == 0
        assert rig.catalogue.story(odd) == story
    rig.put("a.mp4", b"anew")
    assert settle(rig) == 1


@pytest.mark.parametrize("step", ["sidecars_of", "Due"])
def test_that_holds_for_a_file_that_is_new_and_for_one_that_is_due(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    odd, good = rig.put("a.mp4"), rig.put("b.mp4")
    do = getattr(lookout_module, step)

    def stumble(*given: Path, **named: FileRecord) -> object:
        if odd in given or ("file" in named and named["file"].path == odd):
            raise RuntimeError("nobody thought of this")
        return do(*given, **named)

    monkeypatch.setattr(lookout_module, step, stumble)
    assert settle(rig) == 1
    assert (rig.file(odd).state, rig.file(good).state) == (Fate.FAILED, Fate.QUEUED)


# -- what is asked for once -------------------------------------------------------------------------------


def make_backfill(rig: Rig) -> Lookout:
    return Lookout(rig.inbox, rig.catalogue, lambda: rig.at_s, is_backfill=True)


def test_what_was_not_asked_for_any_more_is_taken_up_when_it_is_asked_for_again(rig: Rig) -> None:
    path, other = rig.put("a.mp4"), rig.put("b.mp4")
    settle(rig)
    rig.catalogue.set_fate(other, Fate.FAILED, "its decoder crashed")
    rig.catalogue.set_fate(path, Fate.WAITING, "has settled", attempt=MOST_ATTEMPTS)
    rig.catalogue.set_fate(path, Fate.FAILED, NOT_ASKED_FOR)
    backfill = make_backfill(rig)
    assert backfill.look(rig.launcher) == []
    assert not backfill.is_done, "though all had come to their end before this look"
    assert (rig.file(path).state, rig.file(path).attempt) == (Fate.WAITING, 0)
    rig.at_s += SETTLE_S
    assert [due.file.path for due in backfill.look(rig.launcher)] == [path]
    come_to(rig.catalogue, path, Fate.FINISHED, "is done")
    assert backfill.look(rig.launcher) == []
    assert backfill.is_done
    assert rig.file(other).reason == "its decoder crashed"


def test_a_backfill_of_a_folder_in_which_nothing_is_yet_is_not_done(rig: Rig) -> None:
    backfill = make_backfill(rig)
    backfill.look(rig.launcher)
    assert not backfill.is_done
    assert "is its share mounted?" in (backfill.trouble or "")
    rig.put("notes.txt")
    backfill.look(rig.launcher)
    assert backfill.is_done
    assert backfill.trouble is None
