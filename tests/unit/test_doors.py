"""Who is let in."""

from __future__ import annotations

import os
import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from deployments import certificates
from deployments.api import Api, find_auth_string
from deployments.certificates import describe_encryption
from deployments.config_file import load_config
from deployments.doors import address_here, is_loopback, is_open, join
from deployments.environment import AUTH_VARIABLE
from deployments.up import describe_dask_doors
from facehog_core.errors import ConfigError
from facehog_core.provenance import now

PASSWORD = "not-to-be-seen"


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.5", False),
        ("srv.lab.example", False),
        ("localhost.evil.example", False),
    ],
)
def test_only_this_machine_reaches_loopback(host: str, is_ours: bool) -> None:
    assert is_loopback(host) is is_ours
    assert is_loopback(address_here(host)) is (is_ours or host in ("0.0.0.0", "::"))


def test_a_scheduler_that_takes_anything_from_anybody_is_known(tmp_path: Path) -> None:
    opened = [None, "tcp://127.0.0.1:8786", "tls://srv:8786", str(tmp_path), "tcp://srv:8786", "tcp://[2001:db8::1]:1"]
    assert [is_open(scheduler) for scheduler in opened] == [False] * 4 + [True] * 2
    assert (join("::1", 1), join("127.0.0.1", 1)) == ("[::1]:1", "127.0.0.1:1")


def test_others_are_let_in_by_the_configuration_alone_and_only_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "facehog.toml"
    file.write_text("", "utf-8")
    assert is_loopback(load_config(file).prefect.host)
    assert is_loopback(load_config(file).dask.host)
    file.write_text('[prefect]\nhost = "0.0.0.0"\n', "utf-8")
    with pytest.raises(
        ConfigError, match=r"everybody in the network could start runs here: set auth_string there, too"
    ):
        load_config(file)
    monkeypatch.setenv("FACEHOG_PREFECT__AUTH_STRING", PASSWORD)
    with pytest.raises(ConfigError, match=r"= \*\*\* is wrong. It must be 'user:password'") as caught:
        load_config(file)
    assert PASSWORD not in str(caught.value)
    monkeypatch.setenv("FACEHOG_PREFECT__AUTH_STRING", f"lab:{PASSWORD}")
    config = load_config(file)
    assert find_auth_string(config) == f"lab:{PASSWORD}"
    assert PASSWORD not in repr(config)
    assert PASSWORD not in repr(Api(url="http://srv/api", auth_string=find_auth_string(config)))


def test_a_certificate_is_made_once_and_its_key_is_nobody_elses_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = describe_encryption(tmp_path / "tls")
    certificate, key = tmp_path / "tls" / "dask.crt", tmp_path / "tls" / "dask.key"
    made = key.read_bytes()
    # OpenSSL takes them for what they are, as Dask asks it to.
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    assert set(variables.values()) == {"True", str(certificate), str(key)}
    if os.name != "nt":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert describe_encryption(tmp_path / "tls") == variables
    assert key.read_bytes() == made
    left = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc - now()
    monkeypatch.setattr(certificates, "TOO_OLD", left + timedelta(days=1))
    describe_encryption(tmp_path / "tls")
    assert key.read_bytes() != made, "made anew before it is too old"


def test_a_password_closes_dask_too_to_other_accounts_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, tls = tmp_path / "facehog.toml", tmp_path / "tls"
    monkeypatch.delenv(AUTH_VARIABLE, raising=False)
    for text, is_closed in (
        ("", False),
        (f'[prefect]\nauth_string = "lab:{PASSWORD}"', True),
        ('[dask]\nhost = "192.168.0.5"', True),
        (f'[prefect]\nauth_string = "lab:{PASSWORD}"\n[dask]\nscheduler = "tls://srv:8786"', False),
    ):
        file.write_text(text, "utf-8")
        assert describe_dask_doors(load_config(file), tls) == (describe_encryption(tls) if is_closed else {}), text
