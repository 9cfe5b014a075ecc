"""What lies in etc/ works as it is, and so does what is commented out in it."""

from __future__ import annotations

import re
import shutil
from configparser import RawConfigParser
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.cli.loaders import OFFERS
from pxetwist.config.assemble import Assembly, assemble
from pxetwist.config.load import load
from pxetwist.model.boot import BootRequest, BootStage, Endpoints, Protocol, Resolution
from pxetwist.model.boots import LocalDisk, Menu
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.profile import ProfileKind
from pxetwist.testing import result_of
from pxetwist.wire.iana import Architecture

ROOT = Path(__file__).parents[2]
INIS = sorted((ROOT / "etc").glob("*.ini"))
MAC = "52:54:00:12:34:56"
#: A section or an option that is commented out in a block of its own.
_COMMENTED = re.compile(r"^#   (\[[\w:-]+\]|[\w.-]+ = .*)$", re.MULTILINE)


class EtcTests(SynchronousTestCase):
    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        shutil.copytree(ROOT / "etc", self.folder / "etc")
        self.files = self.folder / "var" / "boot"
        self.files.mkdir(parents=True)  # scripts/run does

    def assembled(self, name: str = "pxe.ini") -> Assembly:
        return assemble(load(self.folder / "etc" / name), Clock())

    def resolved(self, assembly: Assembly, firmware: Firmware = Firmware.UEFI) -> Resolution:
        architecture = {Firmware.BIOS: Architecture.X86_BIOS}.get(firmware, Architecture.X64_UEFI)
        identity = ClientIdentity(mac=MAC, architecture=architecture, firmware=firmware)
        request = BootRequest(
            identity, BootStage.LOADER, Protocol.HTTP, endpoints=Endpoints("10.0.0.1")
        )
        return result_of(assembly.boot.resolve(request))

    def script(self, assembly: Assembly) -> str:
        request = self.resolved(assembly).request
        content = result_of(assembly.boot.open(ContentPath.parse("boot.ipxe"), request))
        return result_of(content.read(0, content.info.size)).decode()

    def test_every_ini_is_without_mistakes(self) -> None:
        self.assertIn(ROOT / "etc" / "pxe.ini", INIS)
        for ini in INIS:
            self.assembled(ini.name)

    def test_what_is_commented_out_is_without_mistakes(self) -> None:
        file = self.folder / "etc" / "pxe.ini"
        text, count = _COMMENTED.subn(r"\1", file.read_text())
        self.assertGreater(count, 20)
        file.write_text(text.replace("services = proxydhcp", "services = dhcp, proxydhcp"))
        configuration = self.assembled().configuration
        self.assertIn("lab", configuration.networks)
        self.assertIn("my-linux", configuration.profiles)
        self.assertEqual(len(configuration.loaders), 1)

    def test_example_machines(self) -> None:
        """Without their comment signs they are known, and get what the file says."""
        file = self.folder / "etc" / "hosts.csv"
        text = file.read_text()
        file.write_text(re.sub(r"^# (?=\w+,)", "", text, flags=re.MULTILINE))
        resolution = self.resolved(self.assembled())
        assert resolution.machine is not None
        assert resolution.plan is not None
        self.assertEqual(resolution.machine.name, "printserver")
        self.assertEqual(resolution.plan.boot, LocalDisk())

    def test_it_is_no_dhcp_server(self) -> None:
        services = self.assembled().configuration.of_kind("service")
        names = [each.factory.name for each in services]
        self.assertEqual(names, ["proxydhcp", "tftp", "http"])

    def test_an_unknown_machine_gets_the_menu(self) -> None:
        for firmware in (Firmware.UEFI, Firmware.BIOS):
            plan = self.resolved(self.assembled(), firmware).plan
            assert plan is not None
            assert isinstance(plan.boot, Menu)
            names = [entry.name for entry in plan.boot.entries]
            self.assertEqual(
                names, ["local", "debian-installer", "memtest", "rescue", "information"]
            )
            self.assertEqual(plan.boot.default, "local")

    def test_the_menu_without_any_files(self) -> None:
        script = self.script(self.assembled())
        items = re.findall(r"^item (\w\S+)", script, re.MULTILINE)
        self.assertEqual(items, ["local", "information", "shell"])
        self.assertIn(f"The server 10.0.0.1 knows it as: {MAC}", script)

    def test_the_menu_with_every_offer(self) -> None:
        """What `pxetwist loaders --install` copies is what the profiles ask for."""
        for offer in OFFERS:
            file = self.files / offer.target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        script = self.script(self.assembled())
        for name, profile in self.assembled().configuration.profiles.items():
            if profile.kind is not ProfileKind.MENU and name != "rescue":
                self.assertIn(f"\nitem {name} ", script)

    def test_systemd_unit(self) -> None:
        parser = RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # keeps the case
        parser.read(ROOT / "etc" / "pxetwist.service")
        service = parser["Service"]
        rights = {"CAP_NET_BIND_SERVICE", "CAP_NET_RAW"}
        self.assertEqual(set(service["AmbientCapabilities"].split()), rights)
        self.assertEqual(set(service["CapabilityBoundingSet"].split()), rights)
        # what the unit's own instructions make of the INI is where the service may write
        text = (ROOT / "etc" / "pxe.ini").read_text()
        paths = re.findall(r"= \.\./var(\S*)", text)
        folders = service["StateDirectory"].split()
        self.assertEqual([f"pxetwist{path}" for path in paths], folders)
