"""A lab in a folder: a store, a catalogue, and a flow that runs on threads of the test."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter
from prefect.client.schemas.filters import TaskRunFilterFlowRunId as ByFlowRun
from prefect.client.schemas.objects import State, TaskRun

from facehog_core import Catalogue, Recipe
from facehog_core.path_text import as_text
from facehog_core.provenance import RunRecord
from flows.process_recording import process_recording


@dataclass(frozen=True)
class Lab:
    """A folder with a store and a catalogue, and a flow that runs on threads."""

    folder: Path

    @property
    def catalogue(self) -> str:
        return f"sqlite:///{self.folder / 'catalogue.db'}"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def process(
        self,
        path: Path,
        recipe: Recipe | None = None,
        cluster: dict[str, Any] | None = None,
        attempt: int = 1,
        **given: Any,
    ) -> State[Any]:
        return process_recording(
            path=as_text(path),
            store=self.store,
            catalogue=self.catalogue,
            recipe=(recipe or Recipe()).as_dict(),
            cluster=cluster or {"n_workers": 2, "processes": False},
            attempt=attempt,
            **given,
            return_state=True,
        )

    def record(self, path: Path) -> RunRecord:
        with Catalogue(self.catalogue) as catalogue:
            (record,) = [record for record in catalogue.records() if record.path == path]
        return record

    def left_behind(self) -> list[Path]:
        return list(self.store.rglob("*"))


def task_runs(flow_run_id: Any) -> list[TaskRun]:
    """Return the flow run's task runs, when the server has taken down how they ended: it does so later."""
    by_flow_run = TaskRunFilter(flow_run_id=ByFlowRun(any_=[flow_run_id]))
    deadline_s = time.monotonic() + 200
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(task_run_filter=by_flow_run)
            if all(run.state and run.state.is_final() for run in runs) or time.monotonic() > deadline_s:
                return runs
            time.sleep(0.2)
