"""The nightly look at all inboxes and stores: finds what was missed, and removes what nobody goes on with."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from facehog_core.catalogue import Catalogue
from facehog_core.choices import identify
from facehog_core.crop import Crop
from facehog_core.inbox import Inbox
from facehog_core.leftovers import remove_leftovers
from facehog_core.lookout import Lookout
from facehog_core.names import DEFAULT_PATTERN, NamePattern
from facehog_core.path_text import as_text
from facehog_core.patience import within
from facehog_core.recipe import Recipe
from facehog_core.reconcile import take_up
from flows.cluster import Cluster
from flows.launcher import PrefectLauncher
from flows.names import RECONCILE_INBOXES, address_inbox

# How long one look may take, seconds: at night there is time.
ANSWER_S = 1800.0


@flow(name=RECONCILE_INBOXES)
def reconcile_inboxes(
    inboxes: list[dict[str, Any]],
    store: Path,
    catalogue: str,
    cluster: dict[str, Any] | None = None,
    deployment: str | None = None,
    keep_partial_days: float | None = None,
) -> int:
    """Take up every recording of the inboxes that has settled and is not known yet.

    Parameters
    ----------
    inboxes : list of dict
        Each with path, patterns, settle_s, recipe (`facehog_core.recipe.Recipe.as_dict`), crops, pairs of a
        pattern and [x, y, width, height], depth, priority, ready and name_pattern.
    store : Path
        Folder of all stores.
    catalogue : str
        URL of the catalogue.
    cluster : dict, optional
        `flows.cluster.Cluster.as_dict`.
    deployment : str, optional
        The deployment of which runs are asked for; that of a server of facehog's own if left out.
    keep_partial_days : float, optional
        How long what is half done is kept if nobody goes on with it; for ever if left out.

    Returns
    -------
    int
        Number of runs asked for.
    """
    given, asked = Cluster(**cluster or {}), deployment or address_inbox()
    # All are looked at, also where one of them cannot be: that one's error ends the flow run.
    states = [
        reconcile_inbox(_read_inbox(values), store, catalogue, given, asked, return_state=True) for values in inboxes
    ]
    if keep_partial_days is not None:
        tidy_stores(store, catalogue, timedelta(days=keep_partial_days))
    return sum(state.result() for state in states)


@task(task_run_name="reconcile-{inbox.path.name}", cache_policy=NO_CACHE)
def reconcile_inbox(inbox: Inbox, store: Path, catalogue: str, cluster: Cluster, deployment: str) -> int:
    """Look at one inbox until what stands still in it has been seen to do so."""
    with Catalogue(
        catalogue, create=True, identify=lambda path, known: identify(path, known, inbox.name_pattern)
    ) as records:
        launcher = PrefectLauncher(
            store=store, catalogue=catalogue, location=records.location, cluster=cluster, deployment=deployment
        )
        lookout, n_asked = Lookout(inbox, records), 0
        for pause_s in (0.0, inbox.settle_s):
            time.sleep(pause_s)
            # A share that hangs must not keep a flow's host from other runs for ever.
            dues = within(ANSWER_S, lambda: lookout.look(launcher))
            n_asked += take_up(dues, records, launcher)[0]
    get_run_logger().info("%s: %d runs asked for", inbox.path, n_asked)
    return n_asked


@task(task_run_name="tidy-stores", cache_policy=NO_CACHE)
def tidy_stores(store: Path, catalogue: str, keep: timedelta) -> None:
    """Remove what is half done and nobody goes on with."""
    with Catalogue(catalogue, create=True) as records:
        removed = remove_leftovers(store, records, keep)
    for found in removed:
        about = as_text(found.recording) if found.recording else found.paths.recording
        get_run_logger().info("%s: what was done of run %s is removed", about, found.paths.run_id)


def describe_inbox(inbox: Inbox) -> dict[str, Any]:
    """Return an inbox as plain values, for Prefect's parameters."""
    return {
        "path": str(inbox.path),
        "patterns": list(inbox.patterns),
        "settle_s": inbox.settle_s,
        "recipe": inbox.recipe.as_dict(),
        # Pairs: the order counts, and a database need not keep that of a table.
        "crops": [[pattern, crop.as_list()] for pattern, crop in inbox.crops],
        "depth": inbox.depth,
        "priority": inbox.priority,
        "ready": inbox.ready,
        "name_pattern": inbox.name_pattern.text,
    }


def _read_inbox(values: dict[str, Any]) -> Inbox:
    return Inbox(
        path=Path(values["path"]),
        patterns=values["patterns"],
        settle_s=values["settle_s"],
        recipe=Recipe.from_dict(values["recipe"]),
        crops=[(pattern, Crop.from_sequence(crop)) for pattern, crop in values.get("crops", [])],
        depth=values.get("depth"),
        priority=values.get("priority", 0),
        ready=values.get("ready"),
        name_pattern=NamePattern(text=values.get("name_pattern", DEFAULT_PATTERN)),
    )
