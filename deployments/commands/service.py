"""Set facehog up, start it, and see whether all is well."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from facehog_core.errors import ConfigError

from ..config_file import FILE_NAME, load_config
from ..detach import start_detached
from ..display import aside, console, plain, print_json
from ..service_paths import ServicePaths
from ..template import TEMPLATE
from .common import DONE, FAILED, ConfigOption, JsonOption, configure


def init(
    folder: Annotated[Path, typer.Argument(help="Where to start; it is made if it is not there.")] = Path(),
) -> None:
    """Write a commented configuration, and make the inbox and the store that it names."""
    path = folder / FILE_NAME
    if path.exists():
        raise ConfigError(path, "there is a configuration already", "Edit it, or remove it first.")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE, "utf-8")
    config = load_config(path.absolute())
    for made in (config.store, *(inbox.path for inbox in config.inbox)):
        made.mkdir(parents=True, exist_ok=True)
    told = f"wrote {path}; recordings go into {config.inbox[0].path}, results into {config.store}"
    console.print(told, markup=False)
    console.print("Edit it (the crop above all), then start: facehog up")


def up(
    config: ConfigOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background: `facehog stop` stops it.")] = False,
) -> None:
    """Watch the inboxes and process what lands: starts Prefect, Dask, runner and sensor until Ctrl-C."""
    from ..up import run_service

    if detach:
        loaded, found = configure(config)
        aside.print("facehog starts: until all its parts are ready it takes some ten seconds")
        addresses = start_detached(
            ServicePaths(state_dir=loaded.state_dir), found, lambda line: aside.print(plain(line))
        )
        console.print(f"facehog is up: {addresses['ui_url']} shows the runs. `facehog stop` stops it.", markup=False)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    loaded, found = configure(config)
    run_service(loaded, found)


def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Keep everything there; otherwise in a new scratch folder.")
    ] = None,
) -> None:
    """Show the main job: two recordings land in an inbox and are found in the catalogue."""
    from ..demo import run_demo

    raise typer.Exit(run_demo(folder))


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check this machine and the configuration, and say what to do about what is wrong."""
    from ..doctor import examine

    loaded, found = configure(config)
    findings = examine(loaded, found)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {"good": "[green]good[/]", "look": "[yellow]look[/]", "bad": "[red]bad [/]"}[finding.verdict]
            console.print(f"{mark}  {plain(finding.subject)}: {plain(finding.fact)}")
            if finding.remedy:
                console.print(f"      {finding.remedy}", markup=False)
    raise typer.Exit(FAILED if any(finding.verdict == "bad" for finding in findings) else DONE)
