from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from mounts import can_mount, mount_tmpfs, unmount

from deployments import logs
from deployments.environment import describe_environment
from deployments.logs import N_OLDER, OWN, Rotation, describe_logging, log_to_file, rotate

LOGGING = """
import logging
from deployments.logs import start_log
import distributed
from prefect.logging.configuration import setup_logging
setup_logging()
start_log()
logging.getLogger("facehog_core").info("m12.mp4: has settled", extra={"run": "1f0c"})
logging.getLogger("prefect.server").warning("is %s", "busy")
logging.getLogger("distributed.scheduler").warning("lost a worker")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("facehog_core").exception("fails")
"""


def test_our_events_and_those_of_prefect_and_dask_are_one_line_of_json_each(tmp_path: Path) -> None:
    ours = {key: value for key, value in describe_environment(tmp_path).items() if not key.startswith("DASK_LOGGING")}
    environment = {**os.environ, **ours, **describe_logging(tmp_path)}
    command = [sys.executable, "-c", LOGGING]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stderr
    events = {event["message"]: event for event in map(json.loads, said.splitlines())}
    assert set(events) == {"m12.mp4: has settled", "is busy", "lost a worker", "fails"}
    settled = events["m12.mp4: has settled"]
    assert (settled["level"], settled["logger"], settled["run"]) == ("INFO", "facehog_core", "1f0c")
    assert datetime.fromisoformat(settled["at"]).utcoffset() == timedelta(0)
    assert "ZeroDivisionError" in events["fails"]["exc_info"]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not rotate what is being written")
@pytest.mark.parametrize("name", ["sensor.log", logs.SAID])
def test_a_log_is_rotated_under_its_writer_and_so_many_older_ones_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 100)
    file, rotation = tmp_path / name, Rotation(tmp_path)
    assert not rotate(file), "it is not there yet"
    with file.open("a", encoding="utf-8") as writer:
        for number in range(N_OLDER + 3):
            writer.write(f"{number}" * 100)
            writer.flush()
            rotation.go_on()
            writer.write("short")
            writer.flush()
            assert not rotate(file)
    kept = [file.with_name(f"{name}.{number}").read_text("utf-8")[-1] for number in range(1, N_OLDER + 1)]
    assert kept == ["7", "6", "5", "4", "3"]
    assert file.read_text("utf-8") == "short", "the writer goes on at the beginning"
    assert len(list(tmp_path.iterdir())) == N_OLDER + 1


@pytest.mark.skipif(not can_mount(), reason="fills a disk of its own: on Linux, as root")
def test_on_a_full_disk_no_log_is_rotated_and_none_lost_and_that_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 10**5)
    folder = tmp_path / "logs"
    folder.mkdir()
    mount_tmpfs(folder, 2**20)
    try:
        older = [folder / f"sensor.log.{number}" for number in range(1, N_OLDER + 1)]
        for number, file in enumerate(older):
            file.write_text(str(number), "utf-8")
        (folder / "sensor.log").write_bytes(b"x" * 2 * 10**5)
        (folder / "others").write_bytes(b"x" * (shutil.disk_usage(folder).free - 10**5))
        rotation = Rotation(folder)
        for _ in range(3 * N_OLDER):
            rotation.go_on()
        assert [file.read_text("utf-8") for file in older] == ["0", "1", "2", "3", "4"]
        assert len(caplog.records) == 1
        (folder / "others").unlink()
        rotation.go_on()
        assert [file.stat().st_size for file in older] == [2 * 10**5, 1, 1, 1, 1]
        assert sorted(folder.iterdir()) == [folder / "sensor.log", *older]
    finally:
        unmount(folder)


def test_what_writes_its_own_log_rotates_it_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 300)
    handler = log_to_file(tmp_path / "logs" / OWN)
    log = logging.getLogger("deployments.up")
    log.setLevel(logging.INFO)
    try:
        for number in range(10):
            log.info("event %d", number)
            Rotation(tmp_path / "logs").go_on()
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    files = sorted((tmp_path / "logs").iterdir(), reverse=True)
    assert len(files) > 1
    told = [json.loads(line)["message"] for file in files for line in file.read_text("utf-8").splitlines()]
    assert told[-1] == "event 9"
    assert all(file.stat().st_size <= 300 for file in files)
