"""Tell Prefect which recordings were quarantined or have failed for good; an automation of Prefect's tells people.

What the catalogue says counts, and not how runs of Prefect's end: a run that crashed is mostly tried again, and a
recording may be refused without a run.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import EventTrigger, Posture
from prefect.events.actions import SendNotification

from facehog_core.catalogue import Catalogue
from facehog_core.disk import write_durably
from facehog_core.path_text import as_text
from facehog_core.provenance import now
from facehog_core.reconcile import NOT_ASKED_FOR
from facehog_core.schema import Fate
from facehog_core.story import FileEvent
from flows.outage import is_outage

from .beats import Heart
from .config import Config
from .config_file import load_config
from .launching import wait_for
from .logs import start_log
from .notification_block import FacehogNotification
from .signals import call_on_signals

log = logging.getLogger(__name__)

# Between two looks, seconds.
LOOK_S = 1.0
# Of one bad file people are told at once; of a thousand, once or twice, and not a thousand times: seconds between two
# notifications.
GATHER_S = 30.0
# Files that a notification names.
N_NAMED = 20
EVENT = "facehog.recordings.refused"
AUTOMATION = "facehog: a recording was refused"
_BAD = (Fate.QUARANTINED, Fate.FAILED)


def set_up(config: Config, config_file: Path | None, client: SyncPrefectClient) -> None:
    """Make the blocks and the automation that the configuration asks for, or bring them up to date.

    Parameters
    ----------
    config : Config
    config_file : Path or None
        Where it was read: the blocks read it again.
    client : SyncPrefectClient
    """
    file = str(config_file) if config_file else None
    blocks = [
        FacehogNotification(config_file=file, channel=channel).save(f"facehog-{channel}", overwrite=True)
        for channel in config.notify.channels()
    ]
    subject, body = "{{ event.payload.subject }}", "{{ event.payload.body }}"
    automation = AutomationCore(
        name=AUTOMATION,
        description="Set up by facehog from [notify] of facehog.toml, anew each time that it starts.",
        trigger=EventTrigger(
            expect={EVENT},
            match={"prefect.resource.id": "facehog.*"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[SendNotification(block_document_id=block, subject=subject, body=body) for block in blocks],
    )
    known = client.read_automations_by_name(AUTOMATION)
    if known:
        client.update_automation(known[0].id, automation)
    else:
        client.create_automation(automation)


class Notifier:
    """Finds what was refused since it last looked, and tells Prefect.

    Parameters
    ----------
    catalogue : Catalogue
    client : SyncPrefectClient
    place : Path
        File that holds how far it has come.
    name : str
        Of this facehog, for Prefect.
    clock : callable, optional
        A monotonic clock, in seconds.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        client: SyncPrefectClient,
        place: Path,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._told_at_s = -math.inf
        self._catalogue = catalogue
        self._client = client
        self._place = place
        self._name = name

    def look(self) -> None:
        """Tell of what is new, once, unless there was a notification a moment ago."""
        if self._clock() - self._told_at_s < GATHER_S:
            return
        last = self._catalogue.last_event()
        told = self._read_place()
        # What was refused before anybody asked to be told of it is old news; so is all of a catalogue that is another.
        if told is not None and told <= last and (found := self._find_news(told)):
            self._tell(found)
            last = max(last, found[-1].number)
        if told != last:
            write_durably(self._place, json.dumps({"event": last}))

    def _find_news(self, told: int) -> list[FileEvent]:
        # What somebody has cancelled is no news to anybody.
        return [event for event in self._catalogue.events_after(told, _BAD) if event.reason != NOT_ASKED_FOR]

    def _read_place(self) -> int | None:
        try:
            return int(json.loads(self._place.read_text("utf-8"))["event"])
        except (OSError, ValueError, KeyError):
            return None

    def _tell(self, found: Sequence[FileEvent]) -> None:
        subject, body = describe(found)
        event: dict[str, Any] = {
            # The same for the same news: Prefect takes it once, also if we are killed before we note that we told it.
            "id": str(uuid5(NAMESPACE_URL, f"{self._name}/{found[0].number}-{found[-1].number}/{found[0].at}")),
            "occurred": now().isoformat(),
            "event": EVENT,
            "resource": {"prefect.resource.id": f"facehog.{self._name}", "prefect.resource.name": self._name},
            "payload": {"subject": subject, "body": body},
        }
        self._client.request("POST", "/events", json=[event]).raise_for_status()
        self._told_at_s = self._clock()
        log.info("%s", subject, extra={"n_refused": len(found)})


def describe(found: Collection[FileEvent]) -> tuple[str, str]:
    """Return the subject and the body of a notification."""
    latest = {event.path: event for event in found}
    counts = [(sum(event.state is state for event in latest.values()), state) for state in _BAD]
    told = [f"{n} recording{'s' if n > 1 else ''} {state}" for n, state in counts if n]
    lines = [f"{as_text(event.path)}: {event.state}: {event.reason}" for event in list(latest.values())[:N_NAMED]]
    if len(latest) > N_NAMED:
        lines.append(f"... and {len(latest) - N_NAMED} more: facehog find state=quarantined,failed")
    return f"facehog: {', '.join(told)}", "\n".join(lines)


def main() -> None:
    """Set up what notifies, and tell Prefect what is new until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--after", type=Path)
    given = parser.parse_args()
    start_log()
    wait_for(given.after)
    stop = threading.Event()
    call_on_signals(stop.set)
    config = load_config(given.config)
    with Catalogue(config.catalogue, create=True) as catalogue, get_client(sync_client=True) as client:
        set_up(config, given.config, client)
        heart = Heart(given.ready_file)
        notifier = Notifier(catalogue, client, config.state_dir / "notified.json", str(config.home))
        while not stop.is_set():
            try:
                notifier.look()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("Prefect's server does not answer: %s: %s", type(error).__name__, error)
            heart.go_on()
            stop.wait(LOOK_S)


if __name__ == "__main__":
    main()
