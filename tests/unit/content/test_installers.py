"""Files that Windows and ESXi are given, made for one machine and for nobody else."""

from __future__ import annotations

import shlex
from xml.etree import ElementTree

import attrs

from pxetwist.content import bootcfg
from pxetwist.content.installers import batch_words, windows_name
from pxetwist.content.rendered import RenderedStore, Settings, build
from pxetwist.errors import ConfigErrors, ContentIncomplete, ContentNotFound, Location, PolicyError
from pxetwist.model.answer import Answer, Value
from pxetwist.model.boot import BootPlan, BootRequest, Protocol, Resolution, Verdict
from pxetwist.model.boots import Menu, MenuEntry
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.installers import Windows
from pxetwist.model.machine import Machine
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.testing import FakeBoot, MemoryStore, make_site
from tests.unit.content.test_rendered import MAC, Case

WINDOWS = BootProfile("win 11", ProfileKind.WINDOWS, media={"": "win11"})
ESXI = BootProfile("esxi", ProfileKind.ESXI, media={"": "esxi8"}, arguments={"": "a={{ who }}"})
MEDIUM = """\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/b.b00
kernelopt=runweasel cdromBoot
# modules=/none
modules=/jumpstrt.gz --- /useropts.gz---/s.v00 x=1
build=8.0.2
"""


def values(secret: bool = False, profile: str = "win 11", **texts: str) -> Answer:
    found = {name: Value(text, "a file" if secret else "") for name, text in texts.items()}
    return Answer(profile, "", found, secret=secret, location=Location("pxe.ini", 7))


FOLDER = "http://10.0.0.1:8080/answer/TOKEN"
SCHEMA = "{urn:schemas-microsoft-com:unattend}"


class BrokenBoot(FakeBoot):
    """No directory can be asked."""

    async def resolve(self, request: BootRequest) -> Resolution:
        return Resolution(request, Verdict.BROKEN, reason="no directory")


class InstallerCase(Case):
    """A site with a Windows and an ESXi, and their media."""

    def setUp(self) -> None:
        super().setUp()
        self.boot = FakeBoot(machine=Machine("ws<1>&", (MAC,), labels={"locale": "de_DE.UTF-8"}))
        self.boot.tokens = {
            f"install/{name}:T": (ClientIdentity(mac=MAC), "1a2b") for name in ("win 11", "esxi")
        }
        names = (
            "win11/bootmgr",
            "win11/boot/boot.sdi",
            "win11/sources/boot.wim",
            "loaders/wimboot",
        )
        self.files = MemoryStore(dict.fromkeys(names, b"x") | {"esxi8/boot.cfg": MEDIUM.encode()})

    def store(self, templates: object = None) -> RenderedStore:
        profiles = {each.name: each for each in (WINDOWS, ESXI)}
        store = build(Settings(), make_site(self.boot, profiles=profiles))
        self.boot.stores = (store, self.files)
        return store

    def asked(self, profile: BootProfile) -> BootRequest:
        plan = profile.plan(None)
        self.boot.plan = plan
        return attrs.evolve(self.request(None), plan=plan, machine=self.boot.machine)

    def made(self, name: str) -> str:
        """Return a file that is asked for by its token, as by somebody whom nobody knows."""
        stranger = attrs.evolve(self.request(None), identity=ClientIdentity(), machine=None)
        return self.read(name, stranger)


