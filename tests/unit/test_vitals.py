from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from catalogue_users import come_to, make_record, running
from commands import run_command

from facehog_core import Catalogue
from facehog_core.effort import Effort
from facehog_core.locks import hold
from facehog_core.path_text import as_typed
from facehog_core.provenance import describe_host
from facehog_core.run_paths import RunPaths
from facehog_core.schema import Fate
from facehog_core.source import Signature
from facehog_core.vitals import STILL_AFTER, Vigour, check_vitals

LOOK = Signature(size_bytes=1, mtime_ns=2, inode=3)
LATER = timedelta(hours=1)
NAME = "m 12\udcff.mp4"


@pytest.fixture
def catalogue(make_catalogue_url: Callable[[str, Path], str], tmp_path: Path) -> Catalogue:
    return Catalogue(make_catalogue_url("sqlite", tmp_path), create=True)


def write_receipt(paths: RunPaths, start: int, ended_at: datetime) -> None:
    paths.receipts.mkdir(parents=True, exist_ok=True)
    took = Effort(
        worker="rig:1:1", began_at=ended_at.timestamp() - 1, first_frame_s=0.1, decoding_s=0.75, describing_s=0.25
    )
    (paths.receipts / f"{start}-{start + 250}.json").write_text(json.dumps({"effort": asdict(took)}), "utf-8")


@pytest.mark.parametrize("folder", [as_typed("m 12\udcff"), as_typed(NAME)], ids=["a file", "a folder of images"])
def test_a_run_that_a_process_is_at_lives_for_as_long_as_frames_come_to_the_disk(
    catalogue: Catalogue, tmp_path: Path, folder: str
) -> None:
    record = running(make_record(NAME))
    with catalogue, hold(catalogue.location, str(record.path)):
        catalogue.record(record)
        paths = RunPaths(root=tmp_path, recording=folder, run_id=str(record.run_id))
        paths.partial.mkdir(parents=True)
        (before,) = check_vitals(catalogue, tmp_path)
        assert before.path == record.path
        assert before.sign_at == before.since
        assert before.vigour(before.since + STILL_AFTER) is Vigour.ALIVE
        # As of an attempt before this one.
        write_receipt(paths, 0, before.since - LATER)
        assert check_vitals(catalogue, tmp_path) == [before]
        write_receipt(paths, 250, before.since + LATER)
        (after,) = check_vitals(catalogue, tmp_path)
    assert after.sign_at == before.since + LATER
    at = before.since + LATER + timedelta(seconds=7)
    assert (before.vigour(at), after.vigour(at)) == (Vigour.STILL, Vigour.ALIVE)
    assert before.tell(at).startswith("no sign of life for 60 minutes")
    assert after.tell(at) == "last sign of life 7 s ago"
    assert after.tell(before.since) == "last sign of life 0 s ago", "the clock may have been set back"


@pytest.mark.parametrize(
    ("host", "vigour", "told"),
    [
        ("of others", Vigour.ALIVE, "its process is there; what it writes is not seen from here"),
        # It has not even begun to write.
        (describe_host()["name"], Vigour.STILL, "no sign of life for 90 minutes; its process is there, and is stopped"),
    ],
)
def test_of_a_run_that_writes_elsewhere_nothing_is_concluded(
    catalogue: Catalogue, tmp_path: Path, host: str, vigour: Vigour, told: str
) -> None:
    record = running(make_record(host={"name": host}))
    with catalogue, hold(catalogue.location, str(record.path)):
        catalogue.record(record)
        (found,) = check_vitals(catalogue, tmp_path)
    at = found.since + STILL_AFTER + LATER
    assert found.vigour(at) is vigour
    assert found.tell(at).startswith(told)


def test_a_run_whose_process_is_gone_is_dead_and_one_that_ends_meanwhile_is_not(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with catalogue:
        for name in ("dead", "alive", "ends"):
            come_to(catalogue, Path(f"/inbox/{name}.mp4"), Fate.RUNNING, "is being read", signature=LOOK)

        def look(_: str, name: str) -> bool:
            if name.endswith("ends.mp4"):
                come_to(catalogue, Path(name), Fate.QUARANTINED, "is no video")
            return name.endswith("alive.mp4")

        monkeypatch.setattr("facehog_core.vitals.is_held", look)
        found = {vitals.path.stem: vitals for vitals in check_vitals(catalogue, tmp_path)}
    at = datetime.now(UTC)
    assert {name: vitals.vigour(at) for name, vitals in found.items()} == {"dead": Vigour.DEAD, "alive": Vigour.ALIVE}
    assert "its process is gone" in found["dead"].tell(at)


def test_a_receipt_that_cannot_be_read_is_no_sign_of_life(catalogue: Catalogue, tmp_path: Path) -> None:
    record = running(make_record())
    paths = RunPaths(root=tmp_path, recording="m12", run_id=str(record.run_id))
    with catalogue:
        catalogue.record(record)
        for text in ("", "{}", '{"effort": null}', '{"effort": {"worker": 1}}'):
            paths.receipts.mkdir(parents=True, exist_ok=True)
            (paths.receipts / "0-250.json").write_text(text, "utf-8")
            (found,) = check_vitals(catalogue, tmp_path)
            assert found.sign_at == found.since


def test_why_show_and_status_tell_whether_a_run_in_progress_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "facehog.toml").write_text("", "utf-8")
    record = running(make_record())
    path, run_id = str(record.path), str(record.run_id)
    RunPaths(root=tmp_path / "store", recording=record.path.stem, run_id=run_id).partial.mkdir(parents=True)

    def ask(*words: str) -> str:
        return run_command(monkeypatch, capsys, tmp_path, *words).out

    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue, hold(catalogue.location, path):
        catalogue.record(record)
        assert "no sign of life for" in ask("why", path)
        assert "no sign of life for" in ask("show", run_id)
        assert json.loads(ask("why", path, "--json"))[-1]["vitals"]["vigour"] == "still"
        assert json.loads(ask("show", run_id, "--json"))["vitals"]["path"] == path
        status = " ".join(ask("status").split())
    assert f"runs {path}, since" in status
    assert f"problem: {path}: no sign of life for" in status
    assert "its process is gone" in ask("why", path)
