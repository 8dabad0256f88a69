"""What is exported is read back by libraries that are not ours and not those that wrote it, where there are such."""

from __future__ import annotations

import json
import shutil
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import mat73
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pynwb
import pytest
import xarray as xr
from barcode import write_recording
from nwbinspector import Importance, inspect_nwbfile
from runs import BEGUN, ENDED, make_hogs, make_paths, make_store, make_work, run_recording, shards_of
from scipy.io.matlab import matfile_version
from stills import write_stills

from facehog_core.blocks import COLUMNS, StoredRun
from facehog_core.errors import ExportError, StoreError
from facehog_core.export import FORMS, export_run
from facehog_core.frame_index import NO_PTS
from facehog_core.hog import HogParams
from facehog_core.layout import Work
from facehog_core.mask import Box
from facehog_core.receipts import ShardHogs
from facehog_core.recipe import Recipe
from facehog_core.sealing import seal_store
from facehog_core.session_facts import SessionFacts
from facehog_core.source import list_images
from facehog_core.store import create_store, write_shard

ALL = ("descriptors", "histograms")
CELLS_OF_ONE_BLOCK = Recipe(hog=HogParams(pixels_per_cell=(16, 16)), masks=(Box(x=0, y=0, width=20, height=20),))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a real recording, with masked cells, in 3 shards; times are uneven, and the last follow a gap."""
    folder = tmp_path_factory.mktemp("export")
    pts = [round(number * 33.3) + 70 * (number > 30) for number in range(50)]
    recording = write_recording(folder / "m12.mkv", 50, pts=pts, time_base=Fraction(1, 1000))
    return run_recording(folder / "store", recording, CELLS_OF_ONE_BLOCK, frames_per_shard=20)


@pytest.fixture(scope="module")
def session(store: Path) -> xr.Dataset:
    return xr.open_zarr(store).load()


def make_lossy(root: Path, work: Work) -> Path:
    """Make a store of made-up results, of which frame 11 could not be decoded."""

    def lose(hogs: ShardHogs) -> ShardHogs:
        for values in (hogs.histograms, hogs.descriptors):
            values[1] = np.nan
        return hogs

    paths = make_paths(root, work)
    create_store(paths, work, BEGUN)
    hogs = [make_hogs(work, span) for span in shards_of(work)]
    hogs[1] = lose(hogs[1])
    receipts = [write_shard(paths, span, made) for span, made in zip(shards_of(work), hogs, strict=True)]
    return seal_store(paths, receipts, ENDED)


# -- read back --------------------------------------------------------------------------------------------


def read_csv(path: Path) -> dict[str, Any]:
    table = pd.read_csv(path)
    wide = {name: table.filter(regex=f"^{name}_r").to_numpy(np.float32) for name in ALL}
    return {name: table[name].to_numpy() for name in COLUMNS if name in table} | wide


def read_parquet(path: Path) -> dict[str, Any]:
    table = pd.read_parquet(path)
    return {name: np.stack(table[name]) if name in ALL else table[name].to_numpy() for name in table}


def read_npz(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return dict(arrays)


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "csv": read_csv,
    "parquet": read_parquet,
    "npz": read_npz,
    "mat": lambda path: dict(mat73.loadmat(str(path))),
}


@pytest.mark.parametrize("form", READERS)
def test_every_value_reads_back_exactly(store: Path, session: xr.Dataset, tmp_path: Path, form: str) -> None:
    export_run(store, tmp_path / f"run.{form}", form, arrays=ALL)
    found = READERS[form](tmp_path / f"run.{form}")

    columns = [name for name in COLUMNS if name in session.variables]
    assert {"frame", "time_s", "pts", "corrupt", "keyframe", "n_dropped_after"} <= set(columns)
    for name in columns:
        np.testing.assert_array_equal(found[name], session[name].values, err_msg=name)
    for name in ALL:
        expected = session[name].values
        np.testing.assert_array_equal(found[name].reshape(expected.shape), expected, err_msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_frames_that_could_not_be_decoded_are_nan(tmp_path: Path, form: str) -> None:
    run = make_lossy(tmp_path / "store", make_work())
    export_run(run, tmp_path / f"run.{form}", form)

    if form == "nwb":
        with h5py.File(tmp_path / "run.nwb") as file:
            values = file["processing/behavior/descriptors/data"][:].reshape(23, -1)
    else:
        values = READERS[form](tmp_path / f"run.{form}")["descriptors"]
    assert np.isnan(values).all(axis=1).nonzero()[0].tolist() == [11]


@pytest.mark.parametrize("form", ["npz", "mat", "parquet"])
def test_the_provenance_comes_along(store: Path, session: xr.Dataset, tmp_path: Path, form: str) -> None:
    export_run(store, tmp_path / f"run.{form}", form)
    if form == "parquet":
        text = pq.read_schema(tmp_path / "run.parquet").metadata[b"facehog"]
    else:
        text = str(READERS[form](tmp_path / f"run.{form}")["provenance"])

    told = json.loads(text)
    assert (told["run_id"], told["recipe"]) == (session.attrs["run_id"], session.attrs["recipe"])
    assert {"source", "software", "host", "warnings", "time_source"} <= set(told)
    assert "shards" not in told


def test_values_are_named_by_row_column_and_orientation(store: Path, session: xr.Dataset, tmp_path: Path) -> None:
    export_run(store, tmp_path / "run.csv", "csv")
    table = pd.read_csv(tmp_path / "run.csv")
    export_run(store, tmp_path / "run.parquet", "parquet")
    field = pq.read_schema(tmp_path / "run.parquet").field("histograms")

    # A block is a cell: features are in the order of cells and orientations.
    expected = session.descriptors.values.reshape(50, 6, 10, 8)[:, 3, 7, 5]
    np.testing.assert_array_equal(table["descriptors_r3_c7_o5"].to_numpy(np.float32), expected)
    assert not table.filter(like="histograms").size
    assert json.loads(field.metadata[b"values"])[-1] == "histograms_r5_c9_o7"
    assert json.loads(field.metadata[b"shape"]) == [6, 10, 8]


def test_values_of_blocks_of_several_cells_are_named_by_their_place(tmp_path: Path) -> None:
    run = StoredRun.open(make_store(tmp_path / "store", make_work()))
    export_run(run.path, tmp_path / "run.csv", "csv")
    header = (tmp_path / "run.csv").read_text().splitlines()[0].split(",")

    # 24 x 40 pixels are 3 x 5 cells of 8 x 8, so 2 x 4 blocks of 2 x 2 cells with 4 orientations each.
    assert run.block_shape == (2, 4, 16)
    assert header[-1] == "descriptors_r1_c3_v15"
    assert len([name for name in header if name.startswith("descriptors")]) == run.shape("descriptors")[1]


def test_masked_cells_are_told(store: Path, session: xr.Dataset, tmp_path: Path) -> None:
    assert session.masked.values.any()
    for form in ("npz", "mat"):
        export_run(store, tmp_path / f"run.{form}", form)
        np.testing.assert_array_equal(READERS[form](tmp_path / f"run.{form}")["masked"], session.masked.values)


def test_a_mat_file_is_matlab_s_by_its_first_bytes_and_has_the_frames_first(store: Path, tmp_path: Path) -> None:
    export_run(store, tmp_path / "run.mat", "mat")

    head = (tmp_path / "run.mat").read_bytes()[:128]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:] == b"\0\2IM"
    # MATLAB's own reader is not to be had; SciPy's tells its versions apart as MATLAB does.
    assert matfile_version(tmp_path / "run.mat") == (2, 0)
    with h5py.File(tmp_path / "run.mat") as file:
        # HDF5 has MATLAB's dimensions in the opposite order.
        assert file["descriptors"].shape == (480, 50)
        assert file["time_s"].shape == (1, 50)
        assert {name: file[name].attrs["MATLAB_class"] for name in ("descriptors", "corrupt", "provenance")} == {
            "descriptors": b"single",
            "corrupt": b"logical",
            "provenance": b"char",
        }


# -- NWB --------------------------------------------------------------------------------------------------

FACTS = SessionFacts(
    subject_id="CSE020",
    species="Mus musculus",
    sex="F",
    age="P90D",
    session_start_time=datetime(2021, 11, 5, 9, 30, tzinfo=UTC),
    experimenter="Doe, Jane",
)


def inspect(path: Path) -> list[str]:
    """Return what NWB's inspector calls a violation of best practice, or worse, and what the schema forbids."""
    worse = inspect_nwbfile(nwbfile_path=path, importance_threshold=Importance.BEST_PRACTICE_VIOLATION)
    return [f"{found.importance.name} {found.check_function_name}: {found.message}" for found in worse] + [
        str(error) for error in pynwb.validate(path=str(path))
    ]


