"""What pxetwist image has built: which files of it are served, and which version plans name."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.content import images
from pxetwist.content.rendered import Settings, build
from pxetwist.errors import ContentNotFound, StateUnavailable
from pxetwist.exports import directory, image
from pxetwist.file_tree import IExport, IVersioned
from pxetwist.interfaces import IContentStore, INotes
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.boots import Boot, Files, LocalDisk, Menu, MenuEntry
from pxetwist.model.content import ContentPath
from pxetwist.model.families import kernel_arguments
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.image_use import LIMIT, TOPIC, ImageUse, read_uses
from pxetwist.model.machine import Machine
from pxetwist.model.nfs_root import NfsRoot
from pxetwist.state.notes import MemoryNotes
from pxetwist.testing import FakeBoot, make_site, result_of

MAC = "52:54:00:12:34:56"
WANTED = (
    "boot=pxetwist nfsroot=10.0.0.1:/lab/2/root,vers=3,proto=tcp,port=2049,mountport=20048,"
    "mountproto=tcp,nolock BOOTIF=01-52-54-00-12-34-56 pxetwist.hostname=Room-1"
)


def files(name: str = "lab") -> Files:
    where = f"images/{name}/current"
    arguments = kernel_arguments("diskless", {"root": f"export:{name}"})
    return Files(
        f"{where}/vmlinuz", (f"/{where}/initrd.img", "own/extra"), arguments, None, NfsRoot(name)
    )


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        for version in ("1", "2"):
            root = self.folder / "images" / "lab" / version / "root"
            root.mkdir(parents=True)
            (root / "vmlinuz").write_bytes(b"secret")
            (root.parent / "vmlinuz").write_bytes(version.encode())
            (root.parent / "initrd.img").write_bytes(b"i")
        (self.folder / "images" / "lab" / "current").symlink_to("2")
        self.boot = FakeBoot(leases=MemoryNotes())
        self.site = make_site(self.boot, state_folder=self.folder)
        self.store = images.build(images.Settings(), self.site)

    def request(self, boot: Boot, who: str = "Room 1") -> BootRequest:
        return BootRequest(
            ClientIdentity(mac=MAC),
            BootStage.LOADER,
            Protocol.HTTP,
            endpoints=Endpoints("10.0.0.1"),
            machine=Machine(who, (MAC,)) if who else None,
            plan=BootPlan(boot, "lab"),
        )


class StoreTests(Case):
    def read(self, path: str) -> bytes:
        request = self.request(LocalDisk())
        content = result_of(self.store.open(ContentPath.parse(path), request))
        self.addCleanup(content.close)
        return result_of(content.read(0, 10))

    def test_kernels_and_nothing_else(self) -> None:
        verifyObject(IContentStore, self.store)
        self.assertEqual(self.read("images/lab/1/vmlinuz"), b"1")
        self.assertEqual(self.read("images/lab/current/vmlinuz"), b"2")
        self.assertEqual(self.read("images/lab/2/initrd.img"), b"i")
        for path in (
            "images/lab/2/root/vmlinuz",
            "images/lab/2/image.json",
            "images/lab/vmlinuz",
            "images/none/1/vmlinuz",
            "lab/1/vmlinuz",
        ):
            with self.assertRaises(ContentNotFound):
                self.read(path)


class PlanTests(Case):
    def setUp(self) -> None:
        super().setUp()
        for name, settings in (("lab", image.Settings()), ("other", image.Settings(image="lab"))):
            site = attrs.evolve(self.site, name=name)
            self.boot.exports[name] = export = image.build(settings, site)
            verifyObject(IExport, export)
            verifyObject(IVersioned, export)
        plain = directory.Settings(path=self.folder)
        self.boot.exports["plain"] = directory.build(plain, self.site)
        self.rendered = build(Settings(), self.site)
        self.boot.stores = (self.rendered, self.store)

    def text(self, boot: Boot, name: str = "boot.ipxe", who: str = "Room 1") -> str:
        request = self.request(boot, who)
        content = result_of(self.rendered.open(ContentPath.parse(name), request))
        return result_of(content.read(0, content.info.size)).decode()

    def uses(self) -> list[ImageUse]:
        return list(read_uses(result_of(self.boot.leases.recall(TOPIC))))

    def test_all_loaders_get_one_version(self) -> None:
        for name in ("boot.ipxe", "grub/grub.cfg", "pxelinux.cfg/default"):
            text = self.text(files(), name)
            self.assertIn("images/lab/2/vmlinuz", text)
            self.assertIn("images/lab/2/initrd.img", text)
            self.assertIn(WANTED, text)
            self.assertNotIn("current", text)

    def test_machines_that_nobody_knows_are_named_by_dhcp(self) -> None:
        self.assertIn("pxetwist.hostname= ", self.text(files(), who=""))

    def test_exports_of_other_names_and_kinds(self) -> None:
        named = attrs.evolve(files(), root=NfsRoot("other", "srv"))
        self.assertIn("nfsroot=10.0.0.1:/other/2/root/srv,", self.text(named))
        plain = attrs.evolve(files(), root=NfsRoot("plain", "a"))
        text = self.text(plain)
        self.assertIn("nfsroot=10.0.0.1:/plain/a,", text)
        self.assertIn("images/lab/2/vmlinuz", text)

    def test_menus(self) -> None:
        lab = files()
        entries = (
            MenuEntry("lab", "Lab", attrs.evolve(lab, initrds=lab.initrds[:1])),
            MenuEntry("disk", "Disk", LocalDisk()),
        )
        text = self.text(Menu("Choose", entries, "lab"))
        self.assertIn("images/lab/2/vmlinuz", text)
        self.assertIn(WANTED, text)

    def test_an_image_without_a_version(self) -> None:
        (self.folder / "images" / "lab" / "current").unlink()
        self.assertIn("images/lab/current/vmlinuz", self.text(files()))
        self.assertEqual(self.uses(), [])

    def test_who_starts_what_is_noted(self) -> None:
        self.text(files())
        now = self.site.reactor.seconds()
        self.assertEqual(self.uses(), [ImageUse("Room 1", "lab", "2", now)])
        link = self.folder / "images" / "lab" / "current"
        link.unlink()
        link.symlink_to("1")
        self.text(files())
        self.text(files(), who="")
        self.assertEqual([each.version for each in self.uses()], ["1", "1"])
        self.assertIn(MAC, self.uses()[1].machine)

    def test_a_rehearsal_notes_nothing(self) -> None:
        self.boot.rehearsal = True
        self.text(files())
        self.assertEqual(self.uses(), [])

    def test_no_boot_fails_for_the_notes(self) -> None:
        class Away(MemoryNotes):
            async def remember(self, *_: object) -> None:
                raise StateUnavailable("away")

        self.boot.leases = Away()
        verifyObject(INotes, self.boot.leases)
        self.assertIn(WANTED, self.text(files()))

    def test_notes_that_cannot_be_read(self) -> None:
        good = ImageUse("a", "lab", "1", 5.0)
        notes = {"x": "nonsense", "y": json.dumps({"a": 1}), "z": "[]", good.key: good.text()}
        result_of(self.boot.leases.remember(TOPIC, notes, LIMIT, 0.0))
        self.assertEqual(self.uses(), [good])
