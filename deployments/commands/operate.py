"""See how the service is, stop it, and start it with the machine."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facehog_core.errors import ConfigError, ServiceError
from flows.names import name_owner

from ..api import find_api_url
from ..config_file import FILE_NAME
from ..display import console, plain, print_error, print_json, print_pairs, tell_time
from ..service_paths import ServicePaths
from .common import DONE, FAILED, ConfigOption, JsonOption, configure, find_service, normalise
from .process import prepare_prefect

if TYPE_CHECKING:
    from ..health import Health, Part


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say how the service is. Exit status: 0 if it is up and all is well, 1 otherwise."""
    from ..status import find_health

    loaded, _ = configure(config)
    health = find_health(loaded)
    addresses = find_service(loaded)
    if as_json:
        print_json(health.as_dict() | {"addresses": addresses})
    else:
        _print_health(health, addresses)
    raise typer.Exit(DONE if health.is_well else FAILED)


def stop(config: ConfigOption = None) -> None:
    """Stop the service within 15 s. Recordings that are being described go on from what is done when it is up again."""
    from ..stop import stop_service

    loaded, _ = configure(config)
    console.print(stop_service(ServicePaths(state_dir=loaded.state_dir)), markup=False)


def notify(config: ConfigOption = None) -> None:
    """Send a notification through each channel that the configuration sets, to see whether it arrives."""
    from ..channels import send

    loaded, _ = configure(config)
    channels = loaded.notify.channels()
    if not channels:
        raise ConfigError("[notify]", "nothing is set there", "Set slack, webhook or mail; see facehog.toml.")
    failed = False
    for name in channels:
        try:
            send(channels, name, "facehog: this is a test", f"From {platform.node()}, {loaded.home}.")
            console.print(f"{name}: was sent", markup=False)
        except ServiceError as error:
            failed = True
            print_error(str(error))
    raise typer.Exit(FAILED if failed else DONE)


def prefect(config: ConfigOption = None) -> None:
    """Print a prefect.yaml with what facehog.toml sets, for a Prefect server and a worker of your own."""
    loaded, _ = configure(config)
    owner = name_owner(loaded.state_dir) if find_api_url(loaded) else None
    prepare_prefect(loaded, verbose=False)
    from ..prefect_file import describe_deployments

    sys.stdout.write(describe_deployments(loaded, owner))


def service(
    config: ConfigOption = None,
    of_user: Annotated[bool, typer.Option("--user", help="For systemd: your own, and not the machine's.")] = False,
) -> None:
    """Print what starts facehog with the machine: a unit for systemd; on macOS an agent; on Windows a command."""
    from ..units import describe_agent, describe_task, describe_unit

    loaded, found = configure(config)
    if found is None:
        raise ConfigError(FILE_NAME, "there is none here", "`facehog init` writes one; or name it: --config FILE.")
    found = normalise(found)
    match platform.system():
        case "Windows":
            text = describe_task(found)
        case "Darwin":
            text = describe_agent(loaded, found)
        case _:
            text = describe_unit(loaded, found, of_user=of_user)
    sys.stdout.write(text)


# Runs in progress that are named, those first that have shown no life for longest.
N_RUNS = 5
# What a service's addresses are for.
_ADDRESSES = {"Prefect UI": "ui_url", "health": "health_url"}


def _print_health(health: Health, addresses: Mapping[str, str]) -> None:
    word = "[green]well[/]" if health.is_well else "[red]not well[/]" if health.is_up else "[red]not up[/]"
    console.print(f"[bold]facehog[/] is {word}")
    shown = [(f"{name} at", addresses[key]) for name, key in _ADDRESSES.items() if key in addresses]
    print_pairs([*((part.name, _tell_part(part)) for part in health.parts), *_tell_files(health), *shown])
    for problem in health.problems:
        console.print(f"  [yellow]problem:[/] {plain(problem)}", soft_wrap=True)


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
    for run in files.running[:N_RUNS]:
        since = tell_time(datetime.fromisoformat(run["since"]))
        yield "runs", f"{run['path']}, since {since}: {run['doing']}; {run['told']}"
    yield "in the last day", f"{files.n_failed} failed, {files.n_quarantined} were quarantined"
    if oldest := files.oldest_waiting:
        since = tell_time(datetime.fromisoformat(oldest["since"]))
        yield "waits longest", f"{oldest['path']}, since {since}: {oldest['reason']}"
    if health.free_bytes is not None:
        yield "free for stores", f"{health.free_bytes / 1e9:.0f} GB"
