"""Catalogues of every version that there was: brought to this one, with all that is in them."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from catalogue_users import make_record, reading, writing
from sqlalchemy import text

from facehog_core import database, migrate
from facehog_core.archive import back_up
from facehog_core.catalogue import Catalogue
from facehog_core.database import Database
from facehog_core.errors import CatalogueError
from facehog_core.locks import hold
from facehog_core.migrate import copy_sqlite
from facehog_core.names import Identity, NamePattern
from facehog_core.schema import REVISION

CATALOGUES = Path(__file__).parents[1] / "catalogues"
OLD_VERSIONS = sorted(int(file.stem[1:]) for file in CATALOGUES.glob("v*.sql"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalogue.db'}"


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def make_old(path: Path, version: int) -> None:
    """Make a catalogue as facehog wrote it when its tables were of an older version."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((CATALOGUES / f"v{version}.sql").read_text("utf-8"))
        connection.execute("PRAGMA journal_mode = WAL")


@pytest.fixture(params=OLD_VERSIONS)
def old(url: str, request: pytest.FixtureRequest) -> str:
    make_old(path_of(url), request.param)
    return url


def tables_of(path: Path) -> set[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        statements = [said for (said,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    # Constraints are written in any order, and a name that was given later in quotation marks.
    parts = ([" ".join(part.split()) for part in re.split(r"[(),]", said.replace('"', ""))] for said in statements)
    return {tuple(sorted(filter(None, told))) for told in parts}


def rows_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


# What was not recorded then: since which version it is.
LATER = {"shards": 4, "identity": 4, "quality": 5, "verified": 5}


def answers_of(catalogue: Catalogue, version: int) -> dict[str, Any]:
    """Return all that a catalogue says, as it was asked when the answers of the old ones were written down."""
    files = catalogue.files()
    found = [record.as_dict() for record in catalogue.records()]
    for record in found:
        for name in (name for name, since in LATER.items() if since > version):
            assert not any(told.values() if isinstance(told := record.pop(name), dict) else told)
    return {
        "found": sorted(found, key=lambda record: (record["path"], str(record["run_id"]))),
        "files": {
            str(path): [
                *(file.signature.size_bytes, file.signature.mtime_ns, file.signature.inode, file.state, file.reason),
                *(file.attempt, file.flow_run_id, file.run_id, file.not_before and file.not_before.isoformat()),
            ]
            for path, file in files.items()
        },
        "stories": {
            str(path): [[step.at.isoformat(), step.state, step.reason] for step in catalogue.story(path)]
            for path in files
        },
    }


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_a_catalogue_of_an_older_version_answers_as_it_did(url: str, version: int, create: bool) -> None:
    make_old(path_of(url), version)
    expected = json.loads((CATALOGUES / f"v{version}.json").read_text("utf-8"))
    expected["found"].sort(key=lambda record: (record["path"], str(record["run_id"])))
    with Catalogue(url, create=create) as catalogue:
        assert answers_of(catalogue, version) == expected


@pytest.mark.parametrize("first", ["sqlite", "postgresql"])
def test_a_catalogue_that_is_brought_here_has_the_tables_of_a_new_one(
    old: str, tmp_path: Path, first: str, make_catalogue_url: Callable[[str, Path], str]
) -> None:
    # A process that made a catalogue on a server makes whole ones in files, too.
    Catalogue(make_catalogue_url(first, tmp_path / "server"), create=True).close()
    new = tmp_path / "new.db"
    Catalogue(f"sqlite:///{new}", create=True).close()
    assert tables_of(path_of(old)) != tables_of(new)
    Catalogue(old).close()
    assert tables_of(path_of(old)) == tables_of(new)
    with closing(sqlite3.connect(path_of(old))) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_catalogue_as_it_was_is_kept_in_a_backup(old: str) -> None:
    before = rows_of(path_of(old))
    Catalogue(old).close()
    (backup,) = path_of(old).parent.glob("catalogue.db.version-*.backup")
    assert rows_of(backup) == before
    Catalogue(old).close()
    assert list(path_of(old).parent.glob("*.backup")) == [backup]


def test_a_backup_that_was_put_in_place_is_written_as_a_new_catalogue_is(url: str, tmp_path: Path) -> None:
    def mode_of() -> str:
        with closing(sqlite3.connect(path_of(url))) as connection:
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    Catalogue(url, create=True).close()
    back_up(url, tmp_path / "backup.db")
    (tmp_path / "backup.db").replace(path_of(url))
    Catalogue(url).close()
    assert mode_of() == "delete", "whoever only looks changes nothing"
    # Somebody reads it: then it is left as it is.
    with closing(sqlite3.connect(path_of(url))) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM files").fetchone()
        Catalogue(url, create=True).close()
    Catalogue(url, create=True).close()
    assert mode_of() == "wal"


def test_a_catalogue_that_somebody_keeps_to_himself_is_not_copied_for_ever(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalogue(url, create=True).close()
    for module in (database, migrate):
        monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(path_of(url), isolation_level=None)) as connection, closing(Database(url)) as source:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CatalogueError, match="another process has kept the catalogue to itself"):
            copy_sqlite(source, tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy.db*"))


def test_processes_can_bring_it_here_at_the_same_time(old: str) -> None:
    # Whoever waited for the lock finds the work done.
    with hold(str(path_of(old)), "creation"):
        openers = [threading.Thread(target=lambda: Catalogue(old).close()) for _ in range(3)]
        for opener in openers:
            opener.start()
    for opener in openers:
        opener.join(timeout=60)
    Catalogue(old).close()
    assert rows_of(path_of(old))["alembic_version"] == [(REVISION,)]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_step_that_fails_leaves_the_catalogue_as_it_was(url: str, version: int) -> None:
    make_old(path_of(url), version)

    def say_that_corrupt_are(n_frames: int) -> None:
        with closing(sqlite3.connect(path_of(url))) as connection, connection:
            connection.execute("UPDATE outputs SET n_corrupt = ?", [n_frames])

    say_that_corrupt_are(301)
    before = tables_of(path_of(url)), rows_of(path_of(url))
    with pytest.raises(CatalogueError, match=r"cannot be brought to version .*no_more_are_corrupt.* It is as it was"):
        Catalogue(url)
    assert (tables_of(path_of(url)), rows_of(path_of(url))) == before
    say_that_corrupt_are(2)
    Catalogue(url).close()


def test_every_version_that_there_was_is_tried_and_leads_here() -> None:
    config = Config()
    config.set_main_option("script_location", "facehog_core:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [REVISION]
    assert [int(script.revision) for script in scripts.walk_revisions()] == [*reversed([*OLD_VERSIONS, int(REVISION)])]


@pytest.mark.parametrize("create", [True, False])
def test_a_catalogue_of_a_newer_facehog_is_refused(url: str, create: bool) -> None:
    Catalogue(url, create=True).close()
    with closing(sqlite3.connect(path_of(url))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")

    with pytest.raises(CatalogueError, match=f"of version 999; this facehog reads version {int(REVISION)}"):
        Catalogue(url, create=create)


def test_an_older_facehog_sees_that_a_catalogue_is_newer_than_it_knows(old: str) -> None:
    Catalogue(old).close()
    with closing(sqlite3.connect(path_of(old))) as connection:
        # It looks there, and refuses any number that is not its own.
        assert connection.execute("PRAGMA user_version").fetchone() == (int(REVISION),)


# Of version 6.
NEW_RULES = {
    "files": ("what_is_done_has_a_run", "only_what_waits_rests"),
    "runs": ("what_is_finished_has_ended", "none_ends_before_it_starts", "verdict_is_sound_or_wrong"),
}


def test_a_catalogue_on_a_server_is_brought_here_too(
    tmp_path: Path, make_catalogue_url: Callable[[str, Path], str]
) -> None:
    urls = [make_catalogue_url("postgresql", tmp_path) for _ in range(2)]
    for url in urls:
        with Catalogue(url, create=True) as catalogue:
            catalogue.record(make_record())
    new = described(urls[1])
    with writing(urls[0]) as session:
        for table, rules in NEW_RULES.items():
            for name in rules:
                session.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{name}"))
        session.execute(text("ALTER TABLE files ALTER COLUMN first_seen_at SET NOT NULL"))
        session.execute(text("DROP INDEX ix_files_run_id_state, ix_files_size_bytes"))
        session.execute(text("CREATE INDEX ix_files_run_id ON files (run_id)"))
        for column in ("brightness", "saturated", "focus", "moved", "verdict", "wrong_since", "verified_at"):
            session.execute(text(f"ALTER TABLE runs DROP COLUMN {column}"))
        session.execute(text("ALTER TABLE outputs DROP COLUMN quality"))
        session.execute(text("ALTER TABLE files DROP COLUMN cause, DROP COLUMN cause_about"))
        session.execute(text("DROP TABLE verifications"))
        for column in ("software_id", "host_id", "n_frames", "n_corrupt", "n_dropped"):
            session.execute(text(f"DROP INDEX ix_runs_{column}"))
        session.execute(text("CREATE INDEX ix_runs_parameters_id ON runs (parameters_id)"))
        session.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    assert described(urls[0]) != new
    with Catalogue(urls[0]) as catalogue:
        assert [str(run) for (run,) in catalogue.rows("verified=never", columns=["run"])] == [make_record().run_id]
    assert described(urls[0]) == new


def described(url: str) -> dict[str, set[str]]:
    """Return what the tables of a server are, by its own account."""
    questions = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, collation_name "
        "FROM information_schema.columns WHERE table_schema = current_schema()",
        "constraints": "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = current_schema()::regnamespace",
        "indexes": "SELECT tablename, replace(indexdef, current_schema(), '') FROM pg_indexes "
        "WHERE schemaname = current_schema()",
    }
    with reading(url) as session:
        return {about: {str(tuple(row)) for row in session.execute(text(query))} for about, query in questions.items()}


def test_what_fates_hung_on_by_their_words_they_hang_on_by_causes(url: str) -> None:
    make_old(path_of(url), 4)
    with Catalogue(url) as catalogue:
        causes = {path.stem: file.cause for path, file in catalogue.files().items()}
    assert {name: (cause.kind, cause.about) for name, cause in causes.items() if cause} == {
        "gone": ("vanished", ""),
        "unread": ("unread", ""),
        "slip": ("sidecar", ""),
        "short": ("manifest", "n_frames = 9000"),
        "timed": ("timestamps", "timed_timestamps.csv"),
    }


def change(url: str, *statements: str) -> None:
    with closing(sqlite3.connect(path_of(url))) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("broken", "mended", "said"),
    [
        (
            "UPDATE files SET run_id = NULL WHERE id = 1",
            "SELECT run_id = 2 FROM files WHERE id = 1",
            "have come to the",
        ),
        (
            "UPDATE files SET run_id = NULL, state = 'duplicate' WHERE id = 2",
            "SELECT state = 'failed' AND reason LIKE 'was noted as duplicate, but not by which run%' FROM files "
            "WHERE id = 2 AND (SELECT state FROM events WHERE file_id = 2 ORDER BY id DESC LIMIT 1) = 'failed'",
            "they are failed now",
        ),
        (
            "UPDATE files SET not_before = '2026-01-01' WHERE id = 1",
            "SELECT not_before IS NULL FROM files WHERE id = 1",
            "do not rest any more",
        ),
        (
            "UPDATE runs SET finished_at = NULL, changed_at = '2000-01-01' WHERE id = 1",
            "SELECT finished_at = started_at FROM runs WHERE id = 1",
            "1f0c2a9b77d3-5e21c0aa ended when they were last changed",
        ),
        (
            "UPDATE runs SET finished_at = '2000-01-01' WHERE id = 1",
            "SELECT finished_at = started_at FROM runs WHERE id = 1",
            "1f0c2a9b77d3-5e21c0aa ended when they started",
        ),
        (
            "UPDATE runs SET verdict = 'odd', verified_at = '2000-01-01', wrong_since = '2000-01-01' WHERE id = 1",
            "SELECT verdict IS NULL AND verified_at IS NULL FROM runs WHERE id = 1",
            "are to be verified again",
        ),
    ],
)
def test_what_breaks_a_rule_that_came_later_is_mended_and_that_is_said(
    url: str, caplog: pytest.LogCaptureFixture, broken: str, mended: str, said: str
) -> None:
    make_old(path_of(url), 5)
    change(url, broken)
    Catalogue(url).close()
    with closing(sqlite3.connect(path_of(url))) as connection:
        assert connection.execute(mended).fetchall() == [(1,)]
    assert [said in text for text in caplog.messages if "was mended" in text] == [True]
    with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
        change(url, broken if "id = 1" in broken else broken.replace("id = 2", "id = 1"))


def test_nothing_is_said_of_a_catalogue_in_which_nothing_is_to_be_mended(
    old: str, caplog: pytest.LogCaptureFixture
) -> None:
    Catalogue(old).close()
    assert not [text for text in caplog.messages if "mended" in text]


def test_rows_that_name_what_is_not_there_keep_a_catalogue_as_it_was(url: str) -> None:
    make_old(path_of(url), 5)
    change(url, "UPDATE events SET file_id = 999")
    before = tables_of(path_of(url)), rows_of(path_of(url))
    with pytest.raises(CatalogueError, match="rows of events or other tables name rows that are not there"):
        Catalogue(url)
    assert (tables_of(path_of(url)), rows_of(path_of(url))) == before


@pytest.mark.parametrize("version", [1, 2, 3])
def test_who_was_recorded_is_read_from_names_of_a_catalogue_that_did_not_know_it(
    url: str, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    make_old(path_of(url), version)
    new = "/data/inbox/20211105_CSE020_plane1_cam0.mp4"
    (old,) = next(iter(rows_of_path(url)))
    change(url, f"UPDATE files SET path = '{new}' WHERE path = '{old}'")
    Catalogue(url).close()
    with Catalogue(url) as catalogue:
        told = [as_default(path) for path in catalogue.files()]
        assert [file.identity for file in catalogue.files().values()] == told
        assert Identity(subject="CSE020", session_date=date(2021, 11, 5), plane="1", camera="0") in told
    assert [text for text in caplog.messages if "is read from the names of 1 files" in text]


def rows_of_path(url: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(path_of(url))) as connection:
        return connection.execute("SELECT path FROM files WHERE path NOT IN (SELECT path FROM runs)").fetchall()


def as_default(path: Path) -> Identity:
    return NamePattern().read(path.stem)
