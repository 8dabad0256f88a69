from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from barcode import write_recording
from commands import Answer, catalogue_run, run_command
from runs import ENDED, lay_out_run

from facehog_core import describe_again
from facehog_core.chunking import Chunk
from facehog_core.decode import DecodedFrame
from facehog_core.errors import ChangedError, FacehogError, StoreError, UnreadableError
from facehog_core.extract import compute_shard, extract_chunk
from facehog_core.hog import HogParams
from facehog_core.layout import Work
from facehog_core.mask import Box
from facehog_core.receipts import ShardHogs
from facehog_core.recipe import Recipe
from facehog_core.reproduce import Reproduction, describe_recording, reproduce_run, tell_by_hand
from facehog_core.sealed import read_record
from facehog_core.sealing import seal_store
from facehog_core.selection import Selection
from facehog_core.store import read_work
from facehog_core.timestamps import TimestampsSource

SMALL = Recipe(hog=HogParams(pixels_per_cell=(16, 16)))
ODD = replace(
    SMALL,
    with_images=True,
    masks=(Box(x=0, y=0, width=20, height=20),),
    frames=Selection(start=3, stop=33, step=2),
    keep_bits=10,
    downsample=2,
    timestamps=TimestampsSource(file="{stem}.csv", unit="ms"),
    frame_rate=Fraction(30),
)


def make(folder: Path, recipe: Recipe) -> Path:
    """Make a store as everybody does who needs no service."""
    recording = write_recording(folder / "m12.mp4", 40)
    (folder / "m12.csv").write_text("\n".join(str(33 * number) for number in range(40)))
    *_, store = describe_recording(recording, recipe, folder / "store")
    assert isinstance(store, Path)
    return store


def reproduced(store: Path, scratch: Path | None = None) -> Reproduction:
    *_, found = reproduce_run(store, scratch)
    assert isinstance(found, Reproduction)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("reproduced"), SMALL)


@pytest.mark.parametrize("recipe", [SMALL, ODD], ids=["usual", "odd"])
def test_a_run_is_reproduced_to_the_last_bit_and_nothing_is_left(tmp_path: Path, recipe: Recipe) -> None:
    store, scratch = make(tmp_path, recipe), tmp_path / "scratch"
    scratch.mkdir()
    found = reproduced(store, scratch)

    assert found.is_same
    assert (found.told, found.versions) == ([], [])
    names = {array.name for array in found.arrays}
    assert {"descriptors", "histograms", "corrupt", "frame", "time_s", "pts"} <= names
    assert ({"images", "masked", "timestamps"} <= names) == (recipe is ODD)
    assert list(scratch.iterdir()) == []


def forge(root: Path, recording: Path, *places: int) -> Path:
    """Make a store in which some frames hold other numbers than their recording gives."""
    paths = lay_out_run(root, recording, SMALL, frames_per_shard=15)

    def compute(frames: Iterator[DecodedFrame], span: Chunk, work: Work) -> ShardHogs:
        hogs = compute_shard(frames, span, work)
        for place in places:
            if span.start <= place < span.stop:
                hogs.histograms[place - span.start, 2, 3, 1] += np.float32(0.25)
        return replace(hogs, descriptors=work.view.normalise(hogs.histograms))

    receipts = [made for chunk in read_work(paths).plan for made in extract_chunk(paths, chunk, compute=compute)]
    return seal_store(paths, receipts, ENDED)


def test_what_differs_is_told_array_by_array_and_frame_by_frame(tmp_path: Path) -> None:
    store = forge(tmp_path / "store", write_recording(tmp_path / "m12.mp4", 40), 7, 8, 22)
    found = reproduced(store)

    arrays = {array.name: array for array in found.arrays}
    assert not found.is_same
    assert str(arrays["histograms"]) == "histograms: 3 frames differ (7-8, 22), by up to 0.25"
    assert arrays["descriptors"].n_differing == 3
    assert {name for name, array in arrays.items() if not array.is_same} == {"histograms", "descriptors"}


