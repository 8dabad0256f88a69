"""Whom Prefect's server answers that asks for no password."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prefect.server.api import server
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING, PREFECT_UI_API_URL, temporary_settings

from deployments.pages import REFUSAL, OwnPages, is_own
from deployments.prefect_server import close_to_other_sites

HERE = "http://127.0.0.1:4200"


@pytest.mark.parametrize(
    ("host", "origin", "is_answered"),
    [
        ("127.0.0.1:4200", None, True),
        ("localhost:4200", None, True),
        ("[::1]:4200", None, True),
        ("127.0.0.1:4200", HERE, True),
        ("127.0.0.1:4200", "http://localhost:4200", True),
        ("rig.example:443", None, True),
        ("rig.example:443", "https://rig.example:443", True),
        ("127.0.0.1:4200", "https://rig.example:443", True),
        # A page of another site, of a sandbox, of another server here; and sites that call this machine theirs.
        ("127.0.0.1:4200", "https://evil.example", False),
        ("127.0.0.1:4200", "null", False),
        ("127.0.0.1:4200", "http://127.0.0.1:8000", False),
        ("127.0.0.1:4200", "http://localhost.evil.example:4200", False),
        ("127.0.0.1:4200", "http://localhost:4200@evil.example:4200", False),
        ("evil.example:4200", None, False),
        ("evil.example:4200", "http://evil.example:4200", False),
        ("rig.example:443", "https://evil.example", False),
        ("127.0.0.1:no", HERE, False),
        ("", None, False),
    ],
)
def test_programs_and_the_servers_own_pages_are_answered_and_no_others(
    host: str, origin: str | None, is_answered: bool
) -> None:
    assert is_own(host, origin, "rig.example:443") is is_answered


def test_nothing_but_this_machines_names_is_known_where_no_proxy_is_named() -> None:
    assert not is_own("rig.example:443", None)
    assert not is_own("", None)


@pytest.fixture
def create_closed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], FastAPI]:
    """Return what makes Prefect's own server, as the service runs it."""
    monkeypatch.setattr(server, "create_app", server.create_app)
    close_to_other_sites()
    return lambda: server.create_app(ignore_cache=True)


def ask(app: FastAPI, method: str, path: str, base_url: str = HERE, **given: Any) -> httpx.Response:
    """Ask a server, which runs in this process."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url) as client:
            return await client.request(method, f"/api/{path}", **given)

    return asyncio.run(ask())


def test_prefects_server_answers_no_page_of_another_site(create_closed: Callable[[], FastAPI]) -> None:
    with temporary_settings({PREFECT_UI_API_URL: f"{HERE}/api"}, restore_defaults={PREFECT_SERVER_API_AUTH_STRING}):
        app = create_closed()
    assert ask(app, "GET", "health").json() is True
    assert ask(app, "GET", "health", headers={"Origin": "http://localhost:4200"}).json() is True
    evil = {"Origin": "https://evil.example"}
    for answer in (
        ask(app, "GET", "health", headers=evil),
        # As a form does, without asking whether it may.
        ask(app, "POST", "admin/database/clear", headers=evil, content=b"{}"),
        ask(app, "OPTIONS", "flow_runs/", headers=evil | {"Access-Control-Request-Method": "POST"}),
        ask(app, "GET", "health", headers={"Host": "evil.example:4200"}),
    ):
        assert (answer.status_code, answer.text) == (403, REFUSAL)
        assert "access-control-allow-origin" not in answer.headers


def test_a_websocket_is_refused_to_a_page_of_another_site() -> None:
    told = []

    async def answer(*_: Any) -> None:
        told.append("answered")

    async def tell(message: Any) -> None:
        told.append(message.get("status"))

    for origin in (b"https://evil.example", HERE.encode()):
        scope = {"type": "websocket", "headers": [(b"host", b"127.0.0.1:4200"), (b"origin", origin)]}
        asyncio.run(OwnPages(answer)(scope, answer, tell))
    assert told == [403, None, "answered"]


def test_where_a_password_is_asked_for_pages_are_not_told_apart(create_closed: Callable[[], FastAPI]) -> None:
    with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "lab:secret"}):
        app, outside = create_closed(), "http://rig.example:4200"
    assert ask(app, "GET", "version", outside).status_code == 401
    assert ask(app, "GET", "version", outside, auth=("lab", "secret")).status_code == 200
