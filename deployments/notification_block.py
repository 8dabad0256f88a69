"""The Prefect block through which automations notify. It holds no secret: it reads them when it is used."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from prefect.blocks.abstract import NotificationBlock, NotificationError
from pydantic import Field

from facehog_core.errors import FacehogError

from .channels import send
from .config_file import load_config


class FacehogNotification(NotificationBlock):
    """Notifies through a channel that facehog.toml, or the environment of `facehog up`, sets under ``[notify]``."""

    _block_type_name = "Facehog Notification"
    _block_type_slug = "facehog-notification"
    _description = "Mail, Slack or a webhook, as set under [notify] of facehog.toml. No secret is kept here."

    config_file: str | None = Field(None, description="facehog.toml; without it the environment sets the channel.")
    channel: Literal["mail", "slack", "webhook"] = Field(description="Which one.")

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Send a notification.

        Parameters
        ----------
        body : str
        subject : str, optional
        """
        try:
            config = load_config(Path(self.config_file) if self.config_file else None)
            await asyncio.to_thread(send, config.notify.channels(), self.channel, subject or "facehog", body)
        except FacehogError as error:
            raise NotificationError(str(error)) from None
