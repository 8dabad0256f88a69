from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from catalogue_users import (
    INBOX,
    LOOK,
    NOON,
    come_to,
    file_of,
    make_record,
    reading,
    writing,
)
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError, NoResultFound

from facehog_core import database as database_module
from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError, FilterError
from facehog_core.files import FileRecord
from facehog_core.filters import any_of
from facehog_core.path_text import as_text
from facehog_core.schema import Fate

# -- opening ----------------------------------------------------------------------------------------------


def test_it_is_made_only_when_asked_for(url: str) -> None:
    with pytest.raises(CatalogueError, match="there is no catalogue yet"):
        Catalogue(url)
    Catalogue(url, create=True).close()
    Catalogue(url).close()


def test_it_is_made_with_its_folder(tmp_path: Path) -> None:
    Catalogue(f"sqlite:///{tmp_path / 'a' / 'b' / 'catalogue.db'}", create=True).close()

    assert (tmp_path / "a" / "b" / "catalogue.db").is_file()


def test_readers_see_it_while_it_is_written(url: str, catalogue: Catalogue) -> None:
    catalogue.set_fate(INBOX / "m12.mp4", Fate.WAITING, "is new", signature=LOOK)
    with writing(url) as session:
        session.execute(text("UPDATE files SET reason = 'half a transaction'"))

        assert file_of(catalogue, INBOX / "m12.mp4").reason == "is new"
    assert file_of(catalogue, INBOX / "m12.mp4").reason == "half a transaction"


def test_the_stamp_is_another_one_after_a_write_also_of_one_that_had_begun_before(
    url: str, catalogue: Catalogue
) -> None:
    catalogue.set_fate(INBOX / "m12.mp4", Fate.WAITING, "is new", signature=LOOK)
    with writing(url) as session:
        session.execute(text("UPDATE files SET reason = 'on its way'"))
        if url.startswith("postgresql"):
            # Somebody else in the same server, who begins later and ends earlier.
            with reading(url) as other:
                other.execute(text("SELECT txid_current()"))
        before = catalogue.stamp()
    assert catalogue.stamp() != before


def test_whoever_looks_sees_one_state_however_long_it_takes(url: str, catalogue: Catalogue) -> None:
    with reading(url) as session:
        assert session.scalar(text("SELECT count(*) FROM files")) == 0
        catalogue.set_fate(INBOX / "m12.mp4", Fate.WAITING, "is new", signature=LOOK)
        assert session.scalar(text("SELECT count(*) FROM files")) == 0


def test_a_row_must_name_rows_that_exist(catalogue: Catalogue) -> None:
    with pytest.raises(NoResultFound):
        catalogue.set_fate(INBOX / "m12.mp4", Fate.WAITING, "is new", signature=LOOK, run_id="no such run")


def test_a_state_that_is_no_fate_cannot_be_recorded(catalogue: Catalogue) -> None:
    with pytest.raises(IntegrityError, match="state_is_a_fate"):
        catalogue.set_fate(INBOX / "m12.mp4", "lost", "who knows", signature=LOOK)  # type: ignore[arg-type]


@pytest.mark.parametrize("create", [True, False])
def test_a_network_file_system_is_refused(file_url: str, monkeypatch: pytest.MonkeyPatch, create: bool) -> None:
    Catalogue(file_url, create=True).close()
    monkeypatch.setattr(database_module, "name_filesystem", lambda _path: "nfs4")

    with pytest.raises(CatalogueError, match=r"network file system \(nfs4\), where SQLite's locks"):
        Catalogue(file_url, create=create)


def test_nothing_is_made_on_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "name_filesystem", lambda _path: "cifs")

    with pytest.raises(CatalogueError, match="cifs"):
        Catalogue(f"sqlite:///{tmp_path / 'new' / 'catalogue.db'}", create=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("create", [True, False])
def test_a_database_of_something_else_is_refused_and_left_as_it_is(url: str, create: bool) -> None:
    with writing(url) as session:
        session.execute(text("CREATE TABLE mice (name TEXT)"))

    with pytest.raises(CatalogueError, match="this is no catalogue of facehog"):
        Catalogue(url, create=create)
    with reading(url) as session:
        assert inspect(session.connection()).get_table_names() == ["mice"]


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, create: bool) -> None:
    (tmp_path / "notes.txt").write_text("mouse 12 was hungry today\n" * 100)

    with pytest.raises(CatalogueError, match="cannot be used: file is not a database"):
        Catalogue(f"sqlite:///{tmp_path / 'notes.txt'}", create=create)


