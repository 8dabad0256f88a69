"""A run on one page, for the Prefect UI."""

from __future__ import annotations

from facehog_core.path_text import as_text
from facehog_core.provenance import RunRecord, tell_grey
from facehog_core.recipe import Recipe


def summarise(record: RunRecord) -> str:
    """Write a finished run up as Markdown."""
    stream, hog = record.stream, record.recipe["hog"]
    seconds = (
        (record.finished_at - record.started_at).total_seconds() if record.finished_at and record.started_at else 0.0
    )
    rows = [
        ("recording", f"`{as_text(record.path)}`"),
        ("frames", f"{record.n_frames}, of them {record.n_corrupt} corrupt"),
        (
            "picture",
            f"{stream['width']} x {stream['height']} pixels, {stream['codec']} {stream['profile'] or ''}".rstrip(),
        ),
        ("crop (x, y, width, height)", record.recipe["crop"] or "whole frame"),
        *((f"chosen {name}", value) for name, value in Recipe.from_dict(record.recipe).unusual.items()),
        ("HOG", ", ".join(f"{name} {value}" for name, value in hog.items())),
        ("times", _tell_times(record)),
        ("grey made by", tell_grey(record.grey)),
        ("took", f"{seconds:.1f} s, {(record.n_frames or 0) / max(seconds, 1e-3):.0f} frames a second"),
        ("store", f"`{record.store}`, {(record.store_size_bytes or 0) / 1e6:.1f} MB"),
        ("run", f"`{record.run_id}`, attempt {record.attempt}"),
        ("content (xxh3_128)", f"`{record.digest}`"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return (
        f"## {as_text(record.path.name)}\n\n{_list(record.warnings)}| | |\n|---|---|\n{table}\n\n"
        f"```python\nimport facehog_core\nsession = facehog_core.open_session({str(record.store)!r})\n"
        "session.descriptors  # frame x feature\n```\n"
    )


def _tell_times(record: RunRecord) -> str:
    timing = record.timing
    if not timing:
        return "not looked at"
    every = f", usually every {1000 * timing['interval_s']:.6g} ms" if timing["interval_s"] else ""
    dropped = "not known whether frames were dropped" if record.n_dropped is None else f"{record.n_dropped} dropped"
    return f"from: {timing['source']}{every}; {dropped}"


def _list(warnings: list[str]) -> str:
    return "".join(f"- **Warning:** {warning}\n" for warning in warnings) + "\n" * bool(warnings)
