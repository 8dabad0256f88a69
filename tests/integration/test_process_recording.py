"""The flow on real files: what Prefect shows, what the catalogue says, what is on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import av
import numpy as np
import pytest
from barcode import write_recording
from lab import Lab, task_runs
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from recordings import run_ffmpeg
from skimage.feature import hog

from facehog_core import Catalogue, Crop, Recipe, open_session
from facehog_core.chunking import LEAST_FRAMES_PER_SHARD
from facehog_core.hog import HogParams
from facehog_core.names import Identity
from facehog_core.schema import Fate
from facehog_core.sealed import read_record

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_real_recording_ends_as_a_sealed_store_and_a_finished_row(lab: Lab, real_clip: Path) -> None:
    real_clip = Path(shutil.copy(real_clip, lab.folder))
    real_clip.with_suffix(".facehog.toml").write_text('subject = "CSE020"\nsession_date = 2021-11-05')
    state = lab.process(real_clip, Recipe(crop=Crop(x=53, y=22, width=600, height=475)))

    assert state.is_completed()
    record = lab.record(real_clip)
    assert record.identity == Identity(subject="CSE020", session_date=date(2021, 11, 5))
    assert (record.state, record.n_frames, record.n_corrupt) == (Fate.FINISHED, 501, 0)
    assert record.store is not None
    assert record.store.is_dir()
    assert sorted(path.name for path in record.store.parent.iterdir()) == [record.store.name]
    from_store = read_record(record.store)
    assert from_store == record, "what the catalogue says of a run is in its store too"
    # The clip is monochrome and full range: its grey is Y.
    with av.open(str(real_clip)) as container:
        frames = [frame.to_ndarray(format="rgb24")[..., 0] for frame in container.decode(video=0)]
    session = open_session(record.store)
    for number in (0, 249, 250, 251, 500):
        grey = frames[number][22 : 22 + 475, 53 : 53 + 600]
        expected = hog(grey, 8, (32, 32), (1, 1), "L2-Hys", transform_sqrt=True)
        found = session.descriptors[number].values
        # Cells with a pixel on a bin border may differ; there are few in a real frame.
        assert np.mean(np.abs(found - expected) <= 1e-5) > 0.99, number


def test_every_step_is_a_task_with_a_state_and_a_name_in_the_ui(lab: Lab, real_clip: Path) -> None:
    state = lab.process(real_clip)

    record = lab.record(real_clip)
    runs = task_runs(record.flow_run_id)
    names = {run.name for run in runs}
    assert {f"probe-{real_clip.name}", f"plan-{record.run_id}", f"seal-{record.run_id}"} <= names
    assert "record-finished" in names
    for step in ("chunk", "compute-hog", "write-zarr"):
        assert {f"{step}-0-250", f"{step}-250-500", f"{step}-500-501"} <= names
    assert all(run.state and run.state.is_completed() for run in runs)
    assert state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).name == real_clip.name


def test_a_short_recording_takes_few_tasks(lab: Lab, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "short.mp4", LEAST_FRAMES_PER_SHARD)
    assert lab.process(path).is_completed()

    record = lab.record(path)
    runs = task_runs(record.flow_run_id)
    assert {run.name for run in runs} == {"probe-short.mp4", f"describe-{record.run_id}", "record-finished"}
    assert all(run.state and run.state.is_completed() for run in runs)


def test_the_progress_artifact_reaches_its_end_and_a_summary_is_left(lab: Lab, real_clip: Path) -> None:
    lab.process(real_clip)

    record = lab.record(real_clip)
    by_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[record.flow_run_id]))
    with get_client(sync_client=True) as client:
        artifacts = {artifact.type: artifact for artifact in client.read_artifacts(artifact_filter=by_run)}
    assert artifacts["progress"].data == 100
    assert str(record.store) in str(artifacts["markdown"].data)
    assert "501" in str(artifacts["markdown"].data)


def test_pictures_are_written_when_they_are_asked_for(lab: Lab, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "few.mp4", 7)
    lab.process(path, Recipe(with_images=True))
    lab.process(path)

    with Catalogue(lab.catalogue) as catalogue:
        stores = [record.store for record in catalogue.records("state=finished")]
    with_pictures, rendered = sorted(
        (open_session(store) for store in stores if store), key=lambda s: "images" not in s
    )
    assert np.array_equal(with_pictures.images.values, rendered.images.values)


REFUSED = {
    "m_zero_bytes.mp4": "no bytes",
    "n_text_renamed.mp4": "FFmpeg cannot read it",
    "o_audio_only.mp4": "no video stream",
    "p_hevc.mp4": "hevc, not in H264",
    "c_trunc60_moov_missing.mp4": "index (moov) is missing",
    "d_trunc60_faststart.mp4": "ends",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_whole_h264_recording_is_quarantined(lab: Lab, videos_dir: Path, name: str) -> None:
    path = videos_dir / "derived" / name
    state = lab.process(path)

    assert state.name == "Quarantined"
    record = lab.record(path)
    assert record.state == Fate.QUARANTINED
    assert REFUSED[name] in record.reason
    assert "\n" not in record.reason
    assert record.reason.startswith(name)
    assert lab.left_behind() == []


def test_a_recording_that_is_cut_off_is_described_as_far_as_it_goes_where_that_is_allowed(
    lab: Lab, videos_dir: Path
) -> None:
    path = videos_dir / "derived" / "d_trunc60_faststart.mp4"
    state = lab.process(path, Recipe(max_corrupt=0.5))

    assert state.name == "CompletedWithWarnings"
    record = lab.record(path)
    assert (record.n_frames, record.n_corrupt) == (300, 122)
    assert record.warnings[0] == "It is not whole: the file ends after 179 of 300 frames (about 40 % is missing)."
    assert "178-299" in record.warnings[1]


def test_the_stream_that_is_chosen_is_described(lab: Lab, tmp_path: Path) -> None:
    videos = [write_recording(tmp_path / f"{n}.mp4", n) for n in (5, 7)]
    path = tmp_path / "two.mkv"
    run_ffmpeg("-i", videos[0], "-i", videos[1], "-map", "0", "-map", "1", "-c", "copy", path)
    for stream in (0, 1):
        assert lab.process(path, Recipe(stream=stream)).name == "Completed"
    with Catalogue(lab.catalogue) as catalogue:
        found = {record.recipe["stream"]: record for record in catalogue.records()}
    for stream, n_frames in ((0, 5), (1, 7)):
        record = found[stream]
        assert (record.stream["stream_index"], record.stream["n_frames"], record.n_frames) == (
            stream,
            n_frames,
            n_frames,
        )
        assert record.store is not None
        assert read_record(record.store).stream == record.stream
        assert record.warnings == []


def test_a_recording_whose_frames_change_size_is_quarantined(lab: Lab, write_form: Callable[[str], Path]) -> None:
    path = write_form("ts, size changes")
    state = lab.process(path, Recipe(hog=HogParams(pixels_per_cell=(16, 16))))

    assert state.name == "Quarantined"
    assert "changes from 160 x 96 to 160 x 64 at frame 12. Cut it there" in lab.record(path).reason
    assert lab.left_behind() == []


@pytest.mark.parametrize(
    ("crop", "fact"),
    [
        (Crop(x=700, y=0, width=100, height=100), "outside of the frame of 720 x 540"),
        (Crop(x=0, y=0, width=31, height=100), "hold no block of 32 x 32"),
    ],
)
def test_a_crop_that_does_not_fit_quarantines_the_recording(lab: Lab, real_clip: Path, crop: Crop, fact: str) -> None:
    lab.process(real_clip, Recipe(crop=crop))

    record = lab.record(real_clip)
    assert record.state == Fate.QUARANTINED
    assert fact in record.reason
    assert record.stream["width"] == 720, "what was read of it is kept"
    assert lab.left_behind() == []


def test_a_refused_probe_is_not_tried_again(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    lab.process(path)

    (probe,) = [run for run in task_runs(lab.record(path).flow_run_id) if run.name.startswith("probe")]
    assert probe.run_count == 1


def test_the_same_bytes_under_another_name_are_a_duplicate(lab: Lab, tmp_path: Path) -> None:
    first = write_recording(tmp_path / "first.mp4", 5)
    second = tmp_path / "second.mp4"
    shutil.copy(first, second)
    lab.process(first)
    state = lab.process(second)

    assert state.is_completed()
    assert state.name == "Duplicate"
    record = lab.record(second)
    assert record.state == Fate.DUPLICATE
    assert str(first) in record.reason
    assert lab.record(first).state == Fate.FINISHED
    assert record.run_id == lab.record(first).run_id
    assert len(list(lab.store.rglob("*.zarr"))) == 1


def test_a_finished_recording_is_not_made_again(lab: Lab, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "once.mp4", 5)
    lab.process(path)
    store = lab.record(path).store
    assert store is not None
    made_ns = store.stat().st_mtime_ns
    lab.process(path)

    assert lab.record(path).state == Fate.FINISHED
    assert store.stat().st_mtime_ns == made_ns


def test_other_parameters_make_a_run_beside_the_old_one(lab: Lab, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "twice.mp4", 5)
    lab.process(path)
    lab.process(path, Recipe(crop=Crop(x=0, y=0, width=64, height=64)))

    with Catalogue(lab.catalogue) as catalogue:
        runs = catalogue.records("state=finished")
    assert len({run.run_id for run in runs}) == 2
    assert len(list(lab.store.rglob("*.zarr"))) == 2


def test_a_recording_that_is_gone_fails_in_words(lab: Lab, tmp_path: Path) -> None:
    state = lab.process(tmp_path / "gone.mp4")

    assert state.is_failed()
    assert "cannot be read" in (state.message or "")


def damaged_copy(videos_dir: Path, target: Path) -> Path:
    """Make the data of one frame of 300 no H264: it is lost, and 29 more lean on it."""
    mouse = videos_dir / "derived/ref_yuv420p_nob_g60.mp4"
    with av.open(str(mouse)) as container:
        packet = next(packet for number, packet in enumerate(container.demux(video=0)) if number == 150)
    assert packet.pos is not None
    content = bytearray(mouse.read_bytes())
    content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    target.write_bytes(content)
    return target


def test_a_damaged_recording_is_finished_with_a_warning_that_names_the_frames(
    lab: Lab, videos_dir: Path, tmp_path: Path
) -> None:
    path = damaged_copy(videos_dir, tmp_path / "damaged.mp4")
    state = lab.process(path, Recipe(max_corrupt=0.1))

    assert (state.is_completed(), state.name) == (True, "CompletedWithWarnings")
    record = lab.record(path)
    warning = "30 of 300 frames are corrupt (1 of them could not be decoded): frames 150-179."
    assert (record.state, record.n_corrupt, record.warnings) == (Fate.FINISHED, 30, [warning])
    assert record.store is not None
    assert read_record(record.store).warnings == [warning]
    session = open_session(record.store)
    assert session.corrupt.values.nonzero()[0].tolist() == list(range(150, 180))
    lost = np.isnan(session.descriptors.values).all(axis=1)
    assert lost.nonzero()[0].tolist() == [150]


def test_a_recording_with_too_much_damage_is_quarantined_and_leaves_no_store(
    lab: Lab, videos_dir: Path, tmp_path: Path
) -> None:
    path = damaged_copy(videos_dir, tmp_path / "damaged.mp4")
    state = lab.process(path)

    assert state.name == "Quarantined"
    record = lab.record(path)
    assert record.state == Fate.QUARANTINED
    assert "30 of 300 frames are corrupt" in record.reason
    assert "at most 5 % may be (max_corrupt)" in record.reason
    assert not list(lab.store.rglob("*.zarr"))


@pytest.fixture
def old_store(lab: Lab) -> Path:
    """Return a store as facehog sealed it in format 1; its recording lies in the lab's folder."""
    shutil.unpack_archive(Path(__file__).parents[1] / "store_v1.zip", lab.folder)
    return next(lab.store.glob("*/*.zarr"))


def test_a_copy_of_what_an_older_facehog_described_is_a_duplicate(lab: Lab, old_store: Path) -> None:
    path = lab.folder / "m12.mp4"
    assert lab.process(path).name == "Duplicate"

    record = lab.record(path)
    assert (record.state, record.run_id, record.store) == (Fate.DUPLICATE, old_store.stem, old_store)
    assert lab.record(Path("/data/inbox/m12.mp4")) == read_record(old_store)


def test_a_store_that_cannot_be_read_is_told_and_does_not_keep_its_recording_running(lab: Lab, old_store: Path) -> None:
    (old_store / "zarr.json").write_bytes(b"{")
    path = lab.folder / "m12.mp4"
    assert lab.process(path).is_failed()

    record = lab.record(path)
    assert record.state == Fate.FAILED
    assert "zarr.json is not as it was sealed" in record.reason
    assert record.reason.endswith("`facehog process --force PATH`.")