@pytest.mark.parametrize(
    "url", ["mysql://host/db", "postgresql://host", "sqlite://", "sqlite:///:memory:", "catalogue.db"]
)
def test_what_is_no_database_for_a_catalogue_is_refused(url: str) -> None:
    with pytest.raises(CatalogueError, match=r"Write it as sqlite:///catalogue\.db"):
        Catalogue(url, create=True)


def test_a_server_compares_every_text_byte_by_byte_as_sqlite_does(
    tmp_path: Path, make_catalogue_url: Callable[[str, Path], str]
) -> None:
    url = make_catalogue_url("postgresql", tmp_path)
    Catalogue(url, create=True).close()
    columns = (
        "SELECT table_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND data_type = 'character varying'"
    )
    with reading(url) as session:
        found = session.execute(text(columns)).all()
    assert len(found) > 20
    assert {table for table, collation in found if collation != "C"} == {"alembic_version"}


# -- the fates of files -----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(list(Fate)), st.sampled_from(["a", "b", 'it\'s "quoted"; DROP']))))
def test_a_file_has_exactly_one_fate_the_last_and_its_story_has_all_in_order(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[Fate, str]]
) -> None:
    path = INBOX / "m12.mp4"
    with Catalogue(f"sqlite:///{tmp_path_factory.mktemp('c') / 'catalogue.db'}", create=True) as catalogue:
        for state, reason in turns:
            assert come_to(catalogue, path, state, reason, signature=LOOK)

        told = [turn for turn, before in zip(turns, [None, *turns], strict=False) if turn != before]
        story = catalogue.story(path)
        assert [(step.state, step.reason) for step in story] == told
        assert [step.at for step in story] == sorted(step.at for step in story)
        assert [(file.state, file.reason) for file in catalogue.files().values()] == turns[-1:]


def test_what_is_not_told_of_a_file_stays_as_it_was(catalogue: Catalogue) -> None:
    path = INBOX / "m12.mp4"
    catalogue.set_fate(path, Fate.QUEUED, "waits", signature=LOOK, attempt=2, flow_run_id="flow-1")
    catalogue.set_fate(path, Fate.RUNNING, "runs")

    assert file_of(catalogue, path) == FileRecord(
        path=path,
        signature=LOOK,
        state=Fate.RUNNING,
        reason="runs",
        attempt=2,
        flow_run_id="flow-1",
        run_id=None,
    )


def test_a_decision_is_dropped_when_the_file_has_turned_in_the_meantime(catalogue: Catalogue) -> None:
    path = INBOX / "m12.mp4"
    catalogue.set_fate(path, Fate.WAITING, "is new", signature=LOOK)
    seen = file_of(catalogue, path)
    catalogue.set_fate(path, Fate.RUNNING, "runs", flow_run_id="by hand")

    assert not catalogue.set_fate(path, Fate.QUEUED, "has settled", flow_run_id="by sensor", only_from=seen)
    assert file_of(catalogue, path).state is Fate.RUNNING
    assert [step.reason for step in catalogue.story(path)] == ["is new", "runs"]


def test_a_decision_is_dropped_when_another_run_has_the_file(catalogue: Catalogue) -> None:
    path = INBOX / "m12.mp4"
    catalogue.set_fate(path, Fate.RUNNING, "runs", signature=LOOK, flow_run_id="first")
    seen = file_of(catalogue, path)
    catalogue.set_fate(path, Fate.RUNNING, "runs", flow_run_id="second")

    assert not catalogue.set_fate(path, Fate.FAILED, "died", only_from=seen)
    assert catalogue.set_fate(path, Fate.FAILED, "died", only_from=file_of(catalogue, path))


