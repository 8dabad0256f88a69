"""How answers look on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from facehog_core.errors import RecipeError
from facehog_core.path_text import as_text, printable
from facehog_core.provenance import RunRecord, tell_grey
from facehog_core.recipe import Recipe
from facehog_core.schema import Fate
from facehog_core.story import StoryEvent
from facehog_core.verifications import Verification

# Errors and progress go to the side, so that what is asked for can be piped.
# A pipe has no width of its own: lines are not to be folded there, however long they are.
PIPE_COLUMNS = 10_000
console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
aside = Console(stderr=True, soft_wrap=True, highlight=False)

COLOURS = {
    Fate.WAITING: "cyan",
    Fate.QUEUED: "cyan",
    Fate.RUNNING: "blue",
    Fate.FINISHED: "green",
    Fate.DUPLICATE: "green",
    Fate.FAILED: "red",
    Fate.QUARANTINED: "yellow",
}


def plain(value: Any) -> str:
    """Return a value such that it commands neither Rich nor the terminal, whatever the name of a file holds."""
    return escape(printable(str(value)))


def print_error(text: str) -> None:
    """Print an error on the side: one line, but where it points at a place in another."""
    aside.print("[red]facehog:[/] " + "\n".join(map(plain, text.split("\n"))))


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def paint(state: str) -> str:
    """Return a state in its colour."""
    return f"[{COLOURS[Fate(state)]}]{state}[/]"


def tell_time(moment: datetime | None) -> str:
    """Return a time as the user's clock shows it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def print_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below each other."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, plain(value))
    console.print(table)


def print_warnings(warnings: Iterable[str]) -> None:
    """Print each warning on a line of its own."""
    for warning in warnings:
        console.print(f"  [yellow]warning:[/] {plain(warning)}", soft_wrap=True)


def print_story(story: Iterable[StoryEvent]) -> None:
    """Print what became of a file or run, step by step."""
    for step in story:
        console.print(f"[dim]{tell_time(step.at)}[/]  {step.state:<11}  {plain(step.reason)}")


