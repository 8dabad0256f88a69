"""Subjects and sessions, read from names; what runs share is kept once; histories, warnings and shards have places.

Only SQLite has tables that are older than this.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from datetime import date
from pathlib import PurePath
from typing import Any

import xxhash
from alembic import op
from sqlalchemy import Connection

log = logging.getLogger(__name__)

revision = "0004"
down_revision = "0003"

_OLD = ("events", "files", "outputs", "runs", "recordings")
_INDEXES = ("ix_runs_digest", "ix_runs_state", "ix_files_state", "ix_files_run_id", "ix_events_file_id")

_FATES = "'waiting', 'queued', 'running', 'finished', 'failed', 'duplicate', 'quarantined'"


def upgrade() -> None:
    """Make the new tables beside the old ones, copy what is in them, and drop the old ones."""
    connection = op.get_bind()
    for index in _INDEXES:
        connection.exec_driver_sql(f"DROP INDEX {index}")
    for table in _OLD:
        connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in _TABLES.split(";")[:-1]:
        connection.exec_driver_sql(statement.strip().replace("<fates>", _FATES))
    _copy_files(connection)
    connection.exec_driver_sql(
        "INSERT INTO recordings (digest, name, size_bytes) SELECT digest, name, size_bytes FROM old_recordings"
    )
    for row in _read(connection, "SELECT * FROM old_runs ORDER BY started_at"):
        _copy_run(connection, row)
    connection.exec_driver_sql(
        "UPDATE files SET run_id = (SELECT runs.id FROM runs JOIN old_files ON old_files.run_id = runs.run_id "
        "WHERE old_files.id = files.id)"
    )
    connection.exec_driver_sql(
        "INSERT INTO events (id, file_id, at, state, reason) SELECT id, file_id, at, state, reason FROM old_events"
    )
    for table in _OLD:
        connection.exec_driver_sql(f"DROP TABLE old_{table}")
    _identify_files(connection)


def _copy_files(connection: Connection) -> None:
    kept = (
        *("id", "path", "size_bytes", "mtime_ns", "inode", "state", "reason", "first_seen_at", "changed_at"),
        *("attempt", "flow_run_id", "not_before"),
    )
    for row in _read(connection, f"SELECT {', '.join(kept)} FROM old_files"):
        _insert(connection, "files", row | {"name": PurePath(row["path"]).name})


# As facehog read names on that day, where nothing else was said.
_NAME = re.compile(
    r"(?P<date>\d{4}-?\d\d-?\d\d)(?=_)(_(?P<subject>(?!(plane|cam|camera)\d)[^_]+))?"
    r"(_plane(?P<plane>[^_]+))?(_cam(era)?(?P<camera>[^_]+))?(_.*)?"
)


def _identify_files(connection: Connection) -> None:
    """Read from the names of files who was recorded: nobody had until then."""
    n_read = 0
    for row in list(_read(connection, "SELECT id, name FROM files")):
        match = _NAME.fullmatch(PurePath(row["name"]).stem)
        try:
            day = date.fromisoformat(match["date"]).isoformat() if match else None
        except ValueError:
            continue
        if match is None or day is None:
            continue
        n_read += 1
        subject = match["subject"]
        who = None if subject is None else _find(connection, "subjects", "name", subject)
        if subject is not None and who is None:
            who = _insert(connection, "subjects", {"name": subject})
        known = "SELECT id FROM sessions WHERE subject_id IS ? AND date = ?"
        session = connection.exec_driver_sql(known, (who, day)).scalar()
        if session is None:
            session = _insert(connection, "sessions", {"subject_id": who, "date": day})
        connection.exec_driver_sql(
            "UPDATE files SET session_id = ?, plane = ?, camera = ? WHERE id = ?",
            (session, match["plane"], match["camera"], row["id"]),
        )
    if n_read:
        log.warning(
            "who was recorded, and when, is read from the names of %d files, as facehog does where nothing is set; "
            "where `name_pattern` or files beside recordings say more: `facehog catalogue identify`",
            n_read,
        )


def _copy_run(connection: Connection, row: dict[str, Any]) -> None:
    recipe, software, host, stream = (json.loads(row[name]) for name in ("recipe", "software", "host", "stream"))
    warnings = json.loads(row["warnings"])
    outputs = list(_read(connection, "SELECT * FROM old_outputs WHERE run_id = ?", row["run_id"]))
    same = ("run_id", "state", "reason", "changed_at", "attempt", "started_at", "finished_at", "flow_run_id")
    made = _insert(
        connection,
        "runs",
        {name: row[name] for name in same}
        | {name: outputs[0][name] for name in ("n_frames", "n_corrupt", "n_dropped") if outputs}
        | {name: stream.get(name) for name in ("width", "height", "duration_s")}
        | {
            "file_id": _find(connection, "files", "path", row["path"]),
            "recording_id": _find(connection, "recordings", "digest", row["digest"]),
            "parameters_id": _keep_recipe(connection, row["run_id"], recipe),
            "software_id": _keep(
                connection, "software", software, {"facehog": software.get("facehog"), "versions": json.dumps(software)}
            ),
            "host_id": _keep(connection, "hosts", host, {"name": host.get("name"), "facts": json.dumps(host)}),
            "n_warnings": len(warnings),
        },
    )
    _insert(connection, "details", {"run_id": made, "stream": row["stream"]})
    for output in outputs:
        kept = {name: output[name] for name in ("store", "size_bytes", "grey", "arrays", "timing")}
        _insert(connection, "outputs", {"run_id": made, "shards": "[]", **kept})
    for number, text in enumerate(warnings):
        _insert(connection, "warnings", {"run_id": made, "number": number, "text": text})


def _keep_recipe(connection: Connection, run_id: str, recipe: dict[str, Any]) -> int:
    digest = run_id.partition("-")[2]
    crop = recipe.get("crop")
    values = {
        "digest": digest,
        "crop": None if crop is None else ",".join(map(str, crop)),
        "grey": recipe.get("grey", "rgb"),
        "recipe": json.dumps(recipe),
    }
    return _keep(connection, "parameters", [digest, recipe], values)


def _keep(connection: Connection, table: str, told: Any, values: dict[str, Any]) -> int:
    """Return the row of what many runs share, made if it is not there."""
    content = xxhash.xxh3_128_hexdigest(json.dumps(told, sort_keys=True, separators=(",", ":")).encode())
    found = _find(connection, table, "content", content)
    return found if found is not None else _insert(connection, table, {"content": content, **values})


def _find(connection: Connection, table: str, column: str, value: str) -> int | None:
    found: int | None = connection.exec_driver_sql(f"SELECT id FROM {table} WHERE {column} = ?", (value,)).scalar()
    return found


def _insert(connection: Connection, table: str, values: dict[str, Any]) -> int:
    names, places = ", ".join(values), ", ".join("?" * len(values))
    statement = f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING rowid"
    return int(connection.exec_driver_sql(statement, tuple(values.values())).scalar_one())


def _read(connection: Connection, query: str, *values: str) -> Iterable[dict[str, Any]]:
    return [dict(row) for row in connection.exec_driver_sql(query, values).mappings()]


# As SQLAlchemy wrote them on that day: what `facehog_core.schema` says today may have moved on.
_TABLES = """
CREATE TABLE subjects (
	id INTEGER NOT NULL,
	name VARCHAR NOT NULL,
	CONSTRAINT pk_subjects PRIMARY KEY (id),
	CONSTRAINT ck_subjects_name_is_given CHECK (name <> ''),
	CONSTRAINT uq_subjects_name UNIQUE (name)
);
CREATE TABLE files (
	id INTEGER NOT NULL,
	path VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	session_id INTEGER,
	plane VARCHAR,
	camera VARCHAR,
	size_bytes BIGINT NOT NULL,
	mtime_ns BIGINT NOT NULL,
	inode VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	first_seen_at DATETIME NOT NULL,
	changed_at DATETIME NOT NULL,
	attempt BIGINT NOT NULL,
	flow_run_id VARCHAR,
	run_id INTEGER,
	not_before DATETIME,
	CONSTRAINT pk_files PRIMARY KEY (id),
	CONSTRAINT ck_files_state_is_a_fate CHECK (state IN (<fates>)),
	CONSTRAINT ck_files_size_bytes_is_at_least_0 CHECK (size_bytes >= 0),
	CONSTRAINT ck_files_attempt_is_at_least_0 CHECK (attempt >= 0),
	CONSTRAINT uq_files_path UNIQUE (path),
	CONSTRAINT fk_files_session_id FOREIGN KEY(session_id) REFERENCES sessions (id),
	CONSTRAINT fk_files_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE recordings (
	id INTEGER NOT NULL,
	digest VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	CONSTRAINT pk_recordings PRIMARY KEY (id),
	CONSTRAINT ck_recordings_size_bytes_is_at_least_0 CHECK (size_bytes >= 0),
	CONSTRAINT uq_recordings_digest UNIQUE (digest)
);
CREATE TABLE parameters (
	id INTEGER NOT NULL,
	content VARCHAR NOT NULL,
	digest VARCHAR NOT NULL,
	crop VARCHAR,
	grey VARCHAR NOT NULL,
	recipe JSON NOT NULL,
	CONSTRAINT pk_parameters PRIMARY KEY (id),
	CONSTRAINT uq_parameters_content UNIQUE (content)
);
CREATE TABLE software (
	id INTEGER NOT NULL,
	content VARCHAR NOT NULL,
	facehog VARCHAR,
	versions JSON NOT NULL,
	CONSTRAINT pk_software PRIMARY KEY (id),
	CONSTRAINT uq_software_content UNIQUE (content)
);
CREATE TABLE hosts (
	id INTEGER NOT NULL,
	content VARCHAR NOT NULL,
	name VARCHAR,
	facts JSON NOT NULL,
	CONSTRAINT pk_hosts PRIMARY KEY (id),
	CONSTRAINT uq_hosts_content UNIQUE (content)
);
CREATE TABLE runs (
	id INTEGER NOT NULL,
	run_id VARCHAR NOT NULL,
	file_id INTEGER NOT NULL,
	recording_id INTEGER NOT NULL,
	parameters_id INTEGER NOT NULL,
	software_id INTEGER NOT NULL,
	host_id INTEGER NOT NULL,
	state VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	changed_at DATETIME NOT NULL,
	attempt BIGINT NOT NULL,
	started_at DATETIME NOT NULL,
	finished_at DATETIME,
	flow_run_id VARCHAR,
	n_frames BIGINT,
	n_corrupt BIGINT,
	n_dropped BIGINT,
	n_warnings BIGINT NOT NULL,
	width BIGINT,
	height BIGINT,
	duration_s FLOAT,
	CONSTRAINT pk_runs PRIMARY KEY (id),
	CONSTRAINT ck_runs_state_is_a_fate CHECK (state IN (<fates>)),
	CONSTRAINT ck_runs_what_is_finished_has_frames CHECK (state <> 'finished' OR n_frames IS NOT NULL),
	CONSTRAINT ck_runs_no_more_are_corrupt_than_there_are CHECK (n_corrupt <= n_frames),
	CONSTRAINT ck_runs_attempt_is_at_least_0 CHECK (attempt >= 0),
	CONSTRAINT ck_runs_n_frames_is_at_least_0 CHECK (n_frames >= 0),
	CONSTRAINT ck_runs_n_corrupt_is_at_least_0 CHECK (n_corrupt >= 0),
	CONSTRAINT ck_runs_n_dropped_is_at_least_0 CHECK (n_dropped >= 0),
	CONSTRAINT ck_runs_n_warnings_is_at_least_0 CHECK (n_warnings >= 0),
	CONSTRAINT uq_runs_run_id UNIQUE (run_id),
	CONSTRAINT fk_runs_file_id FOREIGN KEY(file_id) REFERENCES files (id),
	CONSTRAINT fk_runs_recording_id FOREIGN KEY(recording_id) REFERENCES recordings (id),
	CONSTRAINT fk_runs_parameters_id FOREIGN KEY(parameters_id) REFERENCES parameters (id),
	CONSTRAINT fk_runs_software_id FOREIGN KEY(software_id) REFERENCES software (id),
	CONSTRAINT fk_runs_host_id FOREIGN KEY(host_id) REFERENCES hosts (id)
);
CREATE TABLE sessions (
	id INTEGER NOT NULL,
	subject_id INTEGER,
	date DATE,
	CONSTRAINT pk_sessions PRIMARY KEY (id),
	CONSTRAINT ck_sessions_something_is_known CHECK (subject_id IS NOT NULL OR date IS NOT NULL),
	CONSTRAINT uq_sessions_subject_id_date UNIQUE (subject_id, date),
	CONSTRAINT fk_sessions_subject_id FOREIGN KEY(subject_id) REFERENCES subjects (id)
);
CREATE TABLE events (
	id INTEGER NOT NULL,
	file_id INTEGER NOT NULL,
	run_id INTEGER,
	at DATETIME NOT NULL,
	state VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	CONSTRAINT pk_events PRIMARY KEY (id),
	CONSTRAINT ck_events_state_is_a_fate CHECK (state IN (<fates>)),
	CONSTRAINT fk_events_file_id FOREIGN KEY(file_id) REFERENCES files (id),
	CONSTRAINT fk_events_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE details (
	run_id INTEGER NOT NULL,
	stream JSON NOT NULL,
	CONSTRAINT pk_details PRIMARY KEY (run_id),
	CONSTRAINT fk_details_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE outputs (
	run_id INTEGER NOT NULL,
	store VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	grey JSON NOT NULL,
	arrays JSON NOT NULL,
	timing JSON NOT NULL,
	shards JSON NOT NULL,
	CONSTRAINT pk_outputs PRIMARY KEY (run_id),
	CONSTRAINT ck_outputs_size_bytes_is_at_least_0 CHECK (size_bytes >= 0),
	CONSTRAINT fk_outputs_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE warnings (
	run_id INTEGER NOT NULL,
	number INTEGER NOT NULL,
	text VARCHAR NOT NULL,
	CONSTRAINT pk_warnings PRIMARY KEY (run_id, number),
	CONSTRAINT fk_warnings_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE INDEX ix_events_file_id ON events (file_id);
CREATE INDEX ix_events_run_id ON events (run_id);
CREATE INDEX ix_files_changed_at ON files (changed_at);
CREATE INDEX ix_files_name ON files (name);
CREATE INDEX ix_files_run_id ON files (run_id);
CREATE INDEX ix_files_session_id ON files (session_id);
CREATE INDEX ix_files_state_changed_at ON files (state, changed_at);
CREATE INDEX ix_parameters_crop ON parameters (crop);
CREATE INDEX ix_parameters_digest ON parameters (digest);
CREATE INDEX ix_runs_changed_at ON runs (changed_at);
CREATE INDEX ix_runs_file_id ON runs (file_id);
CREATE INDEX ix_runs_parameters_id ON runs (parameters_id);
CREATE INDEX ix_runs_recording_id ON runs (recording_id);
CREATE INDEX ix_runs_state_changed_at ON runs (state, changed_at);
CREATE UNIQUE INDEX uq_sessions_date_alone ON sessions (date) WHERE subject_id IS NULL;
CREATE UNIQUE INDEX uq_sessions_subject_id_alone ON sessions (subject_id) WHERE date IS NULL;
"""
