"""The nightly look at stores that are half made: what nobody goes on with is removed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from prefect import flow, get_run_logger

from facehog_core.catalogue import Catalogue
from facehog_core.leftovers import remove_leftovers
from facehog_core.path_text import as_text
from flows.names import TIDY_STORES, name_nightly_run


@flow(name=TIDY_STORES, flow_run_name=name_nightly_run)
def tidy_stores(store: Path, catalogue: str, keep_partial_days: float) -> int:
    """Remove what is half done and nobody goes on with.

    Parameters
    ----------
    store : Path
        Folder of all stores.
    catalogue : str
        URL of the catalogue.
    keep_partial_days : float
        How long it is kept after something of it was written.

    Returns
    -------
    int
        How many runs it was of.
    """
    with Catalogue(catalogue, create=True) as records:
        removed = remove_leftovers(store, records, timedelta(days=keep_partial_days))
    for found in removed:
        about = as_text(found.recording) if found.recording else found.paths.recording
        get_run_logger().info("%s: what was done of run %s is removed", about, found.paths.run_id)
    return len(removed)
