from __future__ import annotations

import gc
from pathlib import Path

import psutil
from bounded import examine, examine_all
from fuzz import MUTATIONS, make_case, make_sources

N_CASES = 220  # some seconds; `make fuzz` tries thousands


def test_a_damaged_recording_gives_frames_or_one_clear_line(tmp_path: Path) -> None:
    sources = make_sources(tmp_path)
    outcomes = examine_all([make_case(number, sources, tmp_path) for number in range(N_CASES)])
    assert not [f"{outcome.path.name}: {outcome.said}" for outcome in outcomes if outcome.is_wrong]
    n_refused = sum(outcome.is_refused for outcome in outcomes)
    assert 0 < n_refused < N_CASES, "some are read and some are refused"


def test_a_case_is_the_same_each_time_and_every_damage_is_tried(tmp_path: Path) -> None:
    sources = make_sources(tmp_path)
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    cases = [make_case(number, sources, one) for number in range(N_CASES)]
    for number, case in enumerate(cases):
        assert make_case(number, sources, other).read_bytes() == case.read_bytes()
    assert all(any(mutate.__name__ in case.name for case in cases) for mutate in MUTATIONS)


def test_many_damaged_recordings_leave_nothing_open(tmp_path: Path) -> None:
    sources = make_sources(tmp_path)
    process, cases = psutil.Process(), [make_case(number, sources, tmp_path) for number in range(60)]
    before = process.num_fds()
    for case in cases:
        examine(case)
    gc.collect()
    assert process.num_fds() == before


def test_a_process_that_hangs_is_seen(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("no video")
    (outcome,) = examine_all([tmp_path / "plain.txt"], timeout_s=0)
    assert outcome.is_wrong
    assert "hangs" in outcome.said
