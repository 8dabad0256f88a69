"""What errors mean that Prefect's server does not answer, or not as it should."""

from __future__ import annotations

import httpx
from prefect.exceptions import PrefectException


def is_outage(error: BaseException) -> bool:
    """Say whether an error is that of Prefect's server, or of the way to it."""
    # The first question that a client of Prefect's asks fails as this, and not as what httpx says.
    is_unreachable = isinstance(error, RuntimeError) and str(error).startswith("Failed to reach API")
    return isinstance(error, (httpx.HTTPError, PrefectException)) or is_unreachable
