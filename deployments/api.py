"""Prefect's API, as those parts of the service talk to it that do not load Prefect."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import httpx

from .config import Config
from .environment import AUTH_VARIABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A Prefect server's address, and what it wants to be shown.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:4200/api``.
    auth_string : str, optional
        ``user:password``.
    """

    url: str
    auth_string: str | None = field(default=None, repr=False)

    def connect(self, timeout_s: float) -> httpx.Client:
        """Return a client for it."""
        user, _, password = (self.auth_string or "").partition(":")
        auth = httpx.BasicAuth(user, password) if self.auth_string else None
        # To read all that vouch for TLS takes 20 ms, each time; without TLS they are not asked.
        is_encrypted = self.url.startswith("https:")
        return httpx.Client(base_url=f"{self.url}/", auth=auth, timeout=timeout_s, verify=is_encrypted)

    @property
    def ui_url(self) -> str:
        """Where people look at it from this machine."""
        return self.url.removesuffix("/api")


def find_api_url(config: Config) -> str | None:
    """Return the address of a server that runs already; None where it is to be one of facehog's own."""
    return config.prefect.api_url or os.environ.get("PREFECT_API_URL")


def find_auth_string(config: Config) -> str | None:
    """Return what is configured, or else what the environment says for Prefect."""
    given = config.prefect.auth_string
    return given.get_secret_value() if given else os.environ.get(AUTH_VARIABLE)
