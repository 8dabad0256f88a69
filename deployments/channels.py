"""Send a notification: by mail, to Slack, to a webhook. Addresses are secrets, and no error shows them."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import apprise
import httpx

from facehog_core.errors import ServiceError

# How long a channel may take, seconds, and how often a connection that fails is tried again.
TIMEOUT_S = 20.0
N_AGAIN = 3
_REMEDY = "Check the address under [notify], and that this machine reaches it."


def send(channels: Mapping[str, str], name: str, subject: str, body: str) -> None:
    """Send a notification through a channel.

    Parameters
    ----------
    channels : mapping of str to str
        The addresses that are set, by ``slack``, ``webhook`` and ``mail``.
    name : str
        Which one.
    subject, body : str

    Raises
    ------
    ServiceError
        If it is not set, or what is sent is not taken.
    """
    if name not in channels:
        raise ServiceError(
            f"notify.{name}", "nothing is set there", "Set it under [notify], or remove what asks for it."
        )
    match name:
        case "mail":
            _send_mail(channels[name], subject, body)
        case "slack":
            _post(name, channels[name], {"text": f"*{subject}*\n{body}"})
        case _:
            _post(name, channels[name], {"subject": subject, "body": body})


def _send_mail(address: str, subject: str, body: str) -> None:
    mail = apprise.Apprise()
    mail.add(address)
    # It tells of addresses what it thinks can be told, and we tell nothing.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    if not mail.notify(title=subject, body=body, body_format=apprise.NotifyFormat.TEXT):
        raise ServiceError("notify.mail", "the mail was not sent", _REMEDY)


def _post(name: str, address: str, content: Mapping[str, str]) -> None:
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=N_AGAIN), timeout=TIMEOUT_S) as client:
            status = client.post(address, json=content).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Without the error, whose text has the address in it.
        raise ServiceError(f"notify.{name}", f"it was not sent: {type(error).__name__}", _REMEDY) from None
    if status >= httpx.codes.BAD_REQUEST:
        raise ServiceError(f"notify.{name}", f"it was refused with status {status}", _REMEDY)
