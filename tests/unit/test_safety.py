"""What is read from an inbox is data: nothing in it is run. What is written has the rights that the user set."""

from __future__ import annotations

import ast
import os
import stat
from pathlib import Path

import pytest
from barcode import write_recording
from runs import SMALL_HOG, run_recording

from facehog_core import Catalogue
from facehog_core.disk import write_durably
from facehog_core.recipe import Recipe

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted(
    file for layer in ("facehog_core", "tasks", "flows", "deployments") for file in REPOSITORY.glob(f"{layer}/**/*.py")
)
# By these what is read could run. Dask's own messages are pickled, between processes of the service alone.
LOADERS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUNNERS = {"eval", "exec", "compile", "__import__"}
# Packs Prefect's settings for a worker, which this service has started.
MAY_PICKLE = {"dask_runner.py"}


def runs_what_is_read(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names if name.name.split(".")[0] in LOADERS}
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in LOADERS:
                found.add(module)
            case ast.Call(func=ast.Name(id=name)) if name in RUNNERS:
                found.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="yaml"), attr=str(name))) if name.endswith("load"):
                found |= {"yaml.load"} if name == "load" else set()
            case ast.keyword(arg="shell" | "allow_pickle" as name, value=ast.Constant(value=True)):
                found.add(name)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_nothing_that_is_read_is_run(file: Path) -> None:
    found = runs_what_is_read(ast.parse(file.read_text("utf-8")))
    assert found <= (LOADERS if file.name in MAY_PICKLE else set())


def test_the_look_for_it_finds_each() -> None:
    text = "import pickle\nfrom joblib import load\neval('1')\nyaml.load(f)\nr(shell=True)\nload(f, allow_pickle=True)"
    assert runs_what_is_read(ast.parse(text)) == {"pickle", "joblib", "eval", "yaml.load", "shell", "allow_pickle"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_files_are_made_with_the_rights_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    recording = write_recording(tmp_path / "m12.mp4", 5)
    before = os.umask(umask)
    try:
        run_recording(tmp_path / "store", recording, Recipe(hog=SMALL_HOG))
        with Catalogue(f"sqlite:///{tmp_path / 'new' / 'catalogue.db'}", create=True):
            pass
        write_durably(tmp_path / "service.json", "{}")
    finally:
        os.umask(before)
    made = [path for path in tmp_path.rglob("*") if path != recording]
    assert len(made) > 10
    wrong = {path: oct(mode) for path in made if (mode := stat.S_IMODE(path.stat().st_mode)) & ~0o111 != 0o666 & ~umask}
    assert wrong == {}
