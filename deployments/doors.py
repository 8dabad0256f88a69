"""Who may talk to Prefect's server and to Dask: this machine alone, or others who can show that they may."""

from __future__ import annotations

import ipaddress
import socket

from flows.cluster import LOOPBACK

_ALL = ("0.0.0.0", "::")


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_open(scheduler: str | None) -> bool:
    """Say whether a Dask scheduler's address is one at which everybody in the network may run anything."""
    if scheduler is None or not scheduler.startswith("tcp://"):
        return False
    return not is_loopback(scheduler.removeprefix("tcp://").rpartition(":")[0].strip("[]"))


def address_here(host: str) -> str:
    """Return how this machine reaches a server of its own that listens at a host."""
    return LOOPBACK if host in (*_ALL, "localhost") else host


def address_outside(host: str) -> str:
    """Return how others reach a server of this machine."""
    return socket.gethostname() if host in _ALL else host


def join(host: str, port: int) -> str:
    """Return host and port, as an address has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
