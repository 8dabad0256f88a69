"""The most memory that another process has held, as Linux keeps account of it."""

from __future__ import annotations

import re
from pathlib import Path

MIB = 1 << 20
# Of /proc/PID/clear_refs: sets the peak back to what is held now.
_RESET_PEAK = "5"


def read_peak_mib(process: int) -> float:
    """Return the most memory, in MiB, that a process has held since it began, or since it was forgotten."""
    # Not `ru_maxrss`: that counts what the parent held when it started the process.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text("ascii"))
    assert found is not None
    return int(found[1]) * 1024 / MIB


def forget_peak(process: int) -> None:
    """Begin anew to keep account of a process of this user."""
    Path(f"/proc/{process}/clear_refs").write_text(_RESET_PEAK, "ascii")
