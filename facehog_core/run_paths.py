"""Where the store of a run is: while it is made, and when it is whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaths:
    """Where the store of a run is, while it is made and after.

    Parameters
    ----------
    root : Path
        Folder of all stores.
    recording : str
        Name of the recording: `facehog_core.source.name_results`.
    run_id : str
        Name of the run.
    token : str, optional
        Tells one attempt at the run from others, which may still be at work.
    """

    root: Path
    recording: str
    run_id: str
    token: str = ""

    def __post_init__(self) -> None:
        for name in (self.recording, self.run_id):
            if name in ("", ".", "..") or Path(name).name != name:
                raise ValueError(f"a folder of stores cannot be called {name!r}")

    @property
    def folder(self) -> Path:
        """Folder of the recording's stores."""
        return self.root / self.recording

    @property
    def final(self) -> Path:
        """The store's name when it is whole."""
        return self.folder / f"{self.run_id}.zarr"

    @property
    def partial(self) -> Path:
        """Folder of all that a run in progress has made."""
        return self.folder / f"{self.run_id}.partial"

    @property
    def working(self) -> Path:
        """The store while it is filled."""
        return self.partial / "store.zarr"

    @property
    def index(self) -> Path:
        """The recording's frame index, for whoever decodes it."""
        return self.partial / "index.npz"

    @property
    def receipts(self) -> Path:
        """Folder of the receipts of finished shards."""
        return self.partial / "receipts"

    @property
    def claim(self) -> Path:
        """The token of the attempt that goes on with what there is."""
        return self.partial / "claim"

    @property
    def begun(self) -> Path:
        """Folder of the notes of shards that were begun and have not ended."""
        return self.partial / "begun"


def locate_store(recorded: Path, root: Path | None) -> Path:
    """Return where a store is: where it was made, or below the folder that has all stores now, if they were moved.

    Parameters
    ----------
    recorded : Path
        Where it was made.
    root : Path or None
        Folder of all stores now; None if nobody told.

    Returns
    -------
    Path
        Where it was made, if it is at neither place.
    """
    if root is None:
        return recorded
    moved = root / recorded.parent.name / recorded.name
    # Neither is looked for while they are the same: `find` and `show` are not to wait for a share.
    is_moved = moved != recorded and not os.path.isdir(recorded) and os.path.isdir(moved)  # noqa: PTH112 - raises never
    return moved if is_moved else recorded
