"""What is told of, and how often; that it arrives is shown in tests/e2e with a real server of Prefect's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from catalogue_users import come_to

from deployments.notifier import EVENT, GATHER_S, N_NAMED, Notifier
from facehog_core import Catalogue
from facehog_core.reconcile import NOT_ASKED_FOR
from facehog_core.schema import Fate
from facehog_core.source import Signature

LOOK = Signature(size_bytes=1, mtime_ns=2, inode=3)


@dataclass
class FakeServer:
    """Takes events, as Prefect's does, or is down."""

    is_down: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)

    def request(self, method: str, path: str, json: list[dict[str, Any]]) -> httpx.Response:
        assert (method, path) == ("POST", "/events")
        if self.is_down:
            raise httpx.ConnectError("down")
        self.events += json
        return httpx.Response(204, request=httpx.Request(method, "http://server/api/events"))


@dataclass
class Rig:
    catalogue: Catalogue
    place: Path
    server: FakeServer = field(default_factory=FakeServer)

    def turn(self, name: str, *states: Fate) -> None:
        for state in states:
            come_to(self.catalogue, Path("/inbox", name), state, f"is {state}", signature=LOOK)

    def look(self) -> None:
        """Look as a notifier does that was started just now: it remembers nothing but what is on the disk."""
        Notifier(self.catalogue, self.server, self.place, "/lab").look()  # type: ignore[arg-type]

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(event["payload"]["subject"], event["payload"]["body"]) for event in self.server.events]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        yield Rig(catalogue, tmp_path / "notified.json")


def test_what_is_refused_is_told_once_and_what_is_not_never(rig: Rig) -> None:
    rig.turn("old.mp4", Fate.FAILED)
    rig.look()
    assert rig.told == [], "that was before anybody asked to be told"
    rig.turn("good.mp4", Fate.WAITING, Fate.QUEUED, Fate.RUNNING, Fate.FINISHED)
    rig.turn("bad.mp4", Fate.WAITING, Fate.QUARANTINED)
    rig.look()
    rig.look()
    assert rig.told == [("facehog: 1 recording quarantined", "/inbox/bad.mp4: quarantined: is quarantined")]
    assert rig.server.events[0]["event"] == EVENT
    rig.turn("bad.mp4", Fate.WAITING, Fate.FAILED)
    rig.look()
    assert rig.told[1:] == [("facehog: 1 recording failed", "/inbox/bad.mp4: failed: is failed")]


def test_of_one_people_are_told_at_once_and_of_more_after_a_while(rig: Rig) -> None:
    rig.look()
    at_s = 100.0
    notifier = Notifier(rig.catalogue, rig.server, rig.place, "/lab", lambda: at_s)  # type: ignore[arg-type]
    rig.turn("first.mp4", Fate.FAILED)
    notifier.look()
    rig.turn("second.mp4", Fate.FAILED)
    rig.turn("third.mp4", Fate.FAILED)
    at_s += GATHER_S - 1
    notifier.look()
    assert len(rig.told) == 1
    at_s += 1
    notifier.look()
    assert [subject for subject, _ in rig.told] == ["facehog: 1 recording failed", "facehog: 2 recordings failed"]


def test_of_many_people_are_told_in_one_go(rig: Rig) -> None:
    rig.look()
    for number in range(N_NAMED + 5):
        rig.turn(f"{number:02}.mp4", Fate.QUARANTINED if number else Fate.FAILED)
    rig.look()
    ((subject, body),) = rig.told
    assert subject == f"facehog: {N_NAMED + 4} recordings quarantined, 1 recording failed"
    assert len(body.splitlines()) == N_NAMED + 1
    assert body.endswith("... and 5 more: facehog find state=quarantined,failed")


def test_while_the_server_is_down_nothing_is_lost_and_told_twice_it_is_the_same_event(rig: Rig) -> None:
    rig.look()
    rig.turn("bad.mp4", Fate.QUARANTINED)
    rig.server.is_down = True
    with pytest.raises(httpx.ConnectError):
        rig.look()
    rig.server.is_down = False
    before = rig.place.read_text("utf-8")
    rig.look()
    # Killed before it could note that it has told.
    rig.place.write_text(before, "utf-8")
    rig.look()
    first, second = rig.server.events
    assert first["id"] == second["id"]


def test_a_catalogue_that_was_made_anew_is_no_news(rig: Rig) -> None:
    rig.place.write_text('{"event": 1000}', "utf-8")
    rig.turn("bad.mp4", Fate.QUARANTINED)
    rig.look()
    assert rig.told == []
    rig.turn("worse.mp4", Fate.QUARANTINED)
    rig.look()
    assert len(rig.told) == 1


def test_what_somebody_has_cancelled_is_no_news(rig: Rig) -> None:
    rig.look()
    for number in range(3):
        rig.turn(f"{number}.mp4", Fate.WAITING)
        rig.catalogue.set_fate(Path("/inbox", f"{number}.mp4"), Fate.FAILED, NOT_ASKED_FOR)
    rig.look()
    assert rig.told == []
    rig.turn("bad.mp4", Fate.FAILED)
    rig.look()
    assert rig.told == [("facehog: 1 recording failed", "/inbox/bad.mp4: failed: is failed")]
