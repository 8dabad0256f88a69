"""The certificate by which the parts of a Dask cluster know each other, where it does not stay on this machine."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from facehog_core.provenance import now

# Long enough to be forgotten; made anew at a start that finds less than a year of it left.
VALID_FOR = timedelta(days=5 * 365)
TOO_OLD = timedelta(days=365)
_ROLES = ("SCHEDULER", "WORKER", "CLIENT")
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "facehog")])


def describe_encryption(folder: Path) -> dict[str, str]:
    """Return variables by which Dask talks over TLS alone, with who has the same certificate and key.

    Parameters
    ----------
    folder : Path
        Where they are kept; they are made if they are not there. Who is to join from another machine needs both files.
    """
    certificate, key = folder / "dask.crt", folder / "dask.key"
    if _is_old(certificate, key):
        _make(certificate, key)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    variables = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True", f"{tls}CA_FILE": str(certificate)}
    for role in _ROLES:
        variables |= {f"{tls}{role}__CERT": str(certificate), f"{tls}{role}__KEY": str(key)}
    return variables


def _is_old(certificate: Path, key: Path) -> bool:
    if not key.exists() or not certificate.exists():
        return True
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc < now() + TOO_OLD


def _make(certificate: Path, key: Path) -> None:
    key.parent.mkdir(parents=True, exist_ok=True)
    made = ec.generate_private_key(ec.SECP256R1())
    key.unlink(missing_ok=True)
    # Who has the key may run anything here: nobody else is to read it.
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(
            made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    began = now() - timedelta(days=1)  # Clocks differ.
    signed = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(made, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
