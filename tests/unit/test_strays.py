from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from catalogue_users import come_to
from rig import FakeLauncher, Run

from deployments.backlog import Backfill, Backlog
from deployments.config_file import load_config
from deployments.strays import LOOK_S, Strays
from facehog_core.catalogue import Catalogue
from facehog_core.recipe import Recipe
from facehog_core.reconcile import NOT_ASKED_FOR, Life, RunRequest
from facehog_core.schema import Fate
from facehog_core.source import Signature

LOOK = Signature(size_bytes=1, mtime_ns=2, inode=3)


@dataclass
class Lab:
    """A configuration with an inbox, a catalogue, and a look for strays with a clock of its own."""

    folder: Path
    catalogue: Catalogue
    launcher: FakeLauncher = field(default_factory=FakeLauncher)
    at_s: float = 0.0

    def __post_init__(self) -> None:
        (self.folder / "facehog.toml").touch()
        self.config = load_config(self.folder / "facehog.toml")
        self.strays = Strays(self.config, self.catalogue, self.launcher, lambda: self.at_s)

    def turn(self, name: str, state: Fate, life: Life | None = None) -> Path:
        path = self.folder / name
        if life:
            request = RunRequest(path=path, signature=LOOK, recipe=Recipe(), attempt=1, after=None)
            self.launcher.runs[name] = Run(request, life=life)
        come_to(self.catalogue, path, state, f"is {state}", signature=LOOK, flow_run_id=name if life else None)
        return path

    def look(self, n_times: int = 1) -> None:
        for _ in range(n_times):
            self.strays.look()
            self.at_s += LOOK_S

    def fate(self, path: Path) -> tuple[Fate, str]:
        file = self.catalogue.file(path)
        assert file
        return file.state, file.reason


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        yield Lab(tmp_path, catalogue)


@pytest.mark.parametrize("state", [Fate.WAITING, Fate.QUEUED, Fate.RUNNING])
@pytest.mark.parametrize("life", [Life.DEAD, Life.CANCELLED, None])
def test_a_file_for_which_nobody_will_do_anything_has_failed_and_says_what_helps(
    lab: Lab, state: Fate, life: Life | None
) -> None:
    path = lab.turn("elsewhere/a.mp4", state, life)
    lab.look(2)
    found, reason = lab.fate(path)
    assert found is Fate.FAILED
    assert "`facehog process`" in reason
    assert (reason == NOT_ASKED_FOR) is (state is Fate.WAITING)


def test_what_an_inbox_or_a_backfill_holds_and_what_lives_or_has_ended_is_no_stray(lab: Lab) -> None:
    (lab.folder / "archive").mkdir()
    Backlog(lab.config).add(Backfill(path=str(lab.folder / "archive")))
    paths = [
        lab.turn("inbox/a.mp4", Fate.WAITING),
        lab.turn("inbox/b.mp4", Fate.QUEUED, Life.DEAD),
        lab.turn("archive/2019/c.mp4", Fate.WAITING),
        lab.turn("elsewhere/d.mp4", Fate.RUNNING, Life.ALIVE),
        lab.turn("elsewhere/e.mp4", Fate.WAITING, Life.ALIVE),
        lab.turn("elsewhere/f.mp4", Fate.QUARANTINED),
        lab.turn("elsewhere/g.mp4", Fate.FINISHED),
    ]
    before = list(map(lab.fate, paths))
    lab.look(3)
    assert list(map(lab.fate, paths)) == before
    # It is cancelled.
    Backlog(lab.config).remove(lab.folder / "archive")
    lab.look(2)
    assert lab.fate(paths[2]) == (Fate.FAILED, NOT_ASKED_FOR)
    assert list(map(lab.fate, paths[:2])) == before[:2]


def test_what_is_on_its_way_from_one_fate_to_another_is_no_stray(lab: Lab) -> None:
    path = lab.turn("elsewhere/a.mp4", Fate.WAITING)
    lab.look()
    lab.turn("elsewhere/a.mp4", Fate.RUNNING)
    lab.look()
    assert lab.fate(path)[0] is Fate.RUNNING
    lab.look()
    assert lab.fate(path)[0] is Fate.FAILED
