"""A process that runs flows, with a real Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled

from facehog_core.catalogue import Catalogue
from facehog_core.locks import hold
from flows.process_recording import process_recording


@pytest.mark.usefixtures("prefect_server")
def test_a_host_whose_runner_was_killed_ends_when_its_run_is_cancelled(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    with Catalogue(url, create=True) as catalogue:
        location = catalogue.location
    given = {"path": str(tmp_path / "m12.mp4"), "store": str(tmp_path), "catalogue": url}
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    with (
        # It waits for its turn.
        hold(location, given["path"]),
        get_client(sync_client=True) as client,
        subprocess.Popen(
            [sys.executable, "-m", "deployments.flow_host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment,
        ) as host,
    ):
        run_id = client.create_flow_run(process_recording, parameters=given).id
        assert host.stdin
        host.stdin.write(f"process-recording {run_id}\n")
        host.stdin.close()
        deadline_s = time.monotonic() + 120
        while not ((state := client.read_flow_run(run_id).state) and state.is_running()):
            assert host.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        client.set_flow_run_state(run_id, Cancelled(), force=True)
        assert host.wait(timeout=120) == 1
