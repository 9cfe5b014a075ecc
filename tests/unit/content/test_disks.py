"""Disks of iSCSI targets, and images in memory: from the INI to the script."""

from __future__ import annotations

import attrs
from twisted.internet.task import Clock

from pxetwist.config.advice import advice
from pxetwist.config.assemble import Assembly, assemble
from pxetwist.errors import ConfigErrors, PolicyError, StartError
from pxetwist.model.boot import BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.testing import result_of
from pxetwist.wire.iana import Architecture
from tests.unit.config.inis import IniCase

HEAD = """
[pxe]
services = tftp, http
hosts = known
policies = all
state = memory
content = scripts, files
state-folder = var
[hosts:known]
plugin = static
file = hosts.csv
[policy:all]
plugin = fixed
profile = disk
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = files
"""
ISCSI = """
[profile:disk]
kind = iscsi
server = 10.0.0.9
target = iqn.2026-01.lab:{{ machine.name }}
initiator = iqn.2026-01.lab.client:{{ machine.name }}
lun = 10
"""
CHAP = """
answer.chap-user = {{ machine.name }}
answer.chap-secret = ${x} & {{ machine.labels.chap }}
secret-plain = yes
"""
MEMDISK = """
[profile:disk]
kind = image
image = dos.img
memdisk = yes
arguments = harddisk
"""
MAC = "52:54:00:12:34:56"