def test_the_inspector_finds_nothing_wrong_and_pynwb_reads_it(store: Path, session: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.nwb"
    remarks = export_run(store, path, "nwb", facts=FACTS)
    assert inspect(path) == []

    with pynwb.NWBHDF5IO(str(path), "r") as io:
        file = io.read()
        series = file.processing["behavior"]
        np.testing.assert_array_equal(series["histograms"].data[:], session.histograms.values)
        np.testing.assert_array_equal(series["descriptors"].data[:].reshape(50, -1), session.descriptors.values)
        # Uneven: each series has the frames' own times.
        for name in ("descriptors", "histograms", "corrupt", "frame", "n_dropped_after"):
            np.testing.assert_array_equal(series[name].timestamps[:], session.time_s.values)
        video = file.acquisition["recording"]
        assert not Path(video.external_file[0]).is_absolute()
        assert (path.parent / video.external_file[0]).samefile(session.attrs["source"]["path"])
        assert (file.subject.subject_id, file.subject.species, file.subject.sex) == ("CSE020", "Mus musculus", "F")
        assert file.session_start_time == FACTS.session_start_time
        assert json.loads(file.notes)["run_id"] == session.attrs["run_id"]
        assert ["av", "18.1.0"] in [list(pair) for pair in file.was_generated_by[:]]
    assert remarks == session.attrs["warnings"]


def test_what_is_not_known_is_exported_as_unknown_and_told(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "m12.mp4", 50)
    run = run_recording(tmp_path / "store", recording, CELLS_OF_ONE_BLOCK)
    unknown, start = export_run(run, tmp_path / "run.nwb", "nwb")

    assert inspect(tmp_path / "run.nwb") == []
    assert "subject_id, species, sex, age" in unknown
    assert start.startswith("session_start_time is not known")
    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        file = io.read()
        assert (file.subject.subject_id, file.subject.sex) == ("unknown", "U")
        assert file.session_start_time.timestamp() == pytest.approx(recording.stat().st_mtime - 50 / 30, abs=0.1)
        # Even times are a first one and a rate.
        series = file.processing["behavior"]["descriptors"]
        assert (series.starting_time, series.rate, series.timestamps) == (0, 30, None)


def with_times(root: Path, pts: list[int], **facts: Any) -> Path:
    work = make_work(len(pts), **facts)
    return make_store(root, replace(work, index=replace(work.index, pts=np.array(pts), is_seekable=False)))


def test_a_frame_without_a_time_gets_one_between_its_neighbours_and_is_marked(tmp_path: Path) -> None:
    pts = [512 * number for number in range(23)]
    pts[4] = pts[5] = pts[22] = NO_PTS
    run = with_times(tmp_path / "store", pts)
    remarks = export_run(run, tmp_path / "run.nwb", "nwb", facts=FACTS)

    with h5py.File(tmp_path / "run.nwb") as file:
        module = file["processing/behavior"]
        times, is_timed = module["descriptors/timestamps"][:], module["is_timed/data"][:]
    np.testing.assert_allclose(times[:22], np.arange(22) / 30, atol=1e-12)
    assert np.flatnonzero(is_timed == 0).tolist() == [4, 5, 22]
    assert any("3 of 23 frames have no time" in remark and "4-5, 22" in remark for remark in remarks)
    assert any("is not there any more: /nowhere/m12.mp4" in remark for remark in remarks)


def test_times_that_step_back_are_exported_as_they_are(tmp_path: Path) -> None:
    pts = [512 * number for number in range(23)]
    pts[9] = pts[8] - 512
    run = with_times(tmp_path / "store", pts)
    remarks = export_run(run, tmp_path / "run.nwb", "nwb", facts=FACTS)

    with h5py.File(tmp_path / "run.nwb") as file:
        times = file["processing/behavior/descriptors/timestamps"][:]
    np.testing.assert_array_equal(times, xr.open_zarr(run).time_s.values)
    assert any("Not all times ascend" in remark for remark in remarks)


def test_times_since_1970_are_exported_from_the_session_s_start(tmp_path: Path) -> None:
    run = with_times(tmp_path / "store", [1_700_000_000 + number**2 for number in range(23)], time_base="1/1")
    export_run(run, tmp_path / "run.nwb", "nwb")

    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        file = io.read()
        assert file.session_start_time == datetime.fromtimestamp(1_700_000_000, UTC)
        times = file.processing["behavior"]["descriptors"].timestamps[:]
    np.testing.assert_array_equal(times, np.arange(23.0) ** 2)


def test_frames_that_are_only_counted_are_refused_by_nwb_and_by_no_other_form(tmp_path: Path) -> None:
    run = with_times(tmp_path / "store", [NO_PTS] * 23)

    with pytest.raises(ExportError, match="its frames have no times"):
        export_run(run, tmp_path / "run.nwb", "nwb")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "store"]
    export_run(run, tmp_path / "run.npz", "npz")


