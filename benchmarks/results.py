"""The table that RESULTS.md is: each goal with what was found, and every benchmark's figures behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from side_by_side import Finding, Measure, Report, machine_line, say_reached, show

FENCE: Final = "```"
# What tells a line of a table from a sentence.
IN_COLUMNS: Final = "   "
# The goals by number, and the benchmark that answers for each: one that is missing is told, not passed over.
ANSWERED_BY: Final = {
    1: "bench_hog.py",
    2: "bench_pipeline.py",
    3: "bench_pipeline.py",
    4: "bench_flow.py",
    5: "bench_lab.py",
    6: "bench_flow.py",
    7: "bench_flow.py",
    8: "bench_pipeline.py",
    9: "bench_unshared.py",
    10: "bench_pipeline.py",
    11: "bench_latency.py",
    12: "bench_landing.py",
    13: "bench_read.py",
    14: "bench_codec.py",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one benchmark.

    Parameters
    ----------
    script : str
        Its file.
    took_s : float
    report : Report or None
        None if it failed.
    failure : str
        Why there is no report.
    """

    script: str
    took_s: float
    report: Report | None = None
    failure: str = ""


def write_results(outcomes: Sequence[Outcome], *, command: str, date: str) -> str:
    """Write the table.

    Parameters
    ----------
    outcomes : sequence of Outcome
    command : str
        What was typed.
    date : str

    Returns
    -------
    str
        Markdown.
    """
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    took_s = sum(outcome.took_s for outcome in outcomes)
    lines = ["# Results of the benchmarks", ""]
    lines += [f"Written by `{command}` on {date}, in {took_s / 60:.0f} min. What was expected stands in NOTES.md.", ""]
    if reports:
        lines += [f"Machine: {machine_line(reports[0].machine)}.", ""]
    lines += [
        "A figure is a ratio of medians where it is against something; in brackets are the least and the most of the",
        "rounds. Both sides of a ratio took turns in one run.",
        "",
        *_table(
            ("#", "what", "against", "found", "goal", "reached", "by"),
            sorted([*_goal_rows(outcomes), *_failure_rows(outcomes)], key=lambda row: int(row[0] or 1000)),
        ),
    ]
    for outcome in outcomes:
        if outcome.report is not None:
            lines += ["", *_section(outcome, outcome.report)]
    return "\n".join(lines) + "\n"


def _goal_rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    found = [
        (finding, outcome.script)
        for outcome in outcomes
        if outcome.report is not None
        for finding in outcome.report.findings
        if finding.number is not None
    ]
    return [
        (
            str(finding.number),
            finding.what,
            finding.against,
            _found(finding),
            finding.goal,
            say_reached(finding),
            script,
        )
        for finding, script in found
    ]


def _failure_rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Say which goals nothing was found for, and which benchmarks failed."""
    answered = {
        finding.number for outcome in outcomes if outcome.report is not None for finding in outcome.report.findings
    }
    failures = {outcome.script: outcome.failure for outcome in outcomes if outcome.report is None}
    scripts = {outcome.script for outcome in outcomes}
    rows = []
    for number, script in ANSWERED_BY.items():
        if number not in answered:
            reason = "failed" if script in failures else "says nothing of it" if script in scripts else "was not run"
            rows.append((str(number), "not measured", "", "", "", "", f"{script} {reason}"))
    return rows + [("", f"failed: {why}", "", "", "", "", script) for script, why in failures.items()]


def _section(outcome: Outcome, report: Report) -> list[str]:
    lines = [
        f"## {report.title}",
        "",
        f"`{outcome.script}`, {outcome.took_s:.0f} s, load {report.machine['load']} before it: {report.setting}.",
        "",
    ]
    if report.measures:
        lines += _table(("way", "median", "least to most", "rounds"), [_measure_row(one) for one in report.measures])
    if report.findings:
        rows = [(finding.what, finding.against, _found(finding)) for finding in report.findings]
        lines += [*([""] if report.measures else []), *_table(("what", "against", "found"), rows)]
    for note in report.notes:
        # The lines of a table stand below each other, in letters of one width.
        if IN_COLUMNS in note:
            lines[-1:] = [note, FENCE] if lines[-1] == FENCE else [lines[-1], "", f"{FENCE}text", note, FENCE]
        elif note:
            lines += ["", note]
    return lines


def _measure_row(measure: Measure) -> tuple[str, ...]:
    return measure.name, f"{show(measure.median)} {measure.unit}", measure.spread, str(len(measure.values))


def _found(finding: Finding) -> str:
    return f"{finding.figure} ({finding.spread})" if finding.spread else finding.figure


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in cells]
