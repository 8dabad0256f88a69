"""prefect-dask's task runner, but for the names that it gives to tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from prefect import Task
from prefect_dask import DaskTaskRunner
from prefect_dask.task_runners import PrefectDaskFuture


class DaskRunner(DaskTaskRunner):
    """Submits tasks under names of their own.

    Without one Dask makes a name of all that a task is given, Prefect's whole context and settings among it: 10 ms for
    each task, and what it is for (the same task twice is done once) is not wanted.
    """

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectDaskFuture[Any]] | None = None,
        dependencies: dict[str, Any] | None = None,
    ) -> PrefectDaskFuture[Any]:
        """Submit a task to the cluster; its parameters are values, not futures."""
        future = self.client.submit(
            task,
            key=f"{task.name}-{uuid4()}",
            parameters=parameters,
            wait_for=wait_for,
            dependencies=dependencies,
            return_type="state",
        )
        return PrefectDaskFuture[Any](wrapped_future=future, task_run_id=future.task_run_id)
