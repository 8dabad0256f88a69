"""How a process of the service shows that it goes on: it writes a small file again and again.

That it lives is not enough: one was seen to stand still for minutes with its process alive.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def beat(file: Path, **facts: Any) -> None:
    """Show that this process goes on, and what it has to say.

    Parameters
    ----------
    file : Path
    **facts
        Values that JSON knows.
    """
    # Who reads it sees the old one or the new one. It need not outlive a power cut.
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.write_text(json.dumps(facts), "utf-8")
    with suppress(PermissionError):  # On Windows, while it is being read: the next one is soon enough.
        unfinished.replace(file)


class Beats:
    """What is seen of another process's beats.

    Parameters
    ----------
    file : Path
    most_s : float
        How old a beat may be, in seconds.

    Notes
    -----
    A beat is as old as the time since it was first seen, by our own monotonic clock: the system's may be set.
    """

    def __init__(self, file: Path, most_s: float) -> None:
        self._file = file
        self._most_s = most_s
        self._seen: tuple[int, float] | None = None

    def ask(self) -> dict[str, Any] | None:
        """Return what the last beat said, with ``last_look_s``, its age in seconds; None if it is too old."""
        try:
            written_ns = self._file.stat().st_mtime_ns
            facts: Mapping[str, Any] = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if self._seen is None or self._seen[0] != written_ns:
            self._seen = written_ns, time.monotonic()
        age_s = time.monotonic() - self._seen[1]
        return {"last_look_s": round(age_s, 1), **facts} if age_s <= self._most_s else None