class WindowsTests(InstallerCase):
    def test_script(self) -> None:
        """What no store has is left out; wimboot finds its own."""
        text = self.read("boot.ipxe", self.asked(WINDOWS))
        base = "http://10.0.0.1:8080"
        own = f"{base}/install/win%2011/TOKEN"
        self.assert_lines(
            text,
            f"kernel {base}/loaders/wimboot  || goto failed",
            f"initrd --name bootmgr {base}/win11/bootmgr bootmgr || goto failed",
            f"initrd --name boot.sdi {base}/win11/boot/boot.sdi boot.sdi || goto failed",
            f"initrd --name boot.wim {base}/win11/sources/boot.wim boot.wim || goto failed",
            f"initrd --name unattend.xml {own}/unattend.xml unattend.xml || goto failed",
            f"initrd --name winpeshl.ini {own}/winpeshl.ini winpeshl.ini || goto failed",
            f"initrd --name startnet.cmd {own}/startnet.cmd startnet.cmd || goto failed",
            "boot || goto failed",
        )

    def test_no_other_loader(self) -> None:
        request = self.asked(WINDOWS)
        for name in ("grub/grub.cfg", "pxelinux.cfg/default"):
            self.assertRaises(ContentNotFound, self.read, name, request)

    def test_unattend(self) -> None:
        """What directories say is data, whatever it looks like."""
        self.asked(attrs.evolve(WINDOWS, answer=values(locale="{{ machine.labels.locale }}")))
        text = self.made("install/win 11/T/unattend.xml")
        root = ElementTree.fromstring(text.encode())
        self.assertEqual(root.findtext(f".//{SCHEMA}ComputerName"), "ws-1")
        self.assertEqual(root.findtext(f".//{SCHEMA}UILanguage"), "de-DE")
        path = root.findtext(f".//{SCHEMA}Path") or ""
        self.assertIn("http://10.0.0.1:8080/callback/TOKEN/done", path)
        self.assertEqual(
            {each.get("processorArchitecture") for each in root.iter(f"{SCHEMA}component")},
            {"amd64"},
        )

    def test_a_name_begins_no_line(self) -> None:
        """Nor does it end a comment."""
        self.boot.machine = Machine("a---b\nc", (MAC,))
        self.asked(WINDOWS)
        ElementTree.fromstring(self.made("install/win 11/T/unattend.xml").encode())
        self.asked(ESXI)
        self.assertIn("# a---b c: profile esxi\n", self.made("install/esxi/T/ks.cfg"))
        self.assertIn(" for a---b c\n", self.made("install/esxi/T/boot.cfg"))

    def test_commands(self) -> None:
        share = attrs.evolve(WINDOWS, share=r"\\s\50%", texts={"more.bat": "{{ boot.share }}\n"})
        self.asked(share)
        text = self.made("install/win 11/T/startnet.cmd")
        self.assertIn("echo ws^<1^>^&: win 11\r\n", text)
        self.assertIn('net use Z: "\\\\s\\50%%"', text)
        self.assertEqual(text.count("\n"), text.count("\r\n"))
        self.assertEqual(self.made("install/win 11/T/more.bat"), "\\\\s\\50%\r\n")
        shell = self.made("install/win 11/T/winpeshl.ini")
        self.assertTrue(shell.startswith("[LaunchApps]\r\n%SYSTEMROOT%"))

    def test_names_of_computers(self) -> None:
        for name, spelled in (
            ("PC_12.lab.example", "PC_12"),
            ("pc 12 (old)", "pc-12-old"),
            ("a-very-long-name-of-a-machine", "a-very-long-nam"),
            ("pc-of-fourteen-x", "pc-of-fourteen"),
            ("büro", "büro"),
            ("0412", "*"),
            ("...", "*"),
        ):
            self.assertEqual(windows_name(name), spelled)

    def test_batch_words(self) -> None:
        self.assertEqual(batch_words('a&b|c>d%e^f"g\r\nh!'), 'a^&b^|c^>d%%e^^f^"gh^!')

    def test_own_template(self) -> None:
        self.asked(attrs.evolve(WINDOWS, texts={"unattend.xml": "<a>{{ who }}</a>"}))
        self.assertEqual(self.made("install/win 11/T/unattend.xml"), "<a>ws&lt;1&gt;&amp;</a>")
        self.asked(attrs.evolve(WINDOWS, texts={"unattend.xml": "{{ zonk }}"}))
        error = self.assertRaises(PolicyError, self.made, "install/win 11/T/unattend.xml")
        self.assertIn("template unattend.xml: 'zonk' is undefined", str(error))

    def test_in_a_menu(self) -> None:
        """The entry counts; what a password opens is told by the token."""
        windows = WINDOWS.plan(None).boot
        assert isinstance(windows, Windows)
        entry = MenuEntry("win 11", "Windows", attrs.evolve(windows, share="s"), locked=True)
        self.boot.plan = BootPlan(Menu("?", (entry,), "win 11"), "menu")
        self.assertIn('"s"', self.made("install/win 11/T/startnet.cmd"))

    def test_menu_leaves_out(self) -> None:
        windows = WINDOWS.plan(None).boot
        assert isinstance(windows, Windows)
        entry = MenuEntry("win", "Windows", windows)
        self.assertIn(":win\n", self.text("ipxe", Menu("?", (entry,), "win")))
        self.files = MemoryStore({"loaders/wimboot": b"x"})
        self.assertNotIn(":win\n", self.text("ipxe", Menu("?", (entry,), "win")))

    def test_whose_boot_is_over(self) -> None:
        self.boot.plan = None
        self.assertIn("setup.exe", self.made("install/win 11/T/startnet.cmd"))

    def test_wrong_tokens(self) -> None:
        """Of another profile, of none, or invented."""
        self.asked(WINDOWS)
        for name in ("win 11/X", "esxi/X", "none/T", "win 11/T/.."):
            path = f"install/{name}/unattend.xml".replace("T/../", "")
            self.assertRaises(ContentNotFound, self.made, path)
        for name in ("zonk.xml", "ks.cfg", "boot.cfg"):
            self.assertRaises(ContentNotFound, self.made, f"install/win 11/T/{name}")

    def test_broken_directory(self) -> None:
        """The machine is told to come again, not that there is no such file."""
        self.boot = BrokenBoot(tokens=self.boot.tokens)
        error = self.assertRaises(PolicyError, self.made, "install/win 11/T/unattend.xml")
        self.assertEqual(str(error), "no directory")