def test_a_part_of_a_recording_refers_to_it_by_its_nominal_rate(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "m12.mp4", 60)
    recipe = replace(CELLS_OF_ONE_BLOCK, frames=replace(Recipe().frames, start=10, stop=50))
    export_run(run_recording(tmp_path / "store", recording, recipe), tmp_path / "run.nwb", "nwb", facts=FACTS)

    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        file = io.read()
        assert (file.acquisition["recording"].rate, file.acquisition["recording"].starting_time) == (30, 0)
        series = file.processing["behavior"]
        assert series["frame"].data[:].tolist() == list(range(10, 50))
        assert series["descriptors"].starting_time == pytest.approx(10 / 30)


def test_a_folder_of_images_is_referred_to_image_by_image(tmp_path: Path) -> None:
    folder = write_stills(tmp_path / "face", 14)
    run = run_recording(tmp_path / "store", folder, replace(CELLS_OF_ONE_BLOCK, frame_rate=Fraction(30)))
    export_run(run, tmp_path / "run.nwb", "nwb", facts=FACTS)

    assert inspect(tmp_path / "run.nwb") == []
    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        video = io.read().acquisition["recording"]
        named = [tmp_path / name for name in video.external_file[:]]
        assert [path.is_file() for path in named] == [True] * 14
        assert named == [folder / image.name for image in list_images(folder)]
        assert video.starting_frame[:].tolist() == list(range(14))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sexe": "F"}, "'sexe' is not known of a session"),
        ({"sex": "female"}, "sex must be one of M, F, O, U"),
        ({"species": "mouse"}, "species must be a Latin name"),
        ({"age": "90 days"}, "age must be an ISO 8601 duration"),
        ({"age": "P"}, "age must be an ISO 8601 duration"),
        ({"subject_id": "a/b"}, "subject_id must be without a slash"),
        ({"session_start_time": "yesterday"}, "session_start_time must be written as"),
    ],
)
def test_facts_that_nwb_does_not_take_are_refused_in_words(given: dict[str, str], said: str) -> None:
    with pytest.raises(ExportError, match=said):
        SessionFacts.from_mapping(given)