def _choices_of(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the choices of a run that are not the usual ones; all of them, if a newer facehog wrote them."""
    try:
        return Recipe.from_dict(recipe).unusual if recipe else {}
    except RecipeError:
        return {name: value for name, value in recipe.items() if name not in ("hog", "crop")}


def print_run(
    record: RunRecord,
    history: Iterable[StoryEvent] = (),
    verifications: Sequence[Verification] = (),
    progress: Iterable[str] = (),
) -> None:
    """Print all that is known of a run, what became of it, and how far it is and whether it lives if it runs."""
    console.print(f"[bold]{plain(as_text(record.path.name))}[/]  {paint(record.state)}: {plain(record.reason)}")
    for told in progress:
        console.print(f"  {plain(told)}", soft_wrap=True)
    print_warnings(record.warnings)
    print_pairs(run_pairs(record, len(verifications)))
    print_story(history)


def run_pairs(record: RunRecord, n_verified: int) -> Iterator[tuple[str, Any]]:
    """Yield what is known of a run that was verified so many times, beside its fate and its warnings."""
    recipe = record.recipe
    took = (
        f"{(record.finished_at - record.started_at).total_seconds():.1f} s"
        if record.finished_at and record.started_at
        else ""
    )
    pairs = [
        ("run", record.run_id),
        ("attempt", record.attempt),
        ("recording", as_text(record.path)),
        *((name.replace("_", " "), value) for name, value in record.identity.as_dict().items() if value),
        ("size", f"{record.size_bytes} bytes"),
        ("content (xxh3_128)", record.digest),
        *stream_pairs(record.stream),
        ("crop (x, y, width, height)", recipe.get("crop") or "whole frame"),
        *((f"chosen {name}", value) for name, value in _choices_of(recipe).items()),
        *((f"hog {name}", value) for name, value in recipe.get("hog", {}).items()),
        ("frames described", record.n_frames if record.n_frames is not None else ""),
        ("corrupt frames", record.n_corrupt if record.n_corrupt is not None else ""),
        *timing_pairs(record.timing, record.n_dropped),
        *quality_pairs(record.quality),
        ("grey made by", tell_grey(record.grey)),
        ("store", record.store or ""),
        *(
            (f"array {name}", f"{array['dtype']} {dict(zip(array['dims'], array['shape'], strict=True))}")
            for name, array in record.arrays.items()
        ),
        ("started", tell_time(record.started_at)),
        ("finished", tell_time(record.finished_at)),
        ("took", took),
        *verified_pairs(record.verified, n_verified),
        ("Prefect flow run", record.flow_run_id or ""),
        *((f"software {name}", value) for name, value in record.software.items()),
        *((f"host {name}", value) for name, value in record.host.items()),
    ]
    yield from ((name, value) for name, value in pairs if value != "")


def quality_pairs(quality: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield how good the frames of a run are: the median of each figure, the least and the most."""
    if not quality:
        return
    yield "frames looked at", f"{quality['n_frames']}, each {quality['every']}th"
    for name, said in FIGURES.items():
        if spread := quality.get(name):
            yield said, f"{spread['median']:.4g} ({spread['least']:.4g} to {spread['most']:.4g})"
    if reference := quality.get("reference"):
        yield "reference", reference["path"]


def verified_pairs(verified: Mapping[str, Any], n_times: int) -> Iterator[tuple[str, Any]]:
    """Yield when the store of a run was verified, and how it stands."""
    if not verified:
        return
    times = f"{n_times} times" if n_times > 1 else "once"
    yield "verified", f"{tell_time(datetime.fromisoformat(verified['at']))}, {times}: {verified['verdict']}"
    if since := verified["wrong_since"]:
        yield "found wrong since", f"{tell_time(datetime.fromisoformat(since))}; `facehog verify RUN` looks again"


def stream_pairs(stream: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what container and stream say of a recording, without what they do not say."""
    is_guessed = stream.get("container") in UNTIMED
    for name, value in stream.items():
        if name in SHOWN_ELSEWHERE or value is None or (name == "header_n_frames" and not value):
            continue
        if not (is_guessed and name in GUESSED):
            yield name.replace("_", " ") if name.startswith("stream") else f"stream {name}", value
    if stream.get("completeness"):
        yield "is it whole?", f"{WHOLE[stream['completeness']]}: {stream['completeness_fact']}"


def timing_pairs(timing: Mapping[str, Any], n_dropped: int | None) -> Iterator[tuple[str, Any]]:
    """Yield what is known of the frames' times: nothing for a run whose times were not looked at."""
    if not timing:
        return
    yield "times from", timing["source"]
    if timing["interval_s"] is not None:
        yield "usual interval", f"{1000 * timing['interval_s']:.6g} ms"
    yield "dropped frames", "not known: no clock tells" if n_dropped is None else n_dropped
    for gap in timing["gaps"]:
        yield f"gap after frame {gap['after']}", f"{gap['gap_s']:.6g} s, {gap['n_missing']} missing"
    if (n_more := (timing["n_gaps"] or 0) - len(timing["gaps"])) > 0:
        yield "more gaps", f"{n_more}; the store's n_dropped_after has all"


# Names for people of what is known of the frames that were looked at.
FIGURES = {
    "brightness": "brightness (0 to 255)",
    "saturated": "share of white pixels",
    "focus": "focus (variance of the Laplacian)",
    "moved": "face moved, in pixels",
    "likeness": "likeness to the reference",
}
# Remarks are among the warnings, completeness is a sentence; times and looks are for facehog itself.
SHOWN_ELSEWHERE = (
    *("path", "size_bytes", "digest", "mtime_ns", "looks", "remarks"),
    *("completeness", "completeness_fact", "missing_share"),
)
WHOLE = {"complete": "yes", "incomplete": "no", "unknown": "not known"}
# Raw H264 and images have no times. What FFmpeg says of them (25 frames a second for raw H264) is made up.
UNTIMED = ("h264", "images")
GUESSED = ("time_base", "average_rate")
