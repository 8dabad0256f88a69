from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from catalogue_users import come_to
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rig import SETTLE_S, CrashError, DownError, Rig, Run, settle

from facehog_core import inbox as inbox_module
from facehog_core import rest
from facehog_core.catalogue import Catalogue
from facehog_core.causes import Cause, cause_of
from facehog_core.crop import Crop
from facehog_core.errors import TimestampsError
from facehog_core.files import FileRecord, Glance
from facehog_core.lookout import Lookout
from facehog_core.provenance import RunRecord, now
from facehog_core.recipe import Recipe, name_run
from facehog_core.reconcile import MOST_ATTEMPTS, Life, RunRequest, take_up
from facehog_core.schema import Fate
from facehog_core.source import Signature
from facehog_core.timestamps import TimestampsSource, find_timestamps


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    (tmp_path / "inbox").mkdir()
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        yield Rig(folder=tmp_path / "inbox", catalogue=catalogue)


# -- step by step -----------------------------------------------------------------------------------------


def test_a_file_waits_until_its_timestamps_have_stood_still_too(rig: Rig) -> None:
    rig.recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    rig.put("m12.mp4")
    assert rig.look() == 0
    rig.put("m12.csv", b"0")
    assert rig.look(after_s=SETTLE_S) == 0
    rig.put("m12.csv", b"0\n1")
    assert rig.look(after_s=SETTLE_S) == 0
    assert rig.look(after_s=SETTLE_S - 1) == 0
    assert rig.look(after_s=1) == 1


