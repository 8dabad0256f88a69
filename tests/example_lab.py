"""The lab of `docs/catalogue.md`: a real recording, described for real, at times that are always the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runs import run_recording

from facehog_core.catalogue import Catalogue
from facehog_core.choices import identify
from facehog_core.crop import Crop
from facehog_core.provenance import RunRecord
from facehog_core.recipe import Recipe
from facehog_core.schema import Fate
from facehog_core.sealed import read_record
from facehog_core.selection import Selection
from facehog_core.source import Signature

CLIP = Path(__file__).resolve().parents[1] / "deployments" / "recordings" / "aind_bvt_clip.mp4"
BEGAN_AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
# A second of a face: an answer is not to be waited for.
FACE = Recipe(crop=Crop(x=96, y=40, width=512, height=480), frames=Selection(stop=30))
OLD, NEW = ({"facehog": facehog, "av": av} for facehog, av in (("0.1.0", "17.0.1"), ("0.2.0", "18.1.0")))


class Clock:
    """A clock that goes on by a few seconds each time that it is looked at."""

    def __init__(self) -> None:
        self._at = BEGAN_AT

    def __call__(self) -> datetime:
        self._at += timedelta(seconds=7)
        return self._at

    def wait(self, **time: float) -> None:
        self._at += timedelta(**time)


def make_example_lab(folder: Path, clock: Clock) -> None:
    """Let recordings land in a folder; `facehog_core.catalogue.now` is to be the clock."""
    inbox = folder / "inbox"
    inbox.mkdir()
    with Catalogue(f"sqlite:///{folder / 'catalogue.db'}", create=True) as catalogue:
        lab = _Lab(folder, catalogue, clock)
        lab.describe("20261104_CSE020_plane1.mp4", FACE, OLD, host="rig1")
        clock.wait(days=3)
        lab.describe("20261107_CSE020_plane1.mp4", FACE, NEW, host="rig1")
        lab.describe("20261107_CSE020_plane1.mp4", replace(FACE, grey="luma"), NEW, host="rig1")
        clock.wait(hours=1)
        lab.describe("20261107_CSE021_plane2.mp4", FACE, NEW, host="rig3")
        lab.land("trial.mp4", b"")
        lab.conclude("trial.mp4", Fate.WAITING, "0 bytes: waits until it stands still")
        lab.land("20261107_CSE022_plane1.mp4", b"", size=90_000)
        reason = "20261107_CSE022_plane1.mp4: 331 of 501 frames are missing. Copy it again from the rig."
        lab.conclude("20261107_CSE022_plane1.mp4", Fate.QUARANTINED, reason)


class _Lab:
    def __init__(self, folder: Path, catalogue: Catalogue, clock: Clock) -> None:
        self._folder, self._catalogue, self._clock = folder, catalogue, clock

    def land(self, name: str, mark: bytes, size: int | None = None) -> Path:
        """Write the clip, the same but for a mark behind all frames (an MP4's box of free space)."""
        path = self._folder / "inbox" / name
        path.write_bytes((CLIP.read_bytes() + (8 + len(mark)).to_bytes(4, "big") + b"free" + mark)[:size])
        self._catalogue.set_fate(path, Fate.WAITING, "is new: must stand still for 10 s", signature=Signature.of(path))
        self._catalogue.set_fate(path, Fate.QUEUED, "has settled", attempt=1)
        return path

    def conclude(self, name: str, state: Fate, reason: str) -> None:
        self._catalogue.set_fate(self._folder / "inbox" / name, state, reason)

    def describe(self, name: str, recipe: Recipe, software: dict[str, str], host: str) -> RunRecord:
        path = self._folder / "inbox" / name
        if not path.exists():
            self.land(name, name.encode())
        identity = identify(path)
        told: dict[str, Any] = {
            "host": {"name": host},
            "attempt": 1,
            "flow_run_id": None,
            "identity": identity.as_dict(),
            "started_at": self._clock().isoformat(),
            "finished_at": self._clock().isoformat(),
        }
        self._catalogue.set_fate(path, Fate.RUNNING, "is being read")
        store = run_recording(self._folder / "store", path, recipe, ended=told)
        # The page is not to change with what is installed.
        record = replace(read_record(store), software=software)
        self._catalogue.record(record)
        return record
