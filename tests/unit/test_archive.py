from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas
import pytest
from catalogue_users import INBOX, LOOK, NOON, make_record, running
from runs import ENDED, SMALL_HOG, fill_store, make_paths, make_work
from sqlalchemy import Engine, event

from facehog_core import archive
from facehog_core.archive import Rebuilt, back_up, export_rows, rebuild, restore
from facehog_core.catalogue import Catalogue
from facehog_core.errors import CatalogueError
from facehog_core.filter_values import FIELDS
from facehog_core.names import Identity
from facehog_core.provenance import RunRecord
from facehog_core.recipe import Recipe
from facehog_core.schema import Fate
from facehog_core.sealed import read_record
from facehog_core.sealing import seal_store

CSE020 = Identity(subject="CSE020", camera="0")


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(
    request: pytest.FixtureRequest, tmp_path: Path, make_catalogue_url: Callable[[str, Path], str]
) -> Callable[[], str]:
    """Return a function that says where another catalogue may be made, in each of the databases."""
    return lambda: make_catalogue_url(request.param, tmp_path)


def fill(url: str) -> None:
    with Catalogue(url, create=True) as catalogue:
        catalogue.record(running(make_record()))
        catalogue.record(make_record())
        catalogue.record(make_record(run_id="aaaaaaaaaaaa-00000000", changed_at=NOON + timedelta(hours=1), warnings=[]))
        refused = replace(running(make_record("b.mp4", "bbbbbbbbbbbb-00000000")), state=Fate.QUARANTINED, stream={})
        catalogue.record(replace(refused, identity=CSE020))
        copy = INBOX / "it's a copy.mp4"
        catalogue.set_fate(copy, Fate.DUPLICATE, "same", signature=LOOK, run_id="aaaaaaaaaaaa-00000000")
        later = {"signature": LOOK, "not_before": NOON}
        catalogue.set_fate(INBOX / "20211105_m1.mp4", Fate.WAITING, "the disk is full", **later)


def answers_of(url: str) -> dict[str, Any]:
    with Catalogue(url) as catalogue:
        records = catalogue.records()
        return {
            "records": records,
            "rows": catalogue.rows(columns=tuple(FIELDS)),
            "files": catalogue.files(),
            "stories": {path: catalogue.story(path) for path in catalogue.files()},
            "histories": {
                record.run_id: catalogue.run_with_history(str(record.run_id))[1] for record in records if record.run_id
            },
        }


def test_a_backup_is_one_file_that_holds_all_and_is_restored_to_the_same_answers(
    new_url: Callable[[], str], tmp_path: Path
) -> None:
    url, again, backup = new_url(), new_url(), tmp_path / "on the share" / "backup.db"
    backup.parent.mkdir()
    fill(url)
    back_up(url, backup)
    with Catalogue(url) as catalogue:
        catalogue.set_fate(INBOX / "later.mp4", Fate.WAITING, "is new", signature=LOOK)
    restore(backup, again)

    before, after = answers_of(url), answers_of(again)
    assert before.pop("files").keys() - after["files"].keys() == {INBOX / "later.mp4"}
    assert after["histories"] == before["histories"]
    assert len(after["records"]) == 5
    assert answers_of(f"sqlite:///{backup}") == after
    assert list(backup.parent.iterdir()) == [backup]


def test_what_is_restored_goes_on(new_url: Callable[[], str], tmp_path: Path) -> None:
    url, again = new_url(), new_url()
    fill(url)
    back_up(url, tmp_path / "backup.db")
    restore(tmp_path / "backup.db", again)
    with Catalogue(again) as catalogue:
        catalogue.record(make_record("new.mp4", "cccccccccccc-00000000"))
        assert catalogue.set_fate(INBOX / "newer.mp4", Fate.WAITING, "is new", signature=LOOK)
        assert len(catalogue.records()) == 7


def test_a_backup_of_an_older_facehog_is_restored(new_url: Callable[[], str], tmp_path: Path) -> None:
    old, url = tmp_path / "old.backup", new_url()
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript((Path(__file__).parents[1] / "catalogues" / "v1.sql").read_text("utf-8"))
    content = old.read_bytes()
    restore(old, url)

    assert len(answers_of(url)["files"]) == 4
    assert old.read_bytes() == content


def test_nothing_is_written_over(new_url: Callable[[], str], tmp_path: Path) -> None:
    url, backup = new_url(), tmp_path / "backup.db"
    fill(url)
    back_up(url, backup)
    before = answers_of(url)

    with pytest.raises(CatalogueError, match="there is a file already"):
        back_up(url, backup)
    for way in (lambda: restore(backup, url), lambda: rebuild(tmp_path, url)):
        with pytest.raises(CatalogueError, match=r"there is a catalogue already\. Rename it first"):
            way()
    assert answers_of(url) == before


