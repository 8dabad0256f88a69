"""Damage to a store, as those meet it who verify, process again, or look into Prefect in the morning."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from barcode import write_recording
from commands import Run, catalogue_run
from lab import Lab
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from runs import make_store, make_work

from deployments.config_file import load_config
from deployments.runner import make_deployments
from facehog_core.catalogue import Catalogue
from facehog_core.provenance import RunRecord
from facehog_core.schema import Fate
from facehog_core.sealed import check_whole
from facehog_core.verifications import history_beside, read_history
from facehog_core.verify import verify_store
from flows import verify_stores as flow_module
from flows.verify_stores import verify_stores


def damage(store: Path) -> None:
    """Flip a bit of a store."""
    shard = store / "descriptors" / "c" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


def store_of(record: RunRecord) -> Path:
    assert record.store is not None
    return record.store


def name_of(state: State[Any]) -> str:
    """Return what Prefect calls the run that came to a state."""
    assert state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id).name


@pytest.fixture
def records(tmp_path: Path) -> list[RunRecord]:
    """Three finished runs, by the catalogue of the test's folder."""
    works = [make_work(digest=f"{n}" * 32, path=f"/nowhere/m{n}.mp4") for n in range(3)]
    return [catalogue_run(tmp_path, make_store(tmp_path / "store", work)) for work in works]


def test_each_night_those_are_verified_that_were_not_for_the_longest_time(
    prefect_server: None, records: list[RunRecord], tmp_path: Path
) -> None:
    catalogue = f"sqlite:///{tmp_path / 'catalogue.db'}"
    # One store a night: no time for more.
    for night in range(6):
        state = verify_stores(catalogue, most_minutes=0, return_state=True)
        assert state.name == "Completed"
        assert re.fullmatch(r"verify-stores \d{4}-\d\d-\d\d", name_of(state)), "and not two words that Prefect draws"
        (written,) = [
            history_beside(store_of(record))
            for record in records
            if len(read_history(store_of(record))) == night // 3 + 1 and not is_old(store_of(record))
        ]
        os.utime(written, (1000 + night, 1000 + night))
    assert [len(read_history(store_of(record))) for record in records] == [2, 2, 2]


def is_old(store: Path) -> bool:
    return history_beside(store).stat().st_mtime < 10_000


def test_a_damaged_store_makes_the_night_s_run_fail_and_is_named(
    prefect_server: None, records: list[RunRecord], tmp_path: Path
) -> None:
    damage(store_of(records[1]))
    state = verify_stores(f"sqlite:///{tmp_path / 'catalogue.db'}", return_state=True)

    assert state.name == "Failed"
    assert "3 of 3 stores were verified, 1 is damaged or cannot be read: " in (state.message or "")
    assert "frames 0-10: descriptors/c/0/0 has other bytes" in (state.message or "")
    (noted,) = read_history(store_of(records[1]))
    assert not noted.is_sound


def test_a_store_that_cannot_be_read_keeps_no_other_from_its_turn(
    prefect_server: None, records: list[RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = store_of(records[0]) / "zarr.json"
    metadata.unlink()
    # The system gives no content of it, for whoever it is.
    metadata.mkdir()

    def verify(store: Path, *given: Any, **more: Any) -> Iterator[Any]:
        if store == store_of(records[1]):
            raise RuntimeError("nobody has thought of this")
        return verify_store(store, *given, **more)

    monkeypatch.setattr(flow_module, "verify_store", verify)
    state = verify_stores(f"sqlite:///{tmp_path / 'catalogue.db'}", return_state=True)

    assert state.name == "Failed"
    assert "3 of 3 stores were verified, 2 are damaged or cannot be read: " in (state.message or "")
    assert f"{store_of(records[0])}: it cannot be read: Is a directory (found now " in (state.message or "")
    assert f"{store_of(records[1])}: it cannot be verified: RuntimeError: nobody has" in (state.message or "")
    assert [len(read_history(store_of(record))) for record in records] == [1, 0, 1]
    # Each has had its turn, and is not the first again tomorrow.
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}") as catalogue:
        assert {verdict for (verdict,) in catalogue.rows("verified>=2026", columns=["verdict"])} == {"sound", "wrong"}
        assert catalogue.rows("verified=never", columns=["run"]) == []


def test_the_night_s_run_is_among_the_deployments_and_in_prefect_yaml(tmp_path: Path) -> None:
    (tmp_path / "facehog.toml").write_text("")
    made = {found.name: found for found in make_deployments(load_config(tmp_path / "facehog.toml"), None)}

    assert made["verify-stores"].flow_name == "verify-stores"
    assert made["verify-stores"].schedules
    text = (Path(__file__).parents[2] / "prefect.yaml").read_text("utf-8")
    assert "flows/verify_stores.py:verify_stores" in text


def test_a_recording_whose_store_is_damaged_is_not_finished_until_the_store_is_made_anew(
    lab: Lab, tmp_path: Path, prefect_server: None
) -> None:
    recording = write_recording(tmp_path / "m12.mp4", 12)
    lab.process(recording)
    store = store_of(lab.record(recording))
    damage(store)
    lab.process(recording)

    record = lab.record(recording)
    assert record.state == Fate.FAILED
    assert "descriptors/c/0/0 has other bytes than those that were written" in record.reason
    assert "`facehog process --force PATH`" in record.reason

    # As the remedy says; also of a store that does not say any more what it is.
    (store / "zarr.json").write_text("{")
    lab.process(recording, force=True)
    assert lab.record(recording).state == Fate.FINISHED
    check_whole(store)


def test_verify_says_what_is_wrong_since_when_and_what_to_do(run: Run, records: list[RunRecord]) -> None:
    run_id = str(records[0].run_id)
    assert run("verify", run_id).status == 0
    damage(store_of(records[0]))
    answer = run("verify", run_id, "--json")
    assert answer.status == 1
    (told,) = json.loads(answer.out)
    assert told["run_id"] == run_id
    assert told["problems"] == ["frames 0-10: descriptors/c/0/0 has other bytes than those that were written"]
    assert told["since"][0].startswith("found now for the first time; not so at ")
    assert told["remedies"] == ["Take the store from a backup: without its recording it cannot be made anew."]

    again = run("verify", run_id)
    assert "found first at" in again.err
    assert "from a backup" in again.err
