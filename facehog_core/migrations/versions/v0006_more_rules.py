"""Rules that were in code alone are in the database; when a file was first seen may be unknown."""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection

revision = "0006"
down_revision = "0005"

log = logging.getLogger(__name__)

_RULES = {
    "files": {
        "what_is_done_has_a_run": "state NOT IN ('finished', 'duplicate') OR run_id IS NOT NULL",
        "only_what_waits_rests": "not_before IS NULL OR state = 'waiting'",
    },
    "runs": {
        "what_is_finished_has_ended": "state <> 'finished' OR finished_at IS NOT NULL",
        "none_ends_before_it_starts": "finished_at >= started_at",
        "verdict_is_sound_or_wrong": "verdict IN ('sound', 'wrong')",
    },
}
_NO_RUN = (
    "was noted as {state}, but not by which run, and no finished run of it is known: "
    "`facehog process` describes it again"
)


def upgrade() -> None:
    """Mend what breaks the rules, then let the tables have them."""
    connection = op.get_bind()
    for mend in (_find_runs, _let_fail, _let_rest, _let_end, _forget_verdicts):
        mend(connection)
    _tell_of_names(connection)
    if connection.dialect.name == "sqlite":
        for table in _RULES:
            _make_anew(connection, table)
    else:
        for table, rules in _RULES.items():
            for name, condition in rules.items():
                op.create_check_constraint(name, table, condition)
        op.alter_column("files", "first_seen_at", nullable=True)
    op.drop_index("ix_files_run_id", "files")
    op.create_index("ix_files_run_id_state", "files", ["run_id", "state"])


# -- what breaks the rules --------------------------------------------------------------------------------


_DONE_WITHOUT_RUN = "state IN ('finished', 'duplicate') AND run_id IS NULL"


def _find_runs(connection: Connection) -> None:
    """Let files that are done have come to the last finished run that read them."""
    made = "SELECT max(runs.id) FROM runs WHERE runs.file_id = files.id AND runs.state = 'finished'"
    _change(
        connection,
        f"UPDATE files SET run_id = ({made}) WHERE {_DONE_WITHOUT_RUN} AND ({made}) IS NOT NULL RETURNING path",
        "have come to the last finished run that read them: it was not noted to which",
    )


def _let_fail(connection: Connection) -> None:
    """Let files that are done, but by no run, have failed: so somebody sees it."""
    found = connection.execute(sa.text(f"SELECT id, path, state FROM files WHERE {_DONE_WITHOUT_RUN}")).all()
    for number, _, state in found:
        told = {"id": number, "reason": _NO_RUN.format(state=state)}
        connection.execute(
            sa.text("UPDATE files SET state = 'failed', reason = :reason, not_before = NULL WHERE id = :id"), told
        )
        connection.execute(
            sa.text(
                "INSERT INTO events (file_id, at, state, reason) "
                "SELECT id, changed_at, state, reason FROM files WHERE id = :id"
            ),
            told,
        )
    _tell([path for _, path, _ in found], "were noted as finished, but by no run that is known: they are failed now")


def _let_rest(connection: Connection) -> None:
    _change(
        connection,
        "UPDATE files SET not_before = NULL WHERE not_before IS NOT NULL AND state <> 'waiting' RETURNING path",
        "do not rest any more: they do not wait",
    )


def _let_end(connection: Connection) -> None:
    _change(
        connection,
        "UPDATE runs SET finished_at = CASE WHEN changed_at > started_at THEN changed_at ELSE started_at END "
        "WHERE state = 'finished' AND finished_at IS NULL RETURNING run_id",
        "ended when they were last changed: it was not noted when",
    )
    _change(
        connection,
        "UPDATE runs SET finished_at = started_at WHERE finished_at < started_at RETURNING run_id",
        "ended when they started, and not before: the clock was set back",
    )


def _forget_verdicts(connection: Connection) -> None:
    _change(
        connection,
        "UPDATE runs SET verified_at = NULL, verdict = NULL, wrong_since = NULL "
        "WHERE verdict NOT IN ('sound', 'wrong') RETURNING run_id",
        "are to be verified again: their verdicts are not known here",
    )


def _change(connection: Connection, statement: str, said: str) -> None:
    _tell([str(name) for name in connection.execute(sa.text(statement)).scalars()], said)


def _tell(names: list[str], said: str) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        log.warning("the catalogue was mended: %s%s %s", ", ".join(names[:3]), more, said)


def _tell_of_names(connection: Connection) -> None:
    """Say it if nobody has read yet who was recorded: facehogs that brought older catalogues on did not."""
    anybody = "SELECT 1 FROM sessions UNION ALL SELECT 1 FROM files WHERE plane IS NOT NULL OR camera IS NOT NULL"
    is_there = connection.execute(sa.text("SELECT 1 FROM files LIMIT 1")).scalar()
    if is_there and not connection.execute(sa.text(f"SELECT * FROM ({anybody}) AS known LIMIT 1")).scalar():
        log.warning("no recording's subject or day is known: `facehog catalogue identify` reads them from its name")


# -- SQLite, which adds no rule to a table that is there --------------------------------------------------


def _make_anew(connection: Connection, table: str) -> None:
    """Make a table anew with its new rules, and all else as it is."""
    ask: Any = connection.exec_driver_sql
    sql = ask("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).scalar_one()
    indexes = ask(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL", (table,)
    ).scalars()
    rules = "".join(f", CONSTRAINT ck_{table}_{name} CHECK ({rule})" for name, rule in _RULES[table].items())
    body = sql[sql.index("(") : sql.rindex(")")]
    body = body.replace("first_seen_at DATETIME NOT NULL", "first_seen_at DATETIME")
    again = list(indexes)
    ask(f"CREATE TABLE new_{table} {body}{rules})")
    ask(f"INSERT INTO new_{table} SELECT * FROM {table}")
    ask(f"DROP TABLE {table}")
    ask(f"ALTER TABLE new_{table} RENAME TO {table}")
    for index in again:
        ask(index)
