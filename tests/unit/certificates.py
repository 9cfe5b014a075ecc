"""Certificates for tests, with keys that are made once in a run: RSA takes its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from pxetwist.pki.authority import (
    Authority,
    issue_client,
    issue_server,
    make_authority,
    new_key,
    pem,
)
from pxetwist.services.http.certificates import KeyFiles

BITS = 2048
NOW = datetime.now(UTC).replace(microsecond=0)


@cache
def authority(name: str = "Lab") -> Authority:
    """Return an authority; a short key will do, nobody breaks it."""
    return make_authority(name, 3650, NOW, bits=BITS)


@cache
def key(bits: int) -> rsa.RSAPrivateKey:
    """Return the key of all servers and clients."""
    return new_key(bits)


def server(*names: str, days: int = 90, by: str = "Lab") -> x509.Certificate:
    """Return a server's certificate; with negative `days` it is over."""
    signer, public = authority(by), key(BITS).public_key()
    if days > 0:
        return issue_server(signer, public, names, days, NOW)
    return issue_server(signer, public, names, 1, NOW - timedelta(days=1 - days))


def write_server(folder: Path, *names: str, by: str = "Lab", name: str = "") -> KeyFiles:
    """Write a server's certificate and key below a folder."""
    stem = name or names[0]
    files = KeyFiles(folder / f"{stem}.pem", folder / f"{stem}.key")
    files.certificate.write_bytes(pem(server(*names, by=by)))
    write_key(files.key)
    return files


def write_client(folder: Path, name: str, by: str = "Lab") -> KeyFiles:
    """Write a client's certificate and key below a folder."""
    files = KeyFiles(folder / f"{name}.pem", folder / f"{name}.key")
    made = issue_client(authority(by), key(BITS).public_key(), name, 90, NOW)
    files.certificate.write_bytes(pem(made))
    write_key(files.key)
    return files


def write_key(file: Path, bits: int = BITS) -> None:
    """Write the key, closed to others."""
    file.touch(mode=0o600)
    file.write_bytes(pem(key(bits)))


def write_authority(file: Path, name: str = "Lab") -> Path:
    """Write the certificate of an authority."""
    file.write_bytes(pem(authority(name).certificate))
    return file