def test_a_file_that_was_seen_in_the_meantime_is_not_unseen(catalogue: Catalogue) -> None:
    path = INBOX / "m12.mp4"

    assert catalogue.set_fate(path, Fate.RUNNING, "by hand", signature=LOOK, only_from="unseen")
    assert not catalogue.set_fate(path, Fate.WAITING, "is new", signature=LOOK, only_from="unseen")
    assert file_of(catalogue, path).state is Fate.RUNNING


def test_a_file_that_looks_different_has_not_come_to_its_run_any_more(catalogue: Catalogue) -> None:
    record = make_record()
    catalogue.set_fate(record.path, Fate.RUNNING, "runs", signature=LOOK)
    catalogue.record(record)
    catalogue.set_fate(record.path, Fate.WAITING, "has changed", signature=replace(LOOK, mtime_ns=7))

    assert file_of(catalogue, record.path).run_id is None
    assert [found.state for found in catalogue.records("state=finished")] == [Fate.FINISHED]


def test_a_file_can_forget_its_run_which_is_found_beside_it_then(catalogue: Catalogue) -> None:
    record = make_record()
    catalogue.record(record)
    catalogue.set_fate(record.path, Fate.WAITING, "is tried again", forget_run=True)

    assert file_of(catalogue, record.path).run_id is None
    assert {found.state for found in catalogue.records()} == {Fate.WAITING, Fate.FINISHED}


def test_a_waiting_file_is_given_a_time_until_its_next_turn(catalogue: Catalogue) -> None:
    path = INBOX / "m12.mp4"
    catalogue.set_fate(path, Fate.WAITING, "the disk is full", signature=LOOK, not_before=NOON)
    assert file_of(catalogue, path).not_before == NOON

    catalogue.set_fate(path, Fate.WAITING, "there is room")
    assert file_of(catalogue, path).not_before is None


def test_a_file_whose_name_is_no_valid_text_has_a_fate_a_story_and_a_run(catalogue: Catalogue) -> None:
    path = INBOX / "m\udcff 12\udce9.mp4"
    plain = INBOX / "m\N{REPLACEMENT CHARACTER}DCFF 12.mp4"
    for odd in (path, plain):
        catalogue.set_fate(odd, Fate.WAITING, f"{odd} is new", signature=LOOK)
    assert catalogue.oldest(Fate.WAITING)[0] == path  # type: ignore[index]
    record = make_record(warnings=[f"{path.name} is odd"], store=Path("/data/m\udcff/1f.zarr"))
    catalogue.record(replace(record, path=path))
    catalogue.renumber({str(path): 77})

    assert set(catalogue.files()) == {path, plain}
    assert catalogue.glance(INBOX)[str(path)].record.path == path
    assert file_of(catalogue, path).signature.inode == 77
    assert file_of(catalogue, plain).state is Fate.WAITING
    assert [step.state for step in catalogue.story(path)] == [Fate.WAITING, Fate.FINISHED]
    assert catalogue.events_after(0, [Fate.FINISHED])[0].path == path
    found = catalogue.run(str(record.run_id))
    assert (found.path, found.store) == (path, record.store)
    assert [record.path for record in catalogue.records(any_of("path", as_text(path)))] == [path]
    for told in (*found.warnings, *(step.reason for step in catalogue.story(path))):
        told.encode("utf-8")
    assert catalogue.identify_all().n_changed == 0


def test_words_with_a_nul_in_them_are_recorded_and_shown(catalogue: Catalogue) -> None:
    path, said = INBOX / "m12.mp4", "ends with \0 bytes"
    shown = said.replace("\0", "\N{REPLACEMENT CHARACTER}0000")
    catalogue.set_fate(path, Fate.FAILED, said, signature=LOOK)
    assert file_of(catalogue, path).reason == catalogue.story(path)[-1].reason == shown
    catalogue.record(make_record(path=path, reason=said, stream={"writing_app": said}, warnings=[said]))
    (record,) = catalogue.records("state=finished")
    assert (record.reason, record.stream, record.warnings) == (shown, {"writing_app": said}, [shown])


