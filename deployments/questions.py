"""How the parts of the service are asked how they are.

Each question returns what the part says of itself, or None if it does not answer; it may take a while.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from .api import Api
from .beats import Beats

# How long an answer may take, seconds. A busy machine has kept one waiting for some.
ANSWER_S = 10.0
# How long a cluster may be without workers, seconds: those that die are started again, and warm up first.
NO_WORKERS_S = 120.0


def ask_server(api: Api) -> dict[str, Any] | None:
    """Ask a Prefect server whether it answers, and whether its database does."""
    try:
        with api.connect(ANSWER_S) as client:
            if client.get("health").is_error:
                return None
            return None if client.post("deployments/count", json={}).is_server_error else {}
    except httpx.ReadTimeout as error:
        # Its database is busy, not gone.
        return None if error.request.method == "GET" else {}
    except httpx.HTTPError:
        return None


class AskCluster:
    """Asks Dask's scheduler how many workers it has.

    Parameters
    ----------
    scheduler_file : Path
    clock : callable, optional
        A monotonic clock, in seconds.
    """

    def __init__(self, scheduler_file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = scheduler_file
        self._clock = clock
        self._had_workers_s = clock()

    def __call__(self) -> dict[str, Any] | None:
        """Ask."""
        try:
            page = str(json.loads(self._file.read_text("utf-8"))["dashboard"])
            counts = httpx.get(httpx.URL(page).join("/json/counts.json"), timeout=ANSWER_S).raise_for_status().json()
        except (OSError, ValueError, KeyError, httpx.HTTPError):
            # The next cluster has a while of its own to get its workers.
            self._had_workers_s = self._clock()
            return None
        if counts["workers"]:
            self._had_workers_s = self._clock()
        return {"workers": counts["workers"]} if self._clock() - self._had_workers_s <= NO_WORKERS_S else None


class AskRunner:
    """Asks the runner whether it goes on, and the server whether it still knows the runner's deployments.

    Parameters
    ----------
    beats : Beats
        The runner's.
    api : Api
    deployment : str
        The one that recordings need, by the name that Prefect finds it by.
    """

    def __init__(self, beats: Beats, api: Api, deployment: str) -> None:
        self._beats = beats
        self._api = api
        self._deployment = deployment

    def __call__(self) -> dict[str, Any] | None:
        """Ask. A runner that is started again registers the deployments."""
        facts = self._beats.ask()
        return facts if facts is None or self._are_deployed() else None

    def _are_deployed(self) -> bool:
        try:
            with self._api.connect(ANSWER_S) as client:
                answer = client.get(f"deployments/name/{self._deployment}")
        except httpx.HTTPError:
            return True  # That is the server's trouble.
        return answer.status_code != httpx.codes.NOT_FOUND
