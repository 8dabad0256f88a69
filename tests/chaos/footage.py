"""Recordings for the chaos suite, and what an undisturbed run makes of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import xxhash
from service_lab import write_mouse

from facehog_core.extract import extract_chunk, plan_run
from facehog_core.recipe import Recipe, name_run
from facehog_core.run_paths import RunPaths
from facehog_core.sealing import seal_store
from facehog_core.source import name_recording
from facehog_core.video import probe

# Looped, so that a run takes some seconds: 1,002 frames.
N_TIMES = 2
ATTRIBUTES = Path("zarr.json")


@dataclass(frozen=True)
class Footage:
    """Recordings whose frames are the same and whose bytes are not.

    Parameters
    ----------
    base : Path
        The recording that all others are copies of.
    expected : dict of str to str
        The fingerprint of what an undisturbed run makes of it.
    """

    base: Path
    expected: dict[str, str]
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def content(self, tag: str | None = None) -> bytes:
        """Return the bytes of a recording that there has not been before, or of the one with this tag."""
        tag = tag or f"copy {next(self._numbers)}"
        # A box of MP4 that means nothing, behind all others.
        filling = tag.encode()
        return self.base.read_bytes() + (8 + len(filling)).to_bytes(4, "big") + b"free" + filling

    def land(self, inbox: Path, *names: str) -> list[Path]:
        """Let new recordings land whole, as by a rename."""
        landed = []
        for name in names:
            target = inbox / name
            target.parent.mkdir(parents=True, exist_ok=True)
            arriving = target.with_name(f".{target.name}.part")
            arriving.write_bytes(self.content())
            landed.append(arriving.rename(target))
        return landed


def make_footage(folder: Path) -> Footage:
    """Draw the recording, and describe it undisturbed, by the core alone."""
    base = write_mouse(folder / "mouse.mp4", N_TIMES)
    return Footage(base=base, expected=describe_undisturbed(base, folder / "undisturbed"))


def describe_undisturbed(recording: Path, store: Path) -> dict[str, str]:
    """Return the fingerprint of what a run makes of a recording when nothing happens."""
    info, _ = probe(recording)
    paths = RunPaths(root=store, recording=name_recording(recording), run_id=name_run(info.digest, Recipe(), None))
    plan = plan_run(paths, info, Recipe(), {})
    receipts = [receipt for chunk in plan for receipt in extract_chunk(paths, chunk)]
    return fingerprint(seal_store(paths, receipts, {}))


def fingerprint(store: Path) -> dict[str, str]:
    """Digest each file of a store but the one that tells of the run: who made it, when, of which file."""
    files = sorted(path for path in store.rglob("*") if path.is_file() and path != store / ATTRIBUTES)
    return {path.relative_to(store).as_posix(): xxhash.xxh3_128_hexdigest(path.read_bytes()) for path in files}
