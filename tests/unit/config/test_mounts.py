"""Stores below prefixes, in the order of the INI."""

from __future__ import annotations

from twisted.internet.task import Clock

from pxetwist.cli.loaders import content_root
from pxetwist.config.advice import advice
from pxetwist.config.assemble import assemble
from pxetwist.errors import ContentNotFound, StartError
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.content import ROOT, ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import result_of
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = tftp
policies = fixed
state = memory
content = rendered, own, common, files
[policy:fixed]
profile = x
[profile:x]
kind = linux
kernel = debian12/vmlinuz
[content:own]
plugin = directory
root = own
prefix = /debian12/
[content:common]
plugin = directory
root = common
prefix = debian12
[content:files]
plugin = directory
root = files
"""
REQUEST = BootRequest(ClientIdentity(), BootStage.LOADER, Protocol.TFTP)


class MountTests(IniCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("own/preseed.cfg", "common/preseed.cfg", "common/vmlinuz", "files/other"):
            self.write(name, name)
        self.write("files/loaders/snponly.efi", "")

    def text(self, name: str, ini: str = INI) -> str:
        boot = assemble(self.load(ini), Clock()).boot
        content = result_of(boot.open(ContentPath.parse(name), REQUEST))
        self.addCleanup(content.close)
        return result_of(content.read(0, 100)).decode()

    def test_the_first_that_has_it(self) -> None:
        self.assertEqual(self.text("debian12/preseed.cfg"), "own/preseed.cfg")
        self.assertEqual(self.text("Debian12\\vmlinuz"), "common/vmlinuz")
        self.assertEqual(self.text("other"), "files/other")
        other = INI.replace("own, common", "common, own")
        self.assertEqual(self.text("debian12/preseed.cfg", other), "common/preseed.cfg")

    def test_nothing_shows_elsewhere(self) -> None:
        for name in (
            "vmlinuz",
            "debian12",
            "debian12/other",
            "debian/vmlinuz",
            "x/debian12/vmlinuz",
        ):
            self.assertRaises(ContentNotFound, self.text, name)

    def test_folders_that_are_shown(self) -> None:
        self.write("own/deep/preseed.cfg", "")
        ini = INI.replace("root = own\n", "root = own\nlisting = yes\n")
        ini = ini.replace("prefix = debian12\n", "prefix = debian/12\nlisting = yes\n")
        boot = assemble(self.load(ini), Clock()).boot

        def names(path: ContentPath) -> list[str]:
            return [each.name for each in boot.listed(path)]

        self.assertEqual(names(ROOT), ["debian", "debian12"])
        self.assertEqual(names(ContentPath.parse("debian")), ["12"])
        self.assertEqual(names(ContentPath.parse("debian/12")), ["preseed.cfg", "vmlinuz"])
        self.assertEqual(names(ContentPath.parse("Debian12/deep")), ["preseed.cfg"])
        for path in ("deep", "debian12/none", "loaders"):
            self.assertRaises(ContentNotFound, boot.listed, ContentPath.parse(path))

    def test_advice_looks_below_the_prefix(self) -> None:
        self.assertEqual(advice(self.load(INI)), [])
        told = advice(self.load(INI.replace("kernel = debian12/", "kernel = ")))
        self.assertEqual(told, ["profile 'x' names vmlinuz, which no content folder has"])

    def test_loaders_go_where_they_are_looked_for(self) -> None:
        self.assertEqual(content_root(self.load(INI)), self.folder / "files")
        hidden = INI + "prefix = below\n"
        with self.assertRaisesRegex(StartError, "without a prefix"):
            content_root(self.load(hidden))

    def test_a_prefix_that_climbs_out(self) -> None:
        self.assertEqual(
            self.mistakes(INI.replace("/debian12/", "../debian12")),
            ["pxe.ini:14: [content:own] prefix: expected a path like debian12, got '../debian12'"],
        )