def test_subject_and_day_that_the_run_knows_are_exported(tmp_path: Path) -> None:
    work = make_work()
    paths = make_paths(tmp_path / "store", work)
    identity = {"identity": {"subject": "CSE020", "session_date": "2021-11-05"}}
    create_store(paths, work, BEGUN | identity)
    run = seal_store(paths, [write_shard(paths, span, make_hogs(work, span)) for span in shards_of(work)], ENDED)
    remarks = export_run(run, tmp_path / "run.nwb", "nwb")

    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        file = io.read()
        assert file.subject.subject_id == "CSE020"
        assert file.session_start_time == datetime(2021, 11, 5).astimezone()
    assert any("only the day is known" in remark for remark in remarks)
    assert any("unknown: species, sex, age." in remark for remark in remarks)


@pytest.fixture
def in_japan(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(sys.platform == "win32", reason="has no clock of a process's own")
@pytest.mark.parametrize(
    ("day", "start"),
    [
        # When its file was last changed it was still the day before in UTC.
        ("2023-11-15", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) - timedelta(seconds=0.1)),
        ("2023-11-14", datetime(2023, 11, 13, 15, tzinfo=UTC)),
    ],
)
def test_the_day_of_a_session_is_by_the_lab_s_clock(tmp_path: Path, in_japan: None, day: str, start: datetime) -> None:
    work = make_work(3)
    paths = make_paths(tmp_path / "store", work)
    create_store(paths, work, BEGUN | {"identity": {"subject": "CSE020", "session_date": day}})
    run = seal_store(paths, [write_shard(paths, span, make_hogs(work, span)) for span in shards_of(work)], ENDED)
    export_run(run, tmp_path / "run.nwb", "nwb")

    with pynwb.NWBHDF5IO(str(tmp_path / "run.nwb"), "r") as io:
        assert abs(io.read().session_start_time - start) < timedelta(milliseconds=1)


