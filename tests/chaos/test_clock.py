"""The system's clock is set forth and back, for all processes of the service."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from footage import Footage
from outcome import check_finished, check_nothing_is_left
from service_lab import PATIENCE_S, ServiceLab
from strike import reach

from facehog_core import Catalogue
from facehog_core.files import FileRecord
from facehog_core.schema import Fate

libfaketime = pytest.importorskip("libfaketime", reason="needs libfaketime to fake a clock")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="fakes the clock by LD_PRELOAD"),
]


class Clock:
    """The clock that a service sees.

    Parameters
    ----------
    file : Path
        What libfaketime reads: how far the clock is off.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process see it."""
        _, fakes = libfaketime.get_reload_information()
        # As when a clock is set: files keep their times.
        return {**fakes, "FAKETIME_TIMESTAMP_FILE": str(self._file), "NO_FAKE_STAT": "1"}

    def set(self, seconds: int) -> None:
        """Set the clock, so many seconds off the true time."""
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(f"{seconds:+d}", "ascii")
        unfinished.replace(self._file)


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServiceLab, Clock]]:
    """Start a service that sees a clock of its own."""
    folder = tmp_path_factory.mktemp("clock")
    clock = Clock(folder / "offset")
    lab = ServiceLab(folder, environment=clock.environment)
    lab.start()
    yield lab, clock
    if lab.is_running:
        assert lab.stop() == 0
        check_nothing_is_left(lab)


# More than run at once.
N_QUEUED = 8


@pytest.mark.fault("the clock is set back while runs are queued", "they begin as before, and each is finished once")
def test_runs_that_are_queued_do_not_wait_for_a_clock_that_was_set_back(
    timed: tuple[ServiceLab, Clock], footage: Footage, moment: random.Random
) -> None:
    lab, clock = timed
    clock.set(0)
    tag = f"{moment.getrandbits(64):016x}"
    recordings = footage.land(lab.inbox, *(f"{tag}-{number}.mp4" for number in range(N_QUEUED)))

    def queued() -> list[FileRecord]:
        known = lab.files()
        return [file for path in recordings if (file := known.get(path)) and file.state is Fate.QUEUED]

    lab.wait_for(queued, "runs that wait")
    clock.set(-3600)
    assert queued(), "some wait when the clock is set"
    check_finished(lab, recordings, footage.expected)
    with Catalogue(f"sqlite:///{lab.catalogue}") as catalogue:
        assert {file.attempt for file in catalogue.files().values() if file.path in recordings} == {1}


@pytest.mark.fault("the clock is set by {seconds:+d} s", "nothing waits for it, and nothing is done twice")
@pytest.mark.parametrize("seconds", [3600, -3600, 2 * 86400, -86400])
def test_a_clock_that_is_set_in_mid_run_changes_nothing(
    timed: tuple[ServiceLab, Clock], footage: Footage, seconds: int, moment: random.Random
) -> None:
    lab, clock = timed
    tag = f"{moment.getrandbits(64):016x}"
    numbers = itertools.count()
    recordings, done = reach(lab, lambda: footage.land(lab.inbox, f"{tag}-{next(numbers)}.mp4"), moment)
    clock.set(seconds)
    # By the other clock alone, whenever it was set for the first one.
    later = footage.land(lab.inbox, f"{tag}later.mp4")
    check_finished(lab, [*recordings, *later], footage.expected, done)
    with Catalogue(f"sqlite:///{lab.catalogue}") as catalogue:
        finished_at = catalogue.story(later[0])[-1].at
    off_s = (finished_at - datetime.now(UTC)).total_seconds()
    assert abs(off_s - seconds) < PATIENCE_S, "the service did see the other clock"
