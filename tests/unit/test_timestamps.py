from __future__ import annotations

import csv
import io
import os
import pickle
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from barcode import write_recording
from hypothesis import given
from hypothesis import strategies as st
from runs import BEGUN, ENDED, make_work

from facehog_core.errors import ChangedError, TimestampsError
from facehog_core.extract import extract_chunk, plan_run
from facehog_core.recipe import Recipe, name_run
from facehog_core.run_paths import RunPaths
from facehog_core.sealed import read_record
from facehog_core.sealing import seal_store
from facehog_core.timestamps import UNITS, TimestampsSource, find_timestamps, read_timestamps
from facehog_core.timing import Times, time_frames
from facehog_core.verify import Verdict, verify_store
from facehog_core.video import probe


def read(folder: Path, content: str | bytes, column: str | int | None = None, unit: str = "s") -> list[Fraction]:
    """Write a file, read it, and return the seconds exactly."""
    path = folder / "m12_times.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = TimestampsSource(file="{stem}_times.csv", column=column, unit=unit)
    found = find_timestamps(folder / "m12.mp4", source)
    assert found is not None
    stamps = read_timestamps(found, source)
    return [int(tick) * stamps.unit for tick in stamps.ticks]


# -- what is written is what is read ----------------------------------------------------------------------

# As Python, numpy and spreadsheets write numbers: with a point, an exponent, or neither.
NUMBERS = (
    st.integers(-(10**19), 10**19).map(str)
    | st.decimals(-(10**9), 10**9, places=9).map(str)
    | st.floats(-1e15, 1e15).filter(lambda x: not 0 < abs(x) < 1e-20).map(repr)
)


@given(
    st.lists(NUMBERS, min_size=1),
    st.sampled_from([",", "\t", ";", " ", "   "]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
    st.sampled_from(["time", 2]),
    st.sampled_from(list(UNITS)),
)
def test_numbers_are_read_exactly_however_they_are_written(
    tmp_path_factory: pytest.TempPathFactory,
    numbers: list[str],
    separator: str,
    newline: str,
    encoding: str,
    has_remark: bool,
    column: str | int,
    unit: str,
) -> None:
    rows = [["frame", "time", "note"], *([str(number), text, "x"] for number, text in enumerate(numbers))]
    lines = ["# written by a rig"] * has_remark + [separator.join(row) for row in rows]
    content = (newline.join(lines) + newline).encode(encoding)
    exact = [Fraction(Decimal(text)) * UNITS[unit] for text in numbers]
    assert read(tmp_path_factory.mktemp("times"), content, column, unit) == exact


@given(st.lists(st.just(0.0) | st.floats(1e-20, 1e6), min_size=1), st.booleans())
def test_what_pandas_and_numpy_write_is_read(
    tmp_path_factory: pytest.TempPathFactory, times: list[float], by_numpy: bool
) -> None:
    folder = tmp_path_factory.mktemp("times")
    table = pd.DataFrame({"frame": range(len(times)), "time (s)": times})
    if by_numpy:
        np.savetxt(folder / "table.csv", table.to_numpy(), fmt="%.17g", delimiter=",", header="frame,time (s)")
    else:
        table.to_csv(folder / "table.csv", index=False)
    found = read(folder, (folder / "table.csv").read_bytes(), "time (s)")
    assert [float(time) for time in found] == times


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("0\n0.5\n1\n", None),
        ("0\n0.5\n1", None),
        ("\n\n0\n\n0.5\n1\n\n", None),
        ("time\n0\n.5\n1.\n", None),
        ("time in seconds\n0\n0.5\n1\n", None),
        ("# time, in seconds\n% of the rig\n0\n0.5\n# half\n1\n", None),
        ('"time"\n"0"\n"0.5"\n"1"\n', None),
        ('"a, b","time"\n"x, y",0\n"x, y",0.5\n"",1\n', "time"),
        ("time,\n0,\n0.5,\n1,\n", None),
        ("0,a\n0.5,b\n1,c\n", 1),
        ("frame; time\n1; 0\n2; 0,5\n3; 1,0\n", "time"),
        ("# frame time\n1 0\n2 +5e-1\n3 1E0\n", "time"),
        ("frame; time\n1; 0,000\n2; 0,500\n3; 1,000\n", "time"),
        ("frame,time\n1,0\n2,0.5\n3,1\n", 2),
    ],
)
def test_headers_remarks_and_separators_are_understood(tmp_path: Path, content: str, column: str | int | None) -> None:
    assert read(tmp_path, content, column) == [0, Fraction(1, 2), 1]


