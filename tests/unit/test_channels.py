"""Notifications, sent to receivers of this machine that are real ones: an HTTP server, and an SMTP server."""

from __future__ import annotations

import asyncio
import email
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from loopback import Receiver, receive
from prefect.blocks.abstract import NotificationError

from deployments import channels as channels_module
from deployments.channels import send
from deployments.config_file import load_config
from deployments.notification_block import FacehogNotification
from deployments.up import find_free_port
from facehog_core.errors import ConfigError, ServiceError

SECRET = "xoxb-not-to-be-seen"


@pytest.fixture
def web() -> Iterator[Receiver]:
    with receive() as receiver:
        yield receiver


@dataclass
class Post:
    """An SMTP server's handler that keeps what it is given."""

    url: str = ""
    letters: list[tuple[str, list[str], Message]] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 OK"


@pytest.fixture
def post() -> Iterator[Post]:
    handler = Post()
    controller = Controller(handler, hostname="127.0.0.1", port=find_free_port(), ready_timeout=60)
    controller.start()
    handler.url = f"mailto://127.0.0.1:{controller.port}?from=facehog@lab.example&to=me@lab.example,pi@lab.example"
    yield handler
    controller.stop()


def test_slack_and_a_webhook_are_sent_json(web: Receiver) -> None:
    channels = {"slack": f"{web.url}/services/T0/B0/{SECRET}", "webhook": f"{web.url}/hook"}
    send(channels, "slack", "1 recording failed", "/inbox/m12 “odd” {{ name }}.mp4: is gone")
    send(channels, "webhook", "1 recording failed", "why")
    slack, webhook = [(method, path, json.loads(body)) for method, path, body in web.asked]
    text = "*1 recording failed*\n/inbox/m12 “odd” {{ name }}.mp4: is gone"
    assert slack == ("POST", f"/services/T0/B0/{SECRET}", {"text": text})
    assert webhook == ("POST", "/hook", {"subject": "1 recording failed", "body": "why"})


def test_a_mail_arrives_with_its_subject_and_text(post: Post) -> None:
    send({"mail": post.url}, "mail", "1 recording failed", "/inbox/m12 <1>.mp4: is gone\nand more")
    senders, receivers = {sent for sent, _, _ in post.letters}, {to for _, tos, _ in post.letters for to in tos}
    assert (senders, receivers) == ({"facehog@lab.example"}, {"me@lab.example", "pi@lab.example"})
    letter = post.letters[0][2]
    assert letter["subject"] == "1 recording failed"
    plain = next(part for part in letter.walk() if part.get_content_type() == "text/plain")
    text = plain.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert text.decode().splitlines() == ["/inbox/m12 <1>.mp4: is gone", "and more"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("slack", f"http://127.0.0.1:1/{SECRET}"),
        ("webhook", f"http://[{SECRET}"),
        ("mail", f"mailto://me:{SECRET}@127.0.0.1:1?from=a@b.example&to=c@d.example"),
    ],
)
def test_what_is_not_sent_is_an_error_that_shows_no_secret(
    name: str, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(channels_module, "N_AGAIN", 0)
    with pytest.raises(ServiceError) as caught:
        send({name: address}, name, "subject", "body")
    assert f"notify.{name}: " in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert SECRET not in caplog.text


def test_what_is_refused_says_by_which_status(web: Receiver) -> None:
    web.answers = {"/": (403, f"{SECRET} is no token")}
    with pytest.raises(ServiceError, match="it was refused with status 403") as caught:
        send({"slack": f"{web.url}/{SECRET}"}, "slack", "subject", "body")
    assert SECRET not in str(caught.value)


def test_addresses_are_masked_wherever_the_configuration_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "facehog.toml"
    file.write_text(f'[notify]\nslack = "https://hooks.example/{SECRET}"\n', "utf-8")
    config = load_config(file)
    assert config.notify.channels() == {"slack": f"https://hooks.example/{SECRET}"}
    assert SECRET not in f"{config} {config!r} {config.model_dump()} {config.model_dump_json()}"
    monkeypatch.setenv("FACEHOG_NOTIFY__MAIL", f"smtp://{SECRET}")
    with pytest.raises(
        ConfigError, match=r"FACEHOG_NOTIFY__MAIL = \*\*\* is wrong. It must be such as 'mailtos://"
    ) as caught:
        load_config(file)
    assert SECRET not in str(caught.value)
    monkeypatch.delenv("FACEHOG_NOTIFY__MAIL")
    file.write_text(f'[notify]\nwebhook = ["{SECRET}"]\n', "utf-8")
    with pytest.raises(ConfigError, match=r"notify.webhook = \*\*\* is wrong"):
        load_config(file)


async def _notify(block: FacehogNotification) -> None:
    with block.raise_on_failure():
        await block.notify(body="why", subject="1 recording failed")


def test_prefects_block_keeps_no_secret_and_reads_it_when_it_notifies(tmp_path: Path, web: Receiver) -> None:
    file = tmp_path / "facehog.toml"
    file.write_text(f'[notify]\nwebhook = "{web.url}/{SECRET}"\n', "utf-8")
    block = FacehogNotification(config_file=str(file), channel="webhook")
    assert SECRET not in block.model_dump_json()
    asyncio.run(_notify(block))
    assert [json.loads(body)["body"] for _, _, body in web.asked] == ["why"]
    file.write_text("", "utf-8")
    with pytest.raises(NotificationError) as caught:
        asyncio.run(_notify(block))
    assert "nothing is set there" in caught.value.log
