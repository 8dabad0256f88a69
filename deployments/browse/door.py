"""Who is let in to the pages, and to do what: to look, and nothing else."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# A page of another site, to whose name this machine's address was given, is to learn nothing.
_OURS = ("127.0.0.1", "localhost", "::1")


class Door:
    """Stands before an ASGI application.

    Parameters
    ----------
    app : ASGI application
    is_local : bool
        Whether it listens to this machine alone: then it has no other name than this machine has for itself.
    auth_string : str, optional
        ``user:password``, which everybody is asked for.
    """

    def __init__(self, app: App, *, is_local: bool, auth_string: str | None = None) -> None:
        self._app = app
        self._is_local = is_local
        self._shown = f"Basic {base64.b64encode(auth_string.encode()).decode()}".encode() if auth_string else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        status = self._refuse(scope) if scope["type"] == "http" else None
        if status is None:
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        if status is HTTPStatus.UNAUTHORIZED:
            headers.append((b"www-authenticate", b'Basic realm="facehog"'))
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": f"{status.phrase}\n".encode()})

    def _refuse(self, scope: Scope) -> HTTPStatus | None:
        headers = dict(scope["headers"])
        if self._is_local and not _is_ours(headers.get(b"host", b"").decode("latin-1")):
            return HTTPStatus.NOT_FOUND
        if self._shown and not secrets.compare_digest(headers.get(b"authorization", b""), self._shown):
            return HTTPStatus.UNAUTHORIZED
        return None if scope["method"] in ("GET", "HEAD") else HTTPStatus.METHOD_NOT_ALLOWED


def _is_ours(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _OURS
    except ValueError:
        return False
