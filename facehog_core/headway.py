"""Whether attempts at a run get on: one that died, but left more shards than it found, is none that came to nothing."""

from __future__ import annotations

from pathlib import Path

from .disk import write_durably
from .run_paths import RunPaths


def note_headway(paths: RunPaths) -> bool:
    """Note, as an attempt begins, how many shards are done, and say whether they are more than at the last time.

    Parameters
    ----------
    paths : RunPaths

    Raises
    ------
    OSError
        If the disk fails, or is full.
    """
    n_done = sum(1 for _ in paths.receipts.glob("*.json"))
    note = paths.partial / "headway"
    if n_done <= _read(note):
        return False
    write_durably(note, str(n_done))
    return True


def _read(note: Path) -> int:
    try:
        return int(note.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0
