"""How a process of the service shows that it goes on: it writes a small file again and again.

That it lives is not enough: one was seen to stand still for minutes with its process alive. A thread of its own writes
the file, so that a process that is stopped is soon told from one whose work takes a while; the file says since when the
work has not come round.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

# Between two beats, seconds.
BEAT_S = 2.0
# A process whose last beat is older is stopped, seconds. Its beats are one small file on a local disk, which a busy one
# has kept waiting for half of that.
MOST_SILENT_S = 60.0


class Heart(threading.Thread):
    """Beats, from the first word of the process's work on.

    Parameters
    ----------
    file : Path
    """

    def __init__(self, file: Path) -> None:
        super().__init__(name="beats", daemon=True)
        self._file = file
        self._writing = threading.Lock()
        self._said: tuple[float, Mapping[str, Any]] | None = None

    def go_on(self, **facts: Any) -> None:
        """Show that the work goes on, and what it has to say: values that JSON knows."""
        self._said = time.monotonic(), facts
        self._beat()
        if not self.is_alive():
            self.start()

    def run(self) -> None:
        """Beat for as long as the process lives."""
        while True:
            time.sleep(BEAT_S)
            self._beat()

    def _beat(self) -> None:
        assert self._said
        with self._writing:
            at_s, facts = self._said
            # Who reads it sees the old one or the new one. It need not outlive a power cut.
            unfinished = self._file.with_name(f"{self._file.name}.unfinished")
            try:
                unfinished.write_text(json.dumps({"last_look_s": time.monotonic() - at_s, **facts}), "utf-8")
                unfinished.replace(self._file)
            except OSError:
                # A full disk takes no words, but that there was a beat. On Windows the file may be being read.
                with suppress(OSError):
                    os.utime(self._file)


class Beats:
    """What is seen of another process's beats.

    Parameters
    ----------
    file : Path
    most_s : float
        How long the process's work may take to come round, in seconds.

    Notes
    -----
    A beat is as old as the time since it was first seen, by our own monotonic clock: the system's may be set.
    """

    def __init__(self, file: Path, most_s: float) -> None:
        self._file = file
        self._most_s = most_s
        self._seen: tuple[int, float] | None = None

    def ask(self) -> dict[str, Any] | None:
        """Return what the last beat said, with ``last_look_s`` as it is now; None if it, or that, is too old."""
        try:
            written_ns = self._file.stat().st_mtime_ns
            facts = dict(json.loads(self._file.read_text("utf-8")))
            last_look_s = float(facts["last_look_s"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if self._seen is None or self._seen[0] != written_ns:
            self._seen = written_ns, time.monotonic()
        age_s = time.monotonic() - self._seen[1]
        if age_s > MOST_SILENT_S or last_look_s + age_s > self._most_s:
            return None
        return facts | {"last_look_s": round(last_look_s + age_s, 1)}
