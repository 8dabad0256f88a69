"""The nightly look at stores: each is verified in its turn, the one that was verified the longest ago first."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from facehog_core.catalogue import Catalogue
from facehog_core.provenance import RunRecord, now
from facehog_core.verifications import Verification, note_verification, read_history
from facehog_core.verify import Verdict, verify_store
from flows.names import VERIFY_STORES, name_nightly_run

# A night's work: what is begun is ended.
MOST_MINUTES = 120.0
_FINISHED = "state=finished"


@flow(name=VERIFY_STORES, flow_run_name=name_nightly_run)
def verify_stores(catalogue: str, most_minutes: float = MOST_MINUTES, store: Path | None = None) -> State[Any]:
    """Verify finished runs until the time is over, those that were never verified first.

    Parameters
    ----------
    catalogue : str
        URL of the catalogue.
    most_minutes : float, optional
        No store is begun later than that; one always is.
    store : Path, optional
        Folder of all stores: where those are that were moved.

    Returns
    -------
    State
        Failed, if a store or recording is not as it was; the message says which.
    """
    began_s, n_tried, wrong = time.monotonic(), 0, []
    with Catalogue(catalogue, stores=store) as records:
        # By the catalogue, and not by what lies beside the stores: that may be where nothing can be noted.
        finished = sorted(records.rows(_FINISHED, columns=("verified", "run")), key=_turn_of)
        for _, run_id in finished:
            if n_tried and time.monotonic() - began_s > 60 * most_minutes:
                break
            n_tried += 1
            if said := _find_wrong(records, run_id):
                wrong.append(said)
    told = f"{n_tried} of {len(finished)} stores were verified"
    if not wrong:
        return Completed(message=f"{told}: all are as they were written.")
    named = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    are = "is damaged or cannot" if len(wrong) == 1 else "are damaged or cannot"
    return Failed(message=f"{told}, {len(wrong)} {are} be read: {named}. `facehog verify RUN` says what to do.")


def _turn_of(row: tuple[datetime | None, str]) -> tuple[bool, str]:
    """Put those first that were never verified, and then those of the longest ago."""
    verified, _ = row
    return verified is not None, verified.isoformat() if verified else ""


def _find_wrong(records: Catalogue, run_id: str) -> str | None:
    """Verify a run, note that, and say the first that is wrong, if anything is."""
    record = records.run(run_id)
    store = Path(str(record.store))
    try:
        verdict = verify_run(record)
        verification = verdict.as_verification()
        said = None if verdict.is_sound else f"{verdict.problems[0]} ({verdict.findings[0].since})"
    except Exception as error:
        # Whatever it is: one store is not to keep the others from their turns, night after night.
        get_run_logger().exception("%s: it cannot be verified", run_id)
        said = f"it cannot be verified: {type(error).__name__}: {error}"
        verification = Verification(at=now(), is_deep=False, source="was not looked at", problems=[said])
    # Also what was noted beside the store by others, who did not know this catalogue.
    records.note_verifications(run_id, [*read_history(store), verification])
    return f"{store}: {said}" if said else None


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