def test_a_path_that_was_never_seen_has_no_fate(catalogue: Catalogue) -> None:
    assert catalogue.file(INBOX / "m12.mp4") is None
    assert catalogue.story(INBOX / "m12.mp4") == []


# -- filters ----------------------------------------------------------------------------------------------

NAMES = ["m12.mp4", "m1?.mp4", "m*.mp4", "m[12].mp4", "it's.mp4", 'say "mouse".mp4', "M12.mp4", "m_2.mp4", "m%.mp4"]


def names_found(catalogue: Catalogue, where: str) -> list[str]:
    return sorted(record.path.name for record in catalogue.records(where))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_catalogue_url: Callable[[str, Path], str],
) -> Iterator[Catalogue]:
    with Catalogue(make_catalogue_url(request.param, tmp_path_factory.mktemp("many")), create=True) as catalogue:
        for number, name in enumerate(NAMES):
            moment = NOON + timedelta(days=number)
            catalogue.record(make_record(name, f"{number:012x}-00000000", changed_at=moment))
        catalogue.set_fate(INBOX / "m12" / "late.mov", Fate.WAITING, "is new", signature=LOOK)
        yield catalogue


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("m12.mp4", ["m12.mp4"]),
        ("m1?.mp4", ["m12.mp4", "m1?.mp4"]),
        ("m1[?].mp4", ["m1?.mp4"]),
        ("m[*].mp4", ["m*.mp4"]),
        ("m[[]12].mp4", ["m[12].mp4"]),
        ("m[12].mp4", []),
        ("m[^0-9].mp4", ["m%.mp4", "m*.mp4"]),
        ('"m[!0-9].mp4"', ["m%.mp4", "m*.mp4"]),
        ("m[0-9_]2.mp4", ["m12.mp4", "m_2.mp4"]),
        ('"it\'s*"', ["it's.mp4"]),
        ("'*\"*'", ['say "mouse".mp4']),
        ("*%*", ["m%.mp4"]),
        ("*.mov", ["late.mov"]),
        # The folder m12 is no part of the name.
        ("*m12*", ["m12.mp4"]),
        ("inbox", []),
        ("*", sorted([*NAMES, "late.mov"])),
    ],
)
def test_names_are_found_by_patterns(many: Catalogue, pattern: str, found: list[str]) -> None:
    assert names_found(many, f"name={pattern}") == found


@pytest.mark.parametrize("name", [*NAMES, "late.mov"])
def test_a_path_is_found_as_it_is_whatever_is_in_it(many: Catalogue, name: str) -> None:
    path = INBOX / ("m12" if name == "late.mov" else "") / name
    assert [record.path for record in many.records(any_of("path", str(path)))] == [path]


def test_paths_are_found_by_patterns_with_their_folders(many: Catalogue) -> None:
    assert names_found(many, "path=*/m12/*") == ["late.mov"]
    assert names_found(many, f"path={INBOX}/m12.mp4") == ["m12.mp4"]
    assert names_found(many, "path=m12.mp4") == []


def test_runs_and_contents_are_found_by_their_beginning(many: Catalogue) -> None:
    assert names_found(many, "run=000000000003") == ["m[12].mp4"]
    assert names_found(many, "digest=000000000003") == ["m[12].mp4"]
    assert names_found(many, "run=%") == []
    assert names_found(many, "digest=3") == []


@pytest.mark.parametrize(
    ("where", "n_found"),
    [
        ("changed>=2026-11-22T00Z", 8),
        ("changed>=2026-11-22T12:00Z", 8),
        ("changed>=2026-11-22T12:01Z", 7),
        ("changed>=2026-11-22T14:00+02:00", 8),
        # An hour that is named belongs to what is found.
        ("changed<=2026-11-22T12Z", 2),
        ("changed<2026-11-22T12Z", 1),
        ("changed<=2026-11-22T11:59Z", 1),
        ("changed=2026-11-22T12Z", 1),
    ],
)
def test_changes_are_found_by_day_and_hour(many: Catalogue, where: str, n_found: int) -> None:
    assert len(many.records(f"{where} and name=*.mp4")) == n_found


