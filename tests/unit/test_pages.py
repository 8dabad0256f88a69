"""Whom Prefect's server answers that asks for no password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.server.api import server
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING, PREFECT_UI_API_URL, temporary_settings
from starlette.testclient import TestClient

from deployments.pages import REFUSAL, is_own
from deployments.prefect_server import close_to_other_sites

HERE = "http://127.0.0.1:4200"
EVENTS = "/api/events/in"


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
        ("127.0.0.1:no", None, False),
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
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Return Prefect's own server, as the service runs it."""
    monkeypatch.setattr(server, "create_app", server.create_app)
    close_to_other_sites()
    with temporary_settings({PREFECT_UI_API_URL: f"{HERE}/api"}, restore_defaults={PREFECT_SERVER_API_AUTH_STRING}):
        yield TestClient(server.create_app(ignore_cache=True), base_url=HERE)


def test_prefects_server_answers_no_page_of_another_site(closed: TestClient) -> None:
    assert closed.get("/api/health").json() is True
    assert closed.get("/api/health", headers={"Origin": "http://localhost:4200"}).json() is True
    evil = {"Origin": "https://evil.example"}
    for answer in (
        closed.get("/api/health", headers=evil),
        # As a form does, without asking whether it may.
        closed.post("/api/admin/database/clear", headers=evil, content=b"{}"),
        closed.options("/api/flow_runs/", headers=evil | {"Access-Control-Request-Method": "POST"}),
        closed.get("/api/health", headers={"Host": "evil.example:4200"}),
    ):
        assert (answer.status_code, answer.text) == (403, REFUSAL)
        assert "access-control-allow-origin" not in answer.headers
    with pytest.raises(Exception, match="403"), closed.websocket_connect(EVENTS, headers=evil):
        pass


def test_where_a_password_is_asked_for_pages_are_not_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "create_app", server.create_app)
    close_to_other_sites()
    with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "lab:secret"}):
        client = TestClient(server.create_app(ignore_cache=True), base_url="http://rig.example:4200")
        assert client.get("/api/version").status_code == 401
        assert client.get("/api/version", auth=("lab", "secret")).status_code == 200
