"""The configuration: what is written by `init`, what the environment changes, and what is said of mistakes."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from deployments.config import Config
from deployments.config_file import find_config, load_config
from deployments.tables import InboxConfig, TimestampsConfig
from deployments.template import TEMPLATE
from facehog_core import Crop, HogParams
from facehog_core.errors import ConfigError
from facehog_core.mask import Box, Polygon
from facehog_core.recipe import Recipe
from facehog_core.selection import Selection


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
    # What is left out by default stands there as a comment.
    text = re.sub(r'^# (?=[a-z_]+ = |\[|")', "", TEMPLATE, flags=re.MULTILINE)
    text = text.replace("\nseconds = [", "\n# seconds = [")
    told = tomllib.loads(text)
    # Which names have a crop of their own is not for a list of keys.
    assert told["inbox"][0].pop("crops") == {"*m12*": [60, 30, 916, 475]}
    told["inbox"][0]["seconds"] = None

    def names(table: object) -> object:
        if isinstance(table, dict):
            return {key: names(value) for key, value in table.items()}
        is_table = isinstance(table, list) and table and isinstance(table[0], dict)
        return [names(row) for row in table] if is_table else None

    known = json.loads(load_config(write(tmp_path, text)).model_dump_json(exclude={"home"}))
    assert known["inbox"][0].pop("crops") == {"*m12*": [60, 30, 916, 475]}
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
        ("[hog]\norientations = 0", ["hog.orientations = 0 is wrong. It must be a whole number from 1 to 180."]),
        ("[hog]\norientations = true", ["hog.orientations = True"]),
        ("[hog]\norientations = 8.5", ["hog.orientations = 8.5"]),
        ("[hog]\npixels_per_cell = [32]", ["hog.pixels_per_cell = [32]", "[rows, columns]"]),
        ("[hog]\ncells_per_block = [0, 1]", ["hog.cells_per_block = [0, 1]", "[rows, columns]"]),
        ("[hog]\nblock_norm = 'L3'", ["hog.block_norm = 'L3'", "'L1'", "'L2-Hys'"]),
        ("[hog]\ntransform_sqrt = 'perhaps'", ["hog.transform_sqrt = 'perhaps'"]),
        ("inbox = []", ["inbox = []", "at least one"]),
        ("[inbox]\npath = 'a'", ["inbox = {'path': 'a'}", "[[inbox]]"]),
        ("hog = 8", ["hog = 8", "[hog]"]),
        ("images = 'x'", ["images = 'x'", "true or false"]),
        ("store = 1", ["store = 1", "a folder"]),
        ("[[inbox]]\npatterns = ['*.mp4']", ["inbox[0].path is missing. It must be a folder."]),
        ("[[inbox]]\npth = 'a'", ["unknown key inbox[0].pth", "Did you mean path?"]),
        ("[[inbox]]\npath = 'a'\npatterns = []", ["inbox[0].patterns = []", "*.mp4"]),
        ("[[inbox]]\npath = 'a'\npatterns = '*.mp4'", ["inbox[0].patterns = '*.mp4'", "a list"]),
        ("[[inbox]]\npath = 'a'\nsettle_s = inf", ["inbox[0].settle_s = inf", "seconds"]),
        ("[[inbox]]\npath = 'a'\ncrop = [0, 0, 9]", ["inbox[0].crop = [0, 0, 9]", "[x, y, width, height]"]),
        ("[[inbox]]\npath = 'a'\npattern = '*.mp4'", ["inbox[0].pattern", "patterns"]),
        ("[[inbox]]\npath = 'a'\nframe_rate = 0", ["inbox[0].frame_rate = 0", "frames a second above 0"]),
        ("[[inbox]]\npath = 'a'\nframe_rate = '30/0'", ["inbox[0].frame_rate = '30/0'", "30000/1001"]),
        ("[[inbox]]\npath = 'a'\nframe_rate = true", ["inbox[0].frame_rate = True"]),
        ("[[inbox]]\npath = 'a'\nframe_rate = inf", ["inbox[0].frame_rate = inf"]),
        ("[[inbox]]\npath = 'a'\ntimestamps = 'x.csv'", ["inbox[0].timestamps = 'x.csv'", "a table such as"]),
        (
            "[[inbox]]\npath = 'a'\n[inbox.timestamps]\nfile = 'x.csv'\nunit = 'min'",
            ["inbox[0].timestamps = {'file': 'x.csv', 'unit': 'min'}", "unit one of s, ms, us, ns"],
        ),
        ("[[inbox]]\npath = 'a'\n[inbox.timestamps]\nfile = 'x.csv'\ncolumn = 0", ["number from 1 on"]),
        ("[[inbox]]\npath = 'a'\n[inbox.timestamps]\nfile = '{steam}.csv'", ["'{steam}.csv'", "{stem}"]),
        ("[[inbox]]\npath = 'a'\n[inbox.timestamps]\nfil = 'x.csv'", ["inbox[0].timestamps.fil", "Did you mean file?"]),
        ("[[inbox]]\npath = 'a'\nsettle_s = -1", ["inbox[0].settle_s = -1"]),
        ("[[inbox]]\npath = 'a'\ncrop = [0, 0, 0, 10]", ["inbox[0].crop", "width"]),
        ("[[inbox]]\npath = 'a'\n[[inbox]]\npath = 'b'\ncrop = [1]", ["inbox[1].crop = [1]"]),
        ("[[inbox]]\npath = 'a'\ngrey = 'gray'", ["inbox[0].grey = 'gray'", "'rgb', 'luma'"]),
        ("[[inbox]]\npath = 'a'\ndownsample = 0", ["inbox[0].downsample = 0", "a whole number from 1 on"]),
        ("[[inbox]]\npath = 'a'\ndownsample = true", ["inbox[0].downsample = True"]),
        ("[[inbox]]\npath = 'a'\nkeep_bits = 0", ["inbox[0].keep_bits = 0", "a whole number from 1 to 23"]),
        ("[[inbox]]\npath = 'a'\nmasks = [{ box = [1] }]", ["inbox[0].masks = [{'box': [1]}]", "polygon = [[x, y]"]),
        ("[[inbox]]\npath = 'a'\napply_rotation = 90", ["inbox[0].apply_rotation = 90", "true or false"]),
        ("[[inbox]]\npath = 'a'\nframes = [9, 1]", ["inbox[0].frames = [9, 1]", "[first, after the last]"]),
        ("[[inbox]]\npath = 'a'\nframes = [9]\nseconds = [1]", ["inbox[0].seconds = [1]", "not beside `frames`"]),
        ("[[inbox]]\npath = 'a'\nevery = 0", ["inbox[0].every = 0", "a whole number from 1 on"]),
        ("[[inbox]]\npath = 'a'\nmax_corrupt = 2", ["inbox[0].max_corrupt = 2", "from 0 to 1"]),
        ("[[inbox]]\npath = 'a'\nstream = -1", ["inbox[0].stream = -1", "facehog probe"]),
        ("[[inbox]]\npath = 'a'\n[inbox.crops]\n'*m*' = [1]", ["inbox[0].crops = {'*m*': [1]}", "[inbox.crops]"]),
        ("[dask]\nn_workers = 0", ["dask.n_workers = 0", "'auto', or a whole number from 1 on"]),
        ("[dask]\nn_workers = 'all'", ["dask.n_workers = 'all'", "auto"]),
        ("[prefect]\nport = 70000", ["prefect.port = 70000"]),
        ("[sensor]\ninterval_s = 0", ["sensor.interval_s = 0"]),
        ("catalogue = 'mysql://h/db'", ["catalogue", "sqlite:///", "postgresql://"]),
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


INBOX_EXAMPLE = """'[{"path": "/data/inbox"}]'"""


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FACEHOG_STOR", "x", "unknown key FACEHOG_STOR. Did you mean store?"),
        ("FACEHOG_HOG__ORIENTATION", "8", "unknown key FACEHOG_HOG__ORIENTATION. Did you mean orientations?"),
        ("FACEHOG_HOG__ORIENTATIONS__X", "8", "unknown key FACEHOG_HOG__ORIENTATIONS__X"),
        ("FACEHOG_HOME", "/", "unknown key FACEHOG_HOME. Choose from store, catalogue"),
        ("facehog_stor", "x", "unknown key facehog_stor"),
        ("FACEHOG_INBOX__PATH", "/data", f"unknown key FACEHOG_INBOX__PATH. Write FACEHOG_INBOX={INBOX_EXAMPLE}."),
        ("FACEHOG_INBOX__STORE", "/data", "unknown key FACEHOG_INBOX__STORE"),
        ("FACEHOG_INBOX", '[{"pth": "/data"}]', "unknown key inbox[0].pth. Did you mean path?"),
        (
            "FACEHOG_HOG__ORIENTATIONS",
            "many",
            "FACEHOG_HOG__ORIENTATIONS = 'many' is wrong. It must be a whole number from 1 to 180.",
        ),
        ("facehog_images", "perhaps", "facehog_images = 'perhaps' is wrong. It must be true or false."),
        (
            "FACEHOG_HOG__PIXELS_PER_CELL",
            "32",
            "FACEHOG_HOG__PIXELS_PER_CELL = '32' is wrong. It must be [rows, columns]",
        ),
        ("FACEHOG_HOG__PIXELS_PER_CELL", "[32,", "FACEHOG_HOG__PIXELS_PER_CELL = '[32,' is wrong. It must be JSON"),
        (
            "FACEHOG_INBOX",
            "/data",
            f"FACEHOG_INBOX = '/data' is wrong. It must be JSON, such as '[32, 32]' or {INBOX_EXAMPLE}",
        ),
        (
            "FACEHOG_INBOX",
            '[{"path": "a", "crop": [1]}]',
            """FACEHOG_INBOX = '[{"path": "a", "crop": [1]}]' is wrong. inbox[0].crop must be [x, y, width, height]""",
        ),
        ("FACEHOG_HOG", '{"block_norm": "L3"}', "hog.block_norm must be one of 'L1'"),
    ],
)
def test_a_mistake_in_the_environment_is_not_laid_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, TEMPLATE))
    assert str(caught.value).startswith("the environment: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["FACEHOG_CONFIG", "FACEHOG_SERVICE", "FACEHOG_TEST_VIDEOS"])
def test_variables_of_ours_that_are_no_configuration_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = load_config(None)
    monkeypatch.setenv(name, "x")
    assert load_config(None) == expected


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"a = " + b"[" * 3000, "folder"])
def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path, content: bytes | str | None) -> None:
    file = tmp_path / "facehog.toml"
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"facehog\.toml: (it cannot be read|this is not TOML)"):
        load_config(file)


def test_what_windows_notepad_writes_is_read(tmp_path: Path) -> None:
    file = tmp_path / "facehog.toml"
    file.write_text("store = 'kept'", "utf-8-sig")
    assert load_config(file).store == tmp_path / "kept"


def test_every_key_says_what_it_must_be() -> None:
    tables = [Config, *(field.annotation for field in Config.model_fields.values())]
    models = [table for table in tables if isinstance(table, type) and issubclass(table, BaseModel)]
    assert len(models) == 7
    for model in (*models, InboxConfig, TimestampsConfig):
        for name, field in model.model_fields.items():
            assert field.description or name == "home"


def test_a_relative_file_starts_paths_from_its_folder_too(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    write(tmp_path / "lab", "")
    config = load_config(Path("lab/facehog.toml"))
    assert config.store == tmp_path / "lab" / "store"
    assert config.state_dir == tmp_path / "lab" / ".facehog"


def test_paths_are_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mouse")
    text = """
        store = "~/store"
        catalogue = "sqlite:///../c.db"
        [[inbox]]
        path = "a/../../in"
        [dask]
        scheduler = "scheduler.json"
    """
    config = load_config(write(tmp_path, text))
    assert config.store == Path("/home/mouse/store")
    assert config.catalogue == f"sqlite:///{tmp_path.parent / 'c.db'}"
    assert config.inbox[0].path == tmp_path.parent / "in"
    assert config.dask.scheduler == str(tmp_path / "scheduler.json")


def test_an_address_of_a_scheduler_stays(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "[dask]\nscheduler = 'tcp://host:8786'")).dask.scheduler == "tcp://host:8786"


@pytest.mark.parametrize("other", ["in", "in/rig", ".", "in/../in"])
def test_no_file_lies_in_two_inboxes(tmp_path: Path, other: str) -> None:
    file = write(tmp_path, f"[[inbox]]\npath = 'in'\n[[inbox]]\npath = '{other}'")
    with pytest.raises(ConfigError, match="are one, or one is in the other"):
        load_config(file)


def test_inboxes_with_like_names_are_apart(tmp_path: Path) -> None:
    assert len(load_config(write(tmp_path, "[[inbox]]\npath = 'in'\n[[inbox]]\npath = 'in 2'")).inbox) == 2


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


CHOICES_OF_AN_INBOX = """
[[inbox]]
path = "/a"
crop = [0, 0, 32, 32]
grey = "luma"
downsample = 2
keep_bits = 10
masks = [{ box = [1, 2, 3, 4] }, { polygon = [[0, 0], [9, 0], [0, 9]] }]
apply_rotation = true
seconds = [1, 2.5]
every = 10
max_corrupt = 0.5
stream = 2
[inbox.crops]
"*m12*" = [1, 1, 40, 40]
"*m1*" = [2, 2, 50, 50]
"""


def test_an_inbox_chooses_what_is_described(tmp_path: Path) -> None:
    (inbox,) = load_config(write(tmp_path, CHOICES_OF_AN_INBOX)).inboxes()
    assert inbox.recipe == Recipe(
        crop=Crop(x=0, y=0, width=32, height=32),
        grey="luma",
        downsample=2,
        keep_bits=10,
        masks=(Box(x=1, y=2, width=3, height=4), Polygon(points=((0, 0), (9, 0), (0, 9)))),
        apply_rotation=True,
        frames=Selection(start_s=1, stop_s=2.5, step=10),
        max_corrupt=0.5,
        stream=2,
    )


def test_the_first_crop_whose_name_matches_counts(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, CHOICES_OF_AN_INBOX))
    (inbox,) = config.inboxes()
    expected = {"rig_M12.mp4": 40, "m1.mp4": 50, "m2.mp4": 32}
    for name, width in expected.items():
        for recipe in (inbox.recipe_for(Path("/a/day") / name), config.recipe_for(Path("/a/day") / name)):
            assert recipe.crop is not None
            assert recipe.crop.width == width


def test_a_file_beside_the_recording_wins_over_its_inbox_and_the_call_over_both(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, CHOICES_OF_AN_INBOX.replace("/a", "in")))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m12.facehog.toml").write_text("crop = [5, 5, 60, 60]\ngrey = 'rgb'")
    recipe = config.recipe_for(tmp_path / "in" / "m12.mp4", stream=0)
    assert (recipe.crop, recipe.grey, recipe.stream) == (Crop(x=5, y=5, width=60, height=60), "rgb", 0)
    assert config.recipe_for(tmp_path / "in" / "m12.mp4", grey="luma").grey == "luma"
    (tmp_path / "in" / "m12.facehog.toml").write_text("grey = 1")
    with pytest.raises(ConfigError, match=r"m12\.facehog\.toml: grey = 1 is wrong"):
        config.recipe_for(tmp_path / "in" / "m12.mp4")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACEHOG_NOTIFY", '{"slack": "https://hooks/SECRET",'),
        ("FACEHOG_PREFECT", "{'auth_string': 'lab:SECRET'}"),
        ("FACEHOG_PREFECT", '{"auth_string": "lab:SECRET", "port": -1}'),
        ("FACEHOG_PREFECT", '[{"auth_string": "lab:SECRET"}]'),
        ("FACEHOG_PREFECT__AUTH_STRING", "SECRET"),
        ("FACEHOG_CATALOGUE", "postgres://lab:SECRET@srv/name"),
        ("FACEHOG_CATALOGUE", "postgresql://lab:SECRET@srv/name"),
        ("FACEHOG_CATALOGUE", "postgresql://srv/name?user=lab&password=SECRET"),
    ],
)
def test_no_mistake_shows_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, ""))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '[[prefect]]\nauth_string = "lab:SECRET"',
        'notify = "https://hooks/SECRET"',
        'catalogue = "postgres://lab:SECRET@srv/name"',
        'catalogue = "postgresql://lab:SECRET@srv/name"',
    ],
)
def test_no_mistake_in_the_file_shows_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert "SECRET" not in str(caught.value)


def test_a_password_that_prefect_would_show_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"catalogue holds a password, .* write it into ~/.pgpass, or into PGPASSWORD"
    ):
        load_config(write(tmp_path, 'catalogue = "postgresql://lab:SECRET@srv/name"'))
    assert load_config(write(tmp_path, 'catalogue = "postgresql://lab@srv/name"')).catalogue.endswith("lab@srv/name")


@pytest.mark.parametrize("store", ["inbox", "inbox/results"])
def test_nothing_is_written_into_an_inbox(tmp_path: Path, store: str) -> None:
    with pytest.raises(ConfigError, match=r"the store .* lies in the inbox .*: put it elsewhere"):
        load_config(write(tmp_path, f'store = "{store}"\n[[inbox]]\npath = "inbox"\n'))
