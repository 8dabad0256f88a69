"""What the catalogue knows of when stores were verified, and of how good their frames are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from catalogue_users import NOON, make_record, running, writing
from runs import ENDED, fill_store, make_paths, make_work
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from facehog_core.archive import rebuild
from facehog_core.catalogue import Catalogue
from facehog_core.comparison import compare_runs
from facehog_core.errors import FilterError
from facehog_core.filters import parse_filter
from facehog_core.sealed import read_record
from facehog_core.sealing import seal_store
from facehog_core.verifications import Verification, history_beside, note_verification, read_history

RUN = str(make_record().run_id)
QUALITY = {
    "every": 100,
    "n_frames": 3,
    "brightness": {"median": 38.5, "least": 30.0, "most": 41.0},
    "saturated": {"median": 0.0, "least": 0.0, "most": 0.125},
    "focus": {"median": 4.0, "least": 3.5, "most": 9.0},
    "moved": {"median": 12.0, "least": 11.0, "most": 12.5},
}


def look_at(day: int, *problems: str) -> Verification:
    at = NOON + timedelta(days=day)
    return Verification(at=at, is_deep=False, source="unchanged", problems=list(problems))


def found(catalogue: Catalogue, where: str) -> list[str]:
    return [str(run) for (run,) in catalogue.rows(where, columns=["run"])]


def test_figures_are_kept_and_found(catalogue: Catalogue) -> None:
    catalogue.record(make_record(quality=QUALITY))
    catalogue.record(make_record("b.mp4", "bbbbbbbbbbbb-00000000"))

    assert catalogue.run(RUN).quality == QUALITY
    assert found(catalogue, "brightness<40 and focus<5 and moved>10 and saturated<1%") == [RUN]
    assert found(catalogue, "brightness>40 or saturated>=0.1%") == []
    assert found(catalogue, "moved=none") == ["bbbbbbbbbbbb-00000000"]
    table = catalogue.find(sort="-brightness", columns=["brightness", "focus", "moved", "saturated"])
    assert table.iloc[0].tolist() == [38.5, 4.0, 12.0, 0.0]
    assert table.isna().iloc[1].all()
    # The run is begun anew: nothing is known of it until it ends.
    catalogue.record(running(make_record()))
    assert found(catalogue, "brightness!=none") == []


def test_figures_that_differ_are_told(catalogue: Catalogue) -> None:
    other = QUALITY | {"brightness": {"median": 90.0, "least": 30.0, "most": 91.0}}
    differences = compare_runs(make_record(quality=QUALITY), make_record(quality=other)).differences
    assert [(each.about, each.name, each.first, each.second) for each in differences] == [
        ("results", "brightness", 38.5, 90.0)
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "brightness = 256",
        "saturated = 1.5",
        "focus = -1",
        "moved = -1",
        "verdict = 'sound'",
        "wrong_since = '2026-01-01'",
    ],
)
def test_a_figure_that_cannot_be_is_not_kept(catalogue: Catalogue, url: str, wrong: str) -> None:
    catalogue.record(make_record())
    with pytest.raises(IntegrityError), writing(url) as session:
        session.execute(text(f"UPDATE runs SET {wrong}"))


def test_a_run_is_found_by_when_it_was_verified_with_what_result_and_since_when_it_is_wrong(
    catalogue: Catalogue,
) -> None:
    catalogue.record(make_record())
    assert found(catalogue, "verified=never") == found(catalogue, "verified=none") == [RUN]
    assert catalogue.run_with_history(RUN)[2] == []
    history = [look_at(1), look_at(2, "a bit"), look_at(3, "a bit", "another")]
    for number in (1, 3, 3):
        # The whole history each time: what is known already is kept once.
        catalogue.note_verifications(RUN, history[:number])

    assert catalogue.run_with_history(RUN)[2] == history
    assert found(catalogue, "verified=never") == found(catalogue, "verdict=sound") == []
    assert found(catalogue, "verified>=2026-11-24 verdict=wrong wrong_since<2026-11-24") == [RUN]
    at, since = history[2].at.isoformat(), history[1].at.isoformat()
    assert catalogue.run(RUN).verified == {"at": at, "verdict": "wrong", "wrong_since": since}
    catalogue.note_verifications(RUN, [look_at(4)])
    assert found(catalogue, "verdict=sound and wrong_since=none") == [RUN]


def test_what_was_found_of_an_earlier_store_says_nothing_of_the_one_that_took_its_place(catalogue: Catalogue) -> None:
    catalogue.record(make_record())
    catalogue.note_verifications(RUN, [look_at(1, "a bit")])
    catalogue.record(make_record(finished_at=NOON + timedelta(days=2)))

    assert found(catalogue, "verified=never") == [RUN]
    assert len(catalogue.run_with_history(RUN)[2]) == 1


def test_never_is_a_word_of_that_field_alone() -> None:
    assert str(parse_filter("verified!=never")) == "verified!=never"
    for where in ("finished=never", 'verified="never"', "verified<never"):
        with pytest.raises(FilterError):
            parse_filter(where)


def test_a_catalogue_that_is_made_of_the_stores_knows_their_figures_and_verifications(url: str, tmp_path: Path) -> None:
    work = make_work()
    paths = make_paths(tmp_path / "store", work)
    store = seal_store(paths, fill_store(paths, work), ENDED)
    history = [look_at(1), look_at(2, "a bit")]
    for each in history:
        note_verification(store, each)
    rebuild(tmp_path / "store", url)

    with Catalogue(url) as catalogue:
        (record,) = catalogue.records()
        assert catalogue.run_with_history(str(record.run_id))[2] == history
        assert record.verified["wrong_since"] == history[1].at.isoformat()
        assert record.quality == read_record(store).quality
        assert (record.quality["n_frames"], record.quality["brightness"]["median"]) == (3, 30.0)
    assert history_beside(store).is_file()


def test_a_line_that_a_power_cut_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    store = tmp_path / "run.zarr"
    for number in (1, 2):
        note_verification(store, look_at(number))
    history = history_beside(store)
    history.write_bytes(history.read_bytes()[:-9])
    note_verification(store, look_at(3))

    assert read_history(store) == [look_at(1), look_at(3)]
