"""Tell systemd how the service is, if it was started by it: that it is ready, that it goes on, that it stops."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

# What systemd gives to the process that it starts. Processes of the service are not to speak for it.
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
READY, GOES_ON, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd something; where nobody listens, nothing happens."""
    address = environment.get("NOTIFY_SOCKET")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    # An address that begins with @ is no file.
    path = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(state.encode(), path)