def test_what_is_no_backup_is_refused(new_url: Callable[[], str], tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("mouse 12 was hungry today\n" * 100)
    with closing(sqlite3.connect(tmp_path / "mice.db")) as connection:
        connection.execute("CREATE TABLE mice (name TEXT)")

    for name, said in [("notes.db", "is not a database"), ("mice.db", "this is no backup")]:
        with pytest.raises(CatalogueError, match=said):
            restore(tmp_path / name, new_url())
    with pytest.raises(FileNotFoundError):
        restore(tmp_path / "none.db", new_url())


def make_stores(root: Path, *ended: dict[str, Any], path: str = "/inbox/m12.mp4") -> list[Path]:
    """Make stores of one recording, of other parameters each; told in the order in which they ended."""
    stores = []
    for number, more in enumerate(ended):
        work = make_work(3, path=path, recipe=Recipe(hog=SMALL_HOG, max_corrupt=number / 10), mtime_ns=number)
        paths = make_paths(root, work)
        facts = {**ENDED, "finished_at": f"2026-11-21T12:0{number + 1}:00+00:00", **more}
        stores.append(seal_store(paths, fill_store(paths, work), facts))
    return stores


def test_the_last_run_of_a_file_says_what_is_known_of_the_file(new_url: Callable[[], str], tmp_path: Path) -> None:
    whose = [Identity(subject=subject).as_dict() for subject in ("m11", "m12", "m13")]
    told = [{"identity": who, "attempt": n, "flow_run_id": f"flow-{n}"} for n, who in enumerate(whose, 1)]
    stores, url = make_stores(tmp_path / "store", *told), new_url()
    assert rebuild(tmp_path / "store", url) == Rebuilt(n_runs=3, unread=[])

    with Catalogue(url) as catalogue:
        (file,) = catalogue.files().values()
        story = catalogue.story(file.path)
        told = catalogue.whole_story(file.path)
        assert catalogue.rows("seen=none", columns=("name",)) == [("m12.mp4",)] * 3
    assert (file.identity.subject, file.attempt, file.flow_run_id) == ("m13", 3, "flow-3")
    assert (file.run_id, file.signature.mtime_ns) == (stores[-1].stem, 2)
    assert [step.at for step in story] == sorted(step.at for step in story)
    assert told
    assert (told.seen_at, told.steps) == (None, story), "no store says when its recording was first seen"


def test_who_was_recorded_may_have_been_corrected_after_the_stores_were_made(
    new_url: Callable[[], str], tmp_path: Path
) -> None:
    recording, url = tmp_path / "m12.mp4", new_url()
    recording.touch()
    recording.with_suffix(".facehog.toml").write_text('subject = "m13"')
    make_stores(tmp_path / "store", {"identity": {"subject": "m12"}}, path=str(recording))
    rebuild(tmp_path / "store", url)

    with Catalogue(url) as catalogue:
        assert catalogue.files()[recording].identity.subject == "m13"


def test_what_no_store_or_table_can_be_believed_in_is_named_and_left_out(
    new_url: Callable[[], str], tmp_path: Path
) -> None:
    damaged, impossible, sound = make_stores(tmp_path / "store", {}, {"attempt": -1}, {})
    metadata = (damaged / "zarr.json").read_text()
    (damaged / "zarr.json").write_text(metadata.replace('"name": "rig"', '"name": "rim"'))
    url = new_url()
    rebuilt = rebuild(tmp_path / "store", url)

    assert rebuilt.n_runs == 1
    assert [damaged.name in said or str(impossible) in said for said in rebuilt.unread] == [True, True]
    assert "not as it was sealed" in rebuilt.unread[0]
    assert "attempt_is_at_least_0" in rebuilt.unread[1]
    with Catalogue(url) as catalogue:
        assert [record.store for record in catalogue.records()] == [sound]


def test_a_rebuilding_that_is_broken_off_leaves_nothing_and_is_begun_anew(
    new_url: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, url = make_stores(tmp_path / "store", {}, {}), new_url()

    def read(store: Path) -> RunRecord:
        if store == stores[1]:
            raise KeyboardInterrupt
        return read_record(store)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "read_record", read)
        with pytest.raises(KeyboardInterrupt):
            rebuild(tmp_path / "store", url)
    with Catalogue(url) as catalogue:
        assert catalogue.files() == {}
    assert rebuild(tmp_path / "store", url).n_runs == 2


def test_a_server_is_asked_for_its_rows_batch_by_batch(
    tmp_path: Path, make_catalogue_url: Callable[[str, Path], str]
) -> None:
    url, cursors = make_catalogue_url("postgresql", tmp_path), []
    fill(url)

    def note(_connection: object, cursor: object, statement: str, *_more: object) -> None:
        if type(cursor).__module__.startswith("psycopg") and re.match(r"SELECT (events|files)\.", statement):
            cursors.append(type(cursor).__name__)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        back_up(url, tmp_path / "backup.db")
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert cursors == ["ServerCursor"] * 3


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_found_is_exported_in_all_its_fields(new_url: Callable[[], str], tmp_path: Path, suffix: str) -> None:
    url, target = new_url(), tmp_path / f"runs{suffix}"
    fill(url)
    with Catalogue(url) as catalogue:
        for _ in range(2):
            assert export_rows(catalogue, "run!=none", target) == 4
        expected = catalogue.find("run!=none", columns=tuple(FIELDS))
    found = pandas.read_csv(target) if suffix == ".csv" else pandas.read_parquet(target)

    assert list(found.columns) == list(FIELDS)
    assert found["run"].tolist() == expected["run"].tolist()
    assert found["corrupt"].fillna(-1).tolist() == expected["corrupt"].fillna(-1).tolist()
    if suffix == ".parquet":
        assert found["changed"].tolist() == expected["changed"].tolist()
    assert not list(tmp_path.glob("runs*.*.*"))
