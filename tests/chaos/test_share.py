"""The inbox is on a share that hangs, fails, vanishes, and comes back empty and then full."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from footage import Footage
from mounts import can_mount
from outcome import Shards, check_finished, check_nothing_is_left
from service_lab import ServiceLab
from share import Share
from strike import last, reach

from facehog_core import Catalogue

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not can_mount(), reason="needs Linux, root and FUSE to mount a share"),
]

# How long a share is gone at most, seconds.
GONE_S = 20.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServiceLab, Share]]:
    """Start a service whose inbox is a share."""
    lab = ServiceLab(tmp_path_factory.mktemp("shared"))
    elsewhere = lab.folder / "elsewhere"
    elsewhere.mkdir()
    share = Share(elsewhere, lab.inbox)
    share.attach()
    try:
        lab.start()
        yield lab, share
        if lab.is_running:
            assert lab.stop() == 0
            check_nothing_is_left(lab)
    finally:
        share.detach()


def _land(lab: ServiceLab, share: Share, footage: Footage, moment: random.Random) -> list[Path]:
    landed = footage.land(share.folder, f"{moment.getrandbits(64):016x}.mp4")
    return [lab.inbox / path.name for path in landed]


def _reach(lab: ServiceLab, share: Share, footage: Footage, moment: random.Random) -> tuple[list[Path], Shards]:
    return reach(lab, lambda: _land(lab, share, footage, moment), moment)


def _count_runs(lab: ServiceLab) -> int:
    with Catalogue(f"sqlite:///{lab.catalogue}") as catalogue:
        return sum(run.run_id is not None for run in catalogue.records())


@pytest.mark.fault("the share hangs in mid-run", "facehog waits for it, and goes on")
def test_a_share_that_hangs_is_waited_for(
    shared: tuple[ServiceLab, Share], footage: Footage, moment: random.Random
) -> None:
    lab, share = shared
    recordings, done = _reach(lab, share, footage, moment)
    with share.hanging():
        last(moment, 5, GONE_S)
    check_finished(lab, recordings, footage.expected, done)


@pytest.mark.fault("the share's server dies; each look at it fails", "runs rest and go on; it is said once")
def test_a_share_that_fails_is_waited_for(
    shared: tuple[ServiceLab, Share], footage: Footage, moment: random.Random
) -> None:
    lab, share = shared
    recordings, done = _reach(lab, share, footage, moment)
    trouble = f"{lab.inbox}: cannot be looked at"
    n_said = lab.count_said(trouble)
    share.kill()
    lab.wait_for(lambda: lab.count_said(trouble) > n_said, "a word of the share")
    last(moment, 2, GONE_S)
    assert lab.count_said(trouble) == n_said + 1
    share.detach()
    share.attach()
    check_finished(lab, recordings, footage.expected, done)


@pytest.mark.thorough
@pytest.mark.fault("the inbox may not be read for a while", "runs rest and go on; it is said once")
def test_an_inbox_that_may_not_be_read_is_waited_for(
    shared: tuple[ServiceLab, Share], footage: Footage, moment: random.Random
) -> None:
    lab, share = shared
    recordings, done = _reach(lab, share, footage, moment)
    trouble = f"{lab.inbox}: cannot be looked at: Permission denied"
    n_said = lab.count_said(trouble)
    with share.denied():
        lab.wait_for(lambda: lab.count_said(trouble) > n_said, "a word of the inbox")
        last(moment, 2, GONE_S)
    check_finished(lab, recordings, footage.expected, done)
    assert lab.count_said(trouble) == n_said + 1


@pytest.mark.fault("the share is unmounted and comes back full", "nothing is forgotten, nothing done twice")
def test_a_share_that_was_empty_for_a_while_is_as_before(
    shared: tuple[ServiceLab, Share], footage: Footage, moment: random.Random
) -> None:
    lab, share = shared
    recordings = _land(lab, share, footage, moment)
    check_finished(lab, recordings, footage.expected)
    n_runs = _count_runs(lab)
    share.detach()
    last(moment, 2, GONE_S)
    share.attach()
    more = _land(lab, share, footage, moment)
    check_finished(lab, [*recordings, *more], footage.expected)
    assert _count_runs(lab) == n_runs + 1, "what was done before is not done again"