def test_versions_that_differ_are_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    then = read_record(store).software
    monkeypatch.setattr(describe_again, "describe_software", lambda: then | {"av": "99.0"})

    found = reproduced(store)
    assert found.versions == [f"av {then['av']}, now 99.0"]
    assert found.is_same


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda store, recording: damage(recording), ChangedError, "not the recording any more that was described"),
        (lambda store, recording: recording.unlink(), UnreadableError, "cannot be read: No such file or directory"),
        (lambda store, recording: damage(store / "pts" / "c" / "0"), StoreError, "pts/c/0 has other bytes"),
        (lambda store, recording: damage(recording.with_suffix(".csv")), ChangedError, "the timestamps any more"),
    ],
    ids=["changed", "gone", "damaged", "timestamps"],
)
def test_what_cannot_be_compared_is_refused_in_words(
    tmp_path: Path, spoil: Callable[[Path, Path], None], error: type[FacehogError], said: str
) -> None:
    store = make(tmp_path, ODD)
    spoil(store, tmp_path / "m12.mp4")

    with pytest.raises(error, match=said):
        reproduced(store)


def test_the_program_that_does_it_by_hand_runs_and_finds_the_same(tmp_path: Path) -> None:
    record = read_record(make(tmp_path, ODD))
    program = tell_by_hand(record)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True
    )

    (asked,) = (line.split() for line in program.splitlines() if "pip install FOLDER" in line)
    assert f"numpy=={record.software['numpy']}" in asked
    # No index has it.
    assert not [word for word in asked if word.startswith("facehog")]
    assert f"as it was in version {record.software['facehog']}" in program
    lines = done.stdout.splitlines()
    assert len(lines) >= 10
    assert all(re.fullmatch(r"\w+: the same \([0-9a-f]{32}\)", line) for line in lines)


def test_a_run_that_was_made_before_its_timestamps_came_is_reproduced_without_them(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "m12.mp4", 12)
    recipe = replace(SMALL, timestamps=TimestampsSource(file="{stem}.csv", unit="ms"))
    *_, store = describe_recording(recording, recipe, tmp_path / "store")
    assert isinstance(store, Path)
    (tmp_path / "m12.csv").write_text("\n".join(str(33 * number) for number in range(12)))

    assert reproduced(store).is_same
    assert "has_timestamps=False" in tell_by_hand(read_record(store))


def test_a_program_by_hand_asks_for_versions_that_there_are(store: Path) -> None:
    record = read_record(store)
    mixed = replace(record, software={**record.software, "av": "18.0.0 and 18.1.0", "tifffile": "not installed"})
    (asked,) = (line for line in tell_by_hand(mixed).splitlines() if "pip install" in line and "numpy" in line)
    assert " av==18.0.0 " in asked
    assert "tifffile" not in asked


def test_no_name_of_a_recording_gets_into_the_program_as_more_than_a_text(store: Path) -> None:
    record = read_record(store)
    strange = replace(record, path=Path("/data/m12\nimport this\n'''.mp4"))

    statements = [type(statement) for statement in ast.parse(tell_by_hand(record)).body]
    assert [type(statement) for statement in ast.parse(tell_by_hand(strange)).body] == statements


def test_the_command_says_what_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> Answer:
        return run_command(monkeypatch, capsys, tmp_path, *words)

    run_id = str(catalogue_run(tmp_path, make(tmp_path, SMALL)).run_id)
    told = run("reproduce", run_id)
    assert (told.status, "all results are the same to the last bit" in told.out) == (0, True)
    assert "from facehog_core.reproduce import" in run("reproduce", run_id, "--by-hand").out

    other = catalogue_run(tmp_path, forge(tmp_path / "forged", tmp_path / "m12.mp4", 5))
    differs = run("reproduce", str(other.run_id), "--json")
    assert differs.status == 1
    assert not json.loads(differs.out)["is_same"]
    assert "is not reproduced" in run("reproduce", str(other.run_id)).out
