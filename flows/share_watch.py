"""Give up a run whose share hangs: it would keep its place, and the workers that read for it, from other recordings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from facehog_core.errors import SilentShareError
from facehog_core.patience import within
from flows.dask_runner import DaskRunner

T = TypeVar("T")

# How long a share may take for one answer, seconds. An NFS server that is restarted takes as long.
ANSWER_S = 30.0
# A process that is stopped for a while finds the time over when it goes on: a second question is not hurt by that.
N_QUESTIONS = 2
# Between two questions, seconds.
LOOK_S = 10.0


def ask_share(path: Path, ask: Callable[[], T]) -> T:
    """Ask something of the disk or share on which a recording lies.

    Raises
    ------
    SilentShareError
        If there is no answer.
    OSError
        As the question does.
    """
    for _ in range(N_QUESTIONS):
        try:
            return within(ANSWER_S, ask)
        except TimeoutError:
            continue
    fact = f"its disk or share has not answered for {N_QUESTIONS * ANSWER_S:.0f} s"
    raise SilentShareError(path, fact, "It is taken up again when that answers.")


@contextmanager
def watching_share(path: Path, runner: DaskRunner) -> Iterator[None]:
    """Watch a recording's share while tasks read from it.

    Parameters
    ----------
    path : Path
        The recording.
    runner : DaskRunner
        What it was given is given up if the share is silent.

    Raises
    ------
    SilentShareError
        If it is: in place of what the tasks fail with that were given up.
    """
    is_over, silence = threading.Event(), list[SilentShareError]()

    def watch() -> None:
        while not is_over.wait(LOOK_S):
            try:
                ask_share(path, path.stat)
            except SilentShareError as error:
                silence.append(error)
                runner.abandon()
                return
            except OSError:
                continue  # An answer, too: whoever reads it says what is wrong.

    watcher = threading.Thread(target=watch, name="watches the share", daemon=True)
    watcher.start()
    try:
        yield
    except Exception as error:
        if silence:
            # The workers are told by the connection that is closed next.
            watcher.join(ANSWER_S)
            raise silence[0] from error
        raise
    finally:
        is_over.set()
