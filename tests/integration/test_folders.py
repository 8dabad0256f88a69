"""The flow and the commands on folders of numbered images."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lab import Lab
from skimage import io as skio
from skimage.feature import hog
from stills import write_stills

from deployments.cli import main
from facehog_core import HogParams, Recipe, open_session
from facehog_core.schema import Fate
from facehog_core.timestamps import TimestampsSource

pytestmark = pytest.mark.usefixtures("prefect_server")

SMALL = Recipe(hog=HogParams(pixels_per_cell=(16, 16)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 12 numbered images, one of them broken."""
    made = write_stills(tmp_path / "rig" / "2021.11.05_m12", 12)
    (made / "img7.png").write_bytes((made / "img7.png").read_bytes()[:500])
    return made


@pytest.mark.usefixtures("decided_ties")
def test_a_folder_of_images_ends_as_a_sealed_store_and_a_finished_row(lab: Lab, folder: Path) -> None:
    # One of twelve images is more than is let pass where nothing else is said.
    for number in range(12, 24):
        shutil.copy(folder / "img3.png", folder / f"img{number}.png")
    state = lab.process(folder, SMALL)

    assert state.is_completed(), state.message
    record = lab.record(folder)
    assert (record.state, record.n_frames, record.n_corrupt) == (Fate.FINISHED, 24, 1)
    assert (record.stream["container"], record.stream["codec"]) == ("images", "png")
    assert record.store is not None
    assert record.store.parent == lab.store / "2021.11.05_m12"
    session = open_session(record.store)
    assert np.isnan(session.descriptors[7]).all()
    expected = hog(skio.imread(folder / "img10.png"), 8, (16, 16), (1, 1), "L2-Hys", transform_sqrt=True)
    np.testing.assert_allclose(session.descriptors[10].values, expected, rtol=0, atol=1e-5)
    assert lab.process(folder, SMALL).is_completed(), "what is finished is not made again"


@pytest.mark.parametrize("place", ["{stem}.csv", "{name}/times.csv"])
def test_what_is_missing_is_a_warning_and_timestamps_are_joined(lab: Lab, folder: Path, place: str) -> None:
    (folder / "img7.png").unlink()
    stamps = folder.parent / place.format(stem="2021.11.05_m12", name="2021.11.05_m12")
    stamps.write_text("".join(f"{number / 50}\n" for number in range(12) if number != 7))
    lab.process(folder, Recipe(timestamps=TimestampsSource(file=place)))

    record = lab.record(folder)
    assert record.state == Fate.FINISHED
    assert record.timing["source"] == f"sidecar {stamps.name}"
    missing, gap = record.warnings
    assert missing.startswith("1 image of the sequence is missing (number 7)")
    assert "after frame 6" in gap, "the clock knows of it too"
    assert record.n_dropped == 1


def test_the_same_images_in_another_folder_are_a_duplicate(lab: Lab, folder: Path) -> None:
    shutil.copy(folder / "img6.png", folder / "img7.png")
    other = folder.with_name("copy")
    shutil.copytree(folder, other)
    lab.process(folder)
    assert lab.process(other).name == "Duplicate"

    assert lab.record(other).state == Fate.DUPLICATE
    assert str(folder) in lab.record(other).reason


def mix(folder: Path) -> None:
    shutil.copy(folder / "img3.png", folder / "cam1_3.png")


def remove_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def empty_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (mix, "it holds several sequences of images"),
        (remove_all, "the folder holds no images"),
        (empty_all, "none of its 12 images can be read"),
    ],
)
def test_a_folder_that_is_no_recording_is_quarantined(
    lab: Lab, folder: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(folder)
    assert lab.process(folder).name == "Quarantined"

    record = lab.record(folder)
    assert record.state == Fate.QUARANTINED
    assert record.reason.startswith(f"2021.11.05_m12: {said}")
    assert lab.left_behind() == []


def facehog(*words: str | Path) -> int:
    sys.argv = ["facehog", *map(str, words)]
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_commands_take_a_folder_for_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    folder = write_stills(tmp_path / "2021.11.05_m12", 5)
    assert facehog("probe", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["keyframes"] == [0, 1, 2, 3, 4]
    # As the shell completes it.
    assert facehog("process", f"{folder}/", "--json") == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["path"], record["n_frames"]) == (str(folder), 5)
    assert facehog("why", "2021.11.05_m12") == 0
    assert facehog("verify", record["run_id"]) == 0
    assert "unchanged" in capsys.readouterr().err
    (folder / "img3.png").write_bytes((folder / "img4.png").read_bytes())
    assert facehog("verify", record["run_id"]) == 1
    assert "content has changed" in capsys.readouterr().err.replace("\n", " ")

    (tmp_path / "empty").mkdir()
    assert facehog("probe", "empty") == 3
    assert "the folder holds no images" in capsys.readouterr().err