def test_a_comma_that_is_a_decimal_one_elsewhere_in_the_column_is_one_everywhere(tmp_path: Path) -> None:
    stamps = [Fraction(number, 1000) for number in (998_967, 999_000, 1_000_033)]
    assert read(tmp_path, "a;998,967\nb;999,000\nc;1000,033\n", 2) == stamps


def test_what_csv_writes_of_awkward_headers_is_read(tmp_path: Path) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([['ti"me, s', "n"], [0, 1], [1, 2]])
    assert read(tmp_path, text.getvalue(), 'ti"me, s') == [0, 1]


@pytest.mark.parametrize(
    ("content", "column", "said"),
    [
        ("0\n0.5\nnan\n", None, "line 3: 'nan' is no number"),
        ("time\n0\n\n0.5 s\n", None, "line 4 has 2 columns, and none is chosen"),
        ("t,x\n0,1\n,1\n", 1, "line 3: '' is no number"),
        ("0\n1_000\n", None, "line 2: '1_000' is no number"),
        ("0\n12.3.4\n", None, "line 2: '12.3.4' is no number"),
        ("0\n1e999\n", None, "line 2: '1e999' is no number"),
        ("0\n.\n", None, "line 2: '.' is no number"),
        ("0\n" + "9" * 61 + "\n", None, "line 2: '9{40}' is no number"),
        ("0\n2026-11-21T12:00:00\n", None, "line 2: '2026-11-21T12:00:00' is no number"),
        ("a,b\n0,1\n", None, "line 2 has 2 columns, and none is chosen"),
        ("a,b\n0,1\n2\n", 2, "line 3 has 1 columns, and column 2 is wanted"),
        ("a,b\n0,1\n", "time", r"no column is named 'time' \(but a, b\)"),
        ("time,time\n0,1\n", "time", "2 columns are named 'time'"),
        ("0,033\n0,066\n", None, "line 1 has 2 columns, .* If that is a decimal comma, write points"),
        ("1\t1,234\n2\t1,267\n", 2, "line 1: '1,234' may be 1.234 and may be 1234"),
        ("a;999\nb;1,000\n", 2, "line 2: '1,000' may be 1.000 and may be 1000"),
        ("", None, "it holds no timestamps"),
        ("# time\n\n", None, "it holds no timestamps"),
        ("time\n", None, "it holds no timestamps"),
        ("1" * 2**16, None, "line 1 has no end"),
        (bytes(range(256)) * 9, None, "is no number|none is chosen|no end"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(
    tmp_path: Path, content: str | bytes, column: str | int | None, said: str
) -> None:
    with pytest.raises(TimestampsError, match=said) as caught:
        read(tmp_path, content, column)
    assert str(caught.value).startswith("m12_times.csv: ")
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@given(content=st.binary(max_size=200), column=st.none() | st.integers(1, 3) | st.just("time"))
def test_any_bytes_are_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, column: str | int | None
) -> None:
    try:
        read(tmp_path_factory.mktemp("times"), content, column)
    except TimestampsError as error:
        assert "\n" not in str(error)  # noqa: PT017 - whatever it holds


# -- where they are ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("{stem}_times.csv", "/data/m12.cam0_times.csv"),
        ("../times/{name}.txt", "/data/../times/m12.cam0.mp4.txt"),
        ("/elsewhere/times.csv", "/elsewhere/times.csv"),
        ("{{{stem}}}.csv", "/data/{m12.cam0}.csv"),
    ],
)
def test_a_pattern_names_a_file_from_the_recordings_folder(file: str, path: str) -> None:
    assert TimestampsSource(file=file).path_for(Path("/data/m12.cam0.mp4")) == Path(path)


@pytest.mark.parametrize("file", ["", "{}", "{0}", "{stem", "{steam}", "{stem.__class__}", "{stem!r}", "{stem:>9}"])
def test_what_is_no_pattern_is_refused(file: str) -> None:
    with pytest.raises(ValueError, match="file must be a path"):
        TimestampsSource(file=file)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert find_timestamps(tmp_path / "m12.mp4", TimestampsSource(file="{stem}.csv")) is None
    assert find_timestamps(tmp_path / "m12.mp4", TimestampsSource(file="no/such/folder/{stem}.csv")) is None
    assert find_timestamps(tmp_path / "m12.mp4", None) is None


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "m12.csv").mkdir()
    with pytest.raises((TimestampsError, PermissionError), match=r"cannot be read|denied"):
        find_timestamps(tmp_path / "m12.mp4", TimestampsSource(file="{stem}.csv"))


