from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import Answer, catalogue_run, run_command
from runs import make_store, make_work

from facehog_core.provenance import RunRecord

Run = Callable[..., Answer]


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return catalogue_run(tmp_path, make_store(tmp_path / "store", make_work()))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *words: run_command(monkeypatch, capsys, tmp_path, *words)


def test_a_run_is_exported_under_the_name_of_its_recording(run: Run, record: RunRecord, tmp_path: Path) -> None:
    answer = run("export", str(record.run_id)[:6], "--to", "npz")

    target = tmp_path / f"m12_{record.run_id}.npz"
    assert (answer.status, answer.out.split(":")[0]) == (0, str(target))
    with np.load(target) as arrays:
        assert arrays["descriptors"].shape == (23, 128)


def test_a_file_in_the_way_is_kept_without_force(run: Run, record: RunRecord, tmp_path: Path) -> None:
    words = ("export", record.run_id, "--to", "csv", "-o", "a.csv", "--json")
    told = json.loads(run(*words).out)
    assert (told["path"], told["remarks"]) == (str(tmp_path / "a.csv"), record.warnings)
    assert told["size_bytes"] == (tmp_path / "a.csv").stat().st_size

    again = run(*words)
    assert (again.status, "it is there already" in again.err) == (1, True)
    assert run(*words, "--force").status == 0


def test_what_is_known_of_the_session_goes_along_and_slips_are_named(run: Run, record: RunRecord) -> None:
    words = ("export", record.run_id, "--to", "nwb", "-o", "a.nwb")
    told = run(*words, "--about", "subject_id=m12", "--about", "sex=F")
    assert (told.status, "unknown: species, age" in told.out) == (0, True)

    assert run(*words, "--about", "subject_id").status == 2
    slip = run(*words, "--about", "sexe=F")
    assert (slip.status, "'sexe' is not known of a session" in slip.err) == (1, True)


def test_arrays_are_chosen_by_name(run: Run, record: RunRecord, tmp_path: Path) -> None:
    run("export", record.run_id, "--to", "npz", "-o", "a.npz", "--arrays", "histograms")
    with np.load(tmp_path / "a.npz") as arrays:
        assert {"histograms", "time_s"} <= set(arrays)
        assert "descriptors" not in arrays
