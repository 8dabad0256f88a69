from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from facehog_core.patience import Patient, within


def test_what_answers_in_time_is_heard() -> None:
    assert within(60, lambda: 5) == 5
    assert within(60, lambda: None) is None


def test_what_fails_fails_here() -> None:
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 // 0)


def test_what_does_not_answer_is_not_waited_for() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match=r"does not answer within 0.01 s"):
        within(0.01, never.wait)
    never.set()


def test_who_asks_again_and_again_asks_one_that_does_not_answer_once() -> None:
    is_back, n_asked = threading.Event(), []

    def ask() -> int:
        n_asked.append(1)
        is_back.wait()
        return len(n_asked)

    patient = Patient(0.01, ask)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            patient()
    assert len(n_asked) == 1
    is_back.set()
    patient = Patient(60, ask)
    assert [patient(), patient()] == [2, 3]


def test_a_process_ends_though_something_does_not_answer() -> None:
    lines = ("import threading", "from facehog_core.patience import within", "within(0.01, threading.Event().wait)")
    text = "\n".join(lines)
    said = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 1
    assert "TimeoutError" in said.stderr
