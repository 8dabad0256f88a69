"""Several ways to do one thing, taken in turn: their times, the ratios of these, and a report that a table is made of.

What a machine gives changes from minute to minute, so times of different minutes are not compared: each round takes
all ways once, in another order each time, and ratios are of medians over the same rounds. The first round, where
code is compiled and files come into memory, is not counted.

A benchmark prints its `Report`, and writes it as JSON where it is asked to (``--json``): ``python benchmarks`` makes
RESULTS.md of those.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import av
import imageio_ffmpeg

from facehog_core.cores import count_cores

LIBRARIES = ("numpy", "numba", "zarr", "numcodecs", "scikit-image", "dask", "prefect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one way took.

    Parameters
    ----------
    name : str
        The way.
    unit : str
    values : tuple of float
        One for each round.
    """

    name: str
    unit: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"{self.name}: nothing was measured")

    @property
    def median(self) -> float:
        """The value of the middle round."""
        return median(self.values)

    @property
    def spread(self) -> str:
        """The least and the most, if there is more than one."""
        return show_span(min(self.values), max(self.values)) if len(self.values) > 1 else ""

    def converted(self, convert: Callable[[float], float], unit: str) -> Measure:
        """Return the same in another unit, such as frames a second for seconds."""
        return Measure(name=self.name, unit=unit, values=tuple(convert(value) for value in self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One figure that answers a question, and whether it is as it should be.

    Parameters
    ----------
    number : int or None
        Its place in the table of goals.
    what, against : str
        What was measured, and what it is compared with.
    value : float
    least, most : float, optional
        The same figure in the rounds where it was least and most.
    unit : str, optional
        "x" for a ratio that is so many times, "" for a share.
    at_least, at_most : float, optional
        The goal.
    """

    number: int | None = None
    what: str
    against: str = ""
    value: float
    least: float | None = None
    most: float | None = None
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def goal(self) -> str:
        """The goal in words; empty if there is none."""
        bounds = [
            f"{sign} {bound:g}{_suffix(self.unit)}"
            for sign, bound in ((">=", self.at_least), ("<=", self.at_most))
            if bound is not None
        ]
        return " and ".join(bounds)

    @property
    def is_reached(self) -> bool | None:
        """Whether the value is as the goal says; None if there is no goal."""
        if self.at_least is None and self.at_most is None:
            return None
        is_enough = self.at_least is None or self.value >= self.at_least
        return is_enough and (self.at_most is None or self.value <= self.at_most)

    @property
    def figure(self) -> str:
        """The value with its unit."""
        return show(self.value) + _suffix(self.unit)

    @property
    def spread(self) -> str:
        """The least and the most, if they are known."""
        return "" if self.least is None or self.most is None else show_span(self.least, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a benchmark found.

    Parameters
    ----------
    title : str
        The question.
    setting : str
        What was measured, on what, how often.
    machine : dict
        See `describe_machine`.
    measures : tuple of Measure
    findings : tuple of Finding
    notes : tuple of str
        What one has to know to read the figures.
    """

    title: str
    setting: str
    machine: dict[str, str]
    measures: tuple[Measure, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote."""
        found: dict[str, Any] = json.loads(text)
        found["measures"] = tuple(
            Measure(**measure | {"values": tuple(measure["values"])}) for measure in found["measures"]
        )
        found["findings"] = tuple(Finding(**finding) for finding in found["findings"])
        return cls(**found | {"notes": tuple(found["notes"])})

    def __str__(self) -> str:
        lines = [self.title, machine_line(self.machine), self.setting]
        lines += [f"  {one.name}: {show(one.median)} {one.unit}{_in_brackets(one.spread)}" for one in self.measures]
        for finding in self.findings:
            against = f" against {finding.against}" if finding.against else ""
            goal = f"; goal {finding.goal}: {say_reached(finding)}" if finding.goal else ""
            lines.append(f"  {finding.what}{against}: {finding.figure}{_in_brackets(finding.spread)}{goal}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def take_turns(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    clock: Callable[[], float] = perf_counter,
    per: float = 1,
    unit: str = "s",
    before: Callable[[], object] = lambda: None,
    warm_up: bool = True,
) -> dict[str, Measure]:
    """Time several ways in turn.

    Parameters
    ----------
    ways : mapping of str to callable
        What is timed, by name.
    rounds : int
        How often each is timed.
    clock : callable, optional
        Seconds: wall time (`time.perf_counter`) or CPU time of this process (`time.process_time`).
    per : float, optional
        What each value is divided by: 1 for seconds; the number of frames, over 1,000, for ms a frame.
    unit : str, optional
        What that makes it.
    before : callable, optional
        Called before each way, and not timed.
    warm_up : bool, optional
        Whether there is a first round that is not counted.

    Returns
    -------
    dict of str to Measure
        In the order of the ways.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1 if warm_up else 0, rounds):
        for name in order_of_round(list(ways), number):
            before()
            start = clock()
            ways[name]()
            taken = clock() - start
            if number >= 0:
                times[name].append(taken / per)
    return {name: Measure(name=name, unit=unit, values=tuple(values)) for name, values in times.items()}


def order_of_round(names: Sequence[str], number: int) -> list[str]:
    """Return the names in the order of one round: none is always the first, or always behind the same other."""
    first = number // 2 % len(names)
    turned = [*names[first:], *names[:first]]
    return turned[::-1] if number % 2 else turned


def compare(
    what: Measure,
    against: Measure,
    *,
    number: int | None = None,
    names: tuple[str, str] | None = None,
    unit: str = "x",
    at_least: float | None = None,
    at_most: float | None = None,
) -> Finding:
    """Say how many times as fast one way is as another: the ratio of medians, and that of each round as the spread.

    Parameters
    ----------
    what, against : Measure
        Times, taken in turn.
    number, unit, at_least, at_most
        As for `Finding`.
    names : tuple of two str, optional
        Names for the two, instead of those of the measures.

    Returns
    -------
    Finding
    """
    quotients = [other / one for one, other in zip(what.values, against.values, strict=True)]
    return Finding(
        number=number,
        what=names[0] if names else what.name,
        against=names[1] if names else against.name,
        value=against.median / what.median,
        least=min(quotients) if len(quotients) > 1 else None,
        most=max(quotients) if len(quotients) > 1 else None,
        unit=unit,
        at_least=at_least,
        at_most=at_most,
    )


def make_parser(doc: str | None, *, rounds: int | None = None, quick_rounds: int = 1) -> argparse.ArgumentParser:
    """Make the parser of a benchmark's options: ``--quick``, ``--json`` and, where there are rounds, ``--rounds``.

    Parameters
    ----------
    doc : str or None
        The benchmark's docstring.
    rounds, quick_rounds : int, optional
        How often each way is timed if nothing is said, and with ``--quick``: see `rounds_of`.
    """
    parser = argparse.ArgumentParser(description=(doc or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, to see that it works")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    if rounds is not None:
        parser.add_argument("--rounds", type=int, help=f"how often each way is timed (default {rounds})")
        parser.set_defaults(usual_rounds=rounds, quick_rounds=quick_rounds)
    return parser


def rounds_of(options: argparse.Namespace) -> int:
    """Return how often each way is timed."""
    chosen: int | None = options.rounds
    usual: int = options.quick_rounds if options.quick else options.usual_rounds
    return usual if chosen is None else chosen


def publish(report: Report, options: argparse.Namespace) -> None:
    """Print a report, and write it where the options say."""
    print(report, flush=True)
    if options.json is not None:
        options.json.write_text(report.to_json(), "utf-8")


def describe_machine() -> dict[str, str]:
    """Describe what a benchmark runs on: the processor, its load, and the versions of what does the work."""
    facts = {"cpu": cpu_name(), "cores": str(count_cores()), "load": _load(), "system": platform.system()}
    facts |= {"Python": platform.python_version(), "PyAV": _version_of("av")}
    facts |= {"its FFmpeg": av.ffmpeg_version_info, "FFmpeg's binary": ffmpeg_version()}
    return facts | {name: _version_of(name) for name in LIBRARIES}


def machine_line(machine: Mapping[str, str]) -> str:
    """Say in one line what a benchmark ran on."""
    cpu, cores, load, system, *versions = machine.items()
    return f"{cpu[1]}, {cores[1]} cores, load {load[1]}, {system[1]}; " + ", ".join(
        f"{name} {number}" for name, number in versions if number
    )


def cpu_name() -> str:
    """Name the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def stay_on_one_core() -> None:
    """Keep this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def ffmpeg_command(*arguments: str | Path) -> list[str]:
    """Return a command for FFmpeg's own binary: the one on the path, or else that of imageio-ffmpeg."""
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]


def run_ffmpeg_null(path: Path) -> None:
    """Let FFmpeg decode a recording with its default threads, and throw the frames away."""
    subprocess.run(ffmpeg_command("-i", path, "-f", "null", "-"), check=True)


def ffmpeg_version() -> str:
    """Return the version of FFmpeg's binary."""
    said = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-version"], check=True, capture_output=True, text=True)
    found = re.match(r"ffmpeg version (\S+)", said.stdout)
    return found[1] if found else "unknown"


def show(value: float) -> str:
    """Write a value with three digits, or all that stand before the point."""
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or not size else 4
    return f"{value:,.{decimals}f}"


def show_span(least: float, most: float) -> str:
    """Write the least and the most of several values."""
    return f"{show(least)} to {show(most)}"


def say_reached(finding: Finding) -> str:
    """Say whether a goal was reached; nothing if there is none."""
    return {True: "reached", False: "not reached", None: ""}[finding.is_reached]


def _suffix(unit: str) -> str:
    return f" {unit}" if unit else ""


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    sys.stdout.write(machine_line(describe_machine()) + "\n")
