"""Which web pages may talk to a server of this machine that asks for no password: its own, and no other.

A browser sends requests to this machine for any page that is open in it, wherever that page comes from. It says by
`Origin` which page it is, and by `Host` under which name the page knows the server: a site may give its own name this
machine's address. Programs are not browsers, and say by `Host` that they mean this machine.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .doors import is_loopback

REFUSAL = "This server answers no pages of other sites, and to no name but those of this machine."


class OwnPages:
    """Refuses what pages of other sites ask for, also by websockets.

    Parameters
    ----------
    app : ASGIApp
    public : str, optional
        ``host:port`` under which a proxy shows the server to others.
    """

    def __init__(self, app: ASGIApp, public: str | None = None) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        app: ASGIApp = self._app
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            if not is_own(headers.get("host", ""), headers.get("origin"), self._public):
                app = PlainTextResponse(REFUSAL, status_code=403)
        await app(scope, receive, send)


def is_own(host: str, origin: str | None, public: str | None = None) -> bool:
    """Say whether a request is that of a program, or of a page of the server itself.

    Parameters
    ----------
    host : str
        Under which name the server is asked, as ``host:port``.
    origin : str or None
        The page that asks, as ``http://host:port``; None where none does.
    public : str, optional
        Another name of the server, as ``host:port``.
    """
    try:
        asked, page = urlsplit(f"//{host}"), urlsplit(origin or "")
        if host != public and not is_loopback(asked.hostname or ""):
            return False
        # The page may know this machine by another of its names.
        is_same = is_loopback(page.hostname or "") and page.port == asked.port
    except ValueError:  # The port is none.
        return False
    return origin is None or is_same or (public is not None and page.netloc == public)
