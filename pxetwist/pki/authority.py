"""Makes certificates that old firmware, iPXE and operating systems alike accept.

RSA of 3072 bits with SHA-256, since firmware knows little else, and newer firmware refuses less
(quirk H7). No addresses of OCSP responders or revocation lists: iPXE would insist on reaching
them. Validity begins a day early: clocks of machines that were never set are off by a time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pxetwist.errors import PxeError
from pxetwist.services.http.https import host_name

RSA_BITS = 3072
_EARLY = timedelta(days=1)
_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class PkiError(PxeError):
    """A certificate cannot be made, in words for the person who wants it."""


@attrs.frozen
class Authority:
    """The certificate of an authority and its private key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = attrs.field(repr=False)


def new_key(bits: int = RSA_BITS) -> rsa.RSAPrivateKey:
    """Make a private key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem(thing: x509.Certificate | rsa.RSAPrivateKey) -> bytes:
    """Return a certificate, or a key without a password, as it stands in a file."""
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def make_authority(name: str, days: int, now: datetime, bits: int = RSA_BITS) -> Authority:
    """Make an authority that vouches for servers and clients, and for no other authority."""
    key = new_key(bits)
    subject = _subject(name)
    builder = _builder(subject, subject, key.public_key(), now, now + timedelta(days=days))
    builder = _extended(
        builder,
        x509.BasicConstraints(ca=True, path_length=0),
        _usage("key_cert_sign", "crl_sign"),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def issue_server(
    authority: Authority,
    public_key: rsa.RSAPublicKey,
    names: Sequence[str],
    days: int,
    now: datetime,
) -> x509.Certificate:
    """Vouch for a server of these names and addresses; the first one is its title.

    :raises PkiError: if one of them is no name for a certificate.
    """
    if not names:
        raise PkiError("a server's certificate needs a name or an address")
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    usage = _usage("digital_signature", "key_encipherment")  # the latter for RSA key exchange
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    ends = _end(authority, days, now)
    issuer = authority.certificate.subject
    builder = _builder(_subject(names[0]), issuer, public_key, now, ends)
    return _issued(authority, public_key, _extended(builder, usage, alternatives, purpose))


def issue_client(
    authority: Authority, public_key: rsa.RSAPublicKey, name: str, days: int, now: datetime
) -> x509.Certificate:
    """Vouch for a machine or a person.

    :raises PkiError: if the name cannot be one.
    """
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    issuer, ends = authority.certificate.subject, _end(authority, days, now)
    builder = _builder(_subject(name), issuer, public_key, now, ends)
    return _issued(authority, public_key, _extended(builder, _usage("digital_signature"), purpose))


def is_of(authority: Authority, certificate: x509.Certificate) -> bool:
    """Whether an authority has vouched for a certificate."""
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except Exception:  # of many kinds, all of which mean: no
        return False
    return True


def renewed(
    authority: Authority, old: x509.Certificate, days: int, now: datetime
) -> x509.Certificate:
    """Vouch again for the same key, names and purposes.

    :raises PkiError: if the old one is not of this authority.
    """
    if not is_of(authority, old):
        raise PkiError("the old certificate is not of this authority")
    builder = _builder(
        old.subject,
        old.issuer,
        old.public_key(),  # type: ignore[arg-type]  # any kind that was vouched for before
        now,
        _end(authority, days, now),
    )
    builder = _extended(builder, *(each.value for each in old.extensions))
    return builder.sign(authority.key, hashes.SHA256())


def _issued(
    authority: Authority, public_key: rsa.RSAPublicKey, builder: x509.CertificateBuilder
) -> x509.Certificate:
    """Add what all have that are no authority, and sign."""
    theirs = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    builder = _extended(
        builder,
        x509.BasicConstraints(ca=False, path_length=None),
        x509.SubjectKeyIdentifier.from_public_key(public_key),
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(theirs.value),
    )
    return builder.sign(authority.key, hashes.SHA256())


def _extended(
    builder: x509.CertificateBuilder, *values: x509.ExtensionType
) -> x509.CertificateBuilder:
    for value in values:
        critical = isinstance(value, x509.BasicConstraints | x509.KeyUsage)
        builder = builder.add_extension(value, critical=critical)
    return builder


def _end(authority: Authority, days: int, now: datetime) -> datetime:
    over = authority.certificate.not_valid_after_utc
    if over <= now:
        raise PkiError(f"the authority itself is over since {over:%Y-%m-%d}")
    return min(now + timedelta(days=days), over)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: rsa.RSAPublicKey,
    now: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(ends)
    )


def _subject(name: str) -> x509.Name:
    if not name.strip() or not name.isprintable() or len(name) > 64:
        raise PkiError(f"expected a name of 1 to 64 characters, got {name!r}")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    if name.startswith("*"):
        raise PkiError(f"{name}: older firmware accepts no wildcards; name each host")
    try:
        return x509.DNSName(host_name(name))
    except ValueError as error:
        raise PkiError(str(error)) from None


def _usage(*wanted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{each: each in wanted for each in _USAGES})
