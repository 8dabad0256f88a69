"""End a process in order when the system, or a user's Ctrl-C, asks it to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue

# SIGHUP: the terminal was closed. SIGBREAK: Windows' Ctrl-Break.
ENDING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")


def call_on_signals(call: Callable[[], object], names: tuple[str, ...] = ("SIGTERM", "SIGINT")) -> None:
    """Call a function, in a thread of its own, at each signal that asks this process to end.

    Not in the handler: that runs amid the main thread's code, which may hold the very lock that the function waits
    for, such as that of an event which it is about to set. A `SimpleQueue` may be put into anywhere.

    Parameters
    ----------
    call : callable
    names : tuple of str, optional
        The signals; those that this system does not have are left out.
    """
    asked: SimpleQueue[int] = SimpleQueue()

    def listen() -> None:
        while True:
            asked.get()
            call()

    threading.Thread(target=listen, name="listens to signals", daemon=True).start()
    for name in names:
        if number := getattr(signal, name, None):
            signal.signal(number, lambda received, _: asked.put(received))
