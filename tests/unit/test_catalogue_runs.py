"""Runs, as the catalogue keeps them and finds them beside the files that came to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from catalogue_users import INBOX, LOOK, NOON, file_of, make_record, running, writing
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from facehog_core import catalogue as catalogue_module
from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError
from facehog_core.provenance import now
from facehog_core.schema import Fate, Run
from facehog_core.verifications import Verification


def test_a_run_record_comes_back_as_it_was_recorded(catalogue: Catalogue) -> None:
    record = make_record()
    catalogue.record(record)

    assert catalogue.run(record.run_id or "") == record
    assert catalogue.records() == [record]
    assert file_of(catalogue, record.path).state is Fate.FINISHED


def test_a_refused_run_comes_back_without_what_it_has_not(catalogue: Catalogue) -> None:
    record = replace(running(make_record()), state=Fate.QUARANTINED, reason="it is HEVC", stream={}, finished_at=NOON)
    catalogue.record(record)

    assert catalogue.run(record.run_id or "") == record


def test_recording_a_run_twice_changes_nothing(catalogue: Catalogue) -> None:
    record = make_record()
    catalogue.record(record)
    catalogue.record(record)

    assert catalogue.records() == [record]
    assert len(catalogue.story(record.path)) == 1


def test_a_run_that_goes_on_is_turned_into_the_one_that_ended(catalogue: Catalogue) -> None:
    record = make_record()
    catalogue.record(running(record))
    catalogue.record(record)

    assert catalogue.records() == [record]
    assert [step.state for step in catalogue.story(record.path)] == [Fate.RUNNING, Fate.FINISHED]


def test_a_story_does_not_run_backwards_where_an_old_run_is_found_to_be_finished(catalogue: Catalogue) -> None:
    made_at = now() - timedelta(days=1)
    record = make_record(changed_at=made_at, started_at=made_at, finished_at=made_at)
    catalogue.record(record)
    catalogue.set_fate(record.path, Fate.RUNNING, "is being read")
    catalogue.record(record)

    story = catalogue.story(record.path)
    assert [step.state for step in story] == [Fate.FINISHED, Fate.RUNNING, Fate.FINISHED]
    assert [step.at for step in story] == sorted(step.at for step in story)
    (found,) = catalogue.records()
    assert (found.changed_at, found.finished_at) == (story[-1].at, made_at)
    assert catalogue.run(str(record.run_id)) == record


def test_a_run_whose_store_is_gone_loses_its_output(catalogue: Catalogue) -> None:
    record = make_record()
    catalogue.record(record)
    catalogue.record(running(record))

    assert catalogue.run(record.run_id or "").store is None


def test_a_run_does_not_go_on_when_its_file_is_said_to_have_failed(catalogue: Catalogue) -> None:
    record = running(make_record())
    catalogue.record(record)
    catalogue.set_fate(record.path, Fate.FAILED, "its run died without a word")

    assert catalogue.run(record.run_id or "").state == Fate.FAILED
    assert catalogue.run(record.run_id or "").reason == "its run died without a word"


def test_a_finished_run_stays_finished_whatever_becomes_of_its_file(catalogue: Catalogue) -> None:
    record = make_record()
    catalogue.record(record)
    catalogue.set_fate(record.path, Fate.RUNNING, "is read again")

    assert catalogue.run(record.run_id or "") == record


def test_a_duplicate_names_the_run_of_the_file_that_it_equals(catalogue: Catalogue) -> None:
    record, copy = make_record(), INBOX / "copy.mp4"
    catalogue.record(record)
    catalogue.set_fate(
        copy, Fate.DUPLICATE, "holds the same bytes as m12.mp4", signature=LOOK, run_id=record.run_id, attempt=1
    )

    found = {made.path: made for made in catalogue.records()}
    assert set(found) == {record.path, copy}
    assert found[copy].state == Fate.DUPLICATE
    assert (found[copy].run_id, found[copy].store) == (record.run_id, record.store)
    assert catalogue.run(record.run_id or "") == record


def test_an_earlier_run_of_a_file_is_found_beside_its_latest(catalogue: Catalogue) -> None:
    earlier = make_record(run_id="aaaaaaaaaaaa-00000000")
    later = make_record(run_id="bbbbbbbbbbbb-00000000", changed_at=NOON + timedelta(hours=1))
    catalogue.record(earlier)
    catalogue.record(later)

    assert catalogue.records() == [later, earlier]
    assert catalogue.records("state=finished") == [later, earlier]


def test_what_was_mended_needs_nobody_any_more(catalogue: Catalogue) -> None:
    refused = replace(running(make_record(run_id="aaaaaaaaaaaa-00000000")), state=Fate.QUARANTINED, finished_at=NOON)
    mended = make_record(run_id="bbbbbbbbbbbb-00000000", changed_at=NOON + timedelta(hours=1))
    catalogue.record(refused)
    assert catalogue.rows("current=yes and state=quarantined", columns=["run"]) == [(refused.run_id,)]
    catalogue.record(mended)

    assert catalogue.rows(columns=["run", "current"]) == [(mended.run_id, "yes"), (refused.run_id, "no")]
    assert catalogue.rows("current=yes and state=quarantined", columns=["run"]) == []
    assert catalogue.rows("current=no", columns=["run"]) == [(refused.run_id,)]


def test_a_finished_run_is_found_as_finished_whatever_has_become_of_the_files_that_came_to_it(
    catalogue: Catalogue,
) -> None:
    record, copy = make_record(), INBOX / "copy.mp4"
    catalogue.record(record)
    catalogue.set_fate(copy, Fate.DUPLICATE, "holds the same bytes", signature=LOOK, run_id=record.run_id)
    assert [found.path for found in catalogue.records("state=finished")] == [record.path]

    # Read again, and cancelled on the way.
    catalogue.set_fate(record.path, Fate.FAILED, "the run was cancelled by hand", signature=LOOK)
    assert catalogue.records("state=finished") == [record]
    # Another recording under its name.
    catalogue.set_fate(record.path, Fate.WAITING, "has changed", signature=replace(LOOK, mtime_ns=7))
    assert catalogue.records("state=finished") == [record]
    assert {(found.path, found.state) for found in catalogue.records()} == {
        (record.path, Fate.FINISHED),
        (record.path, Fate.WAITING),
        (copy, Fate.DUPLICATE),
    }


def test_a_run_that_failed_is_told_by_its_file_alone_while_it_is_tried_again(catalogue: Catalogue) -> None:
    failed = replace(running(make_record()), state=Fate.FAILED, finished_at=NOON)
    catalogue.record(failed)
    catalogue.set_fate(failed.path, Fate.QUEUED, "waits for its run")

    assert [found.state for found in catalogue.records()] == [Fate.QUEUED]


def test_runs_of_one_content_keep_what_each_read_of_it(catalogue: Catalogue) -> None:
    first = make_record(run_id="aaaaaaaaaaaa-00000000")
    stream = {"codec": "h264", "width": 64, "height": 48, "n_frames": 7, "stream_index": 1}
    other = make_record(run_id="aaaaaaaaaaaa-11111111", stream=stream, changed_at=NOON + timedelta(hours=1))
    catalogue.record(first)
    catalogue.record(other)

    assert catalogue.records() == [other, first]
    assert [catalogue.run(str(made.run_id)) for made in (first, other)] == [first, other]


def test_what_was_read_of_a_recording_is_kept_when_its_run_fails_before_it_reads(catalogue: Catalogue) -> None:
    record = running(make_record())
    catalogue.record(record)
    catalogue.record(replace(record, stream={}, state=Fate.FAILED))

    assert catalogue.run(record.run_id or "").stream == record.stream


def test_what_is_told_of_a_run_or_a_file_at_once_is_of_one_moment(
    url: str, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = running(make_record())
    catalogue.record(record)

    def interrupt(name: str) -> None:
        tell = getattr(catalogue_module, name)

        def tell_later(*given: Any) -> Any:
            with Catalogue(url) as other:
                other.record(make_record())
            return tell(*given)

        monkeypatch.setattr(catalogue_module, name, tell_later)

    interrupt("tell_run")
    found, history, _ = catalogue.run_with_history(str(record.run_id))
    assert (found.state, [step.state for step in history]) == (Fate.RUNNING, [Fate.RUNNING])
    catalogue.record(record)
    interrupt("tell_story")
    told = catalogue.whole_story(record.path)
    assert told
    assert (told.steps[-1].state, told.warnings) == (Fate.RUNNING, [])
    later = catalogue.whole_story(record.path)
    assert later
    assert len(later.warnings) == 2


def test_a_clock_that_is_set_back_keeps_no_run_from_being_recorded(catalogue: Catalogue) -> None:
    back = make_record(started_at=NOON + timedelta(hours=1), finished_at=NOON)
    catalogue.record(back)
    found = catalogue.run(str(back.run_id))
    assert found.finished_at == found.started_at == back.started_at


@pytest.mark.parametrize(
    ("table", "change", "rule"),
    [
        ("files", "run_id = NULL", "what_is_done_has_a_run"),
        ("files", "not_before = changed_at", "only_what_waits_rests"),
        ("runs", "finished_at = NULL", "what_is_finished_has_ended"),
        ("runs", "started_at = verified_at", "none_ends_before_it_starts"),
        ("runs", "verdict = 'odd', wrong_since = verified_at", "verdict_is_sound_or_wrong"),
    ],
)
def test_the_database_itself_keeps_what_must_hold(
    catalogue: Catalogue, url: str, table: str, change: str, rule: str
) -> None:
    record = make_record()
    catalogue.record(record)
    later = Verification(at=NOON + timedelta(days=1), is_deep=False, source="unchanged", problems=[])
    catalogue.note_verifications(str(record.run_id), [later])
    with pytest.raises(IntegrityError, match=f"ck_{table}_{rule}"), writing(url) as session:
        session.execute(text(f"UPDATE {table} SET {change}"))


def test_of_many_runs_of_which_one_is_asked_for_hardly_any_is_read(catalogue: Catalogue) -> None:
    for number in range(5):
        catalogue.record(make_record(f"{number}.mp4", f"{number:012x}-00000000"))
    loaded: list[Run] = []

    def note(run: Run, _context: object) -> None:
        loaded.append(run)

    event.listen(Run, "load", note)
    try:
        with pytest.raises(CatalogueError, match="5 runs begin so"):
            catalogue.run("")
    finally:
        event.remove(Run, "load", note)
    assert len(loaded) <= 2


def test_a_run_is_found_by_the_beginning_of_its_name_if_that_is_enough(catalogue: Catalogue) -> None:
    catalogue.record(make_record("a.mp4", "1f0caaaaaaaa-00000000"))
    catalogue.record(make_record("b.mp4", "1f0cbbbbbbbb-00000000"))

    assert catalogue.run("1f0ca").path.name == "a.mp4"
    with pytest.raises(CatalogueError, match="no run begins so") as none:
        catalogue.run("%")
    assert str(none.value).startswith("%: ")
    with pytest.raises(CatalogueError) as two:
        catalogue.run("1f0c")
    named = "1f0cbbbbbbbb-00000000 (b.mp4), 1f0caaaaaaaa-00000000 (a.mp4)"
    assert str(two.value) == f"1f0c: 2 runs begin so: {named}. Give more letters of the one that is meant."
    for number in range(4):
        catalogue.record(make_record(f"{number}.mp4", f"1f0c{number:08x}-00000000"))
    with pytest.raises(CatalogueError, match=r"6 runs begin so: (1f0c[^,]*, ){5}\.\.\.\. Give"):
        catalogue.run("1f0c")
    assert catalogue.knows_run("1f0caaaaaaaa-00000000")
    assert not catalogue.knows_run("1f0c")
