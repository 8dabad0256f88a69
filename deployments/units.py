"""What starts the service with the machine: a unit for systemd, an agent for launchd, a task for Windows."""

from __future__ import annotations

import getpass
import os
import plistlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from .config import Config
from .doors import is_loopback
from .logs import SAID

# `facehog up` asks its processes every few seconds, and tells systemd that it goes on; seconds.
WATCHDOG_S = 60
# It stops within 15 s.
STOP_S = 30
# A new database on a busy machine.
START_S = 600

# Numba compiles kernels: so no MemoryDenyWriteExecute.
HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""
LOOPBACK_ALONE = """\
# Law of facehog: nothing phones home, nothing listens to strangers. Here the kernel holds it.
# Take the two lines out where facehog.env names a server of another machine.
IPAddressDeny=any
IPAddressAllow=localhost
"""


def list_command(config_file: Path) -> list[str]:
    """Return the command that runs the service."""
    return [sys.executable, "-m", "deployments.cli", "up", "--config", str(config_file)]


def describe_unit(config: Config, config_file: Path, *, of_user: bool = False) -> str:
    """Return a unit for systemd.

    Parameters
    ----------
    config : Config
    config_file : Path
        Its absolute path.
    of_user : bool, optional
        For the user's own systemd, which may not do all that the machine's may.
    """
    compiled = _quote(f"NUMBA_CACHE_DIR={config.state_dir / 'numba'}")
    return f"""\
# Written by `facehog service`: write it anew when facehog.toml names other folders.
[Unit]
Description=facehog in {_escape(config.home)}
Wants=network-online.target
After=network-online.target remote-fs.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={_quote_all(list_command(config_file), dollar="$$")}
WorkingDirectory={_escape(config.home)}
# Values that nobody else is to read, such as FACEHOG_PREFECT__PASSWORD=...; `chmod 600` it.
EnvironmentFile=-{_escape(config.home / "facehog.env")}
Environment={compiled}
Restart=on-failure
RestartSec=10
TimeoutStartSec={START_S}
TimeoutStopSec={STOP_S}
WatchdogSec={WATCHDOG_S}
# What is left after that is killed, whoever its parent is.
KillMode=mixed
{"" if of_user else f"User={getpass.getuser()}"}
{_limit(config, of_user=of_user)}
[Install]
WantedBy={"default.target" if of_user else "multi-user.target"}
"""


def _limit(config: Config, *, of_user: bool) -> str:
    """Return what the service may not do."""
    if of_user:
        return "NoNewPrivileges=yes\n"
    folders = {config.home, config.store}
    if config.catalogue_file:
        folders.add(config.catalogue_file.parent)
    written = sorted(folder for folder in folders if not any(above in folders for above in folder.parents))
    read = [inbox.path for inbox in config.inbox if any(inbox.path.is_relative_to(folder) for folder in written)]
    text = HARDENING + "".join(f"ReadWritePaths={_quote(folder)}\n" for folder in written)
    # Hands off the data. A folder that is not there yet is no reason not to start.
    text += "".join(f"ReadOnlyPaths=-{_quote(folder)}\n" for folder in read)
    return text + (LOOPBACK_ALONE if _stays_on_this_machine(config) else "")


def _stays_on_this_machine(config: Config) -> bool:
    """Say whether nothing that is set has to do with another machine, and nobody there is let in."""
    servers = (config.prefect.api_url, os.environ.get("PREFECT_API_URL"), config.dask.scheduler)
    hosts = (config.prefect.host, config.dask.host, *_host_of_catalogue(config))
    return not any(servers) and not config.notify.channels() and all(map(is_loopback, hosts))


def _host_of_catalogue(config: Config) -> list[str]:
    if config.catalogue_file:
        return []
    # Where the address names none, or more beside it, libpq decides.
    address = urlsplit(config.catalogue)
    return ["" if address.query else address.hostname or ""]


def _escape(text: str | Path) -> str:
    return str(text).replace("%", "%%")


def _quote(text: str | Path) -> str:
    escaped = _escape(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quote_all(words: Iterable[str], dollar: str) -> str:
    return " ".join(_quote(word).replace("$", dollar) for word in words)


def describe_agent(config: Config, config_file: Path) -> str:
    """Return an agent for launchd, macOS's systemd."""
    said = str(config.state_dir / "logs" / SAID)
    agent = {
        "Label": "facehog",
        "ProgramArguments": list_command(config_file),
        "WorkingDirectory": str(config.home),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": STOP_S,
        "StandardOutPath": said,
        "StandardErrorPath": said,
    }
    return plistlib.dumps(agent).decode()


def describe_task(config_file: Path) -> str:
    """Return the command that makes a task of Windows' scheduler."""
    # Its quotes are within those of /TR.
    run = subprocess.list2cmdline(list_command(config_file)).replace('"', '\\"')
    return f'schtasks /Create /TN facehog /SC ONSTART /RL LIMITED /TR "{run}"\n'
