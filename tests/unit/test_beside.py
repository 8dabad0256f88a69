"""What lies beside a recording: it is waited for, it says what is wanted, and it harms no other recording."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from rig import SETTLE_S, Rig, settle

from facehog_core import inbox as inbox_module
from facehog_core.crop import Crop
from facehog_core.lookout import Lookout
from facehog_core.recipe import Recipe
from facehog_core.reconcile import Life, take_up
from facehog_core.schema import Fate
from facehog_core.timestamps import TimestampsSource


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
