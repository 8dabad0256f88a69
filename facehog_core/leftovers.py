"""What runs have half done and nobody goes on with, as of recordings that are gone: kept for a while, then removed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .catalogue import Catalogue
from .causes import CauseKind
from .locks import hold, is_held
from .path_text import from_text
from .provenance import now
from .run_paths import RunPaths
from .sealed import METADATA
from .store import discard_partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What a run has half done.

    Parameters
    ----------
    paths : RunPaths
    recording : Path or None
        None where the working store does not say it any more.
    size_bytes : int
    touched_at : datetime
        When something of it was written last, by the clock of its disk.
    """

    paths: RunPaths
    recording: Path | None
    size_bytes: int
    touched_at: datetime


def find_leftovers(store: Path, catalogue: Catalogue) -> Iterator[Leftover]:
    """Yield what is half done in a folder of stores, but for that which a run is at, or will go on with by itself.

    Parameters
    ----------
    store : Path
        Folder of all stores.
    catalogue : Catalogue
    """
    for partial in sorted(store.glob("*/*.partial")):
        paths = RunPaths(root=store, recording=partial.parent.name, run_id=partial.stem)
        found = _measure(paths)
        if found and not _is_gone_on_with(found, catalogue):
            yield found


def remove_leftovers(store: Path, catalogue: Catalogue, keep: timedelta) -> list[Leftover]:
    """Remove what nobody goes on with and nothing was written of for a while, and note it in the recordings' stories.

    Sealed stores are never touched.

    Parameters
    ----------
    store : Path
        Folder of all stores.
    catalogue : Catalogue
    keep : timedelta
        For how long it is kept.

    Returns
    -------
    list of Leftover
        What was removed.
    """
    removed = []
    for found in find_leftovers(store, catalogue):
        if now() - found.touched_at < keep:
            continue
        with hold(catalogue.location, found.paths.run_id):
            # A run may have come and gone while the lock was waited for.
            if _measure(found.paths) != found:
                continue
            discard_partial(found.paths)
        removed.append(found)
        if found.recording:
            told = f"what was done of it ({found.size_bytes / 1e6:.1f} MB) was removed: no run goes on with it, and"
            catalogue.remark(found.recording, f"{told} nothing of it was written for {keep / timedelta(days=1):g} days")
    return removed


def _is_gone_on_with(found: Leftover, catalogue: Catalogue) -> bool:
    if is_held(catalogue.location, found.paths.run_id):
        return True
    file = catalogue.file(found.recording) if found.recording else None
    if file is None or file.state.is_settled:
        return False
    return file.cause is None or file.cause.kind is not CauseKind.VANISHED


def _measure(paths: RunPaths) -> Leftover | None:
    """Look at what is half done; None if it is gone."""
    size_bytes, touched_s = 0, 0.0
    for folder, _, names in os.walk(paths.partial):
        for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118 - thousands of them
            with suppress(FileNotFoundError):
                status = os.stat(path)  # noqa: PTH116
                size_bytes += status.st_size
                touched_s = max(touched_s, status.st_mtime)
    if not touched_s:
        return None
    return Leftover(
        paths=paths,
        recording=_read_recording(paths),
        size_bytes=size_bytes,
        touched_at=datetime.fromtimestamp(touched_s, UTC),
    )


def _read_recording(paths: RunPaths) -> Path | None:
    try:
        attributes = json.loads((paths.working / METADATA).read_text("utf-8"))["attributes"]
        return Path(from_text(attributes["source"]["path"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
