"""How SQLite looks for what is asked: by no index of what most runs have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from facehog_core.catalogue import Catalogue
from facehog_core.database import Database


@contextmanager
def asked() -> Iterator[list[tuple[str, Any]]]:
    """Yield what is asked of any database meanwhile."""
    said: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        said.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def plan_of(where: str, sort: str, url: str) -> str:
    with Catalogue(url, create=True) as catalogue, asked() as said:
        catalogue.rows(where, sort=sort, limit=5)
    with closing(Database(url)) as database, database.connect() as connection:
        return "\n".join(
            str(step[3])
            for statement, values in said
            if statement.startswith(("SELECT", "WITH"))
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        )


@pytest.mark.parametrize(
    ("where", "sort", "followed", "left"),
    [
        # Most runs have no dropped frames: those of a subject are few.
        ("subject=CSE020 and dropped=0", "-changed", "ix_files_session_id", "ix_runs_n_dropped"),
        # Read from the index that has all figures, not by one of them with a look at each row for the others.
        ("brightness<200 and focus<500", "-changed", "COVERING INDEX ix_runs_figures", "ix_runs_brightness"),
        ("moved>10", "name", "COVERING INDEX ix_runs_moved (moved>?)", "ix_runs_figures"),
        # Finished files have runs, so the few of them may come first.
        ("state=finished and verified=never", "name", "runs USING INDEX ix_runs_verified_at_state", "SCAN files\n"),
        ("state=finished and not facehog=0.1.*", "name", "ix_runs_software_id", "SCAN runs\n"),
    ],
)
def test_sqlite_begins_with_what_is_rare(tmp_path: Path, where: str, sort: str, followed: str, left: str) -> None:
    plan = plan_of(where, sort, f"sqlite:///{tmp_path / 'catalogue.db'}")
    assert followed in plan
    assert left not in plan
