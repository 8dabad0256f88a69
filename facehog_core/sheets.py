"""What people browse the catalogue by: sheets, which say in plain columns what its tables keep apart.

A sheet is a view of SQLite's on the catalogue's tables. It is made anew by each connection that asks, for itself alone:
nothing is written into the catalogue.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from .filter_values import FIELDS
from .schema import Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a sheet.

    Parameters
    ----------
    sql : str
        What it is in the catalogue.
    said : str
        What it is in words, with its unit.
    is_moment : bool
        Whether it is a time, in UTC.
    """

    sql: str
    said: str
    is_moment: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table as people read it.

    Parameters
    ----------
    name : str
        What it is called in addresses.
    title, said : str
        What it has in it, in words.
    columns : mapping of str to Column
        By name, in the order in which they are shown.
    source : str
        The rows: what follows FROM, with tables of the schema ``main``, which bear the names of sheets.
    newest : str
        The column by which the newest, or greatest, come first.
    facets : tuple of str
        Columns of few values, of which each is counted.
    """

    name: str
    title: str
    said: str
    columns: Mapping[str, Column]
    source: str
    newest: str
    facets: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The question whose answer it is."""
        columns = ", ".join(f"{column.sql} AS {name}" for name, column in self.columns.items())
        return f"SELECT {columns} FROM {self.source}"


def add_sheets(connection: sqlite3.Connection) -> None:
    """Give a connection to a catalogue, or to a copy of one, the sheets as views of its own."""
    for sheet in SHEETS:
        connection.execute(f"CREATE TEMPORARY VIEW {sheet.name} AS {sheet.sql}")


def _known(name: str, sql: str, more: str = "") -> dict[str, Column]:
    """Return a column that `facehog find` has under the same name."""
    return {name: Column(sql=sql, said=FIELDS[name].said + more)}


def _at(name: str, sql: str, said: str = "") -> dict[str, Column]:
    """Return a time as it is stored: by another zone's clock no index would put it in order."""
    return {name: Column(sql=sql, said=said or FIELDS[name].said, is_moment=True)}


def _sum(sql: str) -> str:
    """Return a sum over files, in which what several of them hold is counted once."""
    return f"sum(CASE WHEN files.state <> '{Fate.DUPLICATE}' THEN {sql} END)"


def _one_of(*fates: Fate) -> str:
    return ", ".join(f"'{fate}'" for fate in fates)


UNDER_WAY = (Fate.WAITING, Fate.QUEUED, Fate.RUNNING)
REFUSED = (Fate.FAILED, Fate.QUARANTINED)

_WHO = _known("subject", "subjects.name") | _known("date", "sessions.date")
_WHERE = _known("plane", "files.plane") | _known("camera", "files.camera")
_FOUND = (
    _known("frames", "runs.n_frames")
    | {"corrupt": Column(sql="runs.n_corrupt", said="those of them that are corrupt")}
    | {"dropped": Column(sql="runs.n_dropped", said="frames that the camera dropped; empty where no clock tells")}
    | _known("warnings", "runs.n_warnings")
)
_PICTURE = {
    "picture": Column(
        sql="CASE WHEN runs.state = 'finished' THEN '/run/' || runs.run_id || '/picture.png' END",
        said="HOG picture of a frame in the middle of it",
    )
}
_RUN = _known("run", "runs.run_id")
_NAME = _known("name", "files.name")
_PATH = _known("path", "files.path")
_DURATION = _known("duration", "runs.duration_s", ", in seconds")
_SIZE = _known("size", "files.size_bytes", ", in bytes")
_FLOW_RUN = _known("flow_run", "files.flow_run_id")
_FATE = _known("state", "files.state") | {"reason": Column(sql="files.reason", said=FIELDS["reason"].said)}

_SESSION = (
    " LEFT JOIN main.sessions AS sessions ON sessions.id = files.session_id"
    " LEFT JOIN main.subjects AS subjects ON subjects.id = sessions.subject_id"
)
_FILES = f"main.files AS files LEFT JOIN main.runs AS runs ON runs.id = files.run_id{_SESSION}"
_RUNS = f"main.runs AS runs JOIN main.files AS files ON files.id = runs.file_id{_SESSION}"

