"""A catalogue as years of a lab leave it: the same rows each time, made without processing any.

A third of the runs are those that the files came to, the others earlier ones. Each run has its steps in the story of
its file, and most were verified at least once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy import Connection, Table, insert, text, update

from facehog_core.catalogue import Catalogue
from facehog_core.database import Database
from facehog_core.schema import (
    Details,
    Event,
    Fate,
    File,
    Host,
    Output,
    Parameters,
    Recording,
    Run,
    RunVerification,
    RunWarning,
    Sitting,
    Software,
    Subject,
)

Rows: TypeAlias = Iterator[dict[str, Any]]

N_SUBJECTS, N_DAYS, N_PARAMETERS = 200, 500, 40
N_STEPS_OF_RUN = 3
BEGUN = datetime(2021, 1, 1, tzinfo=UTC)
RUN_WITH_HISTORY, N_VERIFICATIONS = 5, 60
# So many rows are written at once: more take memory and no less time.
_BATCH = 20_000


def fill(url: str, n_files: int, n_runs: int) -> None:
    """Make a catalogue, and write all rows into its tables."""
    Catalogue(url, create=True).close()
    database = Database(url)
    with database.write() as session:
        random = np.random.default_rng(0)
        states = random.choice(list(Fate), n_files, p=[0.02, 0.01, 0.01, 0.9, 0.02, 0.02, 0.02])
        load = _insert if database.is_sqlite else _copy
        for table, rows in make_tables(n_runs, states, random):
            while batch := list(islice(rows, _BATCH)):
                load(session.connection(), table.__table__, batch)
        for state in set(Fate) - {Fate.WAITING}:
            numbers = np.flatnonzero(states == state) + 1
            came_to = {} if state is Fate.QUEUED else {"run_id": File.id + n_runs - n_files}
            for batch in range(0, len(numbers), _BATCH):
                chosen = File.id.in_(numbers[batch : batch + _BATCH].tolist())
                session.execute(update(File).where(chosen).values(state=state, **came_to))
    if not database.is_sqlite:
        # What a server does by itself, within minutes.
        with database.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
    database.close()


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(table), rows)


def _copy(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Write rows as a server takes the most of them in a second."""
    names = list(rows[0])
    columns = [table.c[name] for name in names]
    as_bound = [column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect) for column in columns]
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([bind(row[name]) if bind else row[name] for name, bind in zip(names, as_bound, strict=True)])


def name_file(number: int) -> str:
    """Return the path of one of the files."""
    who, day = _session_of(number)
    return f"/data/inbox/{day:%Y%m%d}_CSE{who:03}_plane{number % 9 + 1}_{number}.mp4"


def name_run(number: int) -> str:
    """Return the name of one of the runs: as digests are, no two neighbours begin alike."""
    return f"{number * 0x9E3779B97F4B % 2**48:012x}-{number % N_PARAMETERS:08x}"


