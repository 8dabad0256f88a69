"""`facehog process`, as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from barcode import write_recording
from commands import Run
from lab import Lab

from deployments.choices import check_reach
from deployments.commands.process import last_record
from deployments.config_file import load_config
from facehog_core import Crop, Recipe
from facehog_core.errors import ConfigError
from facehog_core.mask import Box
from facehog_core.schema import Fate
from facehog_core.selection import Selection


def ask_servers_of(process: subprocess.Popen[str]) -> list[int]:
    """Ask each server that a process has started for something, without a password, and return the answers."""
    answers = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error, httpx.HTTPError):
            for connection in child.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    url = f"http://127.0.0.1:{connection.laddr.port}/api/flow_runs/filter"
                    answers.append(httpx.post(url, json={}).status_code)
    return answers


@pytest.mark.e2e
def test_process_works_without_a_server_lets_nobody_in_and_tells_good_from_refused(tmp_path: Path) -> None:
    good = write_recording(tmp_path / "good.mp4", 12)
    (tmp_path / "bad.mp4").touch()
    command = [sys.executable, "-m", "deployments.cli", "process", str(good), "bad.mp4"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=err, text=True)
        answers: list[int] = []
        while process.poll() is None:
            answers = answers or ask_servers_of(process)
            time.sleep(0.1)
    said = (tmp_path / "err").read_text()
    assert process.returncode == 3, said
    assert set(answers) == {httpx.codes.UNAUTHORIZED}
    assert "12 frames are described" in (tmp_path / "out").read_text()
    refused = [line for line in said.splitlines() if line.startswith("facehog:")]
    assert refused == ["facehog: bad.mp4: the file has no bytes. Copy it again from the rig."]
    assert "Traceback" not in said
    assert len(list((tmp_path / "store").glob("good/*.zarr"))) == 1


def test_process_tells_of_the_run_that_was_asked_for_not_of_the_newest(
    run: Run, lab: Lab, processed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.process(processed, Recipe(crop=Crop(x=0, y=0, width=64, height=64)))
    lab.process(processed, Recipe(crop=Crop(x=9000, y=0, width=64, height=64)))
    lab.process(processed)

    record = last_record(load_config(None), processed)
    assert record is not None
    assert (record.state, record.recipe["crop"]) == ("finished", None)


def test_a_wrong_crop_on_the_command_line_is_wrong_usage(run: Run, real_clip: Path) -> None:
    answer = run("process", real_clip, "--crop", "1,2,3")
    assert answer.status == 2
    assert "X,Y,WIDTH,HEIGHT" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--crop", "10,10,2000,100"),
            "the crop [10, 10, 2000, 100] (x, y, width, height) reaches outside of the frame",
        ),
        (("--crop", "0,0,8,8"), "8 x 8 pixels hold no block"),
        (("--frames", "900:"), "none of its frames is in frames 900"),
        (("--seconds", "900:"), "none of its frames is in"),
    ],
)
def test_an_option_that_asks_for_what_a_recording_does_not_have_changes_nothing_that_is_known_of_it(
    run: Run, processed: Path, lab: Lab, words: tuple[str, str], said: str
) -> None:
    before = lab.record(processed)
    answer = run("process", processed, *words)

    assert answer.status == 2
    assert f"{processed.name}: {said}" in answer.err
    assert "nothing else was done" in answer.err
    assert lab.record(processed) == before
    assert before.state == Fate.FINISHED


def test_what_is_wrong_with_a_recording_or_its_inbox_s_choice_is_left_to_its_run(tmp_path: Path) -> None:
    path, outside = write_recording(tmp_path / "m12.mp4", 12), Crop(x=9000, y=0, width=64, height=64)
    check_reach(path, Recipe(crop=outside, downsample=2), Recipe(crop=outside))
    (tmp_path / "empty.mp4").touch()
    check_reach(tmp_path / "empty.mp4", Recipe(crop=outside), Recipe())
    with pytest.raises(ConfigError, match="reaches outside"):
        check_reach(path, Recipe(crop=outside), Recipe(crop=replace(outside, x=8000)))


@pytest.mark.usefixtures("prefect_server")
def test_process_describes_what_its_options_inbox_and_sidecar_choose(run: Run, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "m12.mp4", 12)
    write_recording(tmp_path / "m13.mp4", 6)
    (tmp_path / "facehog.toml").write_text("[[inbox]]\npath = 'inbox'\nmasks = [{ box = [0, 0, 9, 9] }]")
    (tmp_path / "m12.facehog.toml").write_text("downsample = 2\nevery = 2\ngrey = 'rgb'")
    words = ("--grey", "luma", "--frames", "2:8:3", "--no-rotate", "--crop", "0,0,128,96", "--stream", "0", "--json")
    words = (*words, "--max-corrupt", "0.5", "--keep-bits", "10")
    answer = run("process", path, *words)

    assert answer.status == 0
    (record,) = json.loads(answer.out)
    recipe = Recipe.from_dict(record["recipe"])
    assert recipe == Recipe(
        crop=Crop(x=0, y=0, width=128, height=96),
        grey="luma",
        downsample=2,
        masks=(Box(x=0, y=0, width=9, height=9),),
        frames=Selection(start=2, stop=8, step=3),
        stream=0,
        max_corrupt=0.5,
        keep_bits=10,
    )
    assert (record["n_frames"], record["grey"]) == (2, ["luma"])
    (record_of_range,) = json.loads(run("process", path, "--frames", "2:8", "--json").out)
    assert record_of_range["n_frames"] == 3, "every second one, as the file beside it has it"
    assert record["reason"].startswith("2 of 12 frames are described")
    shown = run("show", record["run_id"]).out
    for part in ("frames 2 to 8, one in 3", "luma", "{'box': [0, 0, 9, 9]}", "chosen downsample", "rounded to 10 bits"):
        assert part in shown
    # The run's history follows, a time before each step.
    names = [name for line in shown.splitlines() if (name := line.split("  ")[0]) and not name[0].isdigit()]
    assert len(names) == len(set(names)), "no two lines have one name"
    assert "None" not in shown


def test_a_wrong_sidecar_or_option_stops_process_before_anything_is_done(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "m12.mp4"
    (tmp_path / "m12.facehog.toml").write_text("grey = 'gray'")
    for words, said in [
        ((), "m12.facehog.toml: grey = 'gray' is wrong. It must be one of 'rgb', 'luma'."),
        (("--grey", "gray"), "--grey: grey must be one of rgb, luma, got 'gray'. Such as --grey luma."),
        (("--frames", "5"), "--frames: must be START:STOP or START:STOP:STEP, got '5'. Such as --frames 0:9000:10."),
        (("--seconds", "5:1"), "--seconds: stop_s must be greater than start_s, got 5 to 1. Such as --seconds 60:360."),
        (("--seconds", "1:5", "--frames", "1:5"), "--seconds: --frames is given too. Choose one of the two."),
        (("--downsample", "0"), "--downsample"),
    ]:
        answer = run("process", path, *words)
        assert answer.status == 2
        assert said in answer.err
    assert not (tmp_path / "store").exists()
