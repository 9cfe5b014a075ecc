"""Certificates that OpenSSL takes and machines may not: what firmware and iPXE want."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from pxetwist.config.load import Configuration
from pxetwist.config.web import addresses_served, https_settings
from pxetwist.errors import ConfigError
from pxetwist.services.http.certificates import KeyPair, time_faults, title_of

_HASHES = ("sha256", "sha384", "sha512")
#: Bits of RSA that firmware accepts: that of 2022 and before any, newer one from 3072 on if its
#: OpenSSL is at security level 3 (quirk H7).
_LEAST_BITS, _SURE_BITS = 2048, 3072


@attrs.frozen
class Uses:
    """How machines come to a certificate: by which name, at which addresses, with what TLS."""

    profile: str
    name: str = ""
    addresses: Sequence[IPv4Address | IPv6Address] = ()


def certificates_unfit(configuration: Configuration) -> Iterator[str]:
    """What is wrong with the certificates of the HTTPS services, for machines."""
    addresses = addresses_served(configuration)
    now = datetime.now(UTC)
    for settings in https_settings(configuration):
        for name, files in settings.files().pairs.items():
            try:
                pair = files.read()
            except ConfigError:
                continue  # it is told when the service is built
            name_in_urls = name or settings.host_name
            uses = Uses(settings.profile, name_in_urls, () if name_in_urls else addresses)
            yield from (f"{files.certificate}: {line}" for line in faults(pair, uses, now))


def names_without_dns(configuration: Configuration) -> Iterator[str]:
    """Firmware never boots from a URL with a name if it is told no name server."""
    named = [each.host_name for each in https_settings(configuration) if each.host_name]
    services = {each.factory.name for each in configuration.of_kind("service")}
    for network in configuration.networks.values() if named and "dhcp" in services else ():
        if not network.name_servers:
            yield (
                f"[subnet:{network.name}] has no name-servers: its machines cannot find"
                f" {named[0]}, the host-name in https URLs"
            )


def http_beside_only_https(configuration: Configuration) -> Iterator[str]:
    """`scheme = https` is about URLs; what listens without TLS still answers."""
    demanded = any(each.scheme == "https" for each in https_settings(configuration))
    services = configuration.of_kind("service")
    others = [each.name for each in services if each.factory.name in ("http", "tftp")]
    if demanded and others:
        names = " and ".join(others)
        yield f"scheme = https, yet services names {names}: files are served without TLS as well"


def faults(pair: KeyPair, uses: Uses, now: datetime) -> Iterator[str]:
    """Yield one sentence for each thing that firmware or iPXE may refuse, with the mend."""
    yield from time_faults(pair.chain, now)
    yield from _key_faults(pair.chain, uses.profile)
    yield from _name_faults(pair.certificate, uses)
    yield from _chain_faults(pair.chain)
    yield from _purpose_faults(pair.certificate)


def _key_faults(chain: Sequence[x509.Certificate], profile: str) -> Iterator[str]:
    own = chain[0].public_key()
    if profile == "firmware" and not isinstance(own, rsa.RSAPublicKey):
        yield (
            f"its key is {_kind(own)}: firmware knows RSA only, and iPXE of many builds, too;"
            " mend: an RSA certificate, or profile = modern"
        )
    for each in chain:
        key = each.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_BITS:
            yield f"the key of {title_of(each)} has {key.key_size} bits: too few for anybody"
        elif isinstance(key, rsa.RSAPublicKey) and key.key_size < _SURE_BITS:
            yield (
                f"the key of {title_of(each)} has {key.key_size} bits: newer firmware calls fewer"
                f" than {_SURE_BITS} too weak"
            )
        signed = each.signature_hash_algorithm
        if signed is not None and signed.name not in _HASHES:
            yield f"{title_of(each)} is signed with {signed.name}: firmware wants SHA-256"


def _name_faults(certificate: x509.Certificate, uses: Uses) -> Iterator[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        yield "it has no subjectAltName: no client looks at the common name any more"
        return
    names = [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    if uses.name and uses.name not in names:
        wildcard = f"*.{uses.name.partition('.')[2]}" in names
        what = "by a wildcard only, which older firmware refuses" if wildcard else "not"
        yield f"machines come for {uses.name}, which it names {what}; it has {_listed(found)}"
    missing = [str(a) for a in uses.addresses if a not in _addresses(found)]
    if missing:
        yield (
            f"URLs have the address {', '.join(missing)}, which it does not name; it has"
            f" {_listed(found)}; mend: an IP subjectAltName, or host-name"
        )


def _chain_faults(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    for lower, upper in pairwise(chain):
        if lower.issuer != upper.subject:
            yield (
                f"{title_of(upper)} does not vouch for {title_of(lower)} before it: the server's"
                " own comes first, then each one's authority"
            )
    if len(chain) > 1 and chain[-1].issuer == chain[-1].subject:
        yield (
            f"{title_of(chain[-1])}, the root, is in it: iPXE may stumble over it; mend: leave it"
            " out"
        )


def _purpose_faults(certificate: x509.Certificate) -> Iterator[str]:
    extensions = certificate.extensions
    try:
        purposes = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH]
    if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        yield "it is not for servers (extendedKeyUsage serverAuth is missing)"
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and not usage.key_encipherment:
        yield (
            "its keyUsage lacks keyEncipherment: firmware without DHE cannot use RSA key exchange"
        )
    try:
        access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return
    if any(each.access_method == x509.oid.AuthorityInformationAccessOID.OCSP for each in access):
        yield "it names an OCSP responder, which iPXE must reach by plain HTTP during the boot"


def _addresses(found: x509.SubjectAlternativeName) -> list[object]:
    return list(found.get_values_for_type(x509.IPAddress))


def _listed(found: x509.SubjectAlternativeName) -> str:
    names = [*found.get_values_for_type(x509.DNSName), *map(str, _addresses(found))]
    return ", ".join(names) or "no name"


def _kind(key: CertificatePublicKeyTypes) -> str:
    return "of an elliptic curve" if isinstance(key, ec.EllipticCurvePublicKey) else "not RSA"
