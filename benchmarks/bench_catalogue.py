"""Time what is asked of a catalogue with 100,000 recordings and 300,000 runs.

A third of the runs are those that the files came to, the others earlier ones. With `--url` the tables are made in an
empty database of PostgreSQL instead of a SQLite file::

    python benchmarks/bench_catalogue.py --url postgresql://user@host/empty
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from pipeline import scratch
from side_by_side import Finding, Report, describe_machine, make_parser, publish, rounds_of, take_turns
from sqlalchemy import insert, update

from facehog_core.catalogue import Catalogue
from facehog_core.database import Database
from facehog_core.schema import (
    Details,
    Fate,
    File,
    Host,
    Output,
    Parameters,
    Recording,
    Run,
    Sitting,
    Software,
    Subject,
)

N_FILES, N_RUNS = 100_000, 300_000
N_SUBJECTS, N_DAYS, N_PARAMETERS = 200, 500, 40
BEGUN = datetime(2021, 1, 1, tzinfo=UTC)
LISTED = 100
MOST_MS, MOST_LISTED_MS = 100, 300

QUESTIONS = {
    "the newest": "",
    "a subject since a month, by quality": "subject=CSE120 and date>=2021-11 and corrupt<1%",
    "a run by the beginning of its name": "run=00c350",
    "a path": "path=/data/inbox/20210101_CSE000_plane1_0.mp4",
    "names by a pattern with a beginning": "name=20210302*",
    "what failed since a day": "state=failed,quarantined and changed>=2030-01-01",
    "with warnings, of one crop": 'warnings>0 and crop="53,22,916,475"',
    "a few by quality, from all": "corrupt>9% and dropped>8",
    "names by a pattern without a beginning": "name=*plane7*",
    "subjects by a pattern, or not": "not (subject=CSE1?? or state=finished)",
    "nothing at all, from all": "corrupt>99% or frames<0",
    "dark, out of focus and moved, from all": "brightness<40 and focus<5 and moved>10",
    "finished and never verified": "state=finished and verified=never",
    "not verified since a month": "state=finished and verified<2021-02",
    "wrong, and since when": "verdict=wrong and wrong_since>=2021-06",
}


def main() -> None:
    parser = make_parser(__doc__, rounds=7)
    parser.add_argument("--url", help="an empty database, instead of a SQLite file")
    options = parser.parse_args()
    n_files, n_runs = (N_FILES // 20, N_RUNS // 20) if options.quick else (N_FILES, N_RUNS)
    with scratch() as folder:
        url = options.url or f"sqlite:///{folder / 'catalogue.db'}"
        fill(url, n_files, n_runs)
        with Catalogue(url) as catalogue:
            asked: dict[str, Callable[[], object]] = {
                name: partial(catalogue.rows, where, limit=LISTED) for name, where in QUESTIONS.items()
            }
            asked["all that is known of one run"] = partial(catalogue.run, "00c350")
            asked["why of a path"] = partial(catalogue.file, next(iter(catalogue.records(limit=1))).path)
            times = take_turns(asked, rounds_of(options), per=1e-3, unit="ms")
            listed = take_turns(
                {f"{LISTED} in full": partial(catalogue.records, limit=LISTED)},
                rounds_of(options),
                per=1e-3,
                unit="ms",
            )
    slowest = max(times.values(), key=lambda time: time.median)
    (listing,) = listed.values()
    report = Report(
        title="How long does the catalogue take to answer?",
        setting=f"{n_files:,} files and {n_runs:,} runs in {'PostgreSQL' if options.url else 'SQLite'}; the first "
        f"{LISTED} answers, {rounds_of(options)} rounds, in an open catalogue",
        machine=describe_machine(),
        measures=(*times.values(), listing),
        findings=(
            Finding(what=f"the slowest question: {slowest.name}", value=slowest.median, unit="ms", at_most=MOST_MS),
            Finding(what=f"a listing of {LISTED}", value=listing.median, unit="ms", at_most=MOST_LISTED_MS),
        ),
    )
    publish(report, options)


def fill(url: str, n_files: int, n_runs: int) -> None:
    """Write the tables as years of a lab would."""
    Catalogue(url, create=True).close()
    database = Database(url)
    with database.write() as session:
        for table, rows in make_rows(n_files, n_runs):
            session.execute(insert(table), rows)
        came_to = update(File).values(run_id=File.id + n_runs - n_files)
        session.execute(came_to.where(File.state.not_in([Fate.WAITING, Fate.QUEUED])))
    database.close()


def make_rows(n_files: int, n_runs: int) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Yield tables with rows that come out the same each time."""
    random = np.random.default_rng(0)
    days = [date(2021, 1, 1) + timedelta(days=number) for number in range(N_DAYS)]
    yield Subject, [{"id": number + 1, "name": f"CSE{number:03}"} for number in range(N_SUBJECTS)]
    n_sessions = N_SUBJECTS * N_DAYS // 10
    sessions = [(number % N_SUBJECTS + 1, days[number // N_SUBJECTS * 10]) for number in range(n_sessions)]
    yield Sitting, [{"id": number + 1, "subject_id": who, "date": day} for number, (who, day) in enumerate(sessions)]
    yield Parameters, [make_parameters(number) for number in range(N_PARAMETERS)]
    versions = {"facehog": "0.1.0", "av": "18.1.0"}
    yield Software, [{"id": 1, "content": "a", "facehog": "0.1.0", "versions": versions}]
    yield Host, [{"id": 1, "content": "a", "name": "rig", "facts": {"name": "rig"}}]
    yield (
        Recording,
        [
            {"id": number + 1, "digest": f"{number:06x}" * 5, "name": "m.mp4", "size_bytes": 10**9}
            for number in range(n_files)
        ],
    )
    states = random.choice(list(Fate), n_files, p=[0.02, 0.01, 0.01, 0.9, 0.02, 0.02, 0.02])
    files = []
    for number in range(n_files):
        who, day = sessions[number % n_sessions]
        name = f"{day:%Y%m%d}_CSE{who - 1:03}_plane{number % 9 + 1}_{number}.mp4"
        moment = BEGUN + timedelta(minutes=10 * number)
        files.append(
            {
                "id": number + 1,
                "path": f"/data/inbox/{name}",
                "name": name,
                "session_id": number % n_sessions + 1,
                "plane": str(number % 9 + 1),
                "camera": None,
                "size_bytes": 10**9,
                "mtime_ns": 0,
                "inode": str(number),
                "state": str(states[number]),
                "reason": "9000 frames are described",
                "first_seen_at": moment,
                "changed_at": moment,
                "attempt": 1,
                "flow_run_id": f"flow-{number}",
            }
        )
    yield File, files
    yield from make_runs(n_files, n_runs, random)


def make_parameters(number: int) -> dict[str, Any]:
    crop = [53 + number // 4, 22, 916, 475]
    return {
        "id": number + 1,
        "content": str(number),
        "digest": f"{number:08x}",
        "crop": ",".join(map(str, crop)),
        "grey": "rgb",
        "recipe": {"hog": {}, "crop": crop, "with_images": False},
    }


def make_figures(brightness: float, focus: float, moved: float | None) -> dict[str, float | None]:
    """Make what was seen of a run's frames; None of one that has none."""
    figures = {"brightness": float(brightness), "saturated": 0.0, "focus": float(focus)}
    return {name: value if moved else None for name, value in figures.items()} | {"moved": moved and float(moved)}


def make_standing(moment: datetime, is_verified: bool, is_wrong: bool) -> dict[str, Any]:
    """Make what the verifications of a run's store come to: each was verified within two months."""
    if not is_verified:
        return {"verified_at": None, "verdict": None, "wrong_since": None}
    at = moment + timedelta(days=moment.minute)
    return {"verified_at": at, "verdict": "wrong" if is_wrong else "sound", "wrong_since": at if is_wrong else None}


def make_runs(n_files: int, n_runs: int, random: np.random.Generator) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Yield the rows of runs: several of each file, and the last is the one that the file came to."""
    corrupt = (random.pareto(3, n_runs) * 40).astype(int).clip(0, 9000)
    dropped = random.poisson(3, n_runs) * (random.random(n_runs) < 0.3)
    warned = random.random(n_runs) < 0.1
    is_done = random.random(n_runs) < 0.95
    brightness, focus = random.normal(80, 15, n_runs).clip(0, 255), random.lognormal(4, 1, n_runs)
    moved = random.exponential(3, n_runs)
    is_verified, is_wrong = random.random(n_runs) < 0.999, random.random(n_runs) < 0.0003
    runs, details, outputs = [], [], []
    for number in range(n_runs):
        file, moment = number % n_files, BEGUN + timedelta(minutes=3 * number)
        n_frames = 9000 if is_done[number] else None
        runs.append(
            {
                "id": number + 1,
                "run_id": f"{number:06x}{file:06x}-{number % N_PARAMETERS:08x}",
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
                "finished_at": moment,
                "flow_run_id": f"flow-{number}",
                "n_frames": n_frames,
                "n_corrupt": int(corrupt[number]) if n_frames else None,
                "n_dropped": int(dropped[number]) if n_frames else None,
                "n_warnings": int(warned[number]),
                "width": 1280,
                "height": 1024,
                "duration_s": 300.0,
                **make_figures(brightness[number], focus[number], moved[number] if n_frames else None),
                **make_standing(moment, is_verified[number] and is_done[number], is_wrong[number]),
            }
        )
        details.append({"run_id": number + 1, "stream": {"codec": "h264", "looks": "x" * 500}})
        store = {"store": f"/data/store/{number}.zarr", "size_bytes": 10**8, "grey": ["rgb"], "timing": {}}
        outputs.append({"run_id": number + 1, **store, "arrays": {}, "shards": [{"digest": "0" * 32}] * 4})
    yield Run, runs
    yield Details, details
    yield Output, outputs


if __name__ == "__main__":
    main()
