"""What every test shares: where the recordings lie, and how hypothesis searches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from postgresql import find_obstacle, make_schema, running_server
from skimage.feature import _hog
from sqlalchemy import URL

# The same examples each time, and no verdict from the machine's speed.
# For a real search: pytest --hypothesis-profile=search
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("ci"), derandomize=False, max_examples=1000)
settings.load_profile("ci")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def videos_dir() -> Path:
    """Return the folder of test recordings, with `real/`, `derived/` and `stills/` in it."""
    folder = Path(os.environ.get("FACEHOG_TEST_VIDEOS", REPOSITORY.parent / "shared" / "videos"))
    if not folder.is_dir():
        pytest.skip(f"no test recordings in {folder}: set FACEHOG_TEST_VIDEOS to their folder")
    return folder


@pytest.fixture(scope="session")
def write_form(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that writes a recording in a form, once for all tests."""
    # Here and not above: what forms imports reads the profile of hypothesis.
    from forms import FORMS, REFUSED_FORMS

    written: dict[str, Path] = {}

    def write(form: str) -> Path:
        if form not in written:
            found = FORMS.get(form) or REFUSED_FORMS[form]
            written[form] = found.write(tmp_path_factory.mktemp("form") / found.name)
        return written[form]

    return write


@pytest.fixture(scope="session")
def postgresql() -> Iterator[URL]:
    """Return the URL of a database in a server of PostgreSQL of the tests' own."""
    if (obstacle := find_obstacle()) is not None:
        pytest.skip(obstacle)
    with running_server() as url:
        yield url


@pytest.fixture(scope="session")
def make_catalogue_url(request: pytest.FixtureRequest) -> Callable[[str, Path], str]:
    """Return a function that says, of a kind of database and a folder, where a new catalogue may be."""
    numbers = count()

    def make(kind: str, folder: Path) -> str:
        if kind == "sqlite":
            return f"sqlite:///{folder / f'catalogue{next(numbers) or str()}.db'}"
        return make_schema(request.getfixturevalue("postgresql"), f"catalogue_{next(numbers)}")

    return make


@pytest.fixture
def decided_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn scikit-image's gradients by 1e-11 rad: those on a bin border, where it does not agree with itself, go above.

    No other gradient of 8-bit grey is as near to a border.
    """
    gradient_of = _hog._hog_channel_gradient

    def turned(channel: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        g_row, g_col = gradient_of(channel)
        return g_row + 1e-11 * g_col, g_col - 1e-11 * g_row

    monkeypatch.setattr(_hog, "_hog_channel_gradient", turned)
