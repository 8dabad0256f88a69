"""What people do in Prefect's UI, and to its database."""

from __future__ import annotations

import os
import random
from pathlib import Path

import httpx
import pytest
from footage import Footage, describe_undisturbed
from outcome import Shards, check_finished
from service_lab import ServiceLab, write_mouse
from strike import RUNS, reach

from facehog_core.schema import Fate

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.thorough,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.name == "nt", reason="POSIX signals"),
]

# So many times the mouse: 4,008 frames.
N_TIMES = 8
# What the buttons of the UI send.
CANCEL = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
RETRY = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """Return recordings that are long enough to be cancelled before they end, on any machine."""
    folder = tmp_path_factory.mktemp("long")
    base = write_mouse(folder / "long.mp4", N_TIMES)
    return Footage(base=base, expected=describe_undisturbed(base, folder / "undisturbed"))


def _reach(lab: ServiceLab, footage: Footage, moment: random.Random, first: int = 0) -> tuple[list[Path], Shards]:
    def land() -> list[Path]:
        tag = f"{moment.getrandbits(64):016x}"
        return footage.land(lab.inbox, f"{tag}a.mp4", f"{tag}b.mp4")

    return reach(lab, land, moment, first)


@pytest.mark.fault(
    "a run is cancelled in Prefect's UI, and retried there", "it ends and stays so, others go on; the retry finishes it"
)
def test_a_run_that_is_cancelled_ends_and_goes_on_when_it_is_retried(
    lab: ServiceLab, long: Footage, moment: random.Random
) -> None:
    recordings, done = _reach(lab, long, moment, RUNS)
    *_, target, _ = recordings
    button = f"{lab.api_url}/flow_runs/{lab.files()[target].flow_run_id}/set_state"
    httpx.post(button, json=CANCEL, timeout=60).raise_for_status()
    others = [path for path in recordings if path != target]
    check_finished(lab, others, long.expected)
    assert lab.wait_until_settled(target)[target].state is Fate.FAILED
    later = long.land(lab.inbox, f"{moment.getrandbits(64):016x}later.mp4")
    check_finished(lab, later, long.expected)
    assert lab.files()[target].state is Fate.FAILED, "nobody asks for it again"
    httpx.post(button, json=RETRY, timeout=60).raise_for_status()
    lab.wait_for(lambda: lab.files()[target].state is Fate.FINISHED, "the retried run")
    check_finished(lab, recordings, long.expected, done)


@pytest.mark.fault("the deployment is deleted in Prefect's UI", "it is registered again; nothing is lost")
def test_a_deployment_that_is_deleted_is_registered_again(
    lab: ServiceLab, footage: Footage, moment: random.Random
) -> None:
    recordings, done = _reach(lab, footage, moment)
    (found,) = lab.ask("deployments/filter", {"deployments": {"name": {"any_": ["inbox"]}}})
    httpx.delete(f"{lab.api_url}/deployments/{found['id']}", timeout=60).raise_for_status()
    check_finished(lab, recordings, footage.expected, done)
    later = footage.land(lab.inbox, f"{moment.getrandbits(64):016x}later.mp4")
    check_finished(lab, later, footage.expected)


@pytest.mark.fault(
    "Prefect's database is deleted after a power cut", "`facehog up` goes on from the chunks that are done"
)
def test_prefects_database_may_be_deleted(lab: ServiceLab, footage: Footage, moment: random.Random) -> None:
    recordings, done = _reach(lab, footage, moment)
    lab.kill_everything()
    files = list((lab.state_dir / "prefect").glob("prefect.db*"))
    assert files
    for file in files:
        file.unlink()
    lab.start()
    check_finished(lab, recordings, footage.expected, done)
