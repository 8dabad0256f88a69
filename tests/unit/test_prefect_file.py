from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.config import Config
from deployments.config_file import load_config
from deployments.prefect_file import describe_deployments
from facehog_core.recipe import Recipe

REPOSITORY = Path(__file__).resolve().parents[2]


def configure(folder: Path, text: str) -> Config:
    file = folder / "facehog.toml"
    file.write_text(text, "utf-8")
    return load_config(file)


def read(text: str) -> dict[str, dict[str, Any]]:
    return {found["name"]: found for found in yaml.safe_load(text)["deployments"]}


def test_what_facehog_toml_sets_is_in_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "the lab's #1: 100%"
    folder.mkdir()
    text = """
        store = "stores"
        [hog]
        orientations = 9
        [[inbox]]
        path = "first"
        crop = [1, 2, 640, 480]
        timestamps = { file = "{stem}.csv" }
        [[inbox]]
        path = "second"
        settle_s = 3
        [inbox.crops]
        "*m12*" = [5, 6, 64, 64]
    """
    found = read(describe_deployments(configure(folder, text)))
    assert set(found) == {"inbox", "tidy-stores", "verify-stores"}
    parameters = found["inbox"]["parameters"]
    assert parameters["store"] == str(folder / "stores")
    assert parameters["cluster"]["address"] == str(folder / ".facehog" / "ready" / "scheduler.json")
    recipe = Recipe.from_dict(parameters["recipe"])
    assert (recipe.hog.orientations, recipe.crop and recipe.crop.as_list()) == (9, [1, 2, 640, 480])
    assert found["tidy-stores"]["parameters"]["store"] == str(folder / "stores")
    assert found["tidy-stores"]["schedules"][0]["timezone"] == "UTC"


def test_on_a_server_of_others_all_have_names_of_their_own(tmp_path: Path) -> None:
    found = read(describe_deployments(configure(tmp_path, ""), "1f0c2a9b"))
    assert set(found) == {"inbox-1f0c2a9b", "tidy-stores-1f0c2a9b", "verify-stores-1f0c2a9b"}


@pytest.mark.parametrize("name", ["inbox", "tidy-stores", "verify-stores"])
def test_the_file_of_the_repository_has_the_defaults(tmp_path: Path, name: str) -> None:
    text = (REPOSITORY / "prefect.yaml").read_text("utf-8").replace("{{ $PWD }}", tmp_path.as_posix())
    ours, written = read(text)[name], read(describe_deployments(configure(tmp_path, "")))[name]
    for key in ("description", "schedules", "work_pool"):
        assert ours.get(key) == written.get(key), key
    assert ours["entrypoint"].replace("/", ".").replace(".py:", ".") == written["entrypoint"]
    assert _fill(ours["parameters"]) == _fill(written["parameters"])


def _fill(parameters: dict[str, Any]) -> dict[str, Any]:
    """Let what is left out have its default, and forget where the cluster is: that is nobody's default."""
    filled = {key: value for key, value in parameters.items() if key != "cluster"}
    if "recipe" in filled:
        filled["recipe"] = Recipe.from_dict(filled["recipe"])
    return filled
