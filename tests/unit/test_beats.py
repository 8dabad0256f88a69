from __future__ import annotations

import time
from pathlib import Path

import pytest

from deployments.beats import Beats, beat


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: at_s[0])
    return at_s


def test_a_beat_says_what_it_was_given_and_how_old_it_is_by_our_own_clock(tmp_path: Path, clock: list[float]) -> None:
    file = tmp_path / "sensor"
    beats = Beats(file, most_s=60)
    assert beats.ask() is None, "there is none yet"
    beat(file, troubles={"/inbox": "is gone"})
    assert beats.ask() == {"last_look_s": 0.0, "troubles": {"/inbox": "is gone"}}
    clock[0] += 60
    assert beats.ask() == {"last_look_s": 60.0, "troubles": {"/inbox": "is gone"}}
    clock[0] += 0.1
    assert beats.ask() is None, "too old"
    beat(file)
    assert beats.ask() == {"last_look_s": 0.0}
    assert [path.name for path in tmp_path.iterdir()] == ["sensor"]


def test_what_is_no_beat_is_none(tmp_path: Path) -> None:
    file = tmp_path / "sensor"
    file.write_text('{"last', "utf-8")
    assert Beats(file, most_s=60).ask() is None