def test_a_file_waits_until_what_is_to_be_done_to_it_has_stood_still_too(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    rig.look()
    for text in (b"every =", b"every = 2"):
        rig.put("m12.facehog.toml", text)
        assert rig.look(after_s=SETTLE_S) == 0
        assert rig.file(path).state is Fate.WAITING
    assert rig.look(after_s=SETTLE_S - 1) == 0
    assert rig.look(after_s=1) == 1
    assert rig.launcher.runs["run-0"].request.recipe.frames.step == 2


@pytest.mark.parametrize("state", [Fate.FINISHED, Fate.QUARANTINED])
def test_a_file_that_changes_waits_no_longer_for_what_lies_still_beside_it(rig: Rig, state: Fate) -> None:
    rig.put("m12.mp4")
    rig.put("m12.facehog.toml", b"every = 2")
    settle(rig)
    rig.begin("run-0")
    rig.end("run-0", state)
    rig.look()
    rig.put("m12.mp4", b"more")
    assert settle(rig) == 1


def test_a_file_does_not_wait_for_timestamps_that_are_not_there(rig: Rig) -> None:
    rig.recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    rig.put("m12.mp4")
    assert settle(rig) == 1


def test_what_is_not_of_the_recording_does_not_keep_it_waiting(rig: Rig) -> None:
    rig.put("m12.mp4")
    rig.look()
    rig.put("m12.csv", b"0")
    assert rig.look(after_s=SETTLE_S) == 1


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


CROPPED = Recipe(crop=Crop(x=0, y=0, width=64, height=64))


def refuse(rig: Rig, path: Path, state: Fate, recipe: Recipe = CROPPED) -> None:
    """Let a run of the file end without a store, as flows/ledger.py does."""
    refuse_because(rig, path, state, name_run("0" * 32, recipe), "the crop reaches outside of the frame", recipe)


def refuse_because(
    rig: Rig, path: Path, state: Fate, run_id: str, reason: str, recipe: Recipe, cause: Cause | None = None
) -> None:
    rig.catalogue.record(
        RunRecord(
            path=path,
            state=state,
            reason=reason,
            changed_at=now(),
            size_bytes=1,
            run_id=run_id,
            digest="0" * 32,
            recipe=recipe.as_dict(),
            started_at=now(),
            n_frames=1 if state is Fate.FINISHED else None,
            finished_at=now() if state is Fate.FINISHED else None,
        ),
        cause,
    )


@pytest.mark.parametrize("state", [Fate.QUARANTINED, Fate.FAILED])
def test_a_file_that_was_refused_under_other_parameters_is_tried_again(rig: Rig, state: Fate) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    refuse(rig, path, state)

    assert rig.look() == 0
    assert "under other parameters" in rig.file(path).reason
    assert rig.look(after_s=SETTLE_S) == 1
    assert rig.file(path).attempt == 1


@pytest.mark.parametrize(
    ("state", "recipe"), [(Fate.QUARANTINED, Recipe()), (Fate.FAILED, Recipe()), (Fate.FINISHED, CROPPED)]
)
def test_a_file_that_was_refused_under_these_or_finished_under_any_is_not(
    rig: Rig, state: Fate, recipe: Recipe
) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    refuse(rig, path, state, recipe)

    assert [rig.look(after_s=SETTLE_S) for _ in range(3)] == [0, 0, 0]
    assert rig.file(path).state is state


@pytest.mark.parametrize("change", ["mended", "removed"])
def test_a_file_that_was_refused_for_its_timestamps_is_tried_again_when_they_are_others(rig: Rig, change: str) -> None:
    rig.recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    path, stamps = rig.put("m12.mp4"), rig.put("m12.csv", b"0\nx")
    settle(rig)
    found = find_timestamps(path, rig.recipe.timestamps)
    error = TimestampsError(stamps, "line 2: 'x' is no number", "Mend the file.")
    run_id, said = name_run("0" * 32, rig.recipe, found), "in words of whatever language"
    refuse_because(rig, path, Fate.QUARANTINED, run_id, said, rig.recipe, cause_of(error))
    rig.restart()
    assert settle(rig) == settle(rig) == 0
    assert rig.file(path).state is Fate.QUARANTINED

    rig.put("m12.csv", b"0\n1") if change == "mended" else stamps.unlink()
    assert rig.look() == 0
    assert rig.file(path).reason == "was refused for its timestamps, which are others now; is tried again"
    assert rig.look(after_s=SETTLE_S) == 1


@pytest.mark.parametrize("change", ["mended", "removed"])
def test_a_file_whose_timestamps_could_not_be_read_is_tried_again_when_they_can(rig: Rig, change: str) -> None:
    rig.recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    path, folder = rig.put("m12.mp4"), rig.folder / "m12.csv"
    folder.mkdir()
    settle(rig)
    cause = cause_of(TimestampsError(folder, "the timestamps cannot be read", "Mend the file."))
    rig.catalogue.set_fate(path, Fate.QUARANTINED, "whatever it says", forget_run=True, cause=cause)
    assert settle(rig) == 0
    folder.rmdir()
    if change == "mended":
        rig.put("m12.csv", b"0\n1")
    assert settle(rig) == 1


@pytest.mark.parametrize("chosen", [None, TimestampsSource(file="{stem}.txt")], ids=["none", "others"])
def test_a_file_whose_timestamps_could_not_be_read_is_tried_again_when_they_are_not_looked_for_any_more(
    rig: Rig, chosen: TimestampsSource | None
) -> None:
    rig.recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    path, folder = rig.put("m12.mp4"), rig.folder / "m12.csv"
    folder.mkdir()
    settle(rig)
    with pytest.raises(TimestampsError) as raised:
        find_timestamps(path, rig.recipe.timestamps)
    said = {"forget_run": True, "cause": cause_of(raised.value)}
    rig.catalogue.set_fate(path, Fate.QUARANTINED, str(raised.value), **said)
    assert settle(rig) == 0
    rig.recipe = Recipe(timestamps=chosen)
    assert settle(rig) == 1


def test_a_file_that_was_refused_for_something_else_is_not_tried_again_when_its_timestamps_change(rig: Rig) -> None:
    rig.recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    path = rig.put("m12.mp4")
    settle(rig)
    refuse(rig, path, Fate.QUARANTINED, rig.recipe)
    rig.put("m12.csv", b"0\n1")
    assert settle(rig) == 0
    assert rig.file(path).state is Fate.QUARANTINED


def test_a_file_that_keeps_dying_under_the_new_parameters_is_not_tried_for_ever(rig: Rig) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    refuse(rig, path, Fate.QUARANTINED)
    for _ in range(3 * MOST_ATTEMPTS):
        rig.look(after_s=SETTLE_S)
        for run in rig.launcher.runs.values():
            run.life = Life.DEAD

    assert len(rig.launcher.runs) == 1 + MOST_ATTEMPTS
    assert rig.file(path).state is Fate.FAILED


def test_a_run_that_was_given_back_is_asked_for_again_when_its_time_has_come(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    later = now() + timedelta(minutes=5)
    rig.catalogue.set_fate(path, Fate.WAITING, "the disk is full", attempt=0, not_before=later)

    assert [rig.look(after_s=60) for _ in range(3)] == [0, 0, 0]
    monkeypatch.setattr(rest, "now", lambda: later)
    assert rig.look() == 1
    assert rig.file(path).attempt == 1


def test_no_rest_outlasts_a_clock_that_is_set_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    path = rig.put("m12.mp4")
    settle(rig)
    moment = now()
    later = moment + rest.LONGEST_REST
    rig.catalogue.set_fate(path, Fate.WAITING, "the disk is full", attempt=0, not_before=later)
    monkeypatch.setattr(rest, "now", lambda: moment)
    assert rig.look(after_s=60) == 0
    monkeypatch.setattr(rest, "now", lambda: moment - timedelta(seconds=1))
    assert rig.look() == 1


def test_the_recipe_is_that_of_the_name_and_of_the_file_beside_the_recording(rig: Rig) -> None:
    inbox = replace(rig.inbox, crops=[("*M12*", Crop(x=1, y=1, width=40, height=40))])
    paths = [rig.put("day/m12.mp4"), rig.put("m13.mp4")]
    rig.put("m13.facehog.toml", b"grey = 'luma'")
    lookout = Lookout(inbox, rig.catalogue, lambda: rig.at_s)
    for rig.at_s in (0.0, SETTLE_S):
        take_up(lookout.look(rig.launcher), rig.catalogue, rig.launcher)

    asked = {run.request.path: run.request.recipe for run in rig.launcher.runs.values()}
    assert asked == dict(zip(paths, [Recipe(crop=inbox.crops[0][1]), Recipe(grey="luma")], strict=True))
    assert rig.catalogue.file(rig.folder / "m13.facehog.toml") is None


def test_a_wrong_file_beside_a_recording_refuses_that_one_alone_until_it_is_mended(rig: Rig) -> None:
    wrong, good = rig.put("a.mp4"), rig.put("b.mp4")
    rig.put("a.facehog.toml", b"grey = 'gray'")
    assert settle(rig) == 1
    assert (rig.file(wrong).state, rig.file(good).state) == (Fate.QUARANTINED, Fate.QUEUED)
    said = "what is to be done to it cannot be read: a.facehog.toml: grey = 'gray' is wrong. It must be one of"
    assert rig.file(wrong).reason.startswith(said)
    before = rig.file(wrong)
    assert settle(rig) == 0
    assert rig.file(wrong) == before

    rig.put("a.facehog.toml", b"gray = 1")
    assert settle(rig) == 0
    assert "unknown key gray" in rig.file(wrong).reason
    rig.put("a.facehog.toml", b"grey = 'luma'")
    assert settle(rig) == 1
    assert rig.file(wrong).state is Fate.QUEUED
    assert rig.launcher.runs[str(rig.file(wrong).flow_run_id)].request.recipe == Recipe(grey="luma")
    assert [step.state for step in rig.catalogue.story(wrong)] == [
        *["waiting", "quarantined"] * 2,
        "waiting",
        "queued",
    ]


@pytest.mark.parametrize(
    "beside",
    [
        'timestamps = { file = "a\\u0000b" }',
        'timestamps = { file = "a", column = 1979-05-27 }',
        f"seconds = [1{'0' * 400}]",
        f"every = 1{'0' * 5000}",
        f"masks = {'[' * 3000}",
        'subject = "a\\u0000b"',
        # What no database takes, and what only JSON may name: half of a character.
        '{"subject": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"masks": [{"\\ud800": 1}]}',
        '{"timestamps": {"file": "\\ud800.csv"}}',
    ],
)
def test_nothing_that_lies_beside_a_recording_keeps_others_waiting(rig: Rig, beside: str) -> None:
    odd, good = rig.put("a.mp4"), rig.put("b.mp4")
    rig.put("a.facehog.json" if beside.startswith("{") else "a.facehog.toml", beside.encode())
    assert settle(rig) == 1
    assert (rig.file(odd).state, rig.file(good).state) == (Fate.QUARANTINED, Fate.QUEUED)


def test_a_name_that_is_too_long_for_a_file_beside_it_is_taken_up(rig: Rig) -> None:
    paths = [rig.put(f"{'n' * 247}.mp4"), rig.put("z.mp4")]
    assert settle(rig) == 2
    assert {rig.file(path).state for path in paths} == {Fate.QUEUED}


def test_what_nobody_thought_of_beside_a_recording_is_its_fate_alone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    odd, good = rig.put("a.mp4"), rig.put("b.mp4")
    choose = inbox_module.choose_by_sidecar

    def stumble(recipe: Recipe, path: Path) -> Recipe:
        if path == odd:
            raise RuntimeError("nobody thought of this")
        return choose(recipe, path)

    with monkeypatch.context() as patched:
        patched.setattr(inbox_module, "choose_by_sidecar", stumble)
        assert settle(rig) == 1
    assert (rig.file(odd).state, rig.file(good).state) == (Fate.QUARANTINED, Fate.QUEUED)
    assert "a.facehog.toml: RuntimeError: nobody thought of this" in rig.file(odd).reason
    assert settle(rig) == 1


def test_a_disk_that_fails_under_one_file_keeps_that_recording_waiting_and_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, good, refused = rig.put("a.mp4"), rig.put("b.mp4"), rig.put("c.mp4")
    rig.put("c.facehog.toml", b"crop = 1")
    choose = inbox_module.choose_by_sidecar

    def fail(recipe: Recipe, path: Path) -> Recipe:
        if path != good:
            raise OSError(5, os.strerror(5))
        return choose(recipe, path)

    rig.look()
    rig.catalogue.set_fate(refused, Fate.QUARANTINED, "refused")
    with monkeypatch.context() as patched:
        patched.setattr(inbox_module, "choose_by_sidecar", fail)
        assert rig.look(after_s=SETTLE_S) == 1
        assert (rig.file(odd).state, rig.file(good).state) == (Fate.WAITING, Fate.QUEUED)
        assert os.strerror(5) in rig.file(odd).reason
        assert rig.file(refused).state is Fate.QUARANTINED
        # A run that died is not given up, either.
        rig.catalogue.set_fate(odd, Fate.QUEUED, "waits for its run", flow_run_id="run-0")
        rig.launcher.runs["run-0"].life = Life.DEAD
        before = rig.file(odd)
        assert rig.look() == 1, "that of the other recording"
        assert rig.file(odd) == before
    assert rig.look() == 1
    assert rig.file(odd).state is Fate.QUEUED


def test_a_recording_whose_run_died_is_refused_if_the_file_beside_it_is_wrong_by_then(rig: Rig) -> None:
    path = rig.put("a.mp4")
    settle(rig)
    rig.begin("run-0")
    rig.put("a.facehog.toml", b"crop = 1")
    rig.launcher.runs["run-0"].life = Life.DEAD
    assert rig.look() == 0
    assert rig.file(path).state is Fate.QUARANTINED
    (rig.folder / "a.facehog.toml").unlink()
    assert settle(rig) == 1


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


# -- whatever happens -------------------------------------------------------------------------------------

RECORDINGS = ["a.mp4", "rig 2/b.mp4"]
OTHERS = [".hidden.mp4", "copying.mp4.part", "notes.txt", ".cache/d.mp4"]
recordings = st.sampled_from(RECORDINGS)
numbers = st.integers(0, 9)
ENDS = [Fate.FINISHED, Fate.FAILED, Fate.QUARANTINED, Fate.DUPLICATE, Life.DEAD, Life.DEAD, Life.CANCELLED]


class LabLife(RuleBasedStateMachine):
    """Files come, grow, are replaced, renamed and removed; runs end, die and are cancelled; the sensor crashes."""

    def __init__(self) -> None:
        super().__init__()
        self._scratch = TemporaryDirectory()
        folder = Path(self._scratch.name) / "inbox"
        folder.mkdir()
        self.catalogue = Catalogue(f"sqlite:///{folder.parent / 'catalogue.db'}", create=True)
        self.rig = Rig(folder=folder, catalogue=self.catalogue)
        self.launcher = self.rig.launcher
        self.touched_at_s: dict[Path, float] = {}
        self.interrupted: set[str] = set()
        self.n_written = 0

    def teardown(self) -> None:
        try:
            self._come_to_rest()
        finally:
            self.catalogue.close()
            self._scratch.cleanup()

    @initialize()
    def begin_with_a_file_that_was_there_before(self) -> None:
        self.write("a.mp4")

    # Files.

    @rule(name=recordings)
    def write(self, name: str) -> None:
        self.n_written += 1
        self._touch(self.rig.put(name, b"x" * self.n_written))

    @rule(name=st.sampled_from(OTHERS))
    def write_something_else(self, name: str) -> None:
        self.write(name)

    @rule(name=recordings)
    def replace(self, name: str) -> None:
        """As `rsync` does; size and time are those of the file that was there."""
        path = self.rig.folder / name
        if path.exists():
            status = path.stat()
            new = self.rig.put(f"{name}.new", b"y" * status.st_size)
            os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
            self._touch(new.replace(path))

    @rule(name=recordings, other=st.sampled_from(RECORDINGS + OTHERS))
    def rename(self, name: str, other: str) -> None:
        path, target = self.rig.folder / name, self.rig.folder / other
        if path.exists() and path != target:
            target.parent.mkdir(exist_ok=True)
            self._touch(path.replace(target))

    @rule(name=recordings)
    def remove(self, name: str) -> None:
        (self.rig.folder / name).unlink(missing_ok=True)

    def _touch(self, path: Path) -> None:
        self.touched_at_s[path] = self.rig.at_s

    # The sensor.

    @rule()
    def settle(self) -> None:
        self.look(0.0)
        self.look(SETTLE_S)

    @rule(after_s=st.sampled_from([0.0, 3.0, SETTLE_S]))
    def look(self, after_s: float) -> None:
        before, files = self.launcher.n_asked.copy(), self.catalogue.files()
        try:
            n_asked = self.rig.look(after_s)
        except CrashError:
            self.interrupted |= set(self.launcher.n_asked - before)
            self.rig.restart()
            self.launcher.crashes_after = False
        except DownError:
            self.launcher.is_down = False
        else:
            assert n_asked == (self.launcher.n_asked - before).total()
        for key in self.launcher.n_asked - before:
            request = self.launcher.runs[self.launcher.names[key]].request
            assert before[key] == 0 or key in self.interrupted
            assert not files[request.path].state.is_settled
            assert 1 <= request.attempt <= MOST_ATTEMPTS
            assert not self._others_alive(request)
            assert str(request.path.relative_to(self.rig.folder)) in RECORDINGS
            # A run that died is asked for again at once: the next one sees for itself what the file is now.
            if request.attempt == 1:
                assert Signature.of(request.path) == request.signature
                assert self.rig.at_s - self.touched_at_s[request.path] >= SETTLE_S
        self._check_fates()

    def _others_alive(self, request: RunRequest) -> list[Run]:
        """Find runs of the same file that go on, but for those that a crash kept the sensor from noting."""
        return [
            run
            for run in self.launcher.runs.values()
            if run.life is Life.ALIVE
            and run.request.path == request.path
            and run.request.key not in {request.key, *self.interrupted}
        ]

    def _check_fates(self) -> None:
        files = self.catalogue.files()
        here = {self.rig.folder / name for name in RECORDINGS if (self.rig.folder / name).exists()}
        assert here <= set(files) <= {self.rig.folder / name for name in RECORDINGS}
        for path, file in files.items():
            last = self.catalogue.story(path)[-1]
            assert (last.state, last.reason) == (file.state, file.reason)

    @rule(what=st.sampled_from(["crashes_after", "is_down"]))
    def trouble(self, what: str) -> None:
        setattr(self.launcher, what, True)

    @rule()
    def restart(self) -> None:
        self.rig.restart()

    # Runs.

    def _pick(self, number: int, *, begun: bool) -> str | None:
        runs = self.launcher.runs.items()
        alive = [name for name, run in runs if run.life is Life.ALIVE and run.has_begun == begun]
        return alive[number % len(alive)] if alive else None

    @rule(number=numbers)
    def begin(self, number: int) -> None:
        if name := self._pick(number, begun=False):
            self.rig.begin(name)

    @rule(number=numbers, end=st.sampled_from(ENDS))
    def end(self, number: int, end: Fate | Life) -> None:
        if name := self._pick(number, begun=True):
            request = self.launcher.runs[name].request
            if isinstance(end, Life):
                self.launcher.runs[name].life = end
            elif request.path.exists() and Signature.of(request.path) == self.rig.file(request.path).signature:
                self.rig.end(name, end)
            else:
                self.rig.end(name, Fate.WAITING)

    @rule(number=numbers, ends=st.lists(st.sampled_from(ENDS), min_size=1, max_size=MOST_ATTEMPTS + 1))
    def settle_and_run(self, number: int, ends: list[Fate | Life]) -> None:
        self.settle()
        for end in ends:
            self.begin(number)
            self.end(number, end)
            self.look(0.0)

    @rule(number=numbers, life=st.sampled_from([Life.DEAD, Life.CANCELLED]))
    def die_in_the_queue(self, number: int, life: Life) -> None:
        if name := self._pick(number, begun=False):
            self.launcher.runs[name].life = life

    @invariant()
    def one_key_names_one_run(self) -> None:
        assert len(self.launcher.runs) == len(self.launcher.names)

    def _come_to_rest(self) -> None:
        """Leave all alone: then each file that is there comes to an end, and no run goes on."""
        self.launcher.is_down = self.launcher.crashes_after = False
        for _ in range(3 * MOST_ATTEMPTS):
            self.look(SETTLE_S)
            while name := self._pick(0, begun=False):
                self.rig.begin(name)
            while self._pick(0, begun=True):
                self.end(0, Fate.FINISHED)
        assert not [run for run in self.launcher.runs.values() if run.life is Life.ALIVE]
        for path, file in self.catalogue.files().items():
            assert file.state.is_settled or (file.state is Fate.WAITING and not path.exists())


LabLife.TestCase.settings = settings(max_examples=20, stateful_step_count=40)
TestLabLife = LabLife.TestCase
