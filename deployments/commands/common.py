"""What commands have in common: options, the configuration, exit statuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from facehog_core.errors import ConfigError, FacehogError, RecordingRefusedError
from facehog_core.path_text import from_text

from ..config import Config
from ..config_file import FILE_NAME, find_config, load_config
from ..service_paths import ServicePaths

DONE, FAILED, WRONG_USAGE, REFUSED = 0, 1, 2, 3

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="FACEHOG_CONFIG", help=f"Configuration; otherwise ./{FILE_NAME}."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show the log.")]


def normalise(path: Path) -> Path:
    """Return an absolute path without ``~`` and ``..``, as the catalogue names files."""
    # What facehog has printed is a name, too.
    return Path(os.path.abspath(from_text(str(path.expanduser()))))  # noqa: PTH100 - resolve() would follow links


def status_of(error: FacehogError) -> int:
    """Return the exit status that tells the kind of an error."""
    match error:
        case ConfigError():
            return WRONG_USAGE
        case RecordingRefusedError():
            return REFUSED
        case _:
            return FAILED


def configure(path: Path | None) -> tuple[Config, Path | None]:
    """Read the configuration that a command is given; return where it stands, too."""
    found = find_config(path)
    return load_config(found), found


def find_service(config: Config) -> dict[str, str]:
    """Return the addresses of the service that is up for this configuration; empty if none is."""
    return ServicePaths(state_dir=config.state_dir).read_addresses()
