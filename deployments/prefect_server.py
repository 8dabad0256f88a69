"""Prefect's server, with facehog's block for notifications, closed to other sites, and with transactions that wait.

On SQLite its transactions begin as those of readers. One that goes on to write after another one has written cannot be
helped by waiting: SQLite ends it ("database is locked"), the server answers 503, and the client sleeps 2, 4, 8 seconds
or more before it asks again. When many recordings landed at once, sensor, runner and flows slept most of the time.
Here each transaction that may write begins as a writer's, when the one before it has ended: a matter of milliseconds.

Prefect's own settings (CORS, CSRF) keep pages of other sites neither from websockets nor from what a site asks for by a
name of its own, and each program would have to ask for a token before it asks for anything: see `deployments.pages`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from fastapi import FastAPI
from prefect.server.api import server
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING, PREFECT_UI_API_URL

from .pages import OwnPages

# One for each event loop. SQLite has a queue of its own, but whoever waits in it sleeps for up to a tenth of a second.
_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def take_turns() -> None:
    """Make Prefect's transactions on SQLite writers', one at a time; calling it again changes nothing."""
    begin = AioSqliteConfiguration.begin_transaction
    if hasattr(begin, "takes_turns"):
        return

    @wraps(begin)
    @asynccontextmanager
    async def begin_in_turn(
        self: AioSqliteConfiguration, session: Any, with_for_update: bool = True
    ) -> AsyncGenerator[Any]:
        turn = _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with turn, begin(self, session, with_for_update=True) as transaction:
            yield transaction

    begin_in_turn.takes_turns = True  # type: ignore[attr-defined]
    AioSqliteConfiguration.begin_transaction = begin_in_turn


def close_to_other_sites() -> None:
    """Make Prefect's server answer no pages but its own, unless it asks for a password: of that they know nothing."""
    create_app = server.create_app

    @wraps(create_app)
    def create_closed_app(*args: Any, **kwargs: Any) -> FastAPI:
        app = create_app(*args, **kwargs)
        if PREFECT_SERVER_API_AUTH_STRING.value() is None:
            app.add_middleware(OwnPages, public=urlsplit(PREFECT_UI_API_URL.value() or "").netloc or None)
        return app

    server.create_app = create_closed_app


def main() -> None:
    """Run Prefect's command line: `server start` and its options."""
    take_turns()
    close_to_other_sites()
    from prefect.cli import app

    from . import notification_block  # noqa: F401 - to be known is enough

    app()


if __name__ == "__main__":
    main()
