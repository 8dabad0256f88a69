from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from deployments import logs
from deployments.environment import describe_environment
from deployments.logs import N_OLDER, OWN, describe_logging, log_to_file, rotate, rotate_all

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
def test_a_log_is_rotated_under_its_writer_and_so_many_older_ones_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 100)
    file = tmp_path / "sensor.log"
    assert not rotate(file), "it is not there yet"
    with file.open("a", encoding="utf-8") as writer:
        for number in range(N_OLDER + 3):
            writer.write(f"{number}" * 100)
            writer.flush()
            rotate_all(tmp_path)
            writer.write("short")
            writer.flush()
            assert not rotate(file)
    kept = [file.with_name(f"sensor.log.{number}").read_text("utf-8")[-1] for number in range(1, N_OLDER + 1)]
    assert kept == ["7", "6", "5", "4", "3"]
    assert file.read_text("utf-8") == "short", "the writer goes on at the beginning"
    assert len(list(tmp_path.iterdir())) == N_OLDER + 1


def test_what_writes_its_own_log_rotates_it_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 300)
    handler = log_to_file(tmp_path / "logs" / OWN)
    log = logging.getLogger("deployments.up")
    log.setLevel(logging.INFO)
    try:
        for number in range(10):
            log.info("event %d", number)
            rotate_all(tmp_path / "logs")
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    files = sorted((tmp_path / "logs").iterdir(), reverse=True)
    assert len(files) > 1
    told = [json.loads(line)["message"] for file in files for line in file.read_text("utf-8").splitlines()]
    assert told[-1] == "event 9"
    assert all(file.stat().st_size <= 300 for file in files)
