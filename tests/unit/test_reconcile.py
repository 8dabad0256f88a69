from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from catalogue_users import come_to
from rig import SETTLE_S, CrashError, DownError, Rig, settle

from facehog_core.crop import Crop
from facehog_core.files import FileRecord, Glance
from facehog_core.recipe import Recipe
from facehog_core.reconcile import MOST_ATTEMPTS, Life, RunRequest
from facehog_core.schema import Fate
from facehog_core.source import Signature


def test_a_file_waits_until_it_has_stood_still_and_is_asked_for_then(rig: Rig) -> None:
    path = rig.put("m12.mp4")

    assert rig.look() == 0
    assert rig.file(path).state is Fate.WAITING
    assert rig.look(after_s=SETTLE_S - 1) == 0
    assert rig.look(after_s=1) == 1
    assert rig.file(path).state is Fate.QUEUED
    assert (rig.file(path).attempt, rig.file(path).flow_run_id) == (1, "run-0")
    assert [step.reason for step in rig.catalogue.story(path)] == [
        "must stand still for 10 s: it may still be arriving",
        "has settled; waits for its run (attempt 1)",
    ]


def test_a_file_that_grows_is_not_asked_for(rig: Rig) -> None:
    for size in range(1, 20):
        rig.put("m12.mp4", b"x" * size)
        assert rig.look(after_s=SETTLE_S - 1) == 0

    assert not rig.launcher.runs


def test_the_request_says_what_is_asked_for(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)

    request = rig.launcher.runs["run-0"].request
    assert request == RunRequest(path=path, signature=Signature.of(path), recipe=Recipe(), attempt=1, after=None)


def test_a_folder_that_grows_is_asked_for_when_all_of_its_images_have_stood_still(rig: Rig) -> None:
    for number in range(5):
        image = rig.put(f"day 1/m12/img{number}.png")
        assert rig.look(after_s=SETTLE_S - 1) == 0
    folder = image.parent
    assert rig.file(folder).state is Fate.WAITING
    assert rig.look(after_s=SETTLE_S) == 1

    assert list(rig.catalogue.files()) == [folder], "an image has no fate of its own"
    request = rig.launcher.runs["run-0"].request
    assert request == RunRequest(path=folder, signature=Signature.of(folder), recipe=Recipe(), attempt=1, after=None)
    rig.begin("run-0")
    rig.end("run-0", Fate.FINISHED)
    assert rig.look(after_s=60) == 0
    assert rig.file(folder).state is Fate.FINISHED


@pytest.mark.parametrize("change", ["added", "removed", "replaced"])
def test_a_folder_whose_images_change_after_its_run_is_asked_for_again(rig: Rig, change: str) -> None:
    for number in range(5):
        image = rig.put(f"m12/img{number}.png")
    settle(rig)
    rig.begin("run-0")
    rig.end("run-0", Fate.FINISHED)
    if change == "added":
        rig.put("m12/img5.png")
    elif change == "removed":
        image.unlink()
    else:
        status = image.stat()
        rig.put("m12/new", b"y").replace(image)
        os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert rig.look() == 0
    assert rig.file(image.parent).reason.startswith("has changed since it was finished")
    assert rig.look(after_s=SETTLE_S) == 1