SHEETS = (
    Sheet(
        name="recordings",
        title="Recordings",
        said="Each file that was ever seen, what became of it, and what came of its last run.",
        columns={
            **_NAME,
            **_FATE,
            **_WHO,
            **_PICTURE,
            **_FOUND,
            **_DURATION,
            **_WHERE,
            **_RUN,
            **_at("changed", "files.changed_at"),
            **_at("seen", "files.first_seen_at"),
            **_SIZE,
            **_FLOW_RUN,
            **_PATH,
        },
        source=_FILES,
        newest="changed",
        facets=("state", "subject"),
    ),
    Sheet(
        name="sessions",
        title="Sessions",
        said="The recordings of one subject on one day, together. Those that say not whose they are share a row.",
        columns={
            **_WHO,
            "recordings": Column(sql="count(*)", said="files of it that were ever seen"),
            "finished": Column(
                sql=f"sum(files.state IN ({_one_of(Fate.FINISHED)}))", said="those of them that are described"
            ),
            "duplicates": Column(
                sql=f"sum(files.state IN ({_one_of(Fate.DUPLICATE)}))", said="those that hold the bytes of another"
            ),
            "under_way": Column(
                sql=f"sum(files.state IN ({_one_of(*UNDER_WAY)}))", said="those that wait, are queued or run"
            ),
            "refused": Column(
                sql=f"sum(files.state IN ({_one_of(*REFUSED)}))", said="those that failed or are quarantined"
            ),
            "frames": Column(sql=_sum("runs.n_frames"), said="frames that are described"),
            "corrupt": Column(sql=_sum("runs.n_corrupt"), said="those of them that are corrupt"),
            "dropped": Column(sql=_sum("runs.n_dropped"), said="frames that the cameras dropped"),
            "warnings": Column(sql=_sum("runs.n_warnings"), said="how many warnings there are"),
            "duration": Column(sql=_sum("runs.duration_s"), said="how long all of it takes, in seconds"),
            **_at("changed", "max(files.changed_at)", "when something last happened to it"),
        },
        source=f"{_FILES} GROUP BY files.session_id",
        newest="date",
        facets=("subject",),
    ),
    Sheet(
        name="runs",
        title="Runs",
        said="Each recording with each choice of parameters: what was done, by what, and what came of it.",
        columns={
            **_RUN,
            **_NAME,
            "state": Column(sql="runs.state", said="what became of the run"),
            "reason": Column(sql="runs.reason", said=FIELDS["reason"].said),
            **_WHO,
            **_PICTURE,
            **_FOUND,
            **_DURATION,
            **_known("crop", "parameters.crop"),
            **_known("grey", "parameters.grey"),
            **_known("parameters", "parameters.digest"),
            **_known("facehog", "software.facehog"),
            **_known("host", "hosts.name"),
            **_known("attempt", "runs.attempt"),
            **_at("started", "runs.started_at"),
            **_at("finished", "runs.finished_at"),
            **_at("changed", "runs.changed_at"),
            "took": Column(
                sql="round((julianday(runs.finished_at) - julianday(runs.started_at)) * 86400, 1)",
                said="from the last start to the end, in seconds",
            ),
            **_known("store", "outputs.store"),
            "store_size": Column(sql="outputs.size_bytes", said="size of its results, in bytes"),
            "flow_run": Column(sql="runs.flow_run_id", said=FIELDS["flow_run"].said),
        },
        source=f"{_RUNS}"
        " JOIN main.parameters AS parameters ON parameters.id = runs.parameters_id"
        " JOIN main.software AS software ON software.id = runs.software_id"
        " JOIN main.hosts AS hosts ON hosts.id = runs.host_id"
        " LEFT JOIN main.outputs AS outputs ON outputs.run_id = runs.id",
        newest="changed",
        facets=("state", "subject", "facehog"),
    ),
    Sheet(
        name="quality",
        title="Quality and proof",
        said="How good the frames of each finished run are, when its store was verified last, and what was found.",
        columns={
            **_NAME,
            **_WHO,
            **_WHERE,
            **_PICTURE,
            **_known("brightness", "runs.brightness"),
            **_known("saturated", "runs.saturated"),
            **_known("focus", "runs.focus"),
            **_known("moved", "runs.moved"),
            **_FOUND,
            "verdict": Column(sql="runs.verdict", said="what was found when its store was verified last"),
            **_at("verified", "runs.verified_at"),
            **_at("wrong_since", "runs.wrong_since", "when it was first found wrong, if it is"),
            **_known("crop", "parameters.crop"),
            **_RUN,
            **_at("changed", "runs.changed_at"),
        },
        source=f"{_RUNS} JOIN main.parameters AS parameters ON parameters.id = runs.parameters_id"
        f" WHERE runs.state IN ({_one_of(Fate.FINISHED)})",
        newest="changed",
        facets=("subject", "verdict"),
    ),
    Sheet(
        name="refused",
        title="Failed and quarantined",
        said="What needs somebody: files that were refused for what they are, or could not be finished, and why.",
        columns={
            **_NAME,
            **_FATE,
            **_at("changed", "files.changed_at"),
            **_known("attempt", "files.attempt"),
            **_WHO,
            **_RUN,
            **_FLOW_RUN,
            **_PATH,
        },
        source=f"{_FILES} WHERE files.state IN ({_one_of(*REFUSED)})",
        newest="changed",
        facets=("state", "subject"),
    ),
    Sheet(
        name="waiting",
        title="Waiting and running",
        said="Files of which something more is to come, and what they wait for.",
        columns={
            **_NAME,
            **_FATE,
            **_at("changed", "files.changed_at"),
            **_at("not_before", "files.not_before", "it rests until then, after something around it failed"),
            **_at("seen", "files.first_seen_at"),
            **_WHO,
            **_SIZE,
            **_RUN,
            **_FLOW_RUN,
            **_PATH,
        },
        source=f"{_FILES} WHERE files.state IN ({_one_of(*UNDER_WAY)})",
        newest="changed",
        facets=("state",),
    ),
    Sheet(
        name="duplicates",
        title="Duplicates",
        said="Files that hold the same bytes as another one, which alone is described.",
        columns={
            **_NAME,
            "same_as": Column(sql="described.path", said="the file that is described"),
            **_WHO,
            **_RUN,
            **_at("seen", "files.first_seen_at"),
            **_SIZE,
            **_PATH,
        },
        source=f"{_FILES} LEFT JOIN main.files AS described ON described.id = runs.file_id"
        f" WHERE files.state IN ({_one_of(Fate.DUPLICATE)})",
        newest="seen",
        facets=("subject",),
    ),
    Sheet(
        name="warnings",
        title="Warnings",
        said="What whoever uses the results of a run must know.",
        columns={
            **_NAME,
            "warning": Column(sql="warnings.text", said="what is to be known"),
            **_WHO,
            **_RUN,
            **_at("changed", "runs.changed_at"),
            **_PATH,
        },
        source=f"{_RUNS} JOIN main.warnings AS warnings ON warnings.run_id = runs.id",
        newest="changed",
        facets=("subject",),
    ),
    Sheet(
        name="steps",
        title="What happened",
        said="Every step in the story of every file, the last one first.",
        columns={
            "step": Column(sql="events.id", said="number of the step, among those of all files"),
            **_at("at", "events.at", "when it came to this state"),
            **_NAME,
            "state": Column(sql="events.state", said="the state that it came to"),
            "reason": Column(sql="events.reason", said="why"),
            **_RUN,
            **_PATH,
        },
        source="main.events AS events JOIN main.files AS files ON files.id = events.file_id"
        " LEFT JOIN main.runs AS runs ON runs.id = events.run_id",
        newest="step",
        facets=("state",),
    ),
)