class SecretTests(InstallerCase):
    """With a secret value, what is made is given as any secret answer is."""

    windows = attrs.evolve(WINDOWS, answer=values(True, administrator_password="p<&%1"))

    def granted(self, profile: BootProfile, file: str) -> str:
        return self.read(file, attrs.evolve(self.asked(profile), granted=profile.name))

    def test_script(self) -> None:
        text = self.read("boot.ipxe", self.asked(self.windows))
        for name in ("unattend.xml", "winpeshl.ini", "startnet.cmd"):
            self.assertIn(f"initrd --name {name} {FOLDER}/{name} {name} ||", text)
        self.assertNotIn("/install/", text)

    def test_not_for_the_other_token(self) -> None:
        self.asked(self.windows)
        for name in ("unattend.xml", "startnet.cmd"):
            self.assertRaises(ContentNotFound, self.made, f"install/win 11/T/{name}")

    def test_granted(self) -> None:
        root = ElementTree.fromstring(self.granted(self.windows, "unattend.xml"))
        self.assertEqual(root.findtext(f".//{SCHEMA}AdministratorPassword/{SCHEMA}Value"), "p<&%1")
        share = values(True, share_user=r"lab\\join", share_password="50%&")
        text = self.granted(attrs.evolve(WINDOWS, share=r"\\s\w", answer=share), "startnet.cmd")
        self.assertIn('net use Z: "\\\\s\\w" "50%%&" /user:"lab\\\\join" &&', text)
        self.assertRaises(ContentNotFound, self.granted, self.windows, "zonk")
        for odd in ('a" & format c:', "a\nb"):
            share = values(True, share_user="join", share_password=odd)
            broken = attrs.evolve(WINDOWS, share=r"\\s\w", answer=share)
            error = self.assertRaises(PolicyError, self.granted, broken, "startnet.cmd")
            self.assertNotIn(odd, str(error))

    def test_kickstart(self) -> None:
        """boot.cfg is no secret: it says where the secret is."""
        esxi = attrs.evolve(ESXI, answer=values(True, "esxi", root_password="$6$x"))
        self.asked(esxi)
        self.assertIn(f" ks={FOLDER}/ks.cfg ", self.made("install/esxi/T/boot.cfg"))
        self.assertRaises(ContentNotFound, self.made, "install/esxi/T/ks.cfg")
        self.assertIn("rootpw --iscrypted '$6$x'\n", self.granted(esxi, "ks.cfg"))

    def test_mistakes(self) -> None:
        for profile, expected in (
            (
                attrs.evolve(WINDOWS, answer=values(administrator_passwort="x")),
                "pxe.ini:7: [profile:win 11] answer.administrator-passwort: no file that is made"
                " looks at it; did you mean answer.administrator-password?",
            ),
            (
                attrs.evolve(ESXI, texts={"ks.cfg": "a\n{% if %}"}),
                ": [profile:esxi] files.ks.cfg, line 2: Expected an expression, got 'end of"
                " statement block'",
            ),
        ):
            site = make_site(self.boot, profiles={profile.name: profile})
            error = self.assertRaises(ConfigErrors, build, Settings(), site)
            self.assertEqual(str(error), expected)
        own = attrs.evolve(WINDOWS, texts={"a.txt": "{{ zonk }}"}, answer=values(zonk="x"))
        build(Settings(), make_site(self.boot, profiles={"win 11": own}))


