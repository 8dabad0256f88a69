from __future__ import annotations

import pickle
import pickletools

from prefect.context import FlowRunContext
from prefect.results import ResultStore
from prefect.task_runners import ThreadPoolTaskRunner

from flows.dask_runner import _describe_context
from flows.process_recording import process_recording


def test_a_task_is_told_of_which_flow_it_is_and_loads_nothing_for_that() -> None:
    run = FlowRunContext.model_construct(
        flow=process_recording, task_runner=ThreadPoolTaskRunner(), result_store=ResultStore()
    )
    with run:
        # As Prefect's own would be sent, that of a flow is not pickled by name: pickle would refuse it.
        sent = pickle.dumps(_describe_context())
    loaded = {str(name).split(" ")[0] for _, name, _ in pickletools.genops(sent) if isinstance(name, str)}
    assert not loaded & {"flows.process_recording", "facehog_core.catalogue", "sqlalchemy"}
    assert pickle.loads(sent)["flow_run_context"]["flow"].name == process_recording.name
