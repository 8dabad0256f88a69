"""What the chaos suite shares: footage, a service, and the moments at which something breaks.

`FACEHOG_TEST_ROUNDS` says how often each fault strikes (once by default, and then only those that are quick),
`FACEHOG_TEST_SEED` at which moments, and `FACEHOG_TEST_SURVIVED` names a file for the results, from which the table in
`docs/faults.md` is made.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from footage import Footage, make_footage
from outcome import check_nothing_is_left
from service_lab import ServiceLab

N_ROUNDS = int(os.environ.get("FACEHOG_TEST_ROUNDS", "1"))
SEED = int(os.environ.get("FACEHOG_TEST_SEED", "20211105"))


def pytest_report_header() -> str:
    """Say by which seed the moments are drawn: the same ones come again by it."""
    return f"faults: FACEHOG_TEST_SEED={SEED}, {N_ROUNDS} rounds"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless rounds are asked for."""
    for item in items:
        if item.get_closest_marker("thorough") and "FACEHOG_TEST_ROUNDS" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="takes long: `make chaos` runs it"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that breaks something at a random moment as often as rounds are asked for."""
    if "moment" in metafunc.fixturenames:
        metafunc.parametrize("moment", range(N_ROUNDS), ids=lambda number: f"round {number + 1}", indirect=True)


@pytest.fixture
def moment(request: pytest.FixtureRequest) -> random.Random:
    """Return a source of moments, the same for the same seed."""
    return random.Random(f"{SEED} {request.node.nodeid}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note which fault was survived."""
    outcome: Any = yield
    report = outcome.get_result()
    results, fault = os.environ.get("FACEHOG_TEST_SURVIVED"), item.get_closest_marker("fault")
    if results and fault and (report.when == "call" or (report.when == "setup" and report.failed)):
        told = {"fault": fault.args[0].format(**_params_of(item)), "promise": fault.args[1], "outcome": report.outcome}
        with Path(results).open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


def _params_of(item: pytest.Item) -> dict[str, Any]:
    call = getattr(item, "callspec", None)  # Of tests with parameters alone.
    return call.params if call else {}


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """Return recordings, and what an undisturbed run makes of them."""
    return make_footage(tmp_path_factory.mktemp("footage"))


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceLab]:
    """Start a service for all tests: it takes a while. In the end it must leave nothing behind."""
    lab = ServiceLab(tmp_path_factory.mktemp("lab"))
    yield lab
    if lab.is_running:
        assert lab.stop() == 0
        check_nothing_is_left(lab)


@pytest.fixture
def lab(started: ServiceLab) -> ServiceLab:
    """Return a lab whose service runs, also after a test that stopped it."""
    if not started.is_running:
        started.start()
    return started
