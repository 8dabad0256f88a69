"""What a run's log says of a flow that ends by a verdict of its own: the verdict, once, and no traceback."""

from __future__ import annotations

import logging

from prefect.exceptions import FailedRun


class _NoTracebacks(logging.Filter):
    """Drops what Prefect's engine adds in a process of its own: to it, a Failed state that is returned is an error."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))


_NO_TRACEBACKS = _NoTracebacks()


def hide_tracebacks() -> None:
    """Keep tracebacks of Failed states that a flow returns out of the logs of flow runs; may be called again."""
    logging.getLogger("prefect.flow_runs").addFilter(_NO_TRACEBACKS)
