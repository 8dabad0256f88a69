"""Record how a run ended. Runs in the flow's own process: the catalogue is a file of this machine."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from facehog_core.catalogue import Catalogue
from facehog_core.causes import Cause
from facehog_core.provenance import RunRecord


@task(task_run_name="record-{record.state}", retries=3, retry_delay_seconds=[1, 5, 20], cache_policy=NO_CACHE)
def record_provenance(records: Catalogue, record: RunRecord, cause: Cause | None = None) -> None:
    """Write what is known of the run, and the fate of its file, in one transaction."""
    records.record(record, cause)
