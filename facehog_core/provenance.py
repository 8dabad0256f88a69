"""Where the numbers come from: the software, the host, and the record of a run."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .names import Identity
from .path_text import as_text

# Whatever a stored number passes through.
PACKAGES = ("facehog", "av", "numpy", "numba", "llvmlite", "zarr", "numcodecs", "xxhash", "pillow", "tifffile")
# What ran it, without a say in the numbers.
ORCHESTRATION = ("prefect", "prefect-dask", "dask", "distributed", "sqlalchemy", "pims", "scikit-image")

_GREYS = {
    "luma table": "luma table (Y, and for each Y the grey that its RGB has: the picture has no colour)",
    "rgb": "rgb (each pixel's RGB, weighed)",
    "16-bit grey": "16-bit grey (as it is stored, from 0 to 255)",
    "luma": "luma (Y as it is stored)",
}


@cache
def describe_software() -> dict[str, str]:
    """Return the version of everything that shapes a stored number, FFmpeg's libraries among it."""
    import av

    libraries = {
        name: ".".join(map(str, number))
        for name, number in av.library_versions.items()
        if name in ("libavcodec", "libavformat", "libswscale")
    }
    return {
        "python": platform.python_version(),
        **{name: find_version(name) for name in PACKAGES},
        **libraries,
    }


@cache
def describe_host() -> dict[str, str]:
    """Return the machine and what runs on it beside the numbers' own software."""
    return {
        "name": socket.gethostname(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        **{name: find_version(name) for name in ORCHESTRATION},
    }


def find_version(package: str) -> str:
    """Return the version of an installed package, or ``"not installed"``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def tell_grey(ways: Iterable[str]) -> str:
    """Say in words how the grey of a run was found."""
    return ", ".join(_GREYS.get(way, way) for way in ways)


def join_software(made: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the versions that made the parts of a run: "18.0.0 and 18.1.0" where there were several."""
    found: dict[str, set[str]] = {}
    for software in made:
        for name, number in software.items():
            found.setdefault(name, set()).add(number)
    return {name: " and ".join(sorted(numbers)) for name, numbers in found.items()}


def tell_other_software(planned: Mapping[str, str], made: Mapping[str, str]) -> list[str]:
    """Say which versions made a run that are not those by which it was planned; workers may be other machines."""
    others = [
        f"{name} {made[name]}, not {number}" for name, number in planned.items() if made.get(name, number) != number
    ]
    if not others:
        return []
    return [f"Workers had other versions than the flow, and may write other last bits: {'; '.join(others)}."]


def now() -> datetime:
    """Return the time, in UTC and whole milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What the catalogue knows of one recording and one run of it.

    Parameters
    ----------
    path : Path
        Where the recording was.
    state : str
        One of the fates of `facehog_core.catalogue.Fate`.
    reason : str
        Why it is in that state, in words.
    changed_at : datetime
        Since when (UTC).
    run_id : str or None
        Name of the run; None for a file that no run has taken up.
    digest : str or None
        xxh3_128 of the recording's content.
    size_bytes : int
        Its size.
    stream : dict
        What container and stream say; empty where they could not be read.
    recipe : dict
        What was done to it.
    software, host : dict
        By what, and where: the versions of the workers that described frames, where they are known.
    attempt : int
        How often in a row the run was started, by ``--force`` too: 1 again once it got on or what is around it failed.
    started_at, finished_at : datetime or None
        When it was started the last time, and when it ended (UTC).
    n_frames, n_corrupt : int or None
        Frames described, and those of them that the decoder flagged.
    n_dropped : int or None
        Frames that the recording's own times say are missing; None where frames are not timed by a clock.
    grey : list of str
        The ways by which frames were made grey.
    store : Path or None
        The sealed store.
    store_size_bytes : int or None
        Size of its arrays on disk.
    arrays : dict of str to dict
        Shape, dims and dtype of its arrays.
    shards : list of dict
        The digest of the values in each span of frames: ``start``, ``stop``, ``digest``.
    timing : dict
        Where the frames' times come from, and their gaps: `facehog_core.timing.Times.as_dict`.
    warnings : list of str
        What whoever uses the results must know, a sentence each.
    quality : dict
        How good its frames are: `facehog_core.quality.sum_up`; empty where nobody has looked.
    verified : dict
        When its store was verified last (`at`), with what `verdict`, and since when it is wrong (`wrong_since`); empty
        if it never was, or that is not known here.
    flow_run_id : str or None
        Prefect's name for the flow run.
    identity : Identity
        Who was recorded and when.
    """

    path: Path
    state: str
    reason: str
    changed_at: datetime
    size_bytes: int
    run_id: str | None = None
    digest: str | None = None
    stream: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    software: dict[str, str] = field(default_factory=dict)
    host: dict[str, str] = field(default_factory=dict)
    attempt: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    n_frames: int | None = None
    n_corrupt: int | None = None
    n_dropped: int | None = None
    grey: list[str] = field(default_factory=list)
    store: Path | None = None
    store_size_bytes: int | None = None
    arrays: dict[str, Any] = field(default_factory=dict)
    shards: list[dict[str, Any]] = field(default_factory=list)
    timing: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    quality: dict[str, Any] = field(default_factory=dict)
    verified: dict[str, Any] = field(default_factory=dict)
    flow_run_id: str | None = None
    identity: Identity = field(default_factory=Identity)

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Path():
            return as_text(value)
        case Identity():
            return value.as_dict()
        case _:
            return value
