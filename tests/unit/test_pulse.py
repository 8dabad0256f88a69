from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deployments.pulse import MOST_SILENT, Condition, Pulse


def make_pulse() -> Pulse:
    return Pulse(began_s=100.0, start_timeout_s=90.0)


def test_a_process_starts_until_it_first_answers_and_not_for_ever() -> None:
    pulse = make_pulse()
    for _ in range(99):
        pulse.note(None)
    assert pulse.condition is Condition.STARTING
    assert pulse.why_lost(190.0) is None
    assert pulse.why_lost(190.1) == "was not ready after 90 s"
    pulse.note({"workers": 2})
    assert (pulse.condition, pulse.why_lost(10_000.0), pulse.facts) == (Condition.WELL, None, {"workers": 2})


@given(st.lists(st.booleans(), max_size=30))
def test_a_process_that_has_answered_is_lost_after_so_many_silences_in_a_row_and_not_before(
    answers: list[bool],
) -> None:
    pulse = make_pulse()
    pulse.note({})
    for n, answer in enumerate(answers, start=1):
        pulse.note({} if answer else None)
        last = answers[:n][-MOST_SILENT:]
        assert (pulse.why_lost(1e9) is not None) == (len(last) == MOST_SILENT and not any(last))
        assert pulse.condition is (Condition.WELL if answer else Condition.SILENT)
