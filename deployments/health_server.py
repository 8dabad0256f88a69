"""The service's answer to whoever asks how it is, over HTTP, on this machine alone."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from facehog_core.errors import ServiceError
from flows.cluster import LOOPBACK

from .health import Health

log = logging.getLogger(__name__)

PATH = "/health"
# A page of another site, to whose name this machine's address was given, is to learn nothing.
_OURS = (LOOPBACK, "localhost")
# How long a client may take to say what it wants, seconds.
PATIENCE_S = 10


@contextmanager
def serve_health(measure: Callable[[], Health], port: int) -> Iterator[str]:
    """Answer ``GET /health`` within the context; the value is the address.

    The status is 200 if all is well, and 503 otherwise; the body is `Health.as_dict` as JSON.

    Parameters
    ----------
    measure : callable
        Called for each question, in a thread of its own.
    port : int
        0 for a free one.

    Raises
    ------
    ServiceError
        If the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_S

        def do_GET(self) -> None:
            if self.headers.get("Host", "").rpartition(":")[0] not in _OURS or self.path != PATH:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            try:
                health = measure()
            except Exception:
                log.exception("cannot say how the service is")
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
                return
            body = json.dumps(health.as_dict(), indent=2).encode()
            self.send_response(HTTPStatus.OK if health.is_well else HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: it may be asked every few seconds for a year."""

    try:
        server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise ServiceError(
            f"port {port}",
            "another program listens there",
            "Set `port` under [health] to another one, or to 0 for a free one.",
        ) from error
    with server:
        threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}{PATH}"
        finally:
            server.shutdown()
