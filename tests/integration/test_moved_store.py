"""A folder of stores that was moved to another disk, by hand, as the configuration says then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Run, catalogue_run
from runs import make_store, make_work

from deployments.browse.pages import Pages
from deployments.config_file import load_config
from deployments.doctor import examine
from deployments.runner import make_deployments
from facehog_core import Catalogue
from facehog_core.provenance import RunRecord
from facehog_core.run_paths import locate_store
from facehog_core.verifications import read_history
from flows.verify_stores import verify_stores


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    """A finished run as it was recorded before its store was moved."""
    record = catalogue_run(tmp_path, make_store(tmp_path / "store", make_work()))
    (tmp_path / "big").mkdir()
    (tmp_path / "store").rename(tmp_path / "big" / "store")
    (tmp_path / "facehog.toml").write_text('store = "big/store"\n')
    return record


def moved(record: RunRecord, folder: Path) -> Path:
    assert record.store is not None
    return folder / "big" / "store" / record.store.parent.name / record.store.name


def test_whatever_opens_a_store_finds_one_that_was_moved(run: Run, record: RunRecord, tmp_path: Path) -> None:
    name, store = str(record.run_id), moved(record, tmp_path)

    assert json.loads(run("show", name, "--json").out)["store"] == str(store)
    (verdict,) = json.loads(run("verify", name, "--json").out)
    assert (verdict["is_sound"], verdict["store"]) == (True, str(store))
    assert run("verify", "--all").status == 0
    assert len(read_history(store)) == 2
    assert run("export", name, "--to", "npz").status == 0
    assert run("provenance", name).out.startswith(str(store.parent))
    # It comes as far as the recording, which is nowhere.
    assert "m12.mp4: the recording cannot be read" in run("reproduce", name).err
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    with Catalogue(url, stores=tmp_path / "big" / "store") as catalogue:
        assert catalogue.open_session(name).sizes["frame"] == 23
        assert Pages(catalogue, str, str)._draw(name, None, None).startswith(b"\x89PNG")


def test_the_nightly_verification_finds_a_store_that_was_moved(
    prefect_server: None, record: RunRecord, tmp_path: Path
) -> None:
    made = {each.name: each for each in make_deployments(load_config(tmp_path / "facehog.toml"), None)}
    state = verify_stores(**made["verify-stores"].parameters, return_state=True)

    assert state.name == "Completed"
    assert read_history(moved(record, tmp_path))[0].is_sound


def test_doctor_counts_the_stores_that_were_made_elsewhere_and_those_that_are_gone(
    record: RunRecord, tmp_path: Path
) -> None:
    def told() -> list[tuple[str, str]]:
        config = load_config(tmp_path / "facehog.toml")
        return [(found.verdict, found.fact) for found in examine(config, None) if "made elsewhere" in found.fact]

    (found,) = told()
    assert found == (
        "good",
        f"1 of 1 stores were made elsewhere, such as {record.store}; all of them are there or here",
    )
    moved(record, tmp_path).rename(tmp_path / "lost.zarr")
    ((verdict, fact),) = told()
    assert verdict == "bad"
    assert fact.endswith("1 of them are neither there nor here")


def test_where_a_store_is_at_neither_place_it_is_asked_first_whether_it_was_moved(
    run: Run, record: RunRecord, tmp_path: Path
) -> None:
    moved(record, tmp_path).rename(tmp_path / "lost.zarr")
    said = run("verify", str(record.run_id)).err

    assert "there is no store" in said
    assert "If it was moved, set `store` in facehog.toml to the folder that has all stores now; " in said
    assert "; if it is lost, make it anew, with the choices of then: `facehog process --force" in said


def test_a_store_that_is_where_it_was_made_is_taken_from_there(tmp_path: Path) -> None:
    made, root = tmp_path / "old" / "m12" / "a.zarr", tmp_path / "new"
    (root / "m12" / "a.zarr").mkdir(parents=True)
    assert locate_store(made, None) == made
    assert locate_store(made, root) == root / "m12" / "a.zarr"
    made.mkdir(parents=True)
    assert locate_store(made, root) == made
