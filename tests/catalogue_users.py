"""Records for catalogues of tests, and what other processes do to these: they import this, and not the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import xxhash
from sqlalchemy.orm import Session

from facehog_core.catalogue import Catalogue
from facehog_core.database import Database
from facehog_core.fates import add_file, find_file, note_look
from facehog_core.files import FileRecord
from facehog_core.provenance import RunRecord
from facehog_core.rows import write_run
from facehog_core.schema import Fate
from facehog_core.source import Signature

INBOX = Path("/data/inbox")
LOOK = Signature(size_bytes=1000, mtime_ns=1_700_000_000_000_000_000, inode=2**63 + 5)
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
N_WRITES, N_NEW, N_LOOKS = 16, 12, 4


def make_record(name: str = "m12.mp4", run_id: str = "1f0c2a9b77d3-5e21c0aa", **changes: Any) -> RunRecord:
    """Make the record of a finished run."""
    record = RunRecord(
        path=INBOX / name,
        state=Fate.FINISHED,
        reason="300 frames are described",
        changed_at=NOON,
        size_bytes=1000,
        run_id=run_id,
        digest=run_id[:12] * 2,
        stream={"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": name},
        recipe={"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": False},
        software={"av": "18.1.0"},
        host={"name": "rig"},
        attempt=1,
        started_at=NOON - timedelta(minutes=1),
        finished_at=NOON,
        n_frames=300,
        n_corrupt=2,
        n_dropped=3,
        grey=["luma table"],
        store=Path("/data/store") / f"{run_id}.zarr",
        store_size_bytes=123_456,
        arrays={"descriptors": {"shape": [300, 32], "dtype": "float32", "dims": ["frame", "feature"]}},
        timing={"source": "container"},
        warnings=["2 of 300 frames are corrupt.", "3 frames are dropped."],
        flow_run_id="flow-1",
    )
    return replace(record, **changes)


def running(record: RunRecord) -> RunRecord:
    """Turn a finished run into the one that it was."""
    none = dict.fromkeys(("finished_at", "n_frames", "n_corrupt", "n_dropped", "store", "store_size_bytes"))
    nothing = {"grey": [], "arrays": {}, "timing": {}, "warnings": []}
    return replace(record, state=Fate.RUNNING, reason="is being described", **none, **nothing)


def file_of(catalogue: Catalogue, path: Path) -> FileRecord:
    found = catalogue.file(path)
    assert found is not None
    return found


def come_to(catalogue: Catalogue, path: Path, state: Fate, reason: str, **more: Any) -> bool:
    """Let something become of a file. What is done has come to a run: one is made up for it, if it has none."""
    if state in (Fate.FINISHED, Fate.DUPLICATE) and "run_id" not in more:
        known = catalogue.file(path)
        more["run_id"] = (known and known.run_id) or _make_up_run(catalogue, path, more.get("signature"))
    return catalogue.set_fate(path, state, reason, **more)


def _make_up_run(catalogue: Catalogue, path: Path, signature: Signature | None) -> str:
    run_id = f"{xxhash.xxh3_64_hexdigest(os.fsencode(path))[:12]}-00000000"
    with writing(f"sqlite:///{catalogue.location}") as session:
        file = find_file(session, path)
        if file is None:
            file = add_file(session, path, NOON)
            note_look(file, signature or LOOK)
        write_run(session, make_record(path.name, run_id, path=path), file)
    return run_id


@contextmanager
def reading(url: str) -> Iterator[Session]:
    """Look into a database as the catalogue does."""
    with closing(Database(url, create=True)) as database, database.read() as session:
        yield session


@contextmanager
def writing(url: str) -> Iterator[Session]:
    """Write into a database as the catalogue does."""
    with closing(Database(url, create=True)) as database, database.write() as session:
        yield session


def write_many(url: str, writer: int) -> None:
    for number in range(N_WRITES // 2):
        with Catalogue(url, create=True) as catalogue:
            catalogue.set_fate(INBOX / "shared.mp4", Fate.QUEUED, f"by {writer}, {number}", signature=LOOK)
            catalogue.record(make_record(f"{writer}-{number}.mp4", f"{writer:06x}{number:06x}-00000000"))


def make_many(folder: Path, together: Any) -> None:
    for number in range(N_NEW):
        together.wait(timeout=60)
        Catalogue(f"sqlite:///{folder / f'{number}.db'}", create=True).close()


def write_for_ever(url: str, acknowledged: Connection) -> None:
    with Catalogue(url) as catalogue:
        for number in range(1_000_000):
            catalogue.set_fate(INBOX / f"{number}.mp4", Fate.WAITING, "is new", signature=LOOK)
            acknowledged.send(number)


def turn_for_ever(url: str, together: Any) -> None:
    """Turn a run into a finished one and back, over and over."""
    record = make_record()
    with Catalogue(url) as catalogue:
        together.wait(timeout=120)
        for _ in range(1_000_000):
            catalogue.record(record)
            catalogue.record(running(record))


def look_often(url: str, together: Any) -> None:
    """Look at the run that somebody turns: what belongs together is seen together, each time."""
    record = make_record()
    states = (record, running(record))
    with Catalogue(url) as catalogue:
        together.wait(timeout=120)
        for _ in range(N_LOOKS):
            assert catalogue.run(str(record.run_id)) in states
            (found,) = catalogue.records()
            assert found in states
            (told,) = catalogue.rows(columns=["state", "frames", "warnings"])
            assert told in [("finished", 300, 2), ("running", None, 0)]
        with Catalogue(url) as opened_anew:
            assert len(opened_anew.story(record.path)) > 0
