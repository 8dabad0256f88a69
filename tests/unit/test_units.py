"""What starts the service with the machine, read by those who will read it, where they are here."""

from __future__ import annotations

import plistlib
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.config import Config
from deployments.config_file import load_config
from deployments.systemd import READY, notify
from deployments.units import describe_agent, describe_task, describe_unit


def configure(folder: Path, text: str = "") -> tuple[Config, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "facehog.toml"
    file.write_text(text, "utf-8")
    return load_config(file), file


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
@pytest.mark.parametrize("of_user", [False, True])
def test_systemd_takes_the_unit_for_one_of_its_own(tmp_path: Path, of_user: bool) -> None:
    unit = tmp_path / "facehog.service"
    unit.write_text(describe_unit(*configure(tmp_path / "100% \"odd\" $HOME 'lab'"), of_user=of_user), "utf-8")
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(unit.read_text("utf-8").replace("KillMode=mixed", "KillMode=odd"), "utf-8")
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr
    assert "kill mode" in said, "it would say so"


def test_the_unit_lets_the_service_write_where_it_must_and_nowhere_else(tmp_path: Path) -> None:
    elsewhere = tmp_path / "big disk" / "store"
    unit = describe_unit(*configure(tmp_path / "lab", f'store = "{elsewhere.as_posix()}"'))
    lines = unit.splitlines()
    assert "ProtectSystem=strict" in lines
    assert [line for line in lines if "Paths=" in line] == [
        f'ReadWritePaths="{elsewhere}"',
        f'ReadWritePaths="{tmp_path / "lab"}"',
        f'ReadOnlyPaths=-"{tmp_path / "lab" / "inbox"}"',
    ]


@pytest.mark.parametrize(
    ("text", "is_alone"),
    [
        ("", True),
        ('[prefect]\napi_url = "http://srv:4200/api"', False),
        ('[dask]\nscheduler = "tcp://srv:8786"', False),
        ('[dask]\nhost = "192.168.7.1"', False),
        ('[prefect]\nhost = "0.0.0.0"\nauth_string = "lab:secret"', False),
        ('[notify]\nslack = "https://hooks.slack.com/x"', False),
        ('catalogue = "postgresql://facehog@srv/facehog"', False),
        ('catalogue = "postgresql://facehog@/facehog?host=srv"', False),
        ('catalogue = "postgresql://facehog@localhost:5433/facehog"', True),
        ('catalogue = "postgresql://facehog@[::1]/facehog"', True),
    ],
)
def test_the_kernel_keeps_the_service_on_this_machine_where_nothing_else_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_alone: bool
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert ("IPAddressDeny=any" in describe_unit(*configure(tmp_path, text))) is is_alone


def test_a_server_of_prefects_that_the_environment_names_can_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://srv:4200/api")
    assert "IPAddressDeny=any" not in describe_unit(*configure(tmp_path))


def test_the_agent_of_macos_and_the_task_of_windows_run_the_same_command(tmp_path: Path) -> None:
    config, file = configure(tmp_path / "my lab")
    agent = plistlib.loads(describe_agent(config, file).encode())
    assert agent["ProgramArguments"] == [sys.executable, "-m", "deployments.cli", "up", "--config", str(file)]
    assert agent["WorkingDirectory"] == str(tmp_path / "my lab")
    assert f'-m deployments.cli up --config \\"{file}\\""' in describe_task(file)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd is not of this system")
@pytest.mark.parametrize("form", ["{folder}/notify", "@facehog-test-{folder}"])
def test_systemd_is_told(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = form.format(folder=tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address.startswith("@") else address)
        listening.settimeout(60)
        notify(READY, {"NOTIFY_SOCKET": address})
        assert listening.recv(100) == b"READY=1"
    notify(READY, {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notify(READY, {})