def test_what_can_never_be_read_is_refused_and_not_looked_at_for_ever(tmp_path: Path) -> None:
    with pytest.raises(TimestampsError, match="the timestamps cannot be read"):
        find_timestamps(tmp_path / f"{'n' * 230}.mp4", TimestampsSource(file="{stem}_timestamps_of_the_camera.csv"))
    loop = tmp_path / "m12.csv"
    try:
        loop.symlink_to(loop)
    except OSError:
        pytest.skip("links may not be made here")
    with pytest.raises(TimestampsError, match="the timestamps cannot be read"):
        find_timestamps(tmp_path / "m12.mp4", TimestampsSource(file="{stem}.csv"))


def test_a_file_that_changed_since_it_was_found_is_not_read(tmp_path: Path) -> None:
    source = TimestampsSource(file="{stem}.csv")
    (tmp_path / "m12.csv").write_text("0\n1\n")
    found = find_timestamps(tmp_path / "m12.mp4", source)
    assert found is not None
    (tmp_path / "m12.csv").write_text("0\n2\n")
    with pytest.raises(ChangedError, match="changed while they were being read"):
        read_timestamps(found, source)
    (tmp_path / "m12.csv").unlink()
    with pytest.raises(ChangedError):
        read_timestamps(found, source)


# -- joined with the frames -------------------------------------------------------------------------------


def join(folder: Path, content: str, unit: str = "s", n_frames: int = 5) -> Times:
    """Time the frames of a made-up recording (33.3 ms) by what a file says."""
    (folder / "m12.csv").write_text(content)
    work = make_work(n_frames, path=str(folder / "m12.mp4"))
    recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv", unit=unit))
    return time_frames(work.info, work.index, recipe, find_timestamps(folder / "m12.mp4", recipe.timestamps))


def test_nanoseconds_since_1970_lose_nothing(tmp_path: Path) -> None:
    stamps = [1_795_262_455_534_703_863 + number * 33_333_333 for number in range(5)]
    times = join(tmp_path, "\n".join(map(str, stamps)), "ns")
    assert times.timestamps is not None
    assert times.timestamps.tolist() == stamps
    assert times.sidecar is not None
    assert times.sidecar["tick_s"] == "1/1000000000"
    # The seconds are rounded once, to the 0.24 us that a float64 has left in 2026.
    assert times.time_s.tolist() == [float(Fraction(stamp, 10**9)) for stamp in stamps]
    assert times.interval_s == pytest.approx(0.033333333, rel=1e-9)
    assert (times.source, times.unit, times.n_dropped, times.warnings) == ("sidecar m12.csv", "s", 0, [])


def test_a_differing_count_is_told_with_both_numbers_and_not_repaired(tmp_path: Path) -> None:
    for content, n in (("0\n1\n2\n3\n", 4), ("0\n1\n2\n3\n4\n5\n", 6)):
        times = join(tmp_path, content)
        assert times.time_s.tolist() == [number / 30 for number in range(5)]
        assert times.source == "container"
        assert times.warnings == [
            f"m12.csv holds {n} timestamps, but the recording 5 frames: they are not used, and time_s is from: "
            "container."
        ]
        assert times.timestamps is None
        assert times.sidecar is not None
        assert (times.sidecar["n_timestamps"], times.sidecar["is_used"]) == (n, False)


def test_timestamps_that_are_looked_for_and_not_there_are_a_warning(tmp_path: Path) -> None:
    work = make_work(5, path=str(tmp_path / "m12.mp4"))
    times = time_frames(work.info, work.index, Recipe(timestamps=TimestampsSource(file="{stem}.csv")), None)
    assert times.warnings == [f"There are no timestamps at {tmp_path / 'm12.csv'}: time_s is from: container."]
    assert (times.source, times.sidecar) == ("container", None)


def test_gaps_and_steps_back_of_timestamps_are_found(tmp_path: Path) -> None:
    assert join(tmp_path, "0\n.033\n.067\n.2\n.233\n").warnings == [
        "3 frames are missing in 1 gap of more than 1.5 times the usual 33.3333 ms: 3 after frame 2 (0.133 s)."
    ]
    assert join(tmp_path, "0.1\n0.2\n0.1\n0.1\n0.2\n").warnings == [
        "1 of 5 frames repeat the time of the frame before (frame 3).",
        "1 of 5 frames are timed before the frame before (frame 2).",
    ]


