"""The flow with times, timestamps and warnings: what Prefect, catalogue and store say of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from barcode import write_recording
from lab import Lab
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from facehog_core import Catalogue, Recipe
from facehog_core.inbox import Inbox
from facehog_core.lookout import Lookout
from facehog_core.recipe import name_run
from facehog_core.reconcile import Launcher
from facehog_core.schema import Fate
from facehog_core.sealed import read_record
from facehog_core.source import digest_source
from facehog_core.timestamps import TimestampsSource, find_timestamps

pytestmark = pytest.mark.usefixtures("prefect_server")

BESIDE = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
DROPPED = "3 frames are missing in 1 gap of more than 1.5 times the usual 33.3333 ms: 3 after frame 5 (0.133333 s)."


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a recording of 9 frames whose camera dropped three more."""
    return write_recording(tmp_path / "m12.mp4", 9, pts=[*range(6), *range(9, 12)])


def test_a_run_with_warnings_is_finished_and_says_them_everywhere(lab: Lab, recording: Path) -> None:
    state = lab.process(recording)

    assert state.is_completed()
    assert state.name == "CompletedWithWarnings"
    assert DROPPED in (state.message or "")
    record = lab.record(recording)
    assert (record.state, record.warnings, record.n_dropped) == (Fate.FINISHED, [DROPPED], 3)
    assert record.reason == "9 frames are described; with 1 warning"
    assert record.store is not None
    assert read_record(record.store) == record
    by_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[record.flow_run_id]))
    with get_client(sync_client=True) as client:
        artifacts = {artifact.type: artifact.data for artifact in client.read_artifacts(artifact_filter=by_run)}
    assert f"- **Warning:** {DROPPED}\n" in str(artifacts["markdown"])
    assert "| times | from: container, usually every 33.3333 ms; 3 dropped |" in str(artifacts["markdown"])


def test_timestamps_beside_a_recording_are_joined(lab: Lab, recording: Path) -> None:
    recording.with_suffix(".csv").write_text("time\n" + "".join(f"{number}\n" for number in range(9)))
    state = lab.process(recording, BESIDE)

    assert state.name == "Completed"
    record = lab.record(recording)
    assert (record.timing["source"], record.warnings, record.n_dropped) == ("sidecar m12.csv", [], 0)
    assert record.store is not None
    assert read_record(record.store) == record


def test_timestamps_that_come_later_are_joined_by_a_run_beside_the_first(lab: Lab, recording: Path) -> None:
    lab.process(recording, BESIDE)
    assert "no timestamps at" in lab.record(recording).warnings[0]
    recording.with_suffix(".csv").write_text("".join(f"{number}\n" for number in range(9)))
    lab.process(recording, BESIDE)

    with Catalogue(lab.catalogue) as catalogue:
        runs = catalogue.records("state=finished")
        assert [run.timing["source"] for run in runs] == ["sidecar m12.csv", "container"]
        assert [run.run_id for run in catalogue.records("warnings>0")] == [runs[1].run_id]


def test_timestamps_that_cannot_be_read_quarantine_the_recording_before_a_frame_is_described(
    lab: Lab, recording: Path
) -> None:
    recording.with_suffix(".csv").write_text("0\n1\n\nlost\n")
    state = lab.process(recording, BESIDE)

    assert state.name == "Quarantined"
    record = lab.record(recording)
    assert record.state == Fate.QUARANTINED
    assert "m12.csv: line 4: 'lost' is no number" in record.reason
    assert lab.left_behind() == []


def test_the_sensor_tells_timestamps_that_were_refused_from_mended_ones(lab: Lab, recording: Path) -> None:
    recording.with_suffix(".csv").write_text("0\nlost\n")
    lab.process(recording, BESIDE)

    def look() -> Fate:
        inbox = Inbox(path=recording.parent, patterns=["*.mp4"], settle_s=0, recipe=BESIDE)
        with Catalogue(lab.catalogue) as catalogue:
            Lookout(inbox, catalogue).look(Nobody())
            return catalogue.files()[recording].state

    assert look() is Fate.QUARANTINED
    recording.with_suffix(".csv").write_text("0\n1\n")
    assert look() is Fate.WAITING


class Nobody(Launcher):
    """Whoever asks this for a run has seen what is not there."""


def test_timestamps_that_cannot_be_read_are_told_though_a_run_without_them_is_finished(
    lab: Lab, recording: Path
) -> None:
    lab.process(recording, BESIDE)
    first = lab.record(recording)
    recording.with_suffix(".csv").mkdir()
    state = lab.process(recording, BESIDE)

    assert state.name == "Quarantined"
    with Catalogue(lab.catalogue) as catalogue:
        file = catalogue.file(recording)
        assert catalogue.records("state=finished") == [first]
    assert file is not None
    assert (file.state, file.run_id) == (Fate.QUARANTINED, None)
    assert "m12.csv: the timestamps cannot be read" in file.reason


def test_a_refused_recording_with_timestamps_has_a_row_of_its_run(lab: Lab, recording: Path) -> None:
    recording.write_bytes(b"no recording at all")
    recording.with_suffix(".csv").write_text("0\n1\n")
    assert lab.process(recording, BESIDE).name == "Quarantined"

    record = lab.record(recording)
    assert record.state == Fate.QUARANTINED
    assert record.run_id == name_run(digest_source(recording), BESIDE, find_timestamps(recording, BESIDE.timestamps))
