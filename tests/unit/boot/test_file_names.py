"""Names that firmware and loaders ask for by themselves."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.contents import Contents
from pxetwist.boot.guard import Bugs
from pxetwist.boot.loaders import Loader, Loaders
from pxetwist.errors import ContentNotFound
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol
from pxetwist.model.boots import Boot, Files, RaspberryPi
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.installers import Windows
from pxetwist.testing import MemoryStore, result_of
from pxetwist.wire.iana import Architecture

MAC = "b8:27:eb:00:00:01"
UEFI = ClientIdentity(mac=MAC, architecture=Architecture.X64_UEFI, firmware=Firmware.UEFI)
PI = ClientIdentity(mac=MAC, architecture=Architecture.X86_BIOS, firmware=Firmware.RASPBERRY_PI)


class NamesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.loaders = Loaders()

    def read(
        self,
        files: tuple[str, ...],
        name: str | bytes,
        identity: ClientIdentity = UEFI,
        boot: Boot = Files("linux"),  # noqa: B008
    ) -> str:
        """Return which of the files is served under a name; empty: none."""
        store = MemoryStore({file: file.encode() for file in files})
        contents = Contents([("files", store)], self.loaders, Bugs(Clock()))
        request = BootRequest(identity, BootStage.LOADER, Protocol.TFTP, plan=BootPlan(boot))
        try:
            content = result_of(contents.open(ContentPath.parse(name), request))
        except ContentNotFound:
            return ""
        return bytes(result_of(content.read(0, 100))).decode()


class ShimTests(NamesCase):
    FILES = ("loaders/grubx64.efi", "loaders/mmx64.efi", "loaders/grubaa64.efi", "own/mmx64.efi")

    def test_beside_any_nbp(self) -> None:
        """Its second stage is found wherever it looks; what is there goes before it."""
        for name, served in {
            "EFI/BOOT/grubx64.efi": "loaders/grubx64.efi",
            r"EFI\BOOT\GRUBX64.EFI": "loaders/grubx64.efi",
            "mmx64.efi": "loaders/mmx64.efi",
            "own/mmx64.efi": "own/mmx64.efi",
            "x/grubaa64.efi": "loaders/grubaa64.efi",
            "x/mmaa64.efi": "",
            "x/grubia32.efi": "",
            "x/grub.efi": "",
            "x/revocations.efi": "",
        }.items():
            self.assertEqual(self.read(self.FILES, name), served, name)

    def test_another_shim(self) -> None:
        """The loader of the site, and what lies beside it; one at a URL has nothing beside it."""
        self.loaders = Loaders((Loader("x64", "grub", "signed/shimx64.efi"),))
        files = (*self.FILES, "signed/grubx64.efi")
        self.assertEqual(self.read(files, "a/grubx64.efi"), "signed/grubx64.efi")
        self.loaders = Loaders((Loader("x64", "grub", "http://10.0.0.9/shimx64.efi"),))
        self.assertEqual(self.read(files, "a/grubx64.efi"), "")

    def test_garbage_for_a_name(self) -> None:
        """Some boards hand it the text of a boot entry; only firmware does so."""
        garbage = b"loaders/\x04\x01Onboard\xfe NIC"
        self.assertEqual(self.read(self.FILES, garbage), "loaders/grubx64.efi")
        self.assertEqual(self.read(self.FILES, "loaders/Onboard"), "")
        for identity in (PI, ClientIdentity(mac=MAC, firmware=Firmware.UEFI)):
            self.assertEqual(self.read(self.FILES, garbage, identity), "")


class NumberedTests(NamesCase):
    def test_the_number_of_a_menu_item(self) -> None:
        """The PXE layer of some ROMs appends it, to whatever it was told; exact names win."""
        files = ("boot.ipxe", "pxelinux", "pxelinux.0", "win/boot/pxeboot.n12")
        for name, served in {
            "boot.ipxe.0": "boot.ipxe",
            "pxelinux.0": "pxelinux.0",
            "boot.ipxe.0.0": "",
            "boot.ipxe.1": "",
            ".0": "",
            "none.0": "",
        }.items():
            self.assertEqual(self.read(files, name), served, name)
        windows = Windows("win", "wimboot", ())
        self.assertEqual(self.read(files, r"\boot\pxeboot.n12.0", boot=windows), files[-1])


class RaspberryPiTests(NamesCase):
    FILES = ("rpi/start4.elf", "rpi/overlays/a.dtbo", "bootcode.bin", "0badcafe/own.txt")

    def test_names(self) -> None:
        """The folder of the plan is below the serial number, the own MAC, and the root."""
        for name, served in {
            "start4.elf": "rpi/start4.elf",
            "0badcafe/start4.elf": "rpi/start4.elf",
            "0BADCAFE/overlays/a.dtbo": "rpi/overlays/a.dtbo",
            "b8-27-eb-00-00-01/start4.elf": "rpi/start4.elf",
            "b8-27-eb-00-00-02/start4.elf": "",
            "rpi/start4.elf": "rpi/start4.elf",
            "bootcode.bin": "bootcode.bin",
            "0badcafe/own.txt": "0badcafe/own.txt",
            "0badcafe": "",
            "abc/start4.elf": "",
        }.items():
            self.assertEqual(self.read(self.FILES, name, PI, RaspberryPi("rpi")), served, name)

    def test_another_plan(self) -> None:
        """Then names mean what they say."""
        self.assertEqual(self.read(self.FILES, "0badcafe/start4.elf", PI), "")
