"""An inbox with a clock of its own, and a launcher that takes runs as Prefect does: to test what a look decides."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from catalogue_users import come_to

from facehog_core.catalogue import Catalogue
from facehog_core.files import FileRecord
from facehog_core.inbox import Inbox
from facehog_core.lookout import Lookout
from facehog_core.recipe import Recipe
from facehog_core.reconcile import Due, Life, RunRequest, take_up
from facehog_core.schema import Fate
from facehog_core.source import Signature

SETTLE_S = 10.0


class CrashError(Exception):
    """The sensor is killed."""


class DownError(Exception):
    """Nobody takes runs."""


@dataclass
class Run:
    request: RunRequest
    life: Life = Life.ALIVE
    has_begun: bool = False


@dataclass
class FakeLauncher:
    """Takes runs as Prefect does: a key that it knows names the run that it has."""

    runs: dict[str, Run] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    n_asked: Counter[str] = field(default_factory=Counter)
    is_down: bool = False
    crashes_after: bool = False

    def request(self, request: RunRequest) -> str:
        if self.is_down:
            raise DownError
        self.n_asked[request.key] += 1
        name = self.names.setdefault(request.key, f"run-{len(self.names)}")
        self.runs.setdefault(name, Run(request))
        if self.crashes_after:
            raise CrashError
        return name

    def life_of(self, file: FileRecord) -> Life:
        return self.runs[file.flow_run_id].life if file.flow_run_id in self.runs else Life.DEAD


@dataclass
class Rig:
    """An inbox, a catalogue, a sensor with a clock of its own, and whoever runs what it asks for."""

    folder: Path
    catalogue: Catalogue
    launcher: FakeLauncher = field(default_factory=FakeLauncher)
    at_s: float = 0.0
    recipe: Recipe = field(default_factory=Recipe)
    most_queued: int | None = None
    rest: list[Due] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def inbox(self) -> Inbox:
        return Inbox(path=self.folder, patterns=["*.mp4", "*.png"], settle_s=SETTLE_S, recipe=self.recipe)

    def put(self, name: str, content: bytes = b"x") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def look(self, after_s: float = 0.0) -> int:
        self.at_s += after_s
        self.lookout.inbox = self.inbox
        dues = self.lookout.look(self.launcher)
        room = None if self.most_queued is None else self.most_queued - self.catalogue.count(Fate.QUEUED)
        n_asked, self.rest = take_up(dues, self.catalogue, self.launcher, room)
        return n_asked

    def file(self, path: Path) -> FileRecord:
        found = self.catalogue.file(path)
        assert found is not None
        return found

    def restart(self) -> None:
        """Lose what a sensor that is killed loses."""
        self.lookout = Lookout(self.inbox, self.catalogue, lambda: self.at_s)

    # What the flow tells the catalogue, as flows/ledger.py does.

    def begin(self, name: str) -> None:
        run = self.launcher.runs[name]
        run.has_begun = True
        path = run.request.path
        try:
            signature = Signature.of(path)
        except FileNotFoundError:
            run.life = Life.DEAD
            self.catalogue.set_fate(path, Fate.FAILED, "cannot be read")
            return
        attempt = run.request.attempt
        self.catalogue.set_fate(
            path, Fate.RUNNING, "is being read", signature=signature, attempt=attempt, flow_run_id=name
        )

    def end(self, name: str, state: Fate) -> None:
        run = self.launcher.runs[name]
        come_to(self.catalogue, run.request.path, state, "the run's last word")
        run.life = Life.DEAD


def settle(rig: Rig) -> int:
    rig.look()
    return rig.look(after_s=SETTLE_S)
