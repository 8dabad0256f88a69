"""Where the tests of the catalogue make theirs: a file, and a database on a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facehog_core.catalogue import Catalogue

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
