"""What this machine and the configuration are like, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import av
import httpx

from facehog_core.catalogue import Catalogue
from facehog_core.choices import find_orphans
from facehog_core.cores import count_cores
from facehog_core.disk import find_existing
from facehog_core.errors import CatalogueError, ConfigError, NoCatalogueError
from facehog_core.face_position import read_picture
from facehog_core.filesystems import is_network, name_filesystem
from facehog_core.leftovers import find_leftovers
from facehog_core.path_text import as_text, from_text
from facehog_core.patience import within
from facehog_core.provenance import PACKAGES, describe_host, describe_software
from facehog_core.run_paths import locate_store
from facehog_core.scan import Scan, scan_inbox
from flows.cluster import LOOPBACK

from .api import find_api_url
from .config import Config
from .doors import is_open
from .health import LITTLE_SPACE_BYTES
from .processes import find_marked
from .service_paths import ServicePaths
from .tables import InboxConfig

# A share's clock that is off by more makes its times useless to compare with ours; seconds.
CLOCK_TOLERANCE_S = 2.0
# How long a share may take to answer, seconds: 10,000 files of a slow one take as long.
ANSWER_S = 20.0
# Files of a kind that are named.
N_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    verdict : {"good", "look", "bad"}
    subject, fact : str
    remedy : str, optional
        What to do about it.
    """

    verdict: Literal["good", "look", "bad"]
    subject: str
    fact: str
    remedy: str = ""


def examine(config: Config, config_file: Path | None) -> list[Finding]:
    """Look at everything that facehog needs.

    Parameters
    ----------
    config : Config
    config_file : Path or None
        Where it was read.
    """
    return [
        _examine_config(config_file),
        *_examine_software(),
        *(finding for inbox in config.inbox for finding in _look_at_inbox(inbox)),
        *_look_at_store(config),
        _examine_catalogue(config),
        *_look_beneath_store(config),
        _examine_prefect(config),
        *_examine_dask(config),
    ]


def _examine_config(path: Path | None) -> Finding:
    if path:
        return Finding(verdict="good", subject="configuration", fact=str(path))
    return Finding(
        verdict="look",
        subject="configuration",
        fact="there is none here: the defaults hold",
        remedy="`facehog init` writes one.",
    )


def _examine_software() -> Iterator[Finding]:
    software, host = describe_software(), describe_host()
    yield Finding(
        verdict="good",
        subject="software",
        fact=", ".join(f"{name} {software[name]}" for name in ("python", *PACKAGES)),
    )
    yield Finding(
        verdict="good",
        subject="orchestration",
        fact=", ".join(f"{name} {host[name]}" for name in ("prefect", "prefect-dask", "dask", "sqlalchemy")),
    )
    libraries = ", ".join(f"{name} {software[name]}" for name in software if name.startswith("lib"))
    has_h264 = "h264" in av.codecs_available
    yield Finding(
        verdict="good" if has_h264 else "bad",
        subject="FFmpeg",
        fact=libraries + (", decodes H264" if has_h264 else ", without H264"),
        remedy="" if has_h264 else "Install PyAV from its wheel: pip install --force-reinstall av.",
    )
    yield Finding(verdict="good", subject="machine", fact=f"{platform.platform()}, {count_cores()} cores")


def _look_at_inbox(inbox: InboxConfig) -> list[Finding]:
    subject = f"inbox {inbox.path}"
    try:
        return within(ANSWER_S, lambda: list(_examine_inbox(inbox, subject)))
    except TimeoutError as error:
        fact, remedy = str(error.strerror), "Its share hangs, or is very slow: mount it again. `facehog up` goes on."
    except OSError as error:
        fact = f"cannot be listed: {error.strerror}"
        remedy = "Make it, mount the share, or mend `path` under [[inbox]]; `facehog up` goes on looking."
    return [Finding(verdict="bad", subject=subject, fact=fact, remedy=remedy)]


def _look_at_store(config: Config) -> list[Finding]:
    try:
        return within(ANSWER_S, lambda: list(_examine_store(config)))
    except OSError as error:
        fact, remedy = str(error.strerror), "Mount its share again, or set `store` elsewhere."
        return [Finding(verdict="bad", subject=f"store {config.store}", fact=fact, remedy=remedy)]


