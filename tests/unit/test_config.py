"""The configuration: what is written by `init`, what the environment changes, and what is said of mistakes."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest

from deployments.config import TEMPLATE, Config, find_config, load_config
from facehog_core import Crop, HogParams
from facehog_core.errors import ConfigError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("FACEHOG_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(folder: Path, text: str) -> Path:
    file = folder / "facehog.toml"
    file.write_text(text, "utf-8")
    return file


def test_what_init_writes_are_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, TEMPLATE)) == load_config(None)


def test_what_init_writes_names_every_key(tmp_path: Path) -> None:
    told = tomllib.loads(TEMPLATE.replace("# crop", "crop").replace("# scheduler", "scheduler").replace("# api", "api"))

    def names(table: object) -> object:
        if isinstance(table, dict):
            return {key: names(value) for key, value in table.items()}
        is_table = isinstance(table, list) and isinstance(table[0], dict)
        return [names(row) for row in table] if is_table else None

    known = json.loads(load_config(None).model_dump_json(exclude={"home"}))
    assert names(told) == names(known)


def test_the_defaults_are_those_of_dolensek_2020() -> None:
    config = load_config(None)
    assert config.inboxes()[0].recipe.hog == HogParams()
    assert (config.hog.orientations, config.hog.pixels_per_cell, config.hog.transform_sqrt) == (8, (32, 32), True)


def test_relative_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    config = load_config(write(lab, '[[inbox]]\npath = "in"\n'))
    assert config.store == lab / "store"
    assert config.inbox[0].path == lab / "in"
    assert config.catalogue == f"sqlite:///{lab / 'catalogue.db'}"
    assert config.state_dir == lab / ".facehog"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, 'store = "/data/store"\ncatalogue = "sqlite:////data/c.db"\n'))
    assert config.store == Path("/data/store")
    assert config.catalogue == "sqlite:////data/c.db"


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEHOG_HOG__ORIENTATIONS", "9")
    monkeypatch.setenv("FACEHOG_STORE", "/elsewhere")
    monkeypatch.setenv("FACEHOG_INBOX", '[{"path": "/data/in", "crop": [1, 2, 64, 96]}]')
    config = load_config(write(tmp_path, 'store = "here"\n[hog]\norientations = 12\ntransform_sqrt = false\n'))
    assert (config.hog.orientations, config.hog.transform_sqrt) == (9, False)
    assert config.store == Path("/elsewhere")
    assert config.inboxes()[0].recipe.crop == Crop(x=1, y=2, width=64, height=96)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stor = 'x'", ["unknown key stor", "Did you mean store?", "catalogue"]),
        ("[hog]\norientation = 8", ["unknown key hog.orientation", "orientations"]),
        ("[hog]\norientations = 'many'", ["hog.orientations = 'many'"]),
        ("[hog]\norientations = 0", ["orientations", "0"]),
        ("[hog]\npixels_per_cell = [32]", ["hog.pixels_per_cell"]),
        ("[hog]\nblock_norm = 'L3'", ["hog.block_norm = 'L3'", "'L1'", "'L2-Hys'"]),
        ("[hog]\ntransform_sqrt = 'perhaps'", ["hog.transform_sqrt = 'perhaps'"]),
        ("inbox = []", ["inbox", "At least one"]),
        ("[[inbox]]\npatterns = ['*.mp4']", ["inbox[0].path"]),
        ("[[inbox]]\npath = 'a'\npattern = '*.mp4'", ["inbox[0].pattern", "patterns"]),
        ("[[inbox]]\npath = 'a'\nsettle_s = -1", ["inbox[0].settle_s = -1"]),
        ("[[inbox]]\npath = 'a'\ncrop = [0, 0, 0, 10]", ["inbox[0].crop", "width"]),
        ("[[inbox]]\npath = 'a'\n[[inbox]]\npath = 'b'\ncrop = [1]", ["inbox[1].crop"]),
        ("[dask]\nn_workers = 0", ["dask.n_workers = 0"]),
        ("[dask]\nn_workers = 'all'", ["dask.n_workers = 'all'", "auto"]),
        ("[prefect]\nport = 70000", ["prefect.port = 70000"]),
        ("[sensor]\ninterval_s = 0", ["sensor.interval_s = 0"]),
        ("catalogue = 'postgresql://h/db'", ["catalogue", "sqlite:///"]),
        ("home = '/'", ["unknown key home"]),
        ("store = = 1", ["TOML", "line 1"]),
    ],
)
def test_a_mistake_is_one_error_with_key_value_and_choices(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    message = str(caught.value)
    assert message.startswith("facehog.toml: ")
    assert "\n" not in message
    for part in said:
        assert part in message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FACEHOG_STOR", "x", "FACEHOG_STOR"),
        ("FACEHOG_HOG__ORIENTATION", "8", "orientations"),
        ("FACEHOG_HOME", "/", "FACEHOG_HOME"),
        ("FACEHOG_HOG__ORIENTATIONS", "many", "hog.orientations"),
        ("FACEHOG_INBOX", "not json", "JSON"),
    ],
)
def test_a_mistake_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said.replace("[", r"\[")):
        load_config(None)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration"):
        find_config(tmp_path / "nowhere.toml")
    assert find_config(None) is None
    assert find_config(write(tmp_path, "")) == tmp_path / "facehog.toml"


def test_a_recording_takes_the_values_of_its_inbox_or_of_the_first(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "[[inbox]]\npath = '/a'\ncrop = [0, 0, 32, 32]\n[[inbox]]\npath = '/b'\ncrop = [0, 0, 64, 64]\n",
    )
    config: Config = load_config(file)
    assert config.recipe_for(Path("/b/x.mp4")).crop == Crop(x=0, y=0, width=64, height=64)
    assert config.recipe_for(Path("/elsewhere/x.mp4")).crop == Crop(x=0, y=0, width=32, height=32)
    given = Crop(x=1, y=1, width=40, height=40)
    assert config.recipe_for(Path("/b/x.mp4"), crop=given).crop == given