def test_facts_are_read_from_text() -> None:
    given = {"age": "P12W/P14W", "session_start_time": "2021-11-05T09:30"}
    facts = SessionFacts.from_mapping(given)
    assert (facts.age, facts.session_start_time) == ("P12W/P14W", datetime(2021, 11, 5, 9, 30, tzinfo=UTC))
    assert facts.unknown == ["subject_id", "species", "sex"]


# -- files ------------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_written_over(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "run.npz"
    target.write_bytes(b"mine")
    with pytest.raises(ExportError, match=r"it is there already\. Give --force"):
        export_run(store, target, "npz")
    assert target.read_bytes() == b"mine"

    export_run(store, target, "npz", force=True)
    assert "descriptors" in read_npz(target)


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_fails_leaves_nothing(store: Path, tmp_path: Path, form: str) -> None:
    broken = Path(shutil.copytree(store, tmp_path / "broken.zarr"))
    shard = broken / "descriptors" / "c" / "2" / "0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)

    with pytest.raises(StoreError, match="descriptors of frames 40-50 cannot be read"):
        export_run(broken, tmp_path / f"run.{form}", form)
    assert sorted(tmp_path.iterdir()) == [broken]


def test_a_file_of_the_store_that_is_missing_is_no_nan(store: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(store, tmp_path / "broken.zarr"))
    (broken / "descriptors" / "c" / "2" / "0").unlink()

    with pytest.raises(StoreError, match="descriptors/c/2/0: missing, or not of the size that was written"):
        export_run(broken, tmp_path / "run.csv", "csv")


@pytest.mark.parametrize(("form", "library"), [("nwb", "pynwb"), ("parquet", "pyarrow"), ("mat", "h5py")])
def test_a_library_that_is_not_installed_is_named_with_how_to_install_it(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(
        ExportError, match=rf"{library} is not installed.*pip install -c requirements.lock '.\[export\]'"
    ):
        export_run(store, tmp_path / f"run.{form}", form)


@pytest.mark.parametrize(
    ("form", "arrays", "said"),
    [
        ("xls", None, "there is no form 'xls'. Choose from nwb, parquet, csv, mat, npz"),
        ("npz", ["images"], "'images' cannot be exported. Choose from descriptors, histograms"),
        ("npz", [], "nothing cannot be exported"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_choices(
    store: Path, tmp_path: Path, form: str, arrays: list[str] | None, said: str
) -> None:
    with pytest.raises(ExportError, match=said):
        export_run(store, tmp_path / "run", form, arrays=arrays)


def test_a_folder_and_a_file_in_no_folder_are_refused(store: Path, tmp_path: Path) -> None:
    for target, said in ((tmp_path, "it is a folder"), (tmp_path / "nowhere" / "run.npz", "there is no folder")):
        with pytest.raises(ExportError, match=said):
            export_run(store, target, "npz")


@pytest.mark.parametrize("form", FORMS)
def test_progress_is_told_up_to_the_end(store: Path, tmp_path: Path, form: str) -> None:
    told: list[tuple[int, int]] = []
    export_run(store, tmp_path / f"run.{form}", form, tell=lambda *steps: told.append(steps))

    assert told == sorted(told)
    assert len(told) >= 3
    assert {n_all for _, n_all in told} == {50 * len(FORMS[form].arrays)}
    assert told[-1][0] == told[-1][1]


@pytest.fixture(scope="module")
def short_and_long(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Stores of 60 and of 480 frames, 30 in each file; 4 kB a frame."""
    recipe, root = Recipe(hog=HogParams(pixels_per_cell=(4, 4))), tmp_path_factory.mktemp("lengths")
    return [make_store(root / str(n), make_work(n, shard=30, recipe=recipe)) for n in (60, 480)]


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_the_recording(short_and_long: list[Path], tmp_path: Path, form: str) -> None:
    peaks = []
    # The first one twice: what is imported and remembered once is not meant.
    for number, store in enumerate([short_and_long[0], *short_and_long]):
        tracemalloc.start()
        export_run(store, tmp_path / f"{number}.{form}", form)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    # 420 frames more are 1.6 MB in both arrays.
    assert peaks[2] - peaks[1] < 200_000
