"""Bring Prefect, catalogue and disk into agreement with the fact that nothing runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import httpx

from facehog_core.catalogue import Catalogue
from facehog_core.files import FileRecord
from facehog_core.locks import is_held
from facehog_core.provenance import describe_host
from facehog_core.schema import Fate
from flows.names import FLOWS

from .api import Api
from .backlog import is_watched
from .config import Config


def release_runs(api: Api, config: Config, *, is_ours: bool, timeout_s: float) -> None:
    """Release what a service that was stopped or killed had under way: its recordings are given back.

    Prefect believes for ever that such runs go on, and keeps their places for them. No process of them is
    left: they were ended with their service. It was not the recordings' fault, so their attempts start anew.

    Parameters
    ----------
    api : Api
    config : Config
    is_ours : bool
        Whether the server is this service's own. Another one may have runs of other machines, too: of those it has,
        only what the catalogue names is released.
    timeout_s : float
        How long the server may take for each answer, in seconds.

    Raises
    ------
    httpx.HTTPError
        If the server does not answer. The recordings are given back nevertheless.
    """
    with Catalogue(config.catalogue, create=True) as catalogue:
        # Of a hundred thousand hardly one: they are not all read while the service is to end.
        named = {record.path for record in catalogue.records(f"state={Fate.RUNNING}")}
        running = [file for path in named if (file := catalogue.file(path)) and file.state is Fate.RUNNING]
        # Of a foreground `facehog process`, which had its own server or this one's database.
        alive = {file.flow_run_id for file in running if is_held(catalogue.location, str(file.path))}
        for file in running:
            if file.flow_run_id not in alive and _is_ours(file, config, catalogue):
                _release_file(file, config, catalogue)
    with api.connect(timeout_s) as client:
        which = {} if is_ours else {"id": {"any_": [file.flow_run_id for file in running if file.flow_run_id]}}
        _crash_runs(client, which, alive)


def _crash_runs(client: httpx.Client, which: dict[str, Any], alive: Collection[str | None]) -> None:
    under_way = {
        "flows": {"name": {"any_": FLOWS}},
        "flow_runs": {**which, "state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}},
    }
    crashed = {"state": {"type": "CRASHED", "message": "facehog was stopped"}, "force": True}

    def change(run_id: str) -> bool:
        answer = client.post(f"flow_runs/{run_id}/set_state", json=crashed).raise_for_status()
        return bool(answer.json()["status"] == "ACCEPT")

    # The server gives some hundred at once. Those that were changed are not among the next.
    n_left = 0
    while runs := client.post("flow_runs/filter", json=under_way | {"offset": n_left}).raise_for_status().json():
        n_left += sum(run["id"] in alive or not change(run["id"]) for run in runs)


def _is_ours(file: FileRecord, config: Config, catalogue: Catalogue) -> bool:
    """Say whether a file is for this facehog to see to: machines that share a catalogue have inboxes of their own."""
    if config.catalogue_file or is_watched(file.path, config):
        return True
    return file.run_id is not None and catalogue.run(file.run_id).host.get("name") == describe_host()["name"]


def _release_file(file: FileRecord, config: Config, catalogue: Catalogue) -> None:
    if is_watched(file.path, config):
        reason = "facehog was stopped; goes on with what is not done yet"
        catalogue.set_fate(file.path, Fate.WAITING, reason, attempt=0, only_from=file)
    else:
        reason = "facehog was stopped, and no inbox holds the file; `facehog process` goes on with what is not done yet"
        catalogue.set_fate(file.path, Fate.FAILED, reason, only_from=file)
