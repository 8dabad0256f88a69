"""`facehog backfill`, and `facehog process --force`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from barcode import write_recording
from commands import Run
from lab import Lab

from facehog_core import Catalogue
from facehog_core.schema import Fate
from facehog_core.source import Signature

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a folder with three recordings, outside of the one inbox."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "facehog.toml").write_text("[[inbox]]\npath = 'inbox'")
    archive = tmp_path / "archive" / "2019"
    archive.mkdir(parents=True)
    write_recording(archive / "a.mp4", 12)
    for name in ("b.mp4", "c.mp4"):
        shutil.copy(archive / "a.mp4", archive / name)
    (archive / "notes.txt").touch()
    return archive


def test_backfill_says_what_there_is_to_do_and_what_it_takes_as_it_took(run: Run, archive: Path, lab: Lab) -> None:
    answer = run("backfill", archive)
    assert answer.status == 0
    assert "3 of 3 recordings are to be described" in answer.out
    assert "is not known before one has been described here" in answer.out.replace("\n", " ")
    assert "`facehog up`" in answer.err

    lab.process(archive / "a.mp4")
    told = json.loads(run("backfill", archive, "--json", "--priority", "1").out)
    size_bytes = (archive / "a.mp4").stat().st_size
    assert (told["n_recordings"], told["n_open"], told["open_bytes"]) == (3, 2, 2 * size_bytes)
    record = lab.record(archive / "a.mp4")
    assert record.started_at
    assert record.finished_at
    took_s = (record.finished_at - record.started_at).total_seconds()
    assert told["estimated_s"] == pytest.approx(2 * took_s, abs=0.1)
    assert told["store_bytes"] == 2 * record.store_size_bytes
    assert told["after_n_runs"] == 1


def test_backfill_is_taken_back(run: Run, archive: Path, lab: Lab) -> None:
    run("backfill", archive)
    path = archive / "a.mp4"
    with Catalogue(lab.catalogue, create=True) as catalogue:
        catalogue.set_fate(path, Fate.WAITING, "waits for its turn", signature=Signature.of(path))
    answer = run("backfill", archive, "--cancel")
    assert (answer.status, answer.out) == (0, "1 recordings are not waited for any more\n")
    with Catalogue(lab.catalogue) as catalogue:
        assert catalogue.files()[path].state is Fate.FAILED
    again = run("backfill", archive, "--cancel")
    assert again.status == 2
    assert "nothing in it is asked for" in again.err
    # Asked for anew, it is to be done anew.
    assert json.loads(run("backfill", archive, "--json").out)["n_open"] == 3


def test_backfill_of_an_inbox_is_refused_in_words(run: Run, archive: Path, tmp_path: Path) -> None:
    answer = run("backfill", tmp_path / "inbox")
    assert answer.status == 2
    assert "within the inbox" in answer.err.replace("\n", " ")


def test_process_does_all_anew_if_it_is_told_to(run: Run, archive: Path) -> None:
    path = archive / "a.mp4"
    (first,) = json.loads(run("process", path, "--json").out)
    inode = Path(first["store"]).stat().st_ino
    (second,) = json.loads(run("process", path, "--json", "--force").out)
    assert (second["run_id"], second["store"]) == (first["run_id"], first["store"])
    assert Path(second["store"]).stat().st_ino != inode
    assert (first["attempt"], second["attempt"]) == (1, 2)
