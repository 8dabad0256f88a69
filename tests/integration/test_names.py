"""Several facehogs on one Prefect server."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from deployments.config_file import load_config
from deployments.launching import make_launcher
from deployments.runner import make_deployments, remove_former
from facehog_core.provenance import now
from facehog_core.recipe import Recipe
from facehog_core.reconcile import RunRequest
from facehog_core.source import Signature
from flows.names import name_owner

NIGHTLY = CronSchedule(cron="17 3 * * *")


def test_the_same_folder_of_another_machine_is_another_facehog_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = name_owner(tmp_path)
    assert name_owner(tmp_path) == here
    assert name_owner(tmp_path / "other") != here
    monkeypatch.setattr(socket, "gethostname", lambda: "rig3")
    assert name_owner(tmp_path) != here


@flow(name="reconcile-inboxes")
def reconcile_inboxes() -> None:
    """Stand in for a flow that there was."""


@pytest.mark.usefixtures("prefect_server")
def test_deployments_of_earlier_versions_are_removed_and_nobody_else_s() -> None:
    mine, others = name_owner(Path("/mine")), name_owner(Path("/others"))

    def names() -> set[str]:
        return {found.name for found in client.read_deployments() if found.flow_id == flow_id}

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(reconcile_inboxes)
        all_of_them = {"nightly", f"nightly-{mine}", f"nightly-{others}", "of the user"}
        for name in all_of_them:
            client.create_deployment(flow_id, name, schedules=[DeploymentScheduleCreate(schedule=NIGHTLY)])
        remove_former(client, mine)
        remove_former(client, mine)
        assert names() == all_of_them - {f"nightly-{mine}"}
        remove_former(client)
        assert names() == {f"nightly-{others}", "of the user"}


@pytest.mark.usefixtures("prefect_server")
def test_what_one_facehog_asks_for_no_other_one_runs(tmp_path: Path) -> None:
    deployments, launchers = {}, {}
    for name in ("rig1", "rig2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "facehog.toml").write_text("", "utf-8")
        config = load_config(tmp_path / name / "facehog.toml")
        owner = name_owner(config.state_dir)
        deployments[name] = [made.apply() for made in make_deployments(config, None, owner)]
        launchers[name] = make_launcher(config, None, owner)
    looks = Signature(size_bytes=1, mtime_ns=2, inode=3)
    for name, launcher in launchers.items():
        path = tmp_path / name / "inbox" / "m12.mp4"
        launcher.request(RunRequest(path=path, signature=looks, recipe=Recipe(), attempt=1, after=None))

    with get_client(sync_client=True) as client:

        def due(ids: list[UUID]) -> list[str]:
            # Those of schedules are due at night.
            found = client.get_scheduled_flow_runs_for_deployments(ids, now() + timedelta(seconds=60), 50)
            return [str(run.parameters["path"]) for run in found if "path" in run.parameters]

        for name, ids in deployments.items():
            assert due(ids) == [str(tmp_path / name / "inbox" / "m12.mp4")]
