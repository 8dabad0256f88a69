"""A Dask cluster of the service that does not stay on this machine: who is let in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from distributed import Client, Security

from deployments.certificates import describe_encryption

PATIENCE_S = 120.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "deployments.cluster", "--n-workers", "0", "--scheduler-file", str(file)]
    environment = {**os.environ, **describe_encryption(tmp_path / "tls")}
    process = subprocess.Popen([*command, "--host", "127.0.0.1"], env=environment)
    deadline_s = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    yield json.loads(file.read_text("utf-8"))
    process.terminate()
    process.wait(PATIENCE_S)


def make_security(folder: Path) -> Security:
    certificate, key = str(folder / "dask.crt"), str(folder / "dask.key")
    return Security(require_encryption=True, tls_ca_file=certificate, tls_client_cert=certificate, tls_client_key=key)


def test_who_has_the_key_is_let_in_and_nobody_else(cluster: dict[str, str], tmp_path: Path) -> None:
    assert cluster["address"].startswith("tls://127.0.0.1:")
    with Client(cluster["address"], security=make_security(tmp_path / "tls"), timeout=PATIENCE_S) as client:
        assert client.scheduler_info()["type"] == "Scheduler"
    # Of another facehog: a certificate, but not that of this one.
    describe_encryption(tmp_path / "others")
    with pytest.raises(OSError, match=r"certificate|Timed out|timed out"):
        Client(cluster["address"], security=make_security(tmp_path / "others"), timeout=2)
    with pytest.raises(OSError):  # noqa: PT011 - it says nothing but goodbye
        Client(cluster["address"].replace("tls", "tcp"), security=Security(), timeout=2)
    counts = httpx.get(httpx.URL(cluster["dashboard"]).join("/json/counts.json")).json()
    assert counts["workers"] == 0, "facehog asks for its health without a key, from this machine"
