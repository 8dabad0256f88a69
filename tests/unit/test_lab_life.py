"""Whatever happens in an inbox, in whatever order, each file has one fate and each run one end."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rig import SETTLE_S, CrashError, DownError, Rig, Run

from facehog_core.catalogue import Catalogue
from facehog_core.reconcile import MOST_ATTEMPTS, Life, RunRequest
from facehog_core.schema import Fate
from facehog_core.source import Signature

RECORDINGS = ["a.mp4", "rig 2/b.mp4"]
OTHERS = [".hidden.mp4", "copying.mp4.part", "notes.txt", ".cache/d.mp4"]
recordings = st.sampled_from(RECORDINGS)
numbers = st.integers(0, 9)
ENDS = [Fate.FINISHED, Fate.FAILED, Fate.QUARANTINED, Fate.DUPLICATE, Life.DEAD, Life.DEAD, Life.CANCELLED]


class LabLife(RuleBasedStateMachine):
    """Files come, grow, are replaced, renamed and removed; runs end, die and are cancelled; the sensor crashes."""

    def __init__(self) -> None:
        super().__init__()
        self._scratch = TemporaryDirectory()
        folder = Path(self._scratch.name) / "inbox"
        folder.mkdir()
        self.catalogue = Catalogue(f"sqlite:///{folder.parent / 'catalogue.db'}", create=True)
        self.rig = Rig(folder=folder, catalogue=self.catalogue)
        self.launcher = self.rig.launcher
        self.touched_at_s: dict[Path, float] = {}
        self.interrupted: set[str] = set()
        self.n_written = 0

    def teardown(self) -> None:
        try:
            self._come_to_rest()
        finally:
            self.catalogue.close()
            self._scratch.cleanup()

    @initialize()
    def begin_with_a_file_that_was_there_before(self) -> None:
        self.write("a.mp4")

    # Files.

    @rule(name=recordings)
    def write(self, name: str) -> None:
        self.n_written += 1
        self._touch(self.rig.put(name, b"x" * self.n_written))

    @rule(name=st.sampled_from(OTHERS))
    def write_something_else(self, name: str) -> None:
        self.write(name)

    @rule(name=recordings)
    def replace(self, name: str) -> None:
        """As `rsync` does; size and time are those of the file that was there."""
        path = self.rig.folder / name
        if path.exists():
            status = path.stat()
            new = self.rig.put(f"{name}.new", b"y" * status.st_size)
            os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
            self._touch(new.replace(path))

    @rule(name=recordings, other=st.sampled_from(RECORDINGS + OTHERS))
    def rename(self, name: str, other: str) -> None:
        path, target = self.rig.folder / name, self.rig.folder / other
        if path.exists() and path != target:
            target.parent.mkdir(exist_ok=True)
            self._touch(path.replace(target))

    @rule(name=recordings)
    def remove(self, name: str) -> None:
        (self.rig.folder / name).unlink(missing_ok=True)

    def _touch(self, path: Path) -> None:
        self.touched_at_s[path] = self.rig.at_s

    # The sensor.

    @rule()
    def settle(self) -> None:
        self.look(0.0)
        self.look(SETTLE_S)

    @rule(after_s=st.sampled_from([0.0, 3.0, SETTLE_S]))
    def look(self, after_s: float) -> None:
        before, files = self.launcher.n_asked.copy(), self.catalogue.files()
        try:
            n_asked = self.rig.look(after_s)
        except CrashError:
            self.interrupted |= set(self.launcher.n_asked - before)
            self.rig.restart()
            self.launcher.crashes_after = False
        except DownError:
            self.launcher.is_down = False
        else:
            assert n_asked == (self.launcher.n_asked - before).total()
        for key in self.launcher.n_asked - before:
            request = self.launcher.runs[self.launcher.names[key]].request
            assert before[key] == 0 or key in self.interrupted
            assert not files[request.path].state.is_settled
            assert 1 <= request.attempt <= MOST_ATTEMPTS
            assert not self._others_alive(request)
            assert str(request.path.relative_to(self.rig.folder)) in RECORDINGS
            # A run that died is asked for again at once: the next one sees for itself what the file is now.
            if request.attempt == 1:
                assert Signature.of(request.path) == request.signature
                assert self.rig.at_s - self.touched_at_s[request.path] >= SETTLE_S
        self._check_fates()

    def _others_alive(self, request: RunRequest) -> list[Run]:
        """Find runs of the same file that go on, but for those that a crash kept the sensor from noting."""
        return [
            run
            for run in self.launcher.runs.values()
            if run.life is Life.ALIVE
            and run.request.path == request.path
            and run.request.key not in {request.key, *self.interrupted}
        ]

    def _check_fates(self) -> None:
        files = self.catalogue.files()
        here = {self.rig.folder / name for name in RECORDINGS if (self.rig.folder / name).exists()}
        assert here <= set(files) <= {self.rig.folder / name for name in RECORDINGS}
        for path, file in files.items():
            last = self.catalogue.story(path)[-1]
            assert (last.state, last.reason) == (file.state, file.reason)

    @rule(what=st.sampled_from(["crashes_after", "is_down"]))
    def trouble(self, what: str) -> None:
        setattr(self.launcher, what, True)

    @rule()
    def restart(self) -> None:
        self.rig.restart()

    # Runs.

    def _pick(self, number: int, *, begun: bool) -> str | None:
        runs = self.launcher.runs.items()
        alive = [name for name, run in runs if run.life is Life.ALIVE and run.has_begun == begun]
        return alive[number % len(alive)] if alive else None

    @rule(number=numbers)
    def begin(self, number: int) -> None:
        if name := self._pick(number, begun=False):
            self.rig.begin(name)

    @rule(number=numbers, end=st.sampled_from(ENDS))
    def end(self, number: int, end: Fate | Life) -> None:
        if name := self._pick(number, begun=True):
            request = self.launcher.runs[name].request
            if isinstance(end, Life):
                self.launcher.runs[name].life = end
            elif request.path.exists() and Signature.of(request.path) == self.rig.file(request.path).signature:
                self.rig.end(name, end)
            else:
                self.rig.end(name, Fate.WAITING)

    @rule(number=numbers, ends=st.lists(st.sampled_from(ENDS), min_size=1, max_size=MOST_ATTEMPTS + 1))
    def settle_and_run(self, number: int, ends: list[Fate | Life]) -> None:
        self.settle()
        for end in ends:
            self.begin(number)
            self.end(number, end)
            self.look(0.0)

    @rule(number=numbers, life=st.sampled_from([Life.DEAD, Life.CANCELLED]))
    def die_in_the_queue(self, number: int, life: Life) -> None:
        if name := self._pick(number, begun=False):
            self.launcher.runs[name].life = life

    @invariant()
    def one_key_names_one_run(self) -> None:
        assert len(self.launcher.runs) == len(self.launcher.names)

    def _come_to_rest(self) -> None:
        """Leave all alone: then each file that is there comes to an end, and no run goes on."""
        self.launcher.is_down = self.launcher.crashes_after = False
        for _ in range(3 * MOST_ATTEMPTS):
            self.look(SETTLE_S)
            while name := self._pick(0, begun=False):
                self.rig.begin(name)
            while self._pick(0, begun=True):
                self.end(0, Fate.FINISHED)
        assert not [run for run in self.launcher.runs.values() if run.life is Life.ALIVE]
        for path, file in self.catalogue.files().items():
            assert file.state.is_settled or (file.state is Fate.WAITING and not path.exists())


LabLife.TestCase.settings = settings(max_examples=20, stateful_step_count=40)
TestLabLife = LabLife.TestCase
