"""See how the service is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from ..display import console, print_json, print_pairs, tell_time
from .common import DONE, FAILED, ConfigOption, JsonOption, configure

if TYPE_CHECKING:
    from ..health import Health, Part


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say how the service is. Exit status: 0 if it is up and all is well, 1 otherwise."""
    from ..status import find_health

    loaded, _ = configure(config)
    health = find_health(loaded)
    if as_json:
        print_json(health.as_dict())
    else:
        _print_health(health)
    raise typer.Exit(DONE if health.is_well else FAILED)


def _print_health(health: Health) -> None:
    word = "[green]well[/]" if health.is_well else "[red]not well[/]" if health.is_up else "[red]not up[/]"
    console.print(f"[bold]facehog[/] is {word}")
    print_pairs([*((part.name, _tell_part(part)) for part in health.parts), *_tell_files(health)])
    for problem in health.problems:
        console.print(f"  [yellow]problem:[/] {escape(problem)}", soft_wrap=True)


def _tell_part(part: Part) -> str:
    told = [str(part.condition)]
    if "workers" in part.facts:
        told.append(f"{part.facts['workers']} workers")
    if "last_look_s" in part.facts:
        told.append(f"looked {part.facts['last_look_s']:.0f} s ago")
    if "api_url" in part.facts:
        told.append(f"at {part.facts['api_url']}")
    if part.n_restarts:
        told.append(f"was started again {part.n_restarts} times")
    return ", ".join(told)


def _tell_files(health: Health) -> Iterator[tuple[str, Any]]:
    files = health.files
    yield "recordings", f"{files.n_waiting} wait, {files.n_queued} are queued, {files.n_running} run"
    yield "in the last day", f"{files.n_failed} failed, {files.n_quarantined} were quarantined"
    if oldest := files.oldest_waiting:
        since = tell_time(datetime.fromisoformat(oldest["since"]))
        yield "waits longest", f"{oldest['path']}, since {since}: {oldest['reason']}"
    if health.free_bytes is not None:
        yield "free for stores", f"{health.free_bytes / 1e9:.0f} GB"
