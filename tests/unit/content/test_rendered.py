"""What loaders read: made from the plan of the machine that asks, and for nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.content.rendered import RenderedStore, Settings, build
from pxetwist.content.text_names import flavour_of
from pxetwist.errors import ConfigError, ContentDenied, ContentNotFound, PolicyError
from pxetwist.interfaces import IContent, IContentStore
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Protocol, SecurePort
from pxetwist.model.boots import (
    Boot,
    Files,
    Image,
    LocalDisk,
    Menu,
    MenuEntry,
    Nbp,
    RaspberryPi,
    Script,
)
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.model.nfs_root import NfsRoot
from pxetwist.testing import FakeBoot, MemoryContent, MemoryStore, make_site, result_of

MAC, OTHER = "52:54:00:12:34:56", "52:54:00:00:00:01"
MACHINE = Machine("ws1", (MAC,), labels={"disk": "/dev/sda"})
LINUX = Files("lab/vmlinuz", ("lab/initrd.gz", "http://10.0.0.9/extra.gz"), "a=1  host={{ who }}")
FILES: Mapping[str, bytes | IContent | Exception] = {"lab/vmlinuz": b"k", "lab/initrd.gz": b"i"}
TEXTS = {"ipxe": "boot.ipxe", "grub": "grub/grub.cfg", "pxelinux": "pxelinux.cfg/default"}


def entry(name: str, boot: Files | Nbp | Script | LocalDisk) -> MenuEntry:
    return MenuEntry(name, f"The {name}", boot)


class Case(SynchronousTestCase):
    """A store, beside one with the files of `FILES`, in a site that knows one machine."""

    log_server = False

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.boot = FakeBoot(machine=MACHINE)
        self.files = MemoryStore(FILES)

    def store(self, templates: Path | None = None) -> RenderedStore:
        store = build(
            Settings(templates=templates), make_site(self.boot, log_server=self.log_server)
        )
        self.boot.stores = (store, self.files)
        return store

    def request(self, boot: Boot | None, mac: str = MAC, reason: str = "") -> BootRequest:
        return BootRequest(
            ClientIdentity(mac=mac),
            BootStage.LOADER,
            Protocol.HTTP,
            endpoints=Endpoints("10.0.0.1", 8080),
            machine=MACHINE,
            plan=None if boot is None else BootPlan(boot, "p", reason),
        )

    def read(self, name: str, request: BootRequest, templates: Path | None = None) -> str:
        content = result_of(self.store(templates).open(ContentPath.parse(name), request))
        verifyObject(IContent, content)
        return result_of(content.read(0, content.info.size)).decode()

    def text(self, loader: str, boot: Boot) -> str:
        protocol = Protocol.TFTP if loader == "grub" else Protocol.HTTP
        return self.read(TEXTS[loader], attrs.evolve(self.request(boot), protocol=protocol))

    def assert_lines(self, text: str, *expected: str) -> None:
        """These lines follow each other somewhere in the text, but for indentation."""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        start = lines.index(expected[0]) if expected[0] in lines else 0
        self.assertEqual(lines[start : start + len(expected)], list(expected), text)


class IpxeTests(Case):
    def test_files(self) -> None:
        text = self.text("ipxe", LINUX)
        self.assertTrue(text.startswith("#!ipxe\n"))
        self.assert_lines(
            text,
            "kernel http://10.0.0.1:8080/lab/vmlinuz initrd=initrd.gz initrd=extra.gz"
            " a=1 host=ws1 || goto failed",
            "initrd --name initrd.gz http://10.0.0.1:8080/lab/initrd.gz || goto failed",
            "initrd --name extra.gz http://10.0.0.9/extra.gz || goto failed",
            "boot || goto failed",
        )

    def test_a_name_that_no_file_can_have(self) -> None:
        """JSON can tell of lone surrogates."""
        named = attrs.evolve(MACHINE, name="a\ud800b")
        request = attrs.evolve(self.request(LocalDisk()), machine=named)
        self.assertIn("a?b: p\n", self.read("boot.ipxe", request))

    def test_a_name_is_no_command(self) -> None:
        """What directories and policies say begins no line, and ends no command of iPXE."""
        named = attrs.evolve(MACHINE, name="a\nshell\u2028reboot && b || c ${net0/mac}")
        boot = Files("linux")
        request = attrs.evolve(self.request(boot, reason="so\nreboot"), machine=named)
        for loader, name in TEXTS.items():
            protocol = Protocol.TFTP if loader == "grub" else Protocol.HTTP
            text = self.read(name, attrs.evolve(request, protocol=protocol))
            for line in text.splitlines():
                self.assertFalse(line.startswith(("shell", "reboot")), text)
            if loader == "ipxe":
                self.assertIn("\necho a shell reboot b c $ {net0/mac}: p\n", text)

    def test_files_in_the_root(self) -> None:
        """iPXE alone loads them; a menu for another loader has no such entry."""
        root = NfsRoot("desktop", "v2")
        boot = Files("nfs:/boot/linux", ("nfs:/own.gz", "lab/initrd.gz"), "a=1", root=root)
        lines = (
            "kernel nfs://10.0.0.1/desktop/v2/boot/linux initrd=own.gz initrd=initrd.gz"
            " a=1 || goto failed",
            "initrd --name own.gz nfs://10.0.0.1/desktop/v2/own.gz || goto failed",
            "initrd --name initrd.gz http://10.0.0.1:8080/lab/initrd.gz || goto failed",
        )
        self.assert_lines(self.text("ipxe", boot), *lines)
        menu = Menu("Now?", (entry("nfs", boot), entry("disk", LocalDisk())), "disk")
        self.assert_lines(self.text("ipxe", menu), *lines)
        for loader in ("grub", "pxelinux"):
            with self.assertRaises(ContentNotFound):
                self.text(loader, boot)
            self.assertNotIn("nfs", self.text(loader, menu))

    def test_ipv6(self) -> None:
        """Every URL has the address that was asked, in brackets."""
        endpoints = Endpoints("fd77::1", 8080)
        boot = Files("vmlinuz", (), "report={{ callback }} from={{ endpoints.host }}")
        request = attrs.evolve(self.request(boot), endpoints=endpoints)
        self.assert_lines(
            self.read("boot.ipxe", request),
            "kernel http://[fd77::1]:8080/vmlinuz report=http://[fd77::1]:8080/callback/TOKEN"
            " from=[fd77::1] || goto failed",
        )
        by_tftp = attrs.evolve(request, protocol=Protocol.TFTP)
        self.assertIn("  linux (tftp,fd77::1)/vmlinuz ", self.read("grub/grub.cfg", by_tftp))

    def test_log_server(self) -> None:
        """It is ours, if we take lines; not for who came by IPv6, for the setting is of IPv4."""
        request = self.request(LINUX)
        self.assertNotIn("syslog", self.read("boot.ipxe", request))
        self.log_server = True
        self.assertIn("\nset syslog 10.0.0.1 ||\n", self.read("boot.ipxe", request))
        six = attrs.evolve(request, endpoints=Endpoints("fd77::1"))
        self.assertNotIn("syslog", self.read("boot.ipxe", six))

    def test_nbp(self) -> None:
        text = self.text("ipxe", Nbp("a/b.efi"))
        self.assert_lines(text, "chain --autofree tftp://10.0.0.1/a/b.efi || goto failed")

    def test_image(self) -> None:
        text = self.text("ipxe", Image("images/rescue.iso"))
        url = "http://10.0.0.1:8080/images/rescue.iso"
        self.assert_lines(text, f"sanboot --no-describe {url} || goto failed")
        for loader in ("grub", "pxelinux"):
            with self.assertRaises(ContentNotFound):
                self.text(loader, Image("images/rescue.iso"))

    def test_a_blank_does_not_end_a_url(self) -> None:
        text = self.text("ipxe", Image("images/Rescue CD.iso"))
        url = "http://10.0.0.1:8080/images/Rescue%20CD.iso"
        self.assert_lines(text, f"sanboot --no-describe {url} || goto failed")

    def test_image_in_a_menu(self) -> None:
        """It is offered if it is there, by iPXE."""
        self.files = MemoryStore({**FILES, "there.iso": b"i"})
        entries = [("there", "there.iso"), ("none", "none.iso"), ("far", "http://h/f.iso")]
        images = [MenuEntry(name, name, Image(path)) for name, path in entries]
        menu = Menu("Choose", (entry("disk", LocalDisk()), *images), "disk")
        items = [line for line in self.text("ipxe", menu).splitlines() if line.startswith("item")]
        self.assertEqual(items[1:3], ["item there there", "item far far"])
        self.assertNotIn("there", self.text("grub", menu))

    def test_local(self) -> None:
        text = self.text("ipxe", LocalDisk())
        self.assert_lines(
            text,
            "iseq ${platform} efi && exit 1 ||",
            "sanboot --no-describe --drive 0x80 || exit 0",
        )

    def test_script(self) -> None:
        """It is filled in, and its first line is not there twice."""
        text = self.text("ipxe", Script(ipxe="#!ipxe\necho {{ machine.labels.disk }} ${mac}\n"))
        self.assertEqual(text.count("#!ipxe"), 1)
        self.assert_lines(text, "echo /dev/sda ${mac}", "goto end")

    def test_menu(self) -> None:
        menu = Menu("Choose", (entry("disk", LocalDisk()), entry("linux", LINUX)), "linux", 20)
        text = self.text("ipxe", menu)
        self.assert_lines(text, "menu Choose", "item disk The disk", "item linux The linux")
        self.assert_lines(
            text, "choose --timeout 20000 --default linux chosen || exit 1", "goto ${chosen}"
        )
        self.assert_lines(text, ":disk", "iseq ${platform} efi && exit 1 ||")
        self.assertIn("\n:linux\n", text)

    def test_menu_that_waits(self) -> None:
        text = self.text("ipxe", Menu("Choose", (entry("disk", LocalDisk()),), "disk"))
        self.assert_lines(text, "choose --default disk chosen || exit 1")

    def test_looping_is_stopped(self) -> None:
        self.boot.loops = True
        text = self.text("ipxe", Nbp("a.efi"))
        self.assertIn("over and over: stopped", text)
        self.assertNotIn("a.efi", text)
        self.assertIn("a.efi", self.text("grub", Nbp("a.efi")))


class GrubTests(Case):
    def test_files(self) -> None:
        text = self.text("grub", Files("lab/vmlinuz", ("lab/initrd.gz",), "a=1 b='x;y' c=$d"))
        self.assert_lines(
            text,
            "linux (tftp,10.0.0.1)/lab/vmlinuz a=1 'b='\\''x;y'\\''' 'c=$d'",
            "initrd (tftp,10.0.0.1)/lab/initrd.gz",
        )

    def test_url(self) -> None:
        text = self.text("grub", Files("http://10.0.0.9/a/linux"))
        self.assert_lines(text, "linux (http,10.0.0.9)/a/linux")

    def test_by_http(self) -> None:
        """One that came by HTTP may have no TFTP, and goes on as it came (quirk B8)."""
        request = self.request(Files("lab/vmlinuz", ("http://10.0.0.9/a.gz",)))
        text = self.read("grub/grub.cfg", request)
        self.assert_lines(
            text,
            "linux (http,10.0.0.1:8080)/lab/vmlinuz",
            "initrd (http,10.0.0.9)/a.gz",
        )
        ends = Endpoints("fd77::1", secure=SecurePort())
        for secure, device in ((False, "(http,[fd77::1])"), (True, "(https,[fd77::1])")):
            asked = attrs.evolve(request, endpoints=ends, secure=secure)
            self.assertIn(f"linux {device}/lab", self.read("grub/grub.cfg", asked))

    def test_nbp_and_local(self) -> None:
        text = self.text("grub", Nbp("a.efi"))
        self.assert_lines(text, "chainloader (tftp,10.0.0.1)/a.efi")
        text = self.text("grub", LocalDisk())
        self.assertIn("chainloader /EFI/debian/shimx64.efi", text)

    def test_script(self) -> None:
        text = self.text("grub", Script(grub="echo {{ who }}"))
        self.assert_lines(text, "echo ws1")
        self.assertNotIn("menuentry", text)

    def test_menu(self) -> None:
        menu = Menu("Choose", (MenuEntry("disk", "It's; here", LocalDisk()),), "disk", 20)
        text = self.text("grub", menu)
        self.assert_lines(text, "set timeout=20", "set default='disk'")
        self.assertIn("menuentry 'It'\\''s; here' --id 'disk' {", text)
        self.assertIn("set timeout=-1", self.text("grub", attrs.evolve(menu, timeout=0)))


class PxelinuxTests(Case):
    def test_files(self) -> None:
        self.assert_lines(
            self.text("pxelinux", LINUX),
            "DEFAULT p",
            "PROMPT 0",
            "LABEL p",
            "LINUX ::lab/vmlinuz",
            "INITRD ::lab/initrd.gz,http://10.0.0.9/extra.gz",
            "APPEND a=1 host=ws1",
        )

    def test_others(self) -> None:
        self.assert_lines(self.text("pxelinux", Nbp("a.0")), "KERNEL ::a.0")
        self.assert_lines(self.text("pxelinux", LocalDisk()), "LOCALBOOT 0")
        self.assert_lines(self.text("pxelinux", Script(pxelinux="SAY {{ who }}")), "SAY ws1")

    def test_menu(self) -> None:
        menu = Menu("Choose", (entry("disk", LocalDisk()), entry("linux", LINUX)), "disk", 20)
        text = self.text("pxelinux", menu)
        self.assert_lines(text, "UI menu.c32", "MENU TITLE Choose", "TIMEOUT 200")
        self.assert_lines(text, "LABEL disk", "MENU LABEL The disk", "MENU DEFAULT", "LOCALBOOT 0")


class RaspberryPiTests(Case):
    NAME = "rpi/cmdline.txt"

    def test_command_line(self) -> None:
        """Made if the profile has arguments; else it is a file like any other."""
        boot = RaspberryPi("rpi", "console=tty1\n host={{ who }} root={{ root.mount_path }}")
        boot = attrs.evolve(boot, root=NfsRoot("pi"))
        text = self.read(self.NAME, self.request(boot))
        self.assertEqual(text, "console=tty1 host=ws1 root=/pi\n")
        for name, plan in ((self.NAME, RaspberryPi("rpi")), ("cmdline.txt", boot)):
            with self.assertRaises(ContentNotFound):
                self.read(name, self.request(plan))
        with self.assertRaises(PolicyError):
            self.read(self.NAME, self.request(RaspberryPi("rpi", "{{ nonsense }}")))

    def test_no_loader_can_start_it(self) -> None:
        for loader in TEXTS:
            with self.assertRaises(ContentNotFound):
                self.text(loader, RaspberryPi("rpi", "a=1"))


class MenuTests(Case):
    """A menu offers what there are files for."""

    def offered(self, *entries: MenuEntry, default: str = "") -> list[str]:
        """Return the default, then all entries that the loader is shown."""
        text = self.text("ipxe", Menu("Choose", entries, default or entries[0].name))
        lines = [line.split() for line in text.splitlines()]
        items = [words[1] for words in lines if words[:1] == ["item"] and words[2:3] == ["The"]]
        chosen = [words[words.index("--default") + 1] for words in lines if "--default" in words]
        return chosen + items

    def test_all_are_there(self) -> None:
        entries = (entry("linux", LINUX), entry("disk", LocalDisk()))
        self.assertEqual(self.offered(*entries, default="disk"), ["disk", "linux", "disk"])

    def test_what_is_missing_is_left_out(self) -> None:
        entries = (
            entry("kernel", Files("gone")),
            entry("initrd", Files("lab/vmlinuz", ("lab/initrd.gz", "gone"))),
            entry("nbp", Nbp("gone")),
            entry("climbs", Nbp("../gone")),
            entry("linux", LINUX),
            entry("url", Nbp("http://10.0.0.9/gone")),
        )
        self.assertEqual(self.offered(*entries), ["linux", "linux", "url"])

    def test_what_is_denied_is_left_out(self) -> None:
        self.files = MemoryStore({"secret": ContentDenied("not for you")})
        entries = (entry("secret", Nbp("secret")), entry("disk", LocalDisk()))
        self.assertEqual(self.offered(*entries), ["disk", "disk"])

    def test_contents_are_asked_for_this_machine_and_closed(self) -> None:
        content = MemoryContent(b"k")
        self.files = MemoryStore({"kernel": content})
        self.offered(entry("linux", Files("kernel")))
        self.assertTrue(content.closed)
        [asked] = self.files.asked
        self.assertEqual((asked.machine, str(asked.wanted)), (MACHINE, "kernel"))

    def test_generated_texts_are_there(self) -> None:
        """They are made by this store: looking for them would be looking for this menu."""
        self.assertEqual(self.offered(entry("again", Nbp("boot.ipxe"))), ["again", "again"])

    def test_scripts_are_for_their_loader(self) -> None:
        entries = (entry("script", Script(grub="echo")), entry("disk", LocalDisk()))
        self.assertEqual(self.offered(*entries), ["disk", "disk"])
        text = self.text("grub", Menu("Choose", entries, "script"))
        self.assertIn("set default='script'", text)

    def test_nothing_left_is_the_local_disk(self) -> None:
        text = self.text("ipxe", Menu("Choose", (entry("nbp", Nbp("gone")),), "nbp"))
        self.assertNotIn("item", text)
        self.assert_lines(text, "iseq ${platform} efi && exit 1 ||")


class WhoAsksTests(Case):
    def test_names(self) -> None:
        names = {
            "ipxe": ("boot.ipxe", "boot/token/boot.ipxe", "autoexec.ipxe"),
            "grub": (
                *("grub.cfg", "grub/grub.cfg", "EFI/grub.cfg-01-52-54-00-12-34-56"),
                "grub/grub.cfg-52:54:00:12:34:56",
            ),
            "pxelinux": ("pxelinux.cfg/default", "a/pxelinux.cfg/01-52-54-00-12-34-56"),
            "": (
                "default",
                "grub.cfg-0A4D0001",
                "pxelinux.cfg/0A4D0001",
                "pxelinux.cfg/02-52-54-00-12-34-56",
                "boot.ipxe.txt",
            ),
        }
        for loader, paths in names.items():
            for path in paths:
                self.assertEqual(flavour_of(ContentPath.parse(path)), loader, path)

    def assert_not_found(self, name: str, request: BootRequest) -> None:
        opening = self.store().open(ContentPath.parse(name), request)
        self.assertRaises(ContentNotFound, result_of, opening)

    def test_other_names_are_not_found_here(self) -> None:
        verifyObject(IContentStore, self.store())
        self.assert_not_found("lab/vmlinuz", self.request(LINUX))

    def test_no_plan(self) -> None:
        self.assert_not_found("boot.ipxe", self.request(None))

    def test_no_text_for_this_loader(self) -> None:
        self.assert_not_found("grub/grub.cfg", self.request(Script(ipxe="#!ipxe")))

    def test_own_name(self) -> None:
        text = self.read("pxelinux.cfg/01-52-54-00-12-34-56", self.request(Nbp("own.0")))
        self.assertIn("KERNEL ::own.0", text)

    def test_another_machines_name_is_refused(self) -> None:
        self.boot.plan = BootPlan(Nbp("other.0"), "other")
        for name in ("pxelinux.cfg/01-", "grub/grub.cfg-01-"):
            self.assert_not_found(name + OTHER.replace(":", "-"), self.request(Nbp("own.0")))

    def test_a_name_identifies_a_machine_that_nothing_else_does(self) -> None:
        self.boot.plan = BootPlan(Nbp("named.0"), "named")
        request = self.request(Nbp("stranger.0"), mac="")
        text = self.read("pxelinux.cfg/01-52-54-00-12-34-56", request)
        self.assertIn("KERNEL ::named.0", text)

    def test_the_reason_is_told(self) -> None:
        text = self.read("boot.ipxe", self.request(LocalDisk(), reason="rule 2"))
        self.assertIn("# ws1: profile p (rule 2)", text)


class TemplateTests(Case):
    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def test_the_sites_own_come_first(self) -> None:
        self.write("boot.ipxe.j2", "#!ipxe\necho {{ who }} {{ plan.profile }}\n\n\n\nend")
        request = self.request(LocalDisk())
        own = self.read("boot.ipxe", request, self.folder)
        self.assertEqual(own, "#!ipxe\necho ws1 p\n\nend\n")
        self.assertIn("exit 1", self.read("grub/grub.cfg", request, self.folder))

    def test_a_word_that_is_not_there(self) -> None:
        """It is a mistake of the profile or template, never an empty place in a command line."""
        for arguments in ("disk={{ machine.labels.dsik }}", "{{ mashine.name }}", "{{ who"):
            request = self.request(Files("k", (), arguments))
            opening = self.store().open(ContentPath.parse("boot.ipxe"), request)
            self.assertRaises(PolicyError, result_of, opening)

    def test_mistakes_show_at_start(self) -> None:
        self.write("grub.cfg.j2", "\n{% if %}\n")
        error = self.assertRaises(ConfigError, self.store, self.folder)
        self.assertEqual(error.location.file, str(self.folder / "grub.cfg.j2"))
        self.assertEqual(error.location.line, 2)
        error = self.assertRaises(ConfigError, self.store, self.folder / "none")
        self.assertIn("no such folder", str(error))
