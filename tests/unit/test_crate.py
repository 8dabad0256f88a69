from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import catalogue_run, run_command
from rocrate.rocrate import ROCrate
from runs import BEGUN, ENDED, fill_store, make_hogs, make_paths, make_store, make_work, shards_of

from facehog_core.crate import NAME, write_crate
from facehog_core.errors import ExportError, StoreError
from facehog_core.provenance import RunRecord
from facehog_core.recipe import Recipe
from facehog_core.sealed import read_record
from facehog_core.sealing import seal_store
from facehog_core.store import create_store, write_shard
from facehog_core.verify import Verdict, verify_store


@pytest.fixture
def records(tmp_path: Path) -> list[RunRecord]:
    """Two runs of one recording, of which somebody is known, and a third that is under way."""
    stores = []
    for recipe in (Recipe(hog=make_work().recipe.hog), Recipe(hog=make_work().recipe.hog, max_corrupt=0.5)):
        work = make_work(recipe=recipe)
        paths = make_paths(tmp_path / "store", work)
        create_store(paths, work, BEGUN | {"identity": {"subject": "CSE020", "session_date": "2021-11-05"}})
        receipts = [write_shard(paths, span, make_hogs(work, span)) for span in shards_of(work)]
        stores.append(seal_store(paths, receipts, ENDED))
    under_way = make_work(recipe=Recipe(hog=make_work().recipe.hog, max_corrupt=0.7))
    fill_store(make_paths(tmp_path / "store", under_way), under_way)
    return [read_record(store) for store in stores]


def folder_of(record: RunRecord) -> Path:
    assert record.store is not None
    return record.store.parent


def refer(entities: dict[str, Any], value: Any) -> list[dict[str, Any]]:
    return [entities[found["@id"]] for found in (value if isinstance(value, list) else [value])]


def test_each_finished_run_is_an_action_with_what_it_read_made_and_was_made_by(records: list[RunRecord]) -> None:
    path = write_crate(folder_of(records[0]))
    entities = {found["@id"]: found for found in json.loads(path.read_text("utf-8"))["@graph"]}

    assert path.name == NAME == "ro-crate-metadata.json"
    root = entities["./"]
    assert root["conformsTo"] == {"@id": "https://w3id.org/ro/wfrun/process/0.5"}
    assert {part["@id"] for part in root["hasPart"]} == {f"{record.run_id}.zarr/" for record in records}
    assert len(root["mentions"]) == 2
    for record in records:
        action = entities[f"#{record.run_id}"]
        assert action["@type"] == "CreateAction"
        assert (action["startTime"], action["endTime"]) == (
            "2026-11-21T12:00:00.000+00:00",
            "2026-11-21T12:01:00.000+00:00",
        )
        (store,) = refer(entities, action["result"])
        assert (store["@id"], store["contentSize"]) == (f"{record.run_id}.zarr/", str(record.store_size_bytes))
        (facehog,) = refer(entities, action["instrument"])
        assert {"name": "av", "softwareVersion": "18.1.0"}.items() <= refer(entities, facehog["softwareRequirements"])[
            0
        ].items()
        recording, *parameters = refer(entities, action["object"])
        assert recording["name"] == "m12.mp4"
        assert refer(entities, recording["identifier"])[0]["value"] == record.digest
        assert {found["name"]: found["value"] for found in refer(entities, recording["additionalProperty"])} == {
            "subject": "CSE020",
            "session_date": "2021-11-05",
        }
        told = {found["name"]: found["value"] for found in parameters}
        assert told["max_corrupt"] == json.dumps(record.recipe["max_corrupt"])
        assert told["hog.pixels_per_cell"] == "[8, 8]"


def test_every_reference_leads_somewhere(records: list[RunRecord]) -> None:
    graph = json.loads(write_crate(folder_of(records[0])).read_text("utf-8"))["@graph"]
    known = {found["@id"] for found in graph}

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {value["@id"]} if set(value) == {"@id"} else set().union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    assert len(known) == len(graph)
    assert references(graph) - known == {"https://w3id.org/ro/crate/1.1"}


def test_it_reads_as_a_crate_says_the_same_each_time_and_is_no_part_of_a_store(records: list[RunRecord]) -> None:
    folder = folder_of(records[0])
    before = write_crate(folder).read_bytes()
    assert write_crate(folder).read_bytes() == before

    crate = ROCrate(folder)
    assert {entity.id for entity in crate.data_entities} == {f"{record.run_id}.zarr/" for record in records}
    assert crate.root_dataset["license"]["name"] == "not given"
    for record in records:
        *_, verdict = verify_store(folder / f"{record.run_id}.zarr")
        assert isinstance(verdict, Verdict)
        assert verdict.is_sound


def test_a_folder_without_a_finished_run_and_a_missing_library_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="there is no finished run"):
        write_crate(tmp_path)

    store = make_store(tmp_path, make_work())
    monkeypatch.setitem(sys.modules, "rocrate.rocrate", None)
    with pytest.raises(ExportError, match=r"pip install -c requirements.lock '\.\[export\]'"):
        write_crate(store.parent)


def test_the_command_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = catalogue_run(tmp_path, make_store(tmp_path / "store", make_work()))
    answer = run_command(monkeypatch, capsys, tmp_path, "provenance", str(record.run_id))

    assert (answer.status, answer.out.strip()) == (0, str(folder_of(record) / NAME))
