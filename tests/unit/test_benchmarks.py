"""What the benchmarks' figures are made with: turns, medians, ratios, the table, and footage. Nothing is timed here."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import process_time

import numpy as np
import pytest
import run_all
from bench_flow import furthest_from_line
from hypothesis import given
from hypothesis import strategies as st
from long_footage import make_footage, repeat_packets
from memory import forget_peak, read_peak_mib
from pipeline import (
    cpu_seconds,
    decode_all,
    decode_plainly,
    process_recording,
    spans_of,
    worker_processes,
)
from recordings import ffmpeg_frames, md5_of
from results import ANSWERED_BY, Outcome, write_results
from side_by_side import Finding, Measure, Report, compare, describe_machine, order_of_round, take_turns

from facehog_core.chunking import ChunkPlan
from facehog_core.decode import iter_frames
from facehog_core.recipe import Recipe
from facehog_core.session import open_session
from facehog_core.video import probe

SECONDS = st.floats(1e-3, 1e3)
BENCHMARKS = Path(run_all.__file__).parent


def measured(*values: float, name: str = "way") -> Measure:
    return Measure(name=name, unit="s", values=values)


def make_report(*findings: Finding) -> Report:
    return Report(
        title="Is it fast?",
        setting="10 frames",
        machine=describe_machine(),
        measures=(measured(0.25, 0.5, 4.0, name="ours | theirs"),),
        findings=findings,
        notes=("A note.",),
    )


@pytest.mark.parametrize("n_ways", [2, 3, 5])
def test_each_way_comes_first_and_last_equally_often(n_ways: int) -> None:
    names = [str(number) for number in range(n_ways)]
    rounds = [order_of_round(names, number) for number in range(2 * n_ways)]
    assert all(sorted(order) == names for order in rounds)
    assert sorted(order[0] for order in rounds) == sorted(names * 2)
    assert sorted(order[-1] for order in rounds) == sorted(names * 2)


def test_a_round_that_warms_up_is_not_counted_and_values_are_per_what_was_asked_for() -> None:
    now = 0.0
    costs = {"a": iter([100.0, 2.0, 4.0, 6.0]), "b": iter([50.0, 1.0, 1.0, 1.0])}

    def spend(name: str) -> Callable[[], None]:
        def way() -> None:
            nonlocal now
            now += next(costs[name])

        return way

    found = take_turns({name: spend(name) for name in costs}, 3, clock=lambda: now, per=2, unit="s a frame")
    assert found["a"] == Measure(name="a", unit="s a frame", values=(1.0, 2.0, 3.0))
    assert found["b"].values == (0.5, 0.5, 0.5)


def test_what_is_done_before_a_way_is_not_timed() -> None:
    ticks = count()
    before: list[int] = []
    found = take_turns(
        {"a": lambda: None}, 2, clock=lambda: float(next(ticks)), before=lambda: before.append(next(ticks))
    )
    assert found["a"].values == (1.0, 1.0)
    assert len(before) == 3


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=2, max_size=9))
def test_a_ratio_is_of_medians_and_its_spread_of_rounds(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = np.array(pairs).T
    found = compare(measured(*ours), measured(*theirs))
    assert found.value == pytest.approx(np.median(theirs) / np.median(ours))
    assert (found.least, found.most) == pytest.approx((min(theirs / ours), max(theirs / ours)))


def test_ways_of_unequal_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="argument"):
        compare(measured(1.0, 2.0), measured(1.0))
    with pytest.raises(ValueError, match="nothing was measured"):
        measured()


@pytest.mark.parametrize(
    ("value", "at_least", "at_most", "goal", "is_reached"),
    [
        (0.9, 0.9, None, ">= 0.9 x", True),
        (0.899, 0.9, None, ">= 0.9 x", False),
        (3.0, None, 3.0, "<= 3 x", True),
        (3.1, None, 3.0, "<= 3 x", False),
        (5.0, 1.0, 3.0, ">= 1 x and <= 3 x", False),
        (5.0, None, None, "", None),
    ],
)
def test_a_goal_is_reached_or_not(
    value: float, at_least: float | None, at_most: float | None, goal: str, is_reached: bool | None
) -> None:
    finding = Finding(what="it", value=value, unit="x", at_least=at_least, at_most=at_most)
    assert (finding.goal, finding.is_reached) == (goal, is_reached)


def test_a_report_is_read_as_it_was_written() -> None:
    report = make_report(Finding(number=2, what="ours", against="theirs", value=1.5, least=1.0, most=2.0, unit="x"))
    assert Report.from_json(report.to_json()) == report
    for part in ("Is it fast?", "Python 3.", "10 frames", "0.50 s (0.25 to 4.00)", "1.50 x (1.00 to 2.00)", "A note."):
        assert part in str(report)


def rows_of(table: str) -> Iterator[list[str]]:
    """Read the table of goals as Markdown does."""
    for line in table.split("\n## ")[0].splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_table_has_each_goal_once_with_what_was_found_or_why_nothing_was() -> None:
    found = make_report(Finding(number=2, what="ours", against="theirs", value=1.5, unit="x", at_least=2.0))
    outcomes = [
        Outcome(script="bench_pipeline.py", took_s=90, report=found),
        Outcome(script="bench_lab.py", took_s=30, failure="exit status 1: no dask_image"),
    ]
    table = write_results(outcomes, command="make bench", date="2026-11-21")
    heads, _, *rows = rows_of(table)
    numbers = [row[0] for row in rows]
    assert numbers == [*map(str, ANSWERED_BY), ""]
    assert all(len(row) == len(heads) for row in rows)
    assert rows[1] == ["2", "ours", "theirs", "1.50 x", ">= 2 x", "not reached", "bench_pipeline.py"]
    assert rows[2][-1] == "bench_pipeline.py says nothing of it"
    assert rows[3][-1] == "bench_flow.py was not run"
    assert rows[4][-1] == "bench_lab.py failed"
    assert "no dask_image" in rows[-1][1]
    assert "in 2 min" in table
    assert "| ours \\| theirs | 0.50 s | 0.25 to 4.00 | 3 |" in table


GOOD = """
import sys
sys.path.insert(0, {benchmarks!r})
from side_by_side import Finding, Report, describe_machine, make_parser, publish
options = make_parser("A benchmark.").parse_args()
finding = Finding(number=3, what="quick" if options.quick else "whole", value=1)
publish(Report(title="t", setting="s", machine=describe_machine(), findings=(finding,)), options)
"""


def test_a_benchmark_that_fails_or_hangs_does_not_keep_others_from_their_report(tmp_path: Path) -> None:
    for name, text in {
        "bench_bad.py": "raise SystemExit('the disk is full')",
        "bench_good.py": GOOD.format(benchmarks=str(BENCHMARKS)),
        "bench_limits.py": "print('no report')",
        "helper.py": "raise SystemExit('is no benchmark')",
    }.items():
        (tmp_path / name).write_text(text)
    scripts = run_all.find_scripts(tmp_path)
    assert [script.name for script in scripts] == ["bench_limits.py", "bench_bad.py", "bench_good.py"]
    assert [script.name for script in run_all.find_scripts(tmp_path, ["good"])] == ["bench_good.py"]
    slow = tmp_path / "bench_flow.py"
    slow.touch()
    assert slow not in run_all.find_scripts(tmp_path, is_quick=True)
    assert run_all.find_scripts(tmp_path, ["flow"], is_quick=True) == [slow]
    limits, bad, good = run_all.run_scripts(scripts, is_quick=True)
    assert limits.failure == "wrote no report"
    assert bad.failure == "exit status 1: the disk is full"
    assert good.report is not None
    assert good.report.findings[0].what == "quick"

    hanging = tmp_path / "bench_hanging.py"
    hanging.write_text("import time; time.sleep(600)")
    assert run_all.run_script(hanging, is_quick=False, limit_s=0.2).failure.startswith("was ended, since")


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    return make_footage(60, width=160, height=128, gop=10, segment=20, folder=folder)


def test_footage_has_the_frames_of_its_segment_again_and_again(footage: Path) -> None:
    frames = [frame.md5 for frame in ffmpeg_frames(footage)]
    assert len(frames) == 60
    assert frames[:20] == frames[20:40] == frames[40:]
    assert len(set(frames)) == 20


def test_footage_can_be_read_from_each_keyframe_on(footage: Path) -> None:
    info, index = probe(footage)
    assert (info.completeness, index.is_seekable) == ("complete", True)
    assert np.flatnonzero(index.is_keyframe).tolist() == list(range(0, 60, 10))
    assert set(np.diff(index.pts)) == {index.pts[1]}
    whole = [frame.md5 for frame in ffmpeg_frames(footage)]
    for start in range(0, 60, 10):
        read = list(iter_frames(info, index, start, start + 3))
        assert not any(decoded.is_corrupt for decoded in read)
        assert [md5_of(decoded.frame) for decoded in read if decoded.frame] == whole[start : start + 3]


def test_footage_is_kept_and_a_last_gop_is_not_cut(footage: Path, tmp_path: Path) -> None:
    made_at = footage.stat().st_mtime_ns
    again = make_footage(60, width=160, height=128, gop=10, segment=20, folder=footage.parent)
    assert (again, again.stat().st_mtime_ns) == (footage, made_at)
    assert probe(repeat_packets(footage, tmp_path / "long.mp4", 130))[1].n_frames == 130
    with pytest.raises(ValueError, match="no GOP that ends with frame 65"):
        repeat_packets(footage, tmp_path / "cut.mp4", 65)
    assert [file.name for file in tmp_path.iterdir()] == ["long.mp4"]


def test_footage_may_be_made_of_a_recording_that_is_given(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEHOG_BENCH_SEGMENT", str(footage))
    longer = make_footage(70, folder=tmp_path)
    assert longer.parent == tmp_path
    frames = [frame.md5 for frame in ffmpeg_frames(longer)]
    assert (len(frames), frames[:10]) == (70, frames[60:])


def test_notes_that_are_lines_of_a_table_stand_below_each_other_and_others_are_paragraphs() -> None:
    notes = ("of each:", "a   1", "b   2", "", "A sentence.")
    outcome = Outcome(script="bench_hog.py", took_s=1, report=replace(make_report(), notes=notes))
    table = write_results([outcome], command="make bench", date="2026-11-22")
    assert table.endswith("\n\nof each:\n\n```text\na   1\nb   2\n```\n\nA sentence.\n")


def test_plain_decoding_counts_what_it_decodes_only_to_get_to_a_span(footage: Path) -> None:
    info, index = probe(footage)
    plan = ChunkPlan(n_frames=60, frames_per_shard=25)
    spans = spans_of(info, index, plan)
    # 25 follows the keyframe 20 and 50 is one.
    assert [decode_plainly(footage, span) for span in spans] == [25, 5 + 25, 10]
    with ThreadPoolExecutor(2) as pool:
        assert decode_all(footage, spans, pool) == 65


def test_a_run_without_orchestration_seals_a_store(footage: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = process_recording(footage, pool, tmp_path, recipe=Recipe())
    session = open_session(done.store)
    assert (len(session.frame), session.attrs["recipe"]["crop"]) == (60, None)


# Holds 64 MiB and gives them back, and answers when that is done.
HOLDING = """
import sys
for _ in sys.stdin:
    block = bytearray(b"1") * 2**26
    del block
    print("done", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no such account")
def test_the_most_memory_that_a_process_held_is_told_until_it_is_forgotten() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-S", "-c", HOLDING], **pipes) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        peak_mib = read_peak_mib(process.pid)
        assert peak_mib > 64
        forget_peak(process.pid)
        assert read_peak_mib(process.pid) < peak_mib - 32
        process.stdin.close()


def test_what_lies_on_a_line_is_told_from_what_bends() -> None:
    straight = {n: 1.5 + 0.003 * n for n in (5_000, 20_000, 44_000)}
    assert furthest_from_line(straight) == pytest.approx(0, abs=1e-6)
    assert furthest_from_line(straight | {44_000: 1.3 * straight[44_000]}) > 5


def test_cpu_time_counts_workers_that_run_and_those_that_have_ended() -> None:
    before_s = cpu_seconds()
    with worker_processes(1) as pool:
        pool.submit(sum, range(10_000_000)).result()
        theirs_s = pool.submit(process_time).result()
        running_s = cpu_seconds()
    # The kernel counts in hundredths of a second.
    assert running_s - before_s > theirs_s - 0.05
    assert cpu_seconds() > running_s - 0.05
