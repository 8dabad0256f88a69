"""prefect-dask's task runner, with less to send and less to make for each task."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from contextvars import Context, copy_context
from functools import lru_cache, partial
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

from distributed import Future, Worker
from prefect import Flow, Task
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, SettingsContext, SyncClientContext, TagsContext
from prefect.task_engine import run_task_sync
from prefect_dask import DaskTaskRunner
from prefect_dask.task_runners import PrefectDaskFuture


class DaskRunner(DaskTaskRunner):
    """Submits tasks by name, with Prefect's settings made ready once.

    prefect-dask sends each task by value, with its flow and all settings of Prefect, which the worker checks anew, and
    for which it makes a client of its own: 0.1 s of a worker for a task that does nothing. Dask makes a name of all
    that, too, unless it is given one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._submitted: list[Future[Any]] = []

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectDaskFuture[Any]] | None = None,
        dependencies: dict[str, Any] | None = None,
    ) -> PrefectDaskFuture[Any]:
        """Submit a task that is a name of its module; its parameters are values, not futures."""
        task_run_id = uuid4()
        future = self.client.submit(
            run_by_name,
            task.fn.__module__,
            task.fn.__qualname__,
            key=f"{task.name}-{task_run_id}",
            settings=_SETTINGS.pack(),
            context=_describe_context(),
            task_run_id=task_run_id,
            parameters=parameters,
            wait_for=wait_for,
            dependencies=dependencies,
        )
        self._submitted.append(future)
        return PrefectDaskFuture[Any](wrapped_future=future, task_run_id=task_run_id)

    def abandon(self) -> None:
        """Give up what was submitted, together with the workers that are at it: nobody can call them back.

        Only those are ended that have a nanny, which starts them again.
        """
        self.client.cancel(self._submitted, force=True)
        self.client.run(end_if_at, {future.key for future in self._submitted}, on_error="ignore")


def end_if_at(keys: set[str], dask_worker: Worker) -> None:
    """End a worker's process if it is at one of some tasks."""
    if dask_worker.nanny and keys & dask_worker.active_keys:
        os._exit(1)


class _Settings:
    """Prefect's settings as they are sent; to make that of them takes 20 ms, and they hardly ever change."""

    def __init__(self) -> None:
        self._seen: object = None
        self._packed = b""

    def pack(self) -> bytes:
        context = SettingsContext.get()
        assert context is not None
        if self._seen is not context.settings:
            self._seen, self._packed = context.settings, pickle.dumps(context.serialize())
        return self._packed


_SETTINGS = _Settings()


def _describe_context() -> dict[str, Any]:
    """Return what a task is told of the flow run that it belongs to."""
    found = {"flow_run_context": FlowRunContext.get(), "tags_context": TagsContext.get()}
    told = {name: context.serialize() for name, context in found.items() if context}
    if of_run := told.get("flow_run_context"):
        of_run["flow"] = _stand_in(of_run["flow"].name)
    return told


@lru_cache(maxsize=2)
def _stand_in(name: str) -> Flow[[], None]:
    """Return a flow that tells its tasks its name, which is all that they ask it for.

    The flow itself would be sent by value, and a worker's first task would wait until all is loaded that it uses.
    """
    return Flow(_nothing, name=name)


def _nothing() -> None:
    """Do nothing."""


def run_by_name(
    module: str, name: str, settings: bytes, context: dict[str, Any], task_run_id: UUID, **given: Any
) -> State[Any]:
    """Run a task on a worker; its result is in the state."""
    task = getattr(import_module(module), name)
    run = partial(run_task_sync, task, task_run_id=task_run_id, context=context, return_type="state", **given)
    return _prepare(settings).copy().run(run)


@lru_cache(maxsize=2)
def _prepare(settings: bytes) -> Context:
    """Return a context in which Prefect's settings hold, and its client is connected."""
    context = copy_context()
    context.run(SettingsContext(**pickle.loads(settings)).__enter__)
    context.run(lambda: SyncClientContext().__enter__())
    return context