def test_a_file_is_asked_for_once_whatever_its_run_does(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    assert rig.look(after_s=60) == 0
    rig.begin("run-0")
    assert rig.look(after_s=60) == 0
    rig.end("run-0", Fate.FINISHED)
    assert rig.look(after_s=60) == 0

    assert list(rig.launcher.n_asked.values()) == [1]
    assert rig.file(path).state is Fate.FINISHED


@pytest.mark.parametrize("state", [Fate.FINISHED, Fate.FAILED, Fate.QUARANTINED, Fate.DUPLICATE])
def test_a_file_that_changes_after_its_run_is_asked_for_again(rig: Rig, state: Fate) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    rig.begin("run-0")
    rig.end("run-0", state)
    rig.put("m12.mp4", b"more")

    assert rig.look() == 0
    assert rig.file(path).reason.startswith(f"has changed since it was {state}")
    assert rig.look(after_s=SETTLE_S) == 1
    assert rig.launcher.runs["run-1"].request.attempt == 1


def test_a_crash_between_request_and_note_asks_for_the_same_run_again(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    rig.look()
    rig.launcher.crashes_after = True
    with pytest.raises(CrashError):
        rig.look(after_s=SETTLE_S)
    rig.launcher.crashes_after = False
    rig.restart()
    rig.look()

    assert rig.look(after_s=SETTLE_S) == 1
    assert list(rig.launcher.n_asked.values()) == [2]
    assert list(rig.launcher.runs) == ["run-0"]
    assert rig.file(path).flow_run_id == "run-0"


def test_a_run_that_died_is_asked_for_again_under_another_key_but_not_for_ever(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        name = rig.file(path).flow_run_id or ""
        assert rig.launcher.runs[name].request.attempt == attempt
        rig.begin(name)
        rig.launcher.runs[name].life = Life.DEAD
        assert rig.look() == (attempt < MOST_ATTEMPTS)

    assert len(rig.launcher.runs) == MOST_ATTEMPTS
    assert rig.file(path).state is Fate.FAILED
    assert f"{MOST_ATTEMPTS} runs of it came to no end" in rig.file(path).reason
    assert rig.look(after_s=60) == 0


def test_runs_that_die_before_they_begin_count_too(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    for _ in range(MOST_ATTEMPTS):
        rig.launcher.runs[rig.file(path).flow_run_id or ""].life = Life.DEAD
        rig.look()

    assert [run.request.attempt for run in rig.launcher.runs.values()] == [1, 2, 3]
    assert rig.file(path).state is Fate.FAILED


def test_a_run_that_keeps_finding_its_file_changed_is_not_asked_for_for_ever(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    for _ in range(MOST_ATTEMPTS):
        name = rig.file(path).flow_run_id or ""
        rig.begin(name)
        rig.end(name, Fate.WAITING)
        rig.look(after_s=SETTLE_S)
        rig.look(after_s=SETTLE_S)

    assert len(rig.launcher.runs) == MOST_ATTEMPTS
    assert rig.file(path).state is Fate.FAILED


def test_a_run_that_was_cancelled_is_not_asked_for_again(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    rig.launcher.runs["run-0"].life = Life.CANCELLED

    assert rig.look() == 0
    assert rig.file(path).state is Fate.FAILED
    assert "cancelled by hand" in rig.file(path).reason


def test_a_run_that_ends_while_the_inbox_is_looked_at_is_not_asked_for_again(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    rig.begin("run-0")
    life_of = rig.launcher.life_of

    def life_at_the_end(file: FileRecord) -> Life:
        rig.end("run-0", Fate.FINISHED)
        return life_of(file)

    rig.launcher.life_of = life_at_the_end  # type: ignore[method-assign]

    assert rig.look() == 0
    assert list(rig.launcher.runs) == ["run-0"]
    assert rig.file(path).state is Fate.FINISHED


def test_a_run_by_hand_that_begins_while_the_inbox_is_looked_at_goes_on(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    glance = rig.catalogue.glance

    def glance_then_run(under: Path) -> dict[str, Glance]:
        known = glance(under)
        rig.catalogue.set_fate(path, Fate.RUNNING, "by hand", signature=Signature.of(path), flow_run_id="hand")
        return known

    rig.catalogue.glance = glance_then_run  # type: ignore[method-assign]
    rig.look()

    assert rig.file(path).state is Fate.RUNNING


def test_every_file_has_a_fate_though_nobody_takes_runs(rig: Rig) -> None:
    first, second = rig.put("a.mp4"), rig.put("b.mp4")
    rig.look()
    rig.launcher.is_down = True
    late = [rig.put(f"{name}.mp4") for name in "0cz"]
    second.unlink()
    with pytest.raises(DownError):
        rig.look(after_s=SETTLE_S)

    assert {path: file.state for path, file in rig.catalogue.files().items()} == dict.fromkeys(
        [first, second, *late], Fate.WAITING
    )
    assert "not seen in the inbox" in rig.file(second).reason
    rig.launcher.is_down = False
    assert rig.look() == 1


def test_a_file_that_vanished_before_its_run_is_taken_up_when_it_is_back(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    rig.look()
    away = path.rename(rig.folder.parent / "away.mp4")
    rig.look(after_s=60)
    assert "not seen in the inbox any more" in rig.file(path).reason
    away.rename(path)
    assert rig.look() == 0
    assert "must stand still" in rig.file(path).reason

    assert rig.look(after_s=SETTLE_S - 1) == 0
    assert rig.look(after_s=1) == 1


def test_a_file_that_is_renamed_is_a_file_of_its_own(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    rig.begin("run-0")
    rig.end("run-0", Fate.FINISHED)
    renamed = path.rename(rig.folder / "m12 renamed.mp4")

    assert settle(rig) == 1
    assert rig.file(path).state is Fate.FINISHED
    assert rig.file(renamed).state is Fate.QUEUED


def test_nothing_is_concluded_from_an_inbox_that_cannot_be_listed(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    rig.put("late.mp4")
    rig.look()
    before = rig.catalogue.files()
    rig.launcher.runs["run-0"].life = Life.DEAD
    away = rig.folder.rename(rig.folder.parent / "away")
    with pytest.raises(FileNotFoundError):
        rig.look(after_s=60)

    assert rig.catalogue.files() == before
    away.rename(rig.folder)
    assert rig.look() == 1, "that of the run that died; what waits must stand still anew, now that it can be seen"
    assert rig.file(path).attempt == 2
    assert rig.look(after_s=SETTLE_S) == 1


def test_files_outside_of_the_inbox_are_left_alone(rig: Rig) -> None:
    outside = Path("/elsewhere/by hand.mp4")
    look = Signature(size_bytes=1, mtime_ns=1, inode=1)
    for state in (Fate.WAITING, Fate.RUNNING):
        come_to(rig.catalogue, outside, state, "by hand", signature=look)
        rig.look(after_s=60)
        assert rig.file(outside).state is state

    assert not rig.launcher.runs


def test_a_key_tells_apart_whatever_makes_another_run() -> None:
    look = Signature(size_bytes=1, mtime_ns=2, inode=3)
    request = RunRequest(path=Path("/a|1"), signature=look, recipe=Recipe(), attempt=1, after=None)
    others = [
        replace(request, path=Path("/a")),
        replace(request, signature=replace(look, size_bytes=2)),
        replace(request, signature=replace(look, mtime_ns=1)),
        replace(request, signature=replace(look, inode=1)),
        replace(request, recipe=Recipe(crop=Crop(x=0, y=0, width=9, height=9))),
        replace(request, after="run-0"),
    ]

    assert len({request.key, *(other.key for other in others)}) == 1 + len(others)
    assert replace(request, attempt=2).key == request.key
