from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

# It takes and lets go of the event's lock all the time, as whoever waits for it does for a moment: a handler that set
# the event would sooner or later wait for a lock that its own thread holds.
BUSY = """
import signal, sys, threading
from deployments.signals import call_on_signals

n_asked, stop = [], threading.Event()
def note():
    n_asked.append(1)
    stop.set()
    if len(n_asked) >= int(sys.argv[1]):
        over.set()
over = threading.Event()
call_on_signals(note)
print("ready", flush=True)
while not over.is_set():
    stop.set()
    stop.wait(0)
    stop.clear()
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # One more would end it amid Python's own end.
print("ends", flush=True)
"""


def test_a_process_that_is_asked_often_amid_its_own_locks_ends_in_order() -> None:
    n_signals = 200
    command = [sys.executable, "-c", BUSY, str(n_signals)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.002)
        assert process.stdout.read() == "ends\n"
        assert process.returncode == 0
