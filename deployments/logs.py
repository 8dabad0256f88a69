"""The logs of the service: one line of JSON for each event, in files that do not grow for ever."""

from __future__ import annotations

import logging
import os
import shutil
from importlib.util import find_spec
from itertools import pairwise
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import yaml
from pythonjsonlogger.json import JsonFormatter

log = logging.getLogger(__name__)

# A year of a busy lab must fit beside its data: each process keeps 6 files of 10 MB at most.
MOST_BYTES = 10 * 10**6
N_OLDER = 5


def make_formatter() -> JsonFormatter:
    """Make what turns an event into a line: ``at`` (UTC), ``level``, ``logger``, ``message`` and what else is known."""
    return JsonFormatter(
        "{levelname}{name}{message}{process}",
        style="{",
        timestamp="at",
        rename_fields={"levelname": "level", "name": "logger", "process": "pid"},
    )


def start_log() -> None:
    """Log what this process of the service does, a line each, to its standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(make_formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def log_to_file(file: Path) -> RotatingFileHandler:
    """Let this process log to a file that it writes itself, too; return the handler."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(file, maxBytes=MOST_BYTES, backupCount=N_OLDER, encoding="utf-8")
    handler.setFormatter(make_formatter())
    logging.getLogger().addHandler(handler)
    return handler


def rotate(file: Path) -> bool:
    """Move what a log file holds to older ones, if it is large, while another process writes it.

    Parameters
    ----------
    file : Path

    Returns
    -------
    bool
        Whether it was large.

    Notes
    -----
    The file stays where it is, since its writer has it open. A line that is written between the copy and the cut is
    lost.

    Raises
    ------
    OSError
        If the disk fails, or is full.
    """
    if not file.exists() or file.stat().st_size < MOST_BYTES:
        return False
    older = [file.with_name(f"{file.name}.{number}") for number in range(N_OLDER, 0, -1)]
    # The copy first: where there is no room for it, the older ones stay what they are.
    copy = file.with_name(f"{file.name}.unfinished")
    try:
        shutil.copyfile(file, copy)
        for target, source in pairwise(older):
            if source.exists():
                source.replace(target)
        copy.replace(older[-1])
    finally:
        copy.unlink(missing_ok=True)
    os.truncate(file, 0)
    return True


class Rotation:
    """Rotates the logs of processes that run.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._trouble: str | None = None

    def go_on(self) -> None:
        """Rotate what is large now. What the disk says against that is told once: a full disk ends no service."""
        # Windows keeps the place at which each process writes, and would fill what was cut off with zeros: there they
        # are rotated when their process starts.
        if os.name == "nt":
            return
        trouble = None
        for file in (*self._folder.glob("*.log"), self._folder / SAID):
            try:
                if file.name != OWN:
                    rotate(file)
            except OSError as error:
                trouble = f"{file.name} cannot be rotated: {error.strerror}"
        if trouble and not self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble


# Of `facehog up` itself, which rotates it as it writes.
OWN = "up.log"
# What it says besides, where it has no terminal.
SAID = "up.out"

_JSON = {"()": "deployments.logs.make_formatter"}
_TO_STDERR = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "json"}


def describe_logging(folder: Path) -> dict[str, str]:
    """Return variables by which Prefect and Dask log like the rest of the service.

    Parameters
    ----------
    folder : Path
        Where a file of Prefect's settings is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spec = find_spec("prefect")
    assert spec
    assert spec.origin
    # Prefect's own, but for the two places that people are expected to look at.
    settings: dict[str, Any] = yaml.safe_load(
        Path(spec.origin).with_name("logging").joinpath("logging.yml").read_text("utf-8")
    )
    settings["formatters"]["json"] = _JSON
    settings["handlers"] |= {"console": _TO_STDERR, "debug": _TO_STDERR}
    file = folder / "prefect-logging.yml"
    file.write_text(yaml.safe_dump(settings), "utf-8")
    of_dask = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": _JSON},
        "handlers": {"stderr": _TO_STDERR},
        "loggers": {"distributed": {"level": "WARNING", "handlers": ["stderr"], "propagate": False}},
    }
    return {"PREFECT_LOGGING_SETTINGS_PATH": str(file), "DASK_LOGGING": repr(of_dask)}
