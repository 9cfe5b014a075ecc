"""Certificates and their keys, as services present them: read from files, chosen by name.

Both files are read at once and held against each other, so that a pair that is half replaced is
never used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from stat import S_IRWXO

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import NameOID

from pxetwist.errors import ConfigError, Location

#: What tells one version of a file from another.
Stamp = tuple[int, int, int]

_SOON = timedelta(days=30)
_RENEW = "mend: pxetwist pki renew, or ask your authority"


@attrs.frozen
class KeyPair:
    """A certificate, the chain behind it, and its private key; `file` is the certificate's."""

    file: Path
    key: PrivateKeyTypes = attrs.field(repr=False)
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The server's own: the first of the file."""
        return self.chain[0]


@attrs.frozen
class KeyFiles:
    """Where a certificate and its key lie; one file may hold both."""

    certificate: Path
    key: Path

    def stamps(self) -> tuple[Stamp, ...]:
        """Return what changes when one of the files does."""
        return tuple(_stamp(file) for file in (self.certificate, self.key))

    def read(self) -> KeyPair:
        """Read both.

        :raises ConfigError: with the file and the mend, if they cannot be used.
        """
        chain = read_certificates(self.certificate)
        key = _read_key(self.key)
        if _public(key.public_key()) != _public(chain[0].public_key()):
            message = f"the key is not that of the certificate in {self.certificate}"
            if any(_public(key.public_key()) == _public(each.public_key()) for each in chain):
                message += ": the server's own must be the first there"
            raise ConfigError(Location(str(self.key)), message)
        return KeyPair(self.certificate, key, chain)


def read_certificates(file: Path) -> tuple[x509.Certificate, ...]:
    """Return every certificate of a PEM file, in its order.

    :raises ConfigError: if there is none.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(_read(file)))
    except ValueError as error:
        message = f"there is no certificate in it, or a damaged one ({error}); PEM is expected"
        raise ConfigError(Location(str(file)), message) from error


def time_faults(chain: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    """Yield one sentence for each certificate that is over, or soon will be, with the mend."""
    for each in chain:
        ends = each.not_valid_after_utc
        if ends <= now:
            yield f"{title_of(each)} is over since {ends:%Y-%m-%d}; {_RENEW}"
        elif ends - now < _SOON:
            left = (ends - now).days
            yield f"{title_of(each)} is over in {left} days, on {ends:%Y-%m-%d}; {_RENEW}"
        if each.not_valid_before_utc > now:
            yield f"{title_of(each)} is not valid before {each.not_valid_before_utc:%Y-%m-%d}"


def title_of(certificate: x509.Certificate) -> str:
    """Return what people call it."""
    return certificate.subject.rfc4514_string() or "a certificate without a name"


def _read_key(file: Path) -> PrivateKeyTypes:
    raw = _read(file)
    if file.stat().st_mode & S_IRWXO:
        message = f"the private key is open to everyone; mend: chmod o-rwx {file}"
        raise ConfigError(Location(str(file)), message)
    try:
        return serialization.load_pem_private_key(raw, password=None)
    except TypeError as error:
        message = "the private key is encrypted, and nobody is there to type its password"
        raise ConfigError(Location(str(file)), message) from error
    except ValueError as error:
        raise ConfigError(Location(str(file)), "there is no private key in it, as PEM") from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        if isinstance(error, FileNotFoundError):
            message += "; `pxetwist pki issue` makes certificates"
        raise ConfigError(Location(str(file)), message) from error


def common_name(certificate: x509.Certificate) -> str:
    """Return whose certificate it is; empty if it says nothing that could be printed."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    value = names[0].value if names else ""
    return value if isinstance(value, str) and value.isprintable() else ""


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _stamp(file: Path) -> Stamp:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
