"""The nightly look at stores: each is verified in its turn, the one that was verified the longest ago first."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from facehog_core.catalogue import Catalogue
from facehog_core.provenance import RunRecord
from facehog_core.verifications import note_verification, order_by_age, read_history
from facehog_core.verify import Verdict, verify_store

# A night's work: what is begun is ended.
MOST_MINUTES = 120.0
_FINISHED = "state=finished"


@flow(name="verify-stores")
def verify_stores(catalogue: str, most_minutes: float = MOST_MINUTES) -> State[Any]:
    """Verify finished runs until the time is over, those that were never verified first.

    Parameters
    ----------
    catalogue : str
        URL of the catalogue.
    most_minutes : float, optional
        No store is begun later than that; one always is.

    Returns
    -------
    State
        Failed, if a store or recording is not as it was; the message says which.
    """
    began_s = time.monotonic()
    verdicts: list[Verdict] = []
    with Catalogue(catalogue) as records:
        finished = {Path(store): run_id for run_id, store in records.rows(_FINISHED, columns=("run", "store"))}
        for store in order_by_age(finished):
            if verdicts and time.monotonic() - began_s > 60 * most_minutes:
                break
            verdicts.append(verify_run(records.run(finished[store])))
            # Also what was noted beside the store by others, who did not know this catalogue.
            records.note_verifications(finished[store], [*read_history(store), verdicts[-1].as_verification()])
    wrong = [verdict for verdict in verdicts if not verdict.is_sound]
    told = f"{len(verdicts)} of {len(finished)} stores were verified"
    if not wrong:
        return Completed(message=f"{told}: all are as they were written.")
    named = "; ".join(f"{verdict.store}: {verdict.problems[0]} ({verdict.findings[0].since})" for verdict in wrong[:5])
    more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return Failed(message=f"{told}, {len(wrong)} are damaged: {named}{more}. `facehog verify RUN` says what to do.")


@task(task_run_name="verify-{record.run_id}", cache_policy=NO_CACHE)
def verify_run(record: RunRecord) -> Verdict:
    """Verify one store, say what is wrong in the log, and note it in the store's history."""
    log, store = get_run_logger(), Path(str(record.store))
    *_, verdict = verify_store(store, record, history=read_history(store))
    assert isinstance(verdict, Verdict)
    for finding in verdict.findings:
        log.error("%s: %s (%s). %s", record.run_id, finding.fact, finding.since, finding.remedy)
    try:
        note_verification(store, verdict.as_verification())
    except OSError as error:
        log.warning("%s: that it was verified cannot be noted: %s", record.run_id, error)
    log.info("%s: %d frames; source %s", record.run_id, record.n_frames or 0, verdict.source)
    return verdict
