"""What tests share: where a catalogue may be made, and a small run with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runs import make_paths, make_work

from facehog_core.catalogue import Catalogue
from facehog_core.layout import Work
from facehog_core.run_paths import RunPaths

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path, make_catalogue_url: Callable[[str, Path], str]) -> str:
    """Return where a catalogue may be made, in each of the databases."""
    return make_catalogue_url(request.param, tmp_path)


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """Return where a catalogue may be made in a file."""
    return f"sqlite:///{tmp_path / 'catalogue.db'}"


@pytest.fixture
def catalogue(url: str) -> Iterator[Catalogue]:
    with Catalogue(url, create=True) as opened:
        yield opened


@pytest.fixture
def work() -> Work:
    """Return a run of a few frames."""
    return make_work()


@pytest.fixture
def paths(tmp_path: Path, work: Work) -> RunPaths:
    """Return where its store is made."""
    return make_paths(tmp_path / "store", work)