def _examine_inbox(inbox: InboxConfig, subject: str) -> Iterator[Finding]:
    scan = scan_inbox(inbox.path, inbox.patterns, depth=inbox.depth)
    found = scan.paths
    kind = name_filesystem(inbox.path)
    way = "looks alone (events of a share are not to be had)" if is_network(kind) else "events and looks"
    yield Finding(
        verdict="good", subject=subject, fact=f"{len(found)} recordings; {kind} file system, watched by {way}"
    )
    yield from _examine_left_out(subject, scan)
    yield from _examine_sidecars(inbox.path, found)
    yield from _examine_reference(inbox.reference, subject)
    if (skew_s := _measure_skew(inbox.path)) is not None and abs(skew_s) > CLOCK_TOLERANCE_S:
        yield Finding(
            verdict="look",
            subject=subject,
            fact=f"its clock is {skew_s:+.1f} s off ours",
            remedy="Files settle by our own clock, so nothing is lost; mend the share's clock all the same.",
        )


def _examine_left_out(subject: str, scan: Scan) -> Iterator[Finding]:
    """Find what nobody will ever take up, unless somebody is told."""
    left_out = [*scan.remarks, *(f"{as_text(path)} is left out: {said}" for path, said in scan.unread.items())]
    for remark in left_out[:N_NAMED]:
        yield Finding(verdict="look", subject=subject, fact=remark)
    if len(left_out) > N_NAMED:
        yield Finding(verdict="look", subject=subject, fact=f"{len(left_out) - N_NAMED} more are left out")


def _examine_sidecars(inbox: Path, recordings: Iterable[Path]) -> Iterator[Finding]:
    """Find what somebody chose for a recording, and what reaches none: it is misnamed, or its recording is gone."""
    if orphans := find_orphans(inbox, recordings):
        named = ", ".join(as_text(path.relative_to(inbox).as_posix()) for path in orphans[:N_NAMED])
        yield Finding(
            verdict="look",
            subject=f"inbox {inbox}",
            fact=f"what is chosen there reaches no recording: {named}{', ...' if len(orphans) > N_NAMED else ''}",
            remedy="Name it as its recording without the suffix: m12_cam0.facehog.toml for m12_cam0.mp4.",
        )


def _examine_reference(reference: Path | None, subject: str) -> Iterator[Finding]:
    """Find whether faces can be compared with a picture: no recording is refused for that."""
    if reference is None:
        return
    try:
        read_picture(reference)
    except ConfigError as error:
        yield Finding(verdict="bad", subject=subject, fact=f"{reference}: {error.fact}", remedy=error.remedy)
    else:
        yield Finding(verdict="good", subject=subject, fact=f"faces are compared with {reference}")


