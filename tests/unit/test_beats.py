from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from mounts import can_mount, mount_tmpfs, unmount

from deployments import beats as beats_module
from deployments.beats import MOST_SILENT_S, Beats, Heart


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: at_s[0])
    return at_s


def write(file: Path, last_look_s: float = 0.0) -> None:
    """Beat as another process does."""
    file.write_text(json.dumps({"last_look_s": last_look_s, "troubles": {"/inbox": "is gone"}}), "utf-8")
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


def test_a_beat_says_what_it_was_given_and_how_old_it_is_by_our_own_clock(tmp_path: Path, clock: list[float]) -> None:
    file = tmp_path / "sensor"
    beats = Beats(file, most_s=100)
    assert beats.ask() is None, "there is none yet"
    write(file, 3.0)
    assert beats.ask() == {"last_look_s": 3.0, "troubles": {"/inbox": "is gone"}}
    clock[0] += MOST_SILENT_S
    assert beats.ask() == {"last_look_s": 3.0 + MOST_SILENT_S, "troubles": {"/inbox": "is gone"}}
    clock[0] += 0.1
    assert beats.ask() is None, "the process is stopped"
    write(file, 99.0)
    assert beats.ask() is not None
    clock[0] += 2
    assert beats.ask() is None, "its work stands still"


def test_what_is_no_beat_is_none(tmp_path: Path) -> None:
    file = tmp_path / "sensor"
    for text in ('{"last', "[]", "{}"):
        file.write_text(text, "utf-8")
        assert Beats(file, most_s=60).ask() is None


WORK = """
import sys, time
from pathlib import Path
from deployments import beats
beats.BEAT_S = 0.01
beats.Heart(Path(sys.argv[1])).go_on(troubles={})
time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_process_beats_while_its_work_takes_long_and_not_while_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats_module, "MOST_SILENT_S", 3.0)
    beats = Beats(tmp_path / "sensor", most_s=600)
    with subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path / "sensor")]) as process:

        def wait_for(last_look_s: float) -> None:
            deadline_s = time.monotonic() + 60
            while not ((told := beats.ask()) and told["last_look_s"] >= last_look_s):
                assert time.monotonic() < deadline_s
                time.sleep(0.01)

        wait_for(0.5)  # Its work has not come round since, and it beats.
        process.send_signal(signal.SIGSTOP)
        while beats.ask() is not None:
            time.sleep(0.01)
        process.send_signal(signal.SIGCONT)
        wait_for(0.5)
        process.kill()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".unfinished"] == ["sensor"]


def test_the_first_word_of_the_work_is_there_at_once(tmp_path: Path) -> None:
    heart = Heart(tmp_path / "sensor")
    assert not (tmp_path / "sensor").exists()
    heart.go_on(troubles={})
    assert json.loads((tmp_path / "sensor").read_text("utf-8"))["troubles"] == {}


@pytest.mark.skipif(not can_mount(), reason="fills a disk of its own: on Linux, as root")
def test_a_full_disk_hides_no_beat_and_ends_no_process(tmp_path: Path, clock: list[float]) -> None:
    mount_tmpfs(tmp_path, 2**20)
    try:
        file = tmp_path / "sensor"
        heart, beats = Heart(file), Beats(file, most_s=300)
        heart.go_on()
        assert beats.ask() is not None
        with (tmp_path / "others").open("wb", buffering=0) as others, suppress(OSError):
            while others.write(bytes(2**12)):
                pass
        for _ in range(3):
            clock[0] += MOST_SILENT_S - 1
            heart.go_on(troubles={"store": "is full"})
            assert beats.ask() is not None
        (tmp_path / "others").unlink()
        heart.go_on(troubles={"store": "was full"})
        assert beats.ask() == {"last_look_s": 0.0, "troubles": {"store": "was full"}}
    finally:
        unmount(tmp_path)
