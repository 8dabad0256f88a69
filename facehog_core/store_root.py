"""Whether the folder of all stores is there: a disk that is not mounted looks like an empty folder."""

from __future__ import annotations

import os
from pathlib import Path

from .catalogue import Catalogue
from .errors import ServiceError

_FINISHED = "state=finished"
FACT = "it is empty or gone, though stores of it are known: is its disk mounted?"


def is_missing(root: Path, catalogue: Catalogue) -> bool:
    """Say whether a folder holds nothing, though the newest store is to be in it.

    Parameters
    ----------
    root : Path
        Folder of all stores.
    catalogue : Catalogue

    Raises
    ------
    OSError
        If the disk or share fails.
    """
    if _holds_anything(root):
        return False
    newest = next(iter(catalogue.records(_FINISHED, limit=1)), None)
    return newest is not None and newest.store is not None and newest.store.is_relative_to(root)


def _holds_anything(root: Path) -> bool:
    try:
        with os.scandir(root) as found:
            return next(found, None) is not None
    except FileNotFoundError:
        return False


def check_root(root: Path, catalogue: Catalogue) -> None:
    """Check that stores may be written: what is written beneath a disk that is mounted later is not seen any more.

    Raises
    ------
    ServiceError
        If the disk of all stores is not mounted.
    OSError
        If the disk or share fails.
    """
    if is_missing(root, catalogue):
        raise ServiceError(root, FACT, "Mount it. If the stores were removed by hand, put any file into the folder.")
