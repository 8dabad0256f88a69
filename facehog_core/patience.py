"""Wait for an answer no longer than one can: a share that hangs may never give one."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Patient(Generic[T]):
    """Asks a question, again and again perhaps, but not anew while it has no answer.

    Parameters
    ----------
    limit_s : float
        How long to wait each time, in seconds.
    ask : callable
        Runs in a thread of its own. If it takes longer it goes on there, which does not keep the process from its end.
    """

    def __init__(self, limit_s: float, ask: Callable[[], T]) -> None:
        self._limit_s = limit_s
        self._ask = ask
        self._asked: _Asked[T] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> T:
        """Return what the function returns, or raise what it raises, if it does so in time.

        Raises
        ------
        TimeoutError
            If there is no answer in time, neither to this question nor to one that was asked before.
        """
        with self._lock:
            if self._asked is None or not self._asked.is_alive():
                self._asked = _Asked(self._ask)
                self._asked.start()
            asked = self._asked
        asked.join(self._limit_s)
        if asked.failures:
            raise asked.failures[0]
        if not asked.answers:
            raise TimeoutError(errno.ETIMEDOUT, f"does not answer within {self._limit_s:g} s")
        return asked.answers[0]


class _Asked(threading.Thread, Generic[T]):
    def __init__(self, ask: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.answers: list[T] = []
        self.failures: list[BaseException] = []

    def run(self) -> None:
        try:
            self.answers.append(self._ask())
        except BaseException as error:
            self.failures.append(error)


def within(limit_s: float, ask: Callable[[], T]) -> T:
    """Ask once, as `Patient` does."""
    return Patient(limit_s, ask)()
