"""What tests share: where a catalogue may be made, and a small run with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from barcode import write_recording
from rig import Rig
from runs import make_paths, make_work, run_recording
from small_runs import N_FRAMES, SMALL

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


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Return an inbox that a sensor looks at."""
    (tmp_path / "inbox").mkdir()
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        yield Rig(folder=tmp_path / "inbox", catalogue=catalogue)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small recording, which nobody changes."""
    return write_recording(tmp_path_factory.mktemp("recordings") / "m12.mp4", N_FRAMES)


@pytest.fixture(scope="session")
def whole(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the store of a run that nothing disturbed, with one shard."""
    return run_recording(tmp_path_factory.mktemp("whole"), recording, SMALL, frames_per_shard=N_FRAMES)