def test_a_unit_that_does_not_fit_to_the_container_is_doubted(tmp_path: Path) -> None:
    (warning,) = join(tmp_path, "0\n33\n67\n100\n133\n").warnings
    assert warning.startswith("The usual interval is 33.25 s by the timestamps and 0.0333333 s by the container")
    assert join(tmp_path, "0\n33\n67\n100\n133\n", "ms").warnings == []


def test_numbers_that_64_bits_do_not_hold_make_times_all_the_same(tmp_path: Path) -> None:
    times = join(tmp_path, "0\n3.3333333333333335e-05\n1e15\n1000000000000001\n1000000000000002\n")
    assert times.timestamps is None
    assert times.time_s.tolist() == [0, 3.3333333333333335e-05, 1e15, 1e15 + 1, 1e15 + 2]


# -- in a run ---------------------------------------------------------------------------------------------


def run(folder: Path, recipe: Recipe) -> Path:
    """Turn the recording in a folder into a store, as the flow does."""
    recording = folder / "m12.h264"
    info, _ = probe(recording)
    found = find_timestamps(recording, recipe.timestamps)
    paths = RunPaths(root=folder / "store", recording=recording.name, run_id=name_run(info.digest, recipe, found))
    plan = plan_run(paths, info, recipe, BEGUN, found)
    return seal_store(paths, [receipt for chunk in plan for receipt in extract_chunk(paths, chunk)], ENDED)


def test_a_store_has_the_timestamps_exactly_and_says_where_they_come_from(tmp_path: Path) -> None:
    write_recording(tmp_path / "m12.h264", 5)
    stamps = [1_795_262_455_534_703_863 + number * 33_333_333 for number in range(5)]
    (tmp_path / "m12.csv").write_text("frame,time\n" + "".join(f"{n},{stamp}\n" for n, stamp in enumerate(stamps)))
    store = run(tmp_path, Recipe(timestamps=TimestampsSource(file="{stem}.csv", column="time", unit="ns")))

    dataset, record = xr.open_zarr(store), read_record(store)
    assert dataset.timestamps.values.tolist() == stamps
    assert dataset.timestamps.attrs["unit"] == "1/1000000000 s"
    assert "timestamps" in dataset.coords
    assert dataset.time_s.values.tolist() == [float(Fraction(stamp, 10**9)) for stamp in stamps]
    assert (dataset.attrs["time_source"], record.warnings, record.n_dropped) == ("sidecar m12.csv", [], 0)
    sidecar = record.timing["sidecar"]
    assert (sidecar["path"], sidecar["n_timestamps"], sidecar["is_used"]) == (str(tmp_path / "m12.csv"), 5, True)


def test_timestamps_that_come_later_make_a_run_of_their_own(tmp_path: Path) -> None:
    write_recording(tmp_path / "m12.h264", 3)
    recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    first = run(tmp_path, recipe)
    (tmp_path / "m12.csv").write_text("0\n1\n2\n")
    second = run(tmp_path, recipe)
    assert first != second
    assert [len(read_record(store).warnings) for store in (first, second)] == [2, 0]


def test_verify_finds_timestamps_that_were_changed_and_minds_none_that_are_gone(tmp_path: Path) -> None:
    write_recording(tmp_path / "m12.h264", 3)
    (tmp_path / "m12.csv").write_text("0\n1\n2\n")
    store = run(tmp_path, Recipe(timestamps=TimestampsSource(file="{stem}.csv")))

    def problems() -> list[str]:
        *_, verdict = verify_store(store)
        assert isinstance(verdict, Verdict)
        return verdict.problems

    assert problems() == []
    (tmp_path / "m12.csv").write_text("0\n1\n3\n")
    assert problems() == [f"{tmp_path / 'm12.csv'} does not hold the timestamps any more that were read"]
    (tmp_path / "m12.csv").unlink()
    assert problems() == []


def test_an_unreadable_file_lays_nothing_out(tmp_path: Path) -> None:
    write_recording(tmp_path / "m12.h264", 3)
    (tmp_path / "m12.csv").write_text("0\n1\nx\n")
    with pytest.raises(TimestampsError, match="line 3: 'x' is no number"):
        run(tmp_path, Recipe(timestamps=TimestampsSource(file="{stem}.csv")))
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_in_place_of_timestamps_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m12.csv")
    with pytest.raises(TimestampsError, match="the timestamps cannot be read: it is no regular file"):
        find_timestamps(tmp_path / "m12.mp4", TimestampsSource(file="{stem}.csv"))
