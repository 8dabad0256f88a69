"""Runs that end before they began, for what is around their recording."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from barcode import write_recording
from lab import Lab

import flows.cluster
import flows.ledger
import flows.process_recording
from facehog_core import Catalogue, Recipe
from facehog_core.locks import hold
from facehog_core.recipe import name_run
from facehog_core.reconcile import MOST_ATTEMPTS
from facehog_core.schema import Fate
from facehog_core.source import digest_source

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_copy_of_what_is_being_described_does_not_keep_its_place_from_others(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.process_recording, "SAME_BYTES_S", 0.01)
    path = write_recording(tmp_path / "copy.mp4", 5)
    with Catalogue(lab.catalogue, create=True) as catalogue:
        with hold(catalogue.location, name_run(digest_source(path), Recipe())):
            assert lab.process(path, attempt=MOST_ATTEMPTS).name == "GivenBack"
        file = catalogue.file(path)
    assert file is not None
    assert (file.state, file.attempt, file.not_before is not None) == (Fate.WAITING, 0, True)
    assert file.reason.startswith("copy.mp4: the same bytes are being described under another name.")
    assert lab.process(path).name == "Completed"


def test_what_is_given_back_before_it_began_is_not_read_for_that(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> str:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(flows.ledger, "digest_source", read)
    monkeypatch.setattr(flows.cluster, "SCHEDULER_TIMEOUT_S", 0)
    path, nowhere = write_recording(tmp_path / "large.mp4", 5), {"address": str(tmp_path / "scheduler.json")}
    for _ in range(2):
        assert lab.process(path, cluster=nowhere).name == "GivenBack"
    assert lab.process(path).is_completed()
    run_id = lab.record(path).run_id
    shutil.rmtree(lab.store)
    assert lab.process(path, cluster=nowhere).name == "GivenBack"
    record = lab.record(path)
    assert (record.state, record.run_id) == (Fate.WAITING, run_id), "what is known of the same bytes is told"