def _measure_skew(folder: Path) -> float | None:
    """Return how far a folder's clock goes before ours, in seconds; None where we may not write."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".facehog-clock-") as file:
            return os.fstat(file.fileno()).st_mtime - time.time()
    except OSError:
        return None


def _examine_store(config: Config) -> Iterator[Finding]:
    place = find_existing(config.store)
    free_bytes = shutil.disk_usage(place).free
    little = free_bytes < LITTLE_SPACE_BYTES
    yield Finding(
        verdict="look" if little else "good",
        subject=f"store {config.store}",
        fact=f"{free_bytes / 1e9:.0f} GB free, {name_filesystem(place)} file system",
        remedy="A recording takes about 25 kB a frame: make room, or set `store` elsewhere." if little else "",
    )
    if not os.access(place, os.W_OK):
        yield Finding(
            verdict="bad",
            subject=f"store {config.store}",
            fact="may not be written",
            remedy="Set its rights, or `store`.",
        )


def _examine_catalogue(config: Config) -> Finding:
    subject = f"catalogue {config.catalogue_file or 'in PostgreSQL'}"
    try:
        with Catalogue(config.catalogue) as catalogue:
            files = catalogue.files().values()
    except CatalogueError as error:
        is_new = isinstance(error, NoCatalogueError)
        return Finding(verdict="look" if is_new else "bad", subject=subject, fact=error.fact, remedy=error.remedy)
    counts = {state: sum(file.state == state for file in files) for state in {file.state for file in files}}
    told = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "empty"
    return Finding(verdict="good", subject=subject, fact=told)


def _look_beneath_store(config: Config) -> list[Finding]:
    # That there is no catalogue, and that the disk does not answer, is said elsewhere.
    with suppress(CatalogueError, OSError):
        return within(ANSWER_S, lambda: [*_examine_moved(config), *_examine_leftovers(config)])
    return []


def _examine_moved(config: Config) -> Iterator[Finding]:
    """Find stores that are recorded elsewhere than where stores are now: the folder of all may have been moved."""
    with Catalogue(config.catalogue) as catalogue:
        recorded = {Path(from_text(told)) for (told,) in catalogue.rows("state=finished", columns=["store"]) if told}
    elsewhere = [store for store in recorded if not store.is_relative_to(config.store)]
    if not elsewhere:
        return
    n_gone = sum(not locate_store(store, config.store).is_dir() for store in elsewhere)
    yield Finding(
        verdict="bad" if n_gone else "good",
        subject=f"store {config.store}",
        fact=f"{len(elsewhere)} of {len(recorded)} stores were made elsewhere, such as {as_text(elsewhere[0])}; "
        + (f"{n_gone} of them are neither there nor here" if n_gone else "all of them are there or here"),
        remedy="Move them into it with the folders of their recordings, or set `store` to where they are."
        if n_gone
        else "",
    )


def _examine_leftovers(config: Config) -> Iterator[Finding]:
    """Find what runs have half done: it takes space, and nobody goes on with it."""
    with Catalogue(config.catalogue) as catalogue:
        left = list(find_leftovers(config.store, catalogue))
    if not left:
        return
    named = ", ".join(
        as_text(found.recording.name) if found.recording else found.paths.run_id for found in left[:N_NAMED]
    )
    n_bytes = sum(found.size_bytes for found in left)
    fact = f"{n_bytes / 1e9:.1f} GB are half done, and no run goes on with them: {named}"
    yield Finding(
        verdict="look",
        subject=f"store {config.store}",
        fact=f"{fact}{', ...' if len(left) > N_NAMED else ''}",
        remedy="`facehog process PATH` goes on with one. The service removes it "
        f"{config.keep_partial_days:g} days after something of it was last written.",
    )


def _examine_prefect(config: Config) -> Finding:
    paths = ServicePaths(state_dir=config.state_dir)
    api_url = find_api_url(config) or paths.read_addresses().get("api_url")
    if api_url is None:
        return _find_leftovers(paths) or _examine_port(config.prefect.port)
    try:
        answer = httpx.get(f"{api_url}/health", timeout=5)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        return Finding(
            verdict="bad",
            subject=f"Prefect {api_url}",
            fact=f"does not answer: {error}",
            remedy="Start the server, or mend `api_url` under [prefect].",
        )
    fact = "answers" + _tell_skew(answer)
    return Finding(verdict="good", subject=f"Prefect {api_url}", fact=fact)


def _find_leftovers(paths: ServicePaths) -> Finding | None:
    left = [] if paths.is_up else find_marked(paths.mark)
    if not left:
        return None
    return Finding(
        verdict="look",
        subject="service",
        fact=f"it was killed, and {len(left)} of its processes go on without it",
        remedy="`facehog up` starts it anew, `facehog stop` ends them.",
    )


def _tell_skew(answer: httpx.Response) -> str:
    if "date" not in answer.headers:
        return ""
    skew_s = parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()
    return "" if abs(skew_s) <= CLOCK_TOLERANCE_S else f"; its clock is {skew_s:+.0f} s off ours"


def _examine_port(port: int) -> Finding:
    subject = f"Prefect port {port or 'any'}"
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return Finding(
                verdict="bad",
                subject=subject,
                fact="another program listens there, and facehog is not up",
                remedy="Set `port` under [prefect] to another one, or to 0 for a free one.",
            )
    return Finding(verdict="good", subject=subject, fact="free; facehog is not up")


def _examine_dask(config: Config) -> Iterator[Finding]:
    address = config.dask.scheduler
    if address is None or "://" not in address:
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        yield Finding(
            verdict="bad",
            subject=f"Dask {address}",
            fact=f"does not answer: {error}",
            remedy="Start the scheduler, or mend `scheduler` under [dask].",
        )
    else:
        yield Finding(verdict="good", subject=f"Dask {address}", fact="answers")
    if is_open(address):
        yield Finding(
            verdict="look",
            subject=f"Dask {address}",
            fact="everybody who reaches it can run anything on its machines",
            remedy="Let scheduler and workers talk TLS alone; see docs/service.md.",
        )
