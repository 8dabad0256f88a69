"""What flows and their deployments are called. Nothing here loads Prefect."""

from __future__ import annotations

import socket
from pathlib import Path

import xxhash

from facehog_core.path_text import as_text

PROCESS_RECORDING, TIDY_STORES, VERIFY_STORES = "process-recording", "tidy-stores", "verify-stores"
FLOWS = (PROCESS_RECORDING, TIDY_STORES, VERIFY_STORES)
# Their deployments, in the same order.
INBOX, TIDYING, VERIFICATION = "inbox", "tidy-stores", "verify-stores"

# Deployments of earlier versions, with the flows that they ran: nobody runs what their schedules still ask for.
FORMER = (("reconcile-inboxes", "nightly"),)


def name_owner(state_dir: Path) -> str:
    """Return what tells the deployments of one facehog from those of others on the same Prefect server.

    It is of this machine and this folder, and not of the catalogue, which machines may share: runs need the paths and
    the cluster of the machine that asks for them.

    Parameters
    ----------
    state_dir : Path
        Folder of what that facehog needs for itself.
    """
    return xxhash.xxh3_64_hexdigest(f"{socket.gethostname()}\0{as_text(state_dir)}".encode())[:8]


def name_deployment(name: str, owner: str | None = None) -> str:
    """Return what a deployment is called: on a server of a facehog's own, which has no owner, by its plain name."""
    return f"{name}-{owner}" if owner else name


def address_inbox(owner: str | None = None) -> str:
    """Return by which name Prefect finds the deployment that processes recordings."""
    return f"{PROCESS_RECORDING}/{name_deployment(INBOX, owner)}"


def name_nightly_run() -> str:
    """Return what a run of the flow that begins now is called: without it, two words that Prefect draws."""
    from prefect import runtime

    return f"{runtime.flow_run.flow_name} {runtime.flow_run.scheduled_start_time.astimezone():%Y-%m-%d}"
