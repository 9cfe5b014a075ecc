"""Logging in to a real Active Directory with Kerberos: over TLS, sealed, refused, renewed."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from bootlab import directory
from bootlab.directory import ADDRESS, HOST, SASL_OVER_TLS, DomainController
from bootlab.lab import CACHE
from bootlab.network import Lan

PXETWIST = Path(sys.executable).with_name("pxetwist")
ROOT = Path(__file__).parents[2]
INI = """\
[pxe]
services = dhcp
hosts = domain
policies = main

[hosts:domain]
plugin = ldap
schema = ad
uri = ldaps://dc1.lab.example
bind = kerberos
keytab = pxe.keytab
ca-file = ca.pem

[policy:main]
plugin = rules
rules =
    group=Exam-PCs -> exam

[profile:exam]
kind = nbp
nbp = exam.efi

[service:dhcp]
interfaces = br0

[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
"""
MAC = "52:54:00:77:03:01"
URI, PLAIN = f"ldaps://{HOST}", f"ldap://{HOST}"
PC = "CN=kerberos-pc,OU=Rooms"

#: Logs in twice, then once more when the ticket has ended; its clock is libfaketime's.
CLIENT = """
import sys
from pathlib import Path
from pxetwist.hosts.ldap.request import Search
from pxetwist.hosts.ldap.session import Session
from pxetwist.hosts.ldap.settings import Settings, uri

name, folder = sys.argv[1], Path(sys.argv[2])
settings = Settings(
    uri=(uri(name),),
    bind="kerberos",
    keytab=folder / "pxe.keytab",
    ca_file=folder / "ca.pem",
    timeout=30.0,  # a domain controller that has just begun is slow
)
for clock in "+0", "+1", "+160":
    (folder / "clock").write_text(clock)
    session = Session.open(settings.uri[0], settings)
    print(len(session.search(Search(session.base, "(cn=kerberos-pc)", ("cn",)))))
    session.close()
"""


def with_other_keys(keytab: bytes) -> bytes:
    """Change the last byte of each key: eight bytes are behind it, its version and flags."""
    changed, at = bytearray(keytab), 2
    while at < len(keytab):
        [size] = struct.unpack_from(">i", keytab, at)
        at += 4 + size
        changed[at - 9] ^= 1
    return bytes(changed)


class KerberosTests(SynchronousTestCase):
    lan: ClassVar[Lan]
    domain: ClassVar[DomainController]
    folder: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        temporary = TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        cls.lan = Lan()
        cls.addClassCleanup(cls.lan.close)
        cls.lan.server.name_hosts(f"127.0.0.1 localhost\n{ADDRESS} {HOST}\n")
        (cls.folder / "krb5.conf").write_text(directory.KRB5_CONF)
        cls.domain = DomainController(cls.lan, cls.folder, CACHE)
        cls.addClassCleanup(cls.domain.close)
        cls.domain.keytab(cls.folder / "pxe.keytab")
        cls.domain.start(SASL_OVER_TLS)
        cls.domain.change(
            directory.unit("OU=Rooms"),
            directory.computer(PC, mac=MAC),
            directory.group("CN=Exam-PCs,OU=Rooms", PC),
        )

    def run_inside(self, *command: str, **environment: str) -> str:
        """Run a client in the lab, by its Kerberos settings."""
        variables = {
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
            "KRB5CCNAME": f"FILE:{self.folder / 'tickets'}",
            **environment,
        }
        env = ["env", *(f"{name}={value}" for name, value in variables.items())]
        ended = subprocess.run(
            [*self.lan.server.inside, *env, *command],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
        )
        self.assertEqual(ended.stderr, "")
        self.assertEqual(ended.returncode, 0, ended.stdout)
        return ended.stdout

    def explain(self, *changes: tuple[str, str], **environment: str) -> str:
        """Explain the machine; `changes` replace lines of the INI."""
        text = INI
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        ini = self.folder / "pxe.ini"
        ini.write_text(text)
        return self.run_inside(str(PXETWIST), "explain", str(ini), "--mac", MAC, **environment)

    def assert_found(self, told: str, uri: str) -> None:
        self.assertRegex(told, rf"hosts domain: machine kerberos-pc \(.*{uri} in \d+ ms, fresh")
        self.assertIn("group=Exam-PCs -> exam: matches", told)

    def assert_refused(self, told: str, sentence: str) -> None:
        """The failure is told in one sentence, and the machine is left alone."""
        self.assertRegex(told, rf"hosts domain: failed: [^;]*{sentence}( \[\d+ ms\])?\n")
        self.assertIn("stays silent", told)

    def test_keytab_over_tls(self) -> None:
        self.assert_found(self.explain(), URI)
        self.assertFalse((self.folder / "tickets").exists())  # those of others are left alone

    def test_start_tls(self) -> None:
        self.assert_found(self.explain((URI, f"{PLAIN}\nstart-tls = yes")), PLAIN)

    def test_principal(self) -> None:
        named = ("bind = kerberos", f"bind = kerberos\nbind-dn = {directory.PRINCIPAL}")
        self.assert_found(self.explain(named), URI)

    def test_sealed_without_tls(self) -> None:
        """Kerberos encrypts, and nobody in between reads which machine is asked for."""
        capture = self.folder / "plain.pcap"
        filter_ = ["tcp", "port", "389"]
        tcpdump = self.lan.server.start(
            ["tcpdump", "-i", "br0", "--immediate-mode", "-U", "-w", str(capture), *filter_],
            self.folder / "tcpdump",
        )
        tcpdump.wait_for("listening on", 10)
        self.assert_found(self.explain((URI, PLAIN)), PLAIN)
        tcpdump.stop()
        seen = capture.read_bytes()
        self.assertIn(b"GSSAPI", seen)
        self.assertNotIn(b"kerberos-pc", seen)
        self.assertNotIn(b"macAddress", seen)

    def test_ticket_of_the_environment(self) -> None:
        without = ("keytab = pxe.keytab\n", "")
        self.assert_refused(self.explain(without), f"no Kerberos ticket for {URI}: .+")
        keys, tickets = self.folder / "pxe.keytab", self.folder / "environment"
        told = self.explain(
            without, KRB5_CLIENT_KTNAME=f"FILE:{keys}", KRB5CCNAME=f"FILE:{tickets}"
        )
        self.assert_found(told, URI)
        self.assertTrue(tickets.exists())

    def test_wrong_keytab(self) -> None:
        wrong = self.folder / "wrong.keytab"
        wrong.touch(mode=0o600)
        wrong.write_bytes(with_other_keys((self.folder / "pxe.keytab").read_bytes()))
        told = self.explain(("pxe.keytab", "wrong.keytab"))
        self.assert_refused(
            told, f"no Kerberos ticket by {wrong} for {URI}: the keys are not those of the account"
        )

    def test_account_that_does_not_exist(self) -> None:
        other = ("bind = kerberos", "bind = kerberos\nbind-dn = nobody@LAB.EXAMPLE")
        self.assert_refused(self.explain(other), f"no Kerberos ticket by .* for {URI}: .+")

    def test_address_in_place_of_the_name(self) -> None:
        told = self.explain((HOST, ADDRESS))
        self.assert_refused(told, "no server of that name in the domain")

    def test_domain_without_kdc(self) -> None:
        conf = self.folder / "away.conf"
        conf.write_text(directory.KRB5_CONF.replace(ADDRESS, "127.0.0.1"))
        told = self.explain(KRB5_CONFIG=str(conf))
        self.assert_refused(told, "Cannot contact any KDC for realm 'LAB.EXAMPLE'")

    def test_domain_that_takes_no_kerberos_over_tls(self) -> None:
        """Samba's default before 4.21; without TLS it does."""
        self.domain.stop()
        self.domain.start()
        try:
            self.assert_refused(self.explain(), f"{URI} takes no Kerberos over TLS: use ldap://.*")
            self.assert_found(self.explain((URI, PLAIN)), PLAIN)
        finally:
            self.domain.stop()
            self.domain.start(SASL_OVER_TLS)

    def test_renewal(self) -> None:
        """A ticket is used again while it is good, and replaced when it has ended."""
        conf = self.folder / "renewal.conf"
        # without timesync: the client's clock is put forward, the KDC's is not
        conf.write_text(directory.KRB5_CONF.replace("[realms]", "kdc_timesync = 0\n[realms]"))
        [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        for uri in (URI, PLAIN):
            trace = self.folder / f"{uri.partition(':')[0]}.trace"
            printed = self.run_inside(
                *(sys.executable, "-c", CLIENT, uri, str(self.folder)),
                KRB5_CONFIG=str(conf),
                KRB5_TRACE=str(trace),
                LD_PRELOAD=str(library),
                FAKETIME_TIMESTAMP_FILE=str(self.folder / "clock"),
                FAKETIME_NO_CACHE="1",
                FAKETIME_DONT_FAKE_MONOTONIC="1",
            )
            self.assertEqual(printed.split(), ["1", "1", "1"])
            asked = f"Getting initial credentials for {directory.PRINCIPAL}"
            self.assertEqual(trace.read_text().count(asked), 2)
