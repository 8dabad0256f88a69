"""Wait for an answer no longer than one can: a share that hangs may never give one."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(limit_s: float, ask: Callable[[], T]) -> T:
    """Return what a function returns, or raise what it raises, if it does so in time.

    Parameters
    ----------
    limit_s : float
        How long to wait, in seconds.
    ask : callable
        Runs in a thread of its own. If it takes longer it goes on there, which does not keep the process from its end.

    Raises
    ------
    TimeoutError
        If there is no answer in time.
    """
    answers: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(ask())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failures:
        raise failures[0]
    if not answers:
        raise TimeoutError(errno.ETIMEDOUT, f"does not answer within {limit_s:g} s")
    return answers[0]
