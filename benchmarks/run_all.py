"""Run all benchmarks and make RESULTS.md of their reports; one that fails is told in the table, and others go on.

python benchmarks/run_all.py             # writes benchmarks/RESULTS.md
python benchmarks/run_all.py --quick     # less of everything; only prints
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from time import perf_counter

import psutil
from results import Outcome, write_results
from side_by_side import Report

HERE = Path(__file__).parent
# A benchmark that takes longer hangs: all of them together take 20 to 30 minutes on two cores, or some.
LIMIT_S, QUICK_LIMIT_S = 600.0, 120.0
# Ratios of a service's times: on recordings that are quickly described they tell nothing.
NOT_QUICK = ("bench_flow", "bench_landing")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything; print and do not write RESULTS.md")
    parser.add_argument(
        "--segment", type=Path, help="a recording whose packets are repeated, instead of a drawn face's"
    )
    parser.add_argument("only", nargs="*", help="benchmarks to run, such as `hog`; then RESULTS.md is not written")
    options = parser.parse_args()
    if options.segment is not None:
        os.environ["FACEHOG_BENCH_SEGMENT"] = str(options.segment.resolve())

    scripts = find_scripts(HERE, options.only, is_quick=options.quick)
    command = " ".join(["python benchmarks/run_all.py", *sys.argv[1:]])
    outcomes: list[Outcome] = []
    for outcome in run_scripts(scripts, is_quick=options.quick):
        outcomes.append(outcome)
        table = write_results(outcomes, command=command, date=date.today().isoformat())
        if not (options.quick or options.only):
            # After each, so that what was measured is not lost if a run is stopped.
            (HERE / "RESULTS.md").write_text(table, "utf-8")
    print("\n" + table if options.quick or options.only else f"\n{HERE / 'RESULTS.md'} is written.")
    if any(outcome.report is None for outcome in outcomes):
        sys.exit(1)


def find_scripts(folder: Path, only: Sequence[str] = (), *, is_quick: bool = False) -> list[Path]:
    """Find the benchmarks: those of the machine's limits first, the others by name.

    Parameters
    ----------
    folder : Path
    only : sequence of str, optional
        Names without `bench_` and `.py`; all if left out.
    is_quick : bool, optional
        Whether to leave out those that tell nothing when they are quick, unless they are named.
    """
    scripts = sorted(folder.glob("bench_*.py"), key=lambda script: (script.stem != "bench_limits", script.name))
    if only:
        return [script for script in scripts if script.stem.removeprefix("bench_") in only]
    return [script for script in scripts if not (is_quick and script.stem in NOT_QUICK)]


def run_scripts(scripts: Sequence[Path], *, is_quick: bool) -> Iterator[Outcome]:
    """Run benchmarks, one after the other, each in a process of its own.

    Yields
    ------
    Outcome
    """
    for script in scripts:
        print(f"\n{script.name}", flush=True)
        outcome = run_script(script, is_quick=is_quick, limit_s=QUICK_LIMIT_S if is_quick else LIMIT_S)
        print(f"  {outcome.took_s:.0f} s: {outcome.failure or 'done'}", flush=True)
        yield outcome


def run_script(script: Path, *, is_quick: bool, limit_s: float) -> Outcome:
    """Run one benchmark and take its report.

    Parameters
    ----------
    script : Path
    is_quick : bool
    limit_s : float
        When it is ended, with all that it started.

    Returns
    -------
    Outcome
    """
    with tempfile.TemporaryDirectory() as folder:
        written, said = Path(folder) / "report.json", Path(folder) / "stderr"
        command = [sys.executable, str(script), "--json", str(written), *(["--quick"] if is_quick else [])]
        start = perf_counter()
        with said.open("wb") as errors, subprocess.Popen(command, stderr=errors) as process:
            failure = _wait(process, limit_s)
        took_s = perf_counter() - start
        words = said.read_text("utf-8", "replace").strip()
        if not failure and not written.exists():
            failure = "wrote no report"
        if failure:
            print(words, file=sys.stderr, flush=True)
            return Outcome(script=script.name, took_s=took_s, failure=": ".join(filter(None, [failure, _last(words)])))
        return Outcome(script=script.name, took_s=took_s, report=Report.from_json(written.read_text("utf-8")))


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> str:
    """Wait for a benchmark and return what went wrong, if anything did."""
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        return f"was ended, since it took more than {limit_s:.0f} s"
    return f"exit status {status}" if status else ""


def _last(words: str) -> str:
    return words.splitlines()[-1] if words else ""


if __name__ == "__main__":
    main()
