"""What is said of certificates that machines may refuse."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.advice import advice
from pxetwist.config.certificates import Uses, faults
from pxetwist.pki.authority import issue_server, new_key
from pxetwist.services.http.certificates import KeyPair
from tests.unit import certificates
from tests.unit.config.inis import IniCase

ADDRESS = IPv4Address("10.0.0.1")
USES = Uses("firmware", "", [ADDRESS])
NOW = certificates.NOW


@cache
def sound() -> KeyPair:
    """Return a pair with which nothing is wrong."""
    key = new_key(3072)
    names = ("boot.example", str(ADDRESS))
    made = issue_server(certificates.authority(), key.public_key(), names, 90, NOW)
    return KeyPair(Path("boot.pem"), key, (made,))


def made(builder: x509.CertificateBuilder, *, curve: bool = False) -> KeyPair:
    """Sign what a foreign authority may have made of a server's request."""
    key = ec.generate_private_key(ec.SECP256R1()) if curve else sound().key
    signer = certificates.authority()
    builder = (
        builder.subject_name(x509.Name([]))
        .issuer_name(signer.certificate.subject)
        .serial_number(1)
        .public_key(key.public_key())  # type: ignore[arg-type]  # it is one of the two
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=90))
    )
    return KeyPair(Path("boot.pem"), key, (builder.sign(signer.key, hashes.SHA256()),))


def named(*names: str) -> x509.CertificateBuilder:
    """Begin a certificate for names and ADDRESS."""
    found = [x509.DNSName(name) for name in names]
    alternatives = x509.SubjectAlternativeName([*found, x509.IPAddress(ADDRESS)])
    return x509.CertificateBuilder().add_extension(alternatives, critical=False)


class FaultTests(SynchronousTestCase):
    def faults(self, pair: KeyPair, uses: Uses = USES, days: int = 0) -> list[str]:
        return list(faults(pair, uses, NOW + timedelta(days=days)))

    def the_fault(self, pair: KeyPair, uses: Uses = USES, days: int = 0) -> str:
        (line,) = self.faults(pair, uses, days)
        return line

    def test_none(self) -> None:
        self.assertEqual(self.faults(sound()), [])
        self.assertEqual(self.faults(sound(), Uses("firmware", "boot.example")), [])

    def test_time(self) -> None:
        self.assertIn("is over in 10 days, on ", self.the_fault(sound(), days=80))
        self.assertIn("is over since ", self.the_fault(sound(), days=91))
        self.assertIn("mend: pxetwist pki renew", self.the_fault(sound(), days=91))
        self.assertIn("is not valid before ", self.the_fault(sound(), days=-2))

    def test_keys(self) -> None:
        short = KeyPair(
            Path("x"),
            certificates.key(certificates.BITS),
            (certificates.server("boot.example", str(ADDRESS)),),
        )
        self.assertIn("2048 bits: newer firmware", self.the_fault(short))
        curve = made(named(), curve=True)
        self.assertIn("mend: an RSA certificate, or profile = modern", self.the_fault(curve))
        self.assertEqual(self.faults(curve, attrs.evolve(USES, profile="modern")), [])

    def test_names(self) -> None:
        elsewhere = Uses("firmware", "", [ADDRESS, IPv4Address("10.9.9.9")])
        self.assertIn(
            "the address 10.9.9.9, which it does not", self.the_fault(sound(), elsewhere)
        )
        self.assertIn("mend: an IP", self.the_fault(sound(), elsewhere))
        other = Uses("firmware", "other.example")
        self.assertIn("for other.example, which it names not", self.the_fault(sound(), other))
        self.assertIn("by a wildcard only", self.the_fault(made(named("*.example")), other))
        self.assertIn("no subjectAltName", self.the_fault(made(x509.CertificateBuilder())))

    def test_chain(self) -> None:
        root = certificates.authority().certificate
        with_root = attrs.evolve(sound(), chain=(*sound().chain, root))
        self.assertIn("the root, is in it", "\n".join(self.faults(with_root)))
        stranger = certificates.authority("Others").certificate
        wrong = attrs.evolve(sound(), chain=(*sound().chain, stranger))
        self.assertIn("does not vouch for", "\n".join(self.faults(wrong)))

    def test_purposes(self) -> None:
        client = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH])
        self.assertIn(
            "not for servers", self.the_fault(made(named().add_extension(client, critical=False)))
        )
        only = certificates_usage()
        self.assertIn(
            "lacks keyEncipherment",
            self.the_fault(made(named().add_extension(only, critical=True))),
        )
        where = x509.UniformResourceIdentifier("http://ocsp.example")
        ocsp = x509.AuthorityInformationAccess(
            [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, where)]
        )
        self.assertIn(
            "OCSP responder", self.the_fault(made(named().add_extension(ocsp, critical=False)))
        )


def certificates_usage() -> x509.KeyUsage:
    """Return the usage of a key that only signs."""
    return x509.KeyUsage(True, *[False] * 8)


INI = """
[pxe]
services = {services}
policies = fixed
state = memory
[policy:fixed]
profile = x
[profile:x]
kind = silence
[subnet:a]
network = 10.0.0.0/24
[service:https]
addresses = 10.0.0.1
certificate = boot.pem
key = boot.key
"""


class AdviceTests(IniCase):
    """The same, as ``pxetwist check`` and the start of the server say it."""

    def advice(self, names: tuple[str, ...], more: str = "", services: str = "https") -> list[str]:
        certificates.write_server(self.folder, *names, name="boot")
        return advice(self.load(INI.format(services=services) + more))

    def test_names(self) -> None:
        short = "the key of CN=boot.example has 2048 bits"
        lines = self.advice(("boot.example",))
        self.assertIn(short, lines[0])
        self.assertEqual(
            lines[1],
            f"{self.folder / 'boot.pem'}: URLs have the address 10.0.0.1, which it does not name;"
            " it has boot.example; mend: an IP subjectAltName, or host-name",
        )
        named = "host-name = boot.example\n"
        self.assertEqual(len(self.advice(("boot.example",), named)), 1)

    def test_an_address_of_ipv6(self) -> None:
        more = "[subnet6:a]\nnetwork = fd77::/64\n"
        both = INI.replace("10.0.0.1\n", "10.0.0.1, fd77::1, fe80::1%eth0\n")
        certificates.write_server(self.folder, "10.0.0.1", name="boot")
        lines = advice(self.load(both.format(services="https") + more))
        self.assertIn("URLs have the address fd77::1, which it does not name", lines[-1])
        certificates.write_server(self.folder, "10.0.0.1", "fd77::1", name="boot")
        self.assertEqual(len(advice(self.load(both.format(services="https") + more))), 1)

    def test_a_name_without_dns(self) -> None:
        named = "host-name = boot.example\n"
        lines = self.advice(("boot.example",), named, services="dhcp, https")
        self.assertIn("[subnet:a] has no name-servers: its machines cannot find", lines[-1])

    def test_only_https_and_yet_http(self) -> None:
        lines = self.advice(("10.0.0.1",), "scheme = https\n", services="http, tftp, https")
        self.assertIn("services names http and tftp: files are served without TLS", lines[-1])
