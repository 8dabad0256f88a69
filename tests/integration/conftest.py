"""A Prefect server for the tests that run flows, on a database of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from barcode import write_recording
from commands import Run, run_command
from lab import Lab

REAL_CLIP = Path(__file__).resolve().parents[2] / "deployments" / "recordings" / "aind_bvt_clip.mp4"


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """Put the environment back: commands set Prefect up in it."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Run a temporary Prefect server."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def real_clip() -> Path:
    """Return a head-fixed mouse's face: 501 frames, 720 x 540, monochrome (MIT)."""
    return REAL_CLIP


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a lab in an empty folder."""
    return Lab(tmp_path)


@pytest.fixture
def processed(lab: Lab, tmp_path: Path, prefect_server: None) -> Path:
    """Return a recording that the test's lab has finished."""
    path = write_recording(tmp_path / "mouse [1].mp4", 12)
    lab.process(path)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `facehog WORDS` in the test's folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: run_command(monkeypatch, capsys, tmp_path, *words)
