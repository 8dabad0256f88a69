"""What was refused, or given back, is asked for again when there is a reason."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from rig import SETTLE_S, Rig, settle

from facehog_core import rest
from facehog_core.causes import Cause, cause_of
from facehog_core.crop import Crop
from facehog_core.errors import TimestampsError
from facehog_core.provenance import RunRecord, now
from facehog_core.recipe import Recipe, name_run
from facehog_core.reconcile import MOST_ATTEMPTS, Life
from facehog_core.schema import Fate
from facehog_core.timestamps import TimestampsSource, find_timestamps

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