class EsxiTests(InstallerCase):
    def test_script(self) -> None:
        base = "http://10.0.0.1:8080"
        self.assert_lines(
            self.read("boot.ipxe", self.asked(ESXI)),
            f"kernel {base}/esxi8/mboot.c32 -c {base}/install/esxi/TOKEN/boot.cfg || goto failed",
            "boot || goto failed",
        )

    def test_boot_cfg(self) -> None:
        self.asked(ESXI)
        base = "http://10.0.0.1:8080"
        expected = [
            "title=Loading ESXi installer for ws<1>&",
            f"prefix={base}/esxi8",
            "kernel=b.b00",
            f"kernelopt=runweasel ks={base}/install/esxi/TOKEN/ks.cfg a=ws<1>&",
            "modules=jumpstrt.gz --- useropts.gz --- s.v00 x=1",
            "bootstate=0",
            "timeout=5",
            "build=8.0.2",
        ]
        self.assertEqual(self.made("install/esxi/T/boot.cfg").splitlines(), expected)

    def test_mboot_without_ipxe(self) -> None:
        """Firmware has started it by TFTP: it asks beside itself, and knows no URLs."""
        request = attrs.evolve(self.asked(ESXI), protocol=Protocol.TFTP)
        folder = MAC.replace(":", "-")
        for name in (f"esxi8/efi/boot/01-{folder}/boot.cfg", "esxi8/efi/boot/boot.cfg"):
            self.assertIn("\nprefix=esxi8\n", self.read(name, request))
        other = "esxi8/01-52-54-00-00-00-01/boot.cfg"
        self.assertRaises(ContentNotFound, self.read, other, request)
        linux = attrs.evolve(request, plan=None)
        self.assertRaises(ContentNotFound, self.read, "esxi8/boot.cfg", linux)

    def test_no_medium(self) -> None:
        self.asked(ESXI)
        self.files = MemoryStore({})
        error = self.assertRaises(ContentIncomplete, self.made, "install/esxi/T/boot.cfg")
        self.assertIn("no content store has esxi8/boot.cfg", str(error))

    def test_kickstart(self) -> None:
        self.asked(ESXI)
        text = self.made("install/esxi/T/ks.cfg")
        self.assertIn("\ninstall --firstdisk --preservevmfs\n", text)
        self.assertIn('"http://10.0.0.1:8080/callback/TOKEN/done"', text)
        self.assertNotIn("rootpw", text)
        self.boot.machine = Machine("esx1", (MAC,))
        self.asked(attrs.evolve(ESXI, answer=values(root_password="$6$x")))
        text = self.made("install/esxi/T/ks.cfg")
        self.assertIn("\nrootpw --iscrypted '$6$x'\n", text)
        self.assertIn(" --hostname=esx1\n", text)

    def test_any_value_is_one_word_of_the_kickstart(self) -> None:
        """ESXi's installer reads lines as Python's shlex does."""
        odd = 'a\'b "c" #d $e \\f é'
        self.boot.machine = Machine(odd, (MAC,))
        self.asked(attrs.evolve(ESXI, answer=values(root_password=odd)))
        lines = self.made("install/esxi/T/ks.cfg").partition("%post")[0].splitlines()
        words = [shlex.split(line, comments=True) for line in lines]
        self.assertIn(["rootpw", "--iscrypted", odd], words)
        self.assertIn(f"--hostname={odd}", [word for each in words for word in each])


class BootCfgTests(Case):
    def test_as_mboot_reads_it(self) -> None:
        found = bootcfg.parse(
            " Kernel =\t/a b\r\n#x=1\n modules = /c --- --- /d e\nkernel=/f\nzonk\n"
        )
        self.assertEqual(found, {"kernel": "/f", "modules": "/c --- --- /d e"})
        self.assertEqual(bootcfg.files(found), ["f", "c", "d"])

    def test_what_it_must_have(self) -> None:
        for text in ("", "kernel=a\n", "modules=b\nkernel=\n"):
            self.assertRaises(PolicyError, bootcfg.parse, text)
