"""Files that are spoiled: what may become of one on a bad disk, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


DAMAGES = {"is missing": Path.unlink, "bytes and not the": truncate, "has other bytes than": flip}


damages = pytest.mark.parametrize(("said", "damage"), DAMAGES.items(), ids=["deleted", "truncated", "flipped"])