class DisksCase(IniCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("hosts.csv", f"name,mac,chap\nws1,{MAC},s3cret of ws1\n")
        for name in ("loaders/undionly.kpxe", "loaders/memdisk", "dos.img"):
            self.write(f"files/{name}", "")

    def assembly(self, profile: str) -> Assembly:
        return assemble(self.load(HEAD + profile.strip()), Clock())

    def text(
        self,
        profile: str,
        name: str = "boot.ipxe",
        architecture: Architecture = Architecture.X86_BIOS,
        granted: str = "",
    ) -> str:
        boot = self.assembly(profile).boot
        path = ContentPath.parse(name)
        request = BootRequest(
            ClientIdentity(mac=MAC, architecture=architecture, firmware=Firmware.IPXE),
            BootStage.LOADER,
            Protocol.HTTP,
            path,
            Endpoints("10.0.0.1"),
        )
        resolved = result_of(boot.resolve(request))
        if resolved.plan is None:
            raise PolicyError(resolved.reason)
        asked = attrs.evolve(resolved.request, granted=granted)
        content = result_of(boot.open(path, asked))
        return result_of(content.read(0, 10000)).decode()

    def refused(self, profile: str) -> str:
        with self.assertRaises((ConfigErrors, StartError)) as caught:
            self.assembly(profile)
        return str(caught.exception)


class IscsiTests(DisksCase):
    URI = "iscsi:10.0.0.9::3260:a:iqn.2026-01.lab:ws1"

    def test_a_disk_to_start_from(self) -> None:
        text = self.text(ISCSI)
        self.assertIn(f"set keep-san 1\nsanboot --drive 0x80 {self.URI} || goto failed\n", text)
        self.assertIn("set initiator-iqn iqn.2026-01.lab.client:ws1\n", text)
        self.assertNotIn("credentials", text)
        six = self.text(ISCSI.replace("10.0.0.9", "fd00::9"))
        self.assertIn("iscsi:[fd00::9]::3260:", six)

    def test_a_disk_beside_a_kernel(self) -> None:
        more = "kernel = linux\ninitrds = initrd\narguments = ip=ibft rd.iscsi.ibft=1\n"
        text = self.text(ISCSI + more)
        self.assertIn(
            f"sanhook --drive 0x80 {self.URI} || goto failed\n"
            "kernel http://10.0.0.1/linux initrd=initrd ip=ibft rd.iscsi.ibft=1 || goto failed\n"
            "initrd --name initrd http://10.0.0.1/initrd || goto failed\n"
            "boot || goto failed\n",
            text,
        )

    def test_secrets_are_elsewhere(self) -> None:
        text = self.text(ISCSI + CHAP)
        self.assertRegex(
            text, r"chain --autofree http://10\.0\.0\.1/answer/[\w-]+/credentials\.ipxe \|\| goto"
        )
        self.assertNotIn("s3cret", text)
        secret = self.text(ISCSI + CHAP, "credentials.ipxe", granted="disk")
        password = b"${x} & s3cret of ws1".hex()
        self.assertEqual(
            secret,
            f"#!ipxe\nset username:hexraw {b'ws1'.hex()}\nset password:hexraw {password}\n",
        )
        self.assertNotIn("s3cret", repr(self.assembly(ISCSI + CHAP).configuration.profiles))
        more = "answer.reverse-user = target\nanswer.reverse-secret = other\n"
        both = self.text(ISCSI + CHAP + more, "credentials.ipxe", granted="disk")
        self.assertIn(f"set reverse-username:hexraw {b'target'.hex()}\n", both)
        self.assertIn(f"set reverse-password:hexraw {b'other'.hex()}\n", both)

    def test_what_is_told_of_secrets(self) -> None:
        profile = self.assembly(ISCSI + CHAP).configuration.profiles["disk"]
        shown = {each.name: each.value for each in profile.plan(None).settings}
        self.assertEqual(shown["answer.chap-secret"], "(secret)")
        self.assertEqual(shown["target"], "iqn.2026-01.lab:{{ machine.name }}")

    def test_mistakes(self) -> None:
        plain = "secret-plain = yes\n"
        for profile, mistake in (
            (ISCSI.replace("server", "# server"), "needs a server"),
            (ISCSI.replace("target =", "# target ="), "needs target"),
            (ISCSI + CHAP.replace(plain, ""), "secret-plain = yes"),
            (ISCSI + "answer.chap-user = x\n" + plain, "go together"),
            (ISCSI + "answer.reverse-user = x\nanswer.reverse-secret = y\n" + plain, "chap-user"),
            (ISCSI + CHAP + "answer.chap-password = x\n", "does not look at it"),
            (ISCSI + CHAP + "answer = preseed.cfg\n", "no template"),
            (ISCSI + "image = x\n", "only a profile of kind image has one"),
        ):
            self.assertIn(mistake, self.refused(profile))

    def test_names_that_spoil_it(self) -> None:
        for option in ("server", "target", "initiator"):
            old = next(line for line in ISCSI.splitlines() if line.startswith(option))
            for text in ("{{ machine.labels.chap }}", "{{ '' }}", "{{ 'a${b}' }}"):
                with self.assertRaisesRegex(PolicyError, "no name for iSCSI"):
                    self.text(ISCSI.replace(old, f"{option} = {text}"))

    def test_names_that_are_none(self) -> None:
        """What no target can have is told with its line, before a machine asks."""
        for option, wrong, right in (
            (
                "server",
                ("10.0.0.9:3261", "10.0.0.900", "a b", "a${b}"),
                ("fd00::9", "[fd00::9]", "san-{{ who }}.lab"),
            ),
            (
                "target",
                ("ws1", "iqn.2026-01.lab a", "lab:{{ who }}"),
                ("eui.02004567a425678d", "{{ who }}"),
            ),
            ("initiator", ("ws1",), ("naa.52004567ba64678d",)),
        ):
            old = next(line for line in ISCSI.splitlines() if line.startswith(option))
            for text in wrong:
                mistakes = self.mistakes(HEAD + ISCSI.replace(old, f"{option} = {text}"))
                self.assertEqual(len(mistakes), 1, (text, mistakes))
                self.assertIn(f"[profile:disk] {option}: expected a ", mistakes[0])
            for text in right:
                self.load(HEAD + ISCSI.replace(old, f"{option} = {text}"))

    def test_advice(self) -> None:
        told = advice(self.load(HEAD + ISCSI.replace("lun = 10\n", "")))
        self.assertTrue(any("starts from LUN 0, where tgt has its controller" in x for x in told))
        for lun in ("lun = 0", "lun = 1"):
            self.assertEqual(advice(self.load(HEAD + ISCSI.replace("lun = 10", lun))), [])


class MemdiskTests(DisksCase):
    def test_by_ipxe(self) -> None:
        text = self.text(MEMDISK)
        self.assertIn(
            "kernel http://10.0.0.1/loaders/memdisk harddisk || goto failed\n"
            "initrd http://10.0.0.1/dos.img || goto failed\n"
            "boot || goto failed\n",
            text,
        )
        other = self.text(MEMDISK + "kernel = own/memdisk\n")
        self.assertIn("kernel http://10.0.0.1/own/memdisk harddisk", other)

    def test_by_pxelinux(self) -> None:
        text = self.text(MEMDISK + "loader = pxelinux\n", "pxelinux.cfg/default")
        self.assertIn("  LINUX ::loaders/memdisk\n  INITRD ::dos.img\n  APPEND harddisk\n", text)

    def test_not_without_bios(self) -> None:
        with self.assertRaisesRegex(PolicyError, "memdisk needs BIOS, and this is x64"):
            self.text(MEMDISK, architecture=Architecture.X64_UEFI)
        told = advice(self.load(HEAD + MEMDISK + "image.x64 = other.img\n"))
        self.assertIn("profile 'disk' has x64, but memdisk needs BIOS", told)

    def test_mistakes(self) -> None:
        for profile, mistake in (
            (MEMDISK.replace("memdisk = yes\n", ""), "only memdisk = yes needs it"),
            (MEMDISK + "loader = grub\n", "grub starts no images"),
        ):
            self.assertIn(mistake, self.refused(profile))