def make_tables(n_runs: int, states: Any, random: np.random.Generator) -> Iterator[tuple[Any, Rows]]:
    """Yield tables with rows that come out the same each time, each after those that its rows name.

    Parameters
    ----------
    n_runs : int
    states : ndarray of str
        What becomes of each file. As yet they all wait: there are no runs to which they have come.
    random : Generator
    """
    n_files = len(states)
    days = [_session_of(number * N_SUBJECTS)[1] for number in range(N_DAYS // 10)]
    versions = {"facehog": "0.1.0", "av": "18.1.0"}
    yield Subject, ({"id": number + 1, "name": f"CSE{number:03}"} for number in range(N_SUBJECTS))
    yield (
        Sitting,
        (
            {"id": number + 1, "subject_id": number % N_SUBJECTS + 1, "date": days[number // N_SUBJECTS]}
            for number in range(N_SUBJECTS * len(days))
        ),
    )
    yield Parameters, map(_make_parameters, range(N_PARAMETERS))
    yield Software, iter([{"id": 1, "content": "a", "facehog": "0.1.0", "versions": versions}])
    yield Host, iter([{"id": 1, "content": "a", "name": "rig", "facts": {"name": "rig"}}])
    yield (
        Recording,
        (
            {"id": number + 1, "digest": f"{number:06x}" * 5, "name": "m.mp4", "size_bytes": 10**9}
            for number in range(n_files)
        ),
    )
    yield File, map(_make_file, range(n_files))
    n_warnings = random.choice(4, n_runs, p=[0.9, 0.06, 0.03, 0.01])
    yield Run, _make_runs(n_files, n_runs, states, n_warnings, random)
    numbers = range(n_runs)
    yield Details, ({"run_id": number + 1, "stream": {"codec": "h264", "looks": "x" * 500}} for number in numbers)
    yield Output, map(_make_output, numbers)
    yield (
        RunWarning,
        (
            {"run_id": number + 1, "number": place, "text": "the face is 12.3 pixels from where the reference has it"}
            for number in numbers
            for place in range(n_warnings[number])
        ),
    )
    yield RunVerification, (made for number in numbers for made in _make_verifications(number))
    yield Event, _make_events(n_files, n_runs)


def _session_of(number: int) -> tuple[int, date]:
    """Return who is on a recording, and its day."""
    session = number % (N_SUBJECTS * N_DAYS // 10)
    return session % N_SUBJECTS, date(2021, 1, 1) + timedelta(days=session // N_SUBJECTS * 10)


def _make_parameters(number: int) -> dict[str, Any]:
    crop = [53 + number // 4, 22, 916, 475]
    return {
        "id": number + 1,
        "content": str(number),
        "digest": f"{number:08x}",
        "crop": ",".join(map(str, crop)),
        "grey": "rgb",
        "recipe": {"hog": {}, "crop": crop, "with_images": False},
    }


def _make_file(number: int) -> dict[str, Any]:
    path, moment = name_file(number), BEGUN + timedelta(minutes=10 * number)
    return {
        "id": number + 1,
        "path": path,
        "name": path.rpartition("/")[2],
        "session_id": number % (N_SUBJECTS * N_DAYS // 10) + 1,
        "plane": str(number % 9 + 1),
        "camera": None,
        "size_bytes": 10**9,
        "mtime_ns": 0,
        "inode": str(number),
        "state": Fate.WAITING,
        "reason": "9000 frames are described",
        "first_seen_at": moment,
        "changed_at": moment,
        "attempt": 1,
        "flow_run_id": f"flow-{number}",
    }


def _make_runs(n_files: int, n_runs: int, states: Any, n_warnings: Any, random: np.random.Generator) -> Rows:
    """Yield the rows of runs: several of each file, and the last is the one that the file came to."""
    corrupt = (random.pareto(3, n_runs) * 40).astype(int).clip(0, 9000)
    dropped = random.poisson(3, n_runs) * (random.random(n_runs) < 0.3)
    is_done = random.random(n_runs) < 0.95
    is_done[n_runs - n_files :] = np.isin(states, [Fate.FINISHED, Fate.DUPLICATE])
    brightness, focus = random.normal(80, 15, n_runs).clip(0, 255), random.lognormal(4, 1, n_runs)
    moved = random.exponential(3, n_runs)
    is_verified, is_wrong = random.random(n_runs) < 0.999, random.random(n_runs) < 0.0003
    for number in range(n_runs):
        file, moment = (number - n_runs) % n_files, BEGUN + timedelta(minutes=3 * number)
        figures = {
            "n_frames": 9000,
            "n_corrupt": int(corrupt[number]),
            "n_dropped": int(dropped[number]),
            "brightness": float(brightness[number]),
            "saturated": 0.0,
            "focus": float(focus[number]),
            "moved": float(moved[number]),
        }
        yield {
            "id": number + 1,
            "run_id": name_run(number),
            "file_id": file + 1,
            "recording_id": file + 1,
            "parameters_id": number % N_PARAMETERS + 1,
            "software_id": 1,
            "host_id": 1,
            "state": Fate.FINISHED if is_done[number] else Fate.FAILED,
            "reason": "9000 frames are described",
            "changed_at": moment,
            "attempt": 1,
            "started_at": moment,
            "finished_at": moment if is_done[number] else None,
            "flow_run_id": f"flow-{number}",
            "n_warnings": int(n_warnings[number]),
            "width": 1280,
            "height": 1024,
            "duration_s": 300.0,
            **(figures if is_done[number] else dict.fromkeys(figures)),
            **_make_standing(number, bool(is_verified[number] and is_done[number]), bool(is_wrong[number])),
        }


def _verified_at(number: int) -> datetime:
    """Return when a run was verified last: within two months."""
    moment = BEGUN + timedelta(minutes=3 * number)
    return moment + timedelta(days=moment.minute)


def _make_standing(number: int, is_verified: bool, is_wrong: bool) -> dict[str, Any]:
    """Make what the verifications of a run's store come to."""
    if not is_verified:
        return {"verified_at": None, "verdict": None, "wrong_since": None}
    at = _verified_at(number)
    return {"verified_at": at, "verdict": "wrong" if is_wrong else "sound", "wrong_since": at if is_wrong else None}


def _make_output(number: int) -> dict[str, Any]:
    store = {"store": f"/data/store/{number}.zarr", "size_bytes": 10**8, "grey": ["rgb"], "timing": {}}
    return {"run_id": number + 1, **store, "arrays": {}, "shards": [{"digest": "0" * 32}] * 4}


def _make_verifications(number: int) -> Rows:
    for place in range(N_VERIFICATIONS if number == RUN_WITH_HISTORY else 1):
        at = _verified_at(number) - timedelta(days=60 * place)
        yield {"run_id": number + 1, "at": at, "is_deep": False, "source": "unchanged", "problems": []}


def _make_events(n_files: int, n_runs: int) -> Rows:
    """Yield the steps of all stories, in the order in which they were told."""
    for number in range(n_files):
        at = BEGUN + timedelta(minutes=10 * number)
        yield {"file_id": number + 1, "run_id": None, "at": at, "state": "waiting", "reason": "must stand still"}
    for number in range(n_runs):
        file, at = (number - n_runs) % n_files, BEGUN + timedelta(minutes=3 * number)
        for state, reason in (
            ("queued", "has settled"),
            ("running", "is being described"),
            ("finished", "9000 frames are described"),
        ):
            yield {"file_id": file + 1, "run_id": number + 1, "at": at, "state": state, "reason": reason}
