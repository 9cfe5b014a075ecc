"""What `pxetwist explain` finds in a real Active Directory, and what it is refused."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from bootlab import directory
from bootlab.certificates import Authority
from bootlab.directory import DomainController
from bootlab.lab import CACHE
from bootlab.network import Lan
from pxetwist.model.identity import swapped

PXETWIST = Path(sys.executable).with_name("pxetwist")
INI = """\
[pxe]
services = dhcp
hosts = domain
policies = main

[hosts:domain]
plugin = ldap
schema = ad
uri = ldaps://10.77.0.3
base = DC=lab,DC=example
bind-dn = pxetwist@lab.example
bind-password-file = bind-password
ca-file = ca.pem

[policy:main]
plugin = rules
rules =
    ou=Offices -> office
    group=Exam-PCs -> exam
    unknown -> silence

[profile:office]
kind = local

[profile:exam]
kind = nbp
nbp = exam.efi

[service:dhcp]
interfaces = br0

[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
"""
MAC = "52:54:00:77:02:01"
URI, PLAIN = "ldaps://10.77.0.3", "ldap://10.77.0.3"
GUID = UUID("00112233-4455-6677-8899-aabbccddeeff")
STRANGER = "52:54:00:77:02:99"
#: The other form of a network boot GUID: ten zero bytes and a MAC.
PRESTAGED = "52:54:00:77:02:03"
PRESTAGED_GUID = UUID(bytes_le=bytes(10) + bytes.fromhex(PRESTAGED.replace(":", "")))
PRESTAGED_PC = "CN=ad-prestaged,OU=Offices"
ROOM_PC, OFFICE_PC = "CN=ad-room,OU=B12,OU=Rooms", "CN=ad-office,OU=Offices"
ROOM, EXAM = "CN=Room-B12-PCs,OU=Rooms", "CN=Exam-PCs,OU=Rooms"


class ActiveDirectoryTests(SynchronousTestCase):
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
        cls.domain = DomainController(cls.lan, cls.folder, CACHE)
        cls.addClassCleanup(cls.domain.close)
        cls.domain.start()
        cls.domain.change(
            *map(directory.unit, ("OU=Rooms", "OU=B12,OU=Rooms", "OU=Offices")),
            directory.computer(ROOM_PC, mac=MAC),
            directory.computer(OFFICE_PC, uuid=GUID),
            directory.computer(PRESTAGED_PC, uuid=PRESTAGED_GUID),
            directory.group(ROOM, ROOM_PC),
            directory.group(EXAM, ROOM),
        )

    def explain(self, *asked: str, change: tuple[str, str] = ("", "")) -> str:
        """Explain a machine; `change` replaces a line of the INI."""
        self.assertIn(change[0], INI)
        ini = self.folder / "pxe.ini"
        ini.write_text(INI.replace(*change) if change[0] else INI)
        command = [*self.lan.server.inside, str(PXETWIST), "explain", str(ini), *asked]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.stderr, "")
        self.assertEqual(ended.returncode, 0, ended.stdout)
        return ended.stdout

    def assert_refused(self, change: tuple[str, str], sentence: str) -> None:
        """The directory's failure is told in one sentence, and the machine is left alone."""
        told = self.explain("--mac", MAC, change=change)
        self.assertRegex(told, rf"hosts domain: failed: .*{sentence}")
        self.assertIn("stays silent", told)
        self.assertNotIn("rule 1", told)  # nobody takes it for a stranger
        self.assertNotIn("Traceback", told)

    def test_mac_and_nested_groups(self) -> None:
        """Who answered and how quickly, the groups, and every rule that was tried."""
        told = self.explain("--mac", MAC)
        self.assertRegex(
            told, r"hosts domain: machine ad-room \(.*ldaps://10\.77\.0\.3.* in \d+ ms, fresh"
        )
        self.assertRegex(told, r"groups .*Room-B12-PCs")
        self.assertRegex(told, r"groups .*Exam-PCs")
        self.assertRegex(told, r"rule 1 \(line \d+\): ou=Offices -> office: no, ou is 'B12'")
        self.assertRegex(told, r"rule 2 \(line \d+\): group=Exam-PCs -> exam: matches")

    def test_guid_in_both_byte_orders(self) -> None:
        for uuid in (GUID, swapped(GUID)):
            told = self.explain("--mac", STRANGER, "--uuid", str(uuid))
            self.assertIn("machine ad-office", told)
            self.assertIn("ou=Offices -> office: matches", told)

    def test_guid_made_of_a_mac(self) -> None:
        self.assertIn("machine ad-prestaged", self.explain("--mac", PRESTAGED))

    def test_mac_added_later(self) -> None:
        """The changes that the documentation shows, as they stand there."""
        page = (Path(__file__).parents[2] / "docs" / "active-directory.rst").read_text()
        [start] = re.findall(r"\n\n(   dn: .*?)\nGroups are", page, re.DOTALL)
        self.domain.change(directory.computer("CN=ws12,OU=Offices"), textwrap.dedent(start))
        self.assertIn("machine ws12", self.explain("--mac", "52:54:00:12:34:56"))

    def test_stranger(self) -> None:
        """Not in the domain is an answer, not a failure; referrals are no machines."""
        told = self.explain("--mac", STRANGER)
        self.assertIn("hosts domain: no answer", told)
        self.assertRegex(told, "unknown -> silence: matches")

    def test_start_tls(self) -> None:
        told = self.explain("--mac", MAC, change=(URI, f"{PLAIN}\nstart-tls = yes"))
        self.assertIn("machine ad-room", told)

    def test_password_without_tls(self) -> None:
        """Active Directory refuses it, even of a site that would let everyone read it."""
        self.assert_refused((URI, f"{PLAIN}\nplain-password = yes"), f"{PLAIN} wants TLS")

    def test_anonymous(self) -> None:
        """Anonymous binds are accepted, but they find nothing."""
        bind = INI[INI.index("bind-dn") : INI.index("ca-file")]
        self.assert_refused((bind, "bind = anonymous\n"), "unavailable without authentication")

    def test_another_authority(self) -> None:
        Authority(self.folder / "other.pem")
        self.assert_refused(("ca-file = ca.pem", "ca-file = other.pem"), "is not to be trusted")

    def test_wrong_password(self) -> None:
        wrong = self.folder / "wrong"
        wrong.touch(mode=0o600)
        wrong.write_text("not it\n")
        change = ("bind-password-file = bind-password", "bind-password-file = wrong")
        self.assert_refused(change, "the password is wrong")