def test_times_without_a_zone_are_by_this_machines_clock(many: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    here = NOON.astimezone()
    assert names_found(many, f"changed={here:%Y-%m-%dT%H:%M} and name=*.mp4") == ["m12.mp4"]


def test_the_newest_is_found_first_unless_another_order_is_asked_for(many: Catalogue) -> None:
    moments = [record.changed_at for record in many.records()]
    assert moments == sorted(moments, reverse=True)

    names = [name for (name,) in many.rows(sort="name", columns=["name"])]
    assert names == sorted([*NAMES, "late.mov"])
    # What is not known comes last, whatever comes first.
    assert [many.rows(sort=sort, columns=["frames"])[-1] for sort in ("frames", "-frames")] == [(None,), (None,)]
    assert [many.rows(sort="-state,name", columns=["name"], limit=2)] == [[("late.mov",), (min(NAMES),)]]


def test_a_file_of_which_nobody_knows_when_it_was_seen_first_comes_last(url: str, catalogue: Catalogue) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        catalogue.set_fate(INBOX / name, Fate.WAITING, "is new", signature=LOOK)
    with writing(url) as session:
        session.execute(text("UPDATE files SET first_seen_at = NULL WHERE name = 'b.mp4'"))
    for sort in ("seen", "-seen"):
        assert catalogue.rows(sort=sort, columns=["name"])[-1] == ("b.mp4",)


def test_what_is_found_is_a_table_with_types_also_where_nothing_is(many: Catalogue) -> None:
    columns = ["name", "date", "frames", "corrupt", "duration", "changed", "size"]
    import pandas

    found = many.find("frames=300 or name=late.mov", columns=columns, sort="name")
    nothing = many.find("frames=9", columns=columns)

    assert list(found.columns) == columns
    assert (len(found), len(nothing)) == (len(NAMES) + 1, 0)
    assert found.dtypes.tolist() == nothing.dtypes.tolist()
    assert found["frames"].sum() == 300 * len(NAMES)
    assert found["frames"].isna().sum() == 1
    assert found.set_index("name")["changed"]["m12.mp4"] == pandas.Timestamp(NOON)


@pytest.mark.parametrize("words", [{"columns": ["nam"]}, {"sort": "-nam"}, {"where": "nam=x"}])
def test_a_field_that_there_is_not_is_answered_with_the_choices(many: Catalogue, words: dict[str, Any]) -> None:
    with pytest.raises(
        FilterError, match=r"there is no field 'nam'. Did you mean name\? Choose from state, name, path"
    ):
        many.find(**words)


def test_what_happens_to_a_file_later_is_no_step_of_a_run_that_has_ended(catalogue: Catalogue) -> None:
    for state in (Fate.RUNNING, Fate.FINISHED):
        record = make_record(state=state)
        catalogue.record(record)
    before = catalogue.run_with_history(str(record.run_id))[1]
    catalogue.set_fate(record.path, Fate.RUNNING, "is being read")

    assert [step.state for step in before] == [Fate.RUNNING, Fate.FINISHED]
    assert catalogue.run_with_history(str(record.run_id))[1] == before
    assert catalogue.story(record.path)[-1].reason == "is being read"


SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"postgresql://lab:{SECRET}@127.0.0.1:9/mice", "PostgreSQL catalogue mice on 127.0.0.1"),
        (f"postgresql://lab:{SECRET}@/mice?host=/nowhere/run", "PostgreSQL catalogue mice on this machine"),
        (f"postgresql://lab:{SECRET}@/mice?host=127.0.0.1&port=9", "PostgreSQL catalogue mice on 127.0.0.1"),
        (f"mysql://lab:{SECRET}@rig/mice", "catalogue"),
        (f"lab:{SECRET}@rig/mice", "catalogue"),
    ],
)
def test_a_server_is_named_in_errors_and_its_password_never(url: str, name: str) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg")
    with pytest.raises(CatalogueError) as caught:
        Catalogue(url)
    assert caught.value.path == name
    assert str(caught.value).startswith(f"{name}: ")
    assert SECRET not in repr(caught.value.args)
