"""What the answers of a process say over time: whether it starts, is well, or has to be started again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# A process that does not answer so many times in a row is given up. One time happens on a busy machine.
MOST_SILENT = 3


class Condition(StrEnum):
    """What a process of the service is like."""

    STARTING = "starting"
    WELL = "well"
    SILENT = "silent"
    ENDED = "ended"


@dataclass(slots=True, kw_only=True)
class Pulse:
    """The answers of a process since it was started.

    Parameters
    ----------
    began_s : float
        When it was started, by a monotonic clock in seconds.
    start_timeout_s : float
        How long it may take until its first answer, in seconds.
    """

    began_s: float
    start_timeout_s: float
    has_answered: bool = False
    n_silent: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def note(self, answer: Mapping[str, Any] | None) -> None:
        """Note an answer: what the process says of itself, or None if it says nothing."""
        if answer is None:
            self.n_silent += self.has_answered
        else:
            self.has_answered, self.n_silent, self.facts = True, 0, answer

    @property
    def condition(self) -> Condition:
        """What the process is like, given that it lives."""
        if not self.has_answered:
            return Condition.STARTING
        return Condition.SILENT if self.n_silent else Condition.WELL

    def why_lost(self, at_s: float) -> str | None:
        """Say why the process has to be started again, or None if it need not.

        Parameters
        ----------
        at_s : float
            Now, by the clock of `began_s`.
        """
        if not self.has_answered and at_s - self.began_s > self.start_timeout_s:
            return f"was not ready after {self.start_timeout_s:.0f} s"
        if self.n_silent >= MOST_SILENT:
            return f"lives, but did not answer {self.n_silent} times in a row"
        return None
