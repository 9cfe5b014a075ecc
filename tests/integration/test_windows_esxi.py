"""Windows and ESXi as their loaders ask: real TFTP clients with odd names, curl, real parsers."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

from bootlab.media import ESXI, esxi_medium, windows_medium
from bootlab.network import Lan, Namespace
from bootlab.processes import LabError, run
from tests.integration.case import ServedCase

INI = """
[pxe]
services = tftp, http
hosts = known
policies = orders, main
content = scripts, files
state = memory
[hosts:known]
plugin = static
file = hosts.csv
[policy:orders]
then = disk
[policy:main]
plugin = rules
rules =
    profile=* -> @profile
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = files
[profile:win10]
kind = windows
media = win10
nbp.bios = win10/boot/pxeboot.n12
[profile:win11]
kind = windows
media = Images/Win11
share = \\\\10.77.0.1\\win11
[profile:esxi]
kind = esxi
media = esxi8
[profile:secret]
extends = win11
answer.administrator-password = file:password
secret-plain = yes
[profile:disk]
kind = local
"""
MACHINES = """\
name,mac,profile
pc1,02:00:00:00:00:01,win10
pc2,02:00:00:00:00:02,win11
esx1,02:00:00:00:00:03,esxi
pc4,02:00:00:00:00:04,secret
"""
PXETWIST = str(Path(sys.executable).parent / "pxetwist")


class InstallerCase(ServedCase):
    """Each of the machines is a host; it is known by its MAC."""

    ini = INI
    machines = MACHINES
    service = "http"

    def prepare(self) -> None:
        self.files = self.folder / "files"
        for name in ("win10", "Images/Win11"):
            windows_medium(self.files / name, self.folder / "work" / name)
        esxi_medium(self.files / "esxi8")
        (self.folder / "password").write_text("a<b&c")
        (self.folder / "password").chmod(0o600)
        (self.files / "loaders").mkdir()
        (self.files / "loaders" / "wimboot").write_bytes(b"wimboot")

    def machine(self, number: int) -> Namespace:
        """Plug in the machine of that line."""
        mac = f"02:00:00:00:00:0{number}"
        return self.lan.host(f"m{number}", f"10.77.0.3{number}/24", mac=mac)

    def curl(self, host: Namespace, url: str, *words: str) -> bytes:
        into = self.folder / "curl"
        into.unlink(missing_ok=True)
        host.run("curl", "-gfsS", "-m", "60", "-A", "iPXE/1.21.1", *words, "-o", str(into), url)
        return into.read_bytes()

    def script(self, host: Namespace, architecture: str) -> list[list[str]]:
        """Return the lines of the machine's iPXE script, in words."""
        url = f"http://{Lan.address}/boot.ipxe?arch={architecture}"
        return [line.split() for line in self.curl(host, url).decode().splitlines()]


class NativeTests(InstallerCase):
    """Boot managers of Windows by TFTP, with the names that they use."""

    def get(self, client: str, host: Namespace, name: str) -> bytes:
        into = self.folder / "got"
        into.unlink(missing_ok=True)
        words = {
            "hpa": ("tftp", "-m", "binary", Lan.address, "-c", "get", name, str(into)),
            "atftp": ("atftp", "-g", "-r", name, "-l", str(into), Lan.address),
            "busybox": ("busybox", "tftp", "-g", "-r", name, "-l", str(into), Lan.address),
            "curl": ("curl", "-gsS", "-o", str(into), f"tftp://{Lan.address}/{name}"),
        }
        host.run("timeout", "60", *words[client])
        return into.read_bytes()

    def test_names(self) -> None:
        """Backslashes, any case, from the root of the machine's own medium."""
        hosts = {"win10": self.machine(1), "Images/Win11": self.machine(2)}
        names = {
            "\\Boot\\BCD": "Boot/BCD",
            "boot\\bcd": "Boot/BCD",
            "\\BOOT\\Boot.SDI": "Boot/boot.sdi",
            "/Boot/fonts\\WGL4_boot.ttf": "Boot/Fonts/wgl4_boot.ttf",
            "\\sources\\BOOT.wim": "sources/boot.wim",
        }
        for medium, host in hosts.items():
            for name, path in names.items():
                expected = (self.files / medium / path).read_bytes()
                for client in ("hpa", "atftp", "busybox"):
                    self.assertEqual(self.get(client, host, name), expected, (client, name))
                coded = name.replace("\\", "%5C")
                self.assertEqual(self.get("curl", host, coded), expected, name)
        native = self.get("hpa", hosts["win10"], "win10\\boot\\PXEboot.n12")
        self.assertEqual(native, (self.files / "win10/Boot/pxeboot.n12").read_bytes())
        self.assertNotIn("Traceback", self.server.text)

    def test_no_other_root(self) -> None:
        """Nobody climbs out of it, and no other machine has that root."""
        host = self.machine(1)
        for name in ("\\..\\..\\pxe.ini", "\\..\\Images\\Win11\\Boot\\BCD", "\\Boot\\BCD.{0c1e}"):
            self.assertRaises(LabError, self.get, "busybox", host, name)
        self.assertRaises(LabError, self.get, "busybox", self.host, "\\Boot\\BCD")


class WindowsTests(InstallerCase):
    def test_whole_set(self) -> None:
        """All that wimboot needs, in the order of the script, and files that are what they say."""
        for number, medium, manager in (
            (1, "win10", "bootmgr"),
            (2, "Images/Win11", "bootx64.efi"),
        ):
            host = self.machine(number)
            words = self.script(host, "bios" if number == 1 else "x64")
            kernel = next(line for line in words if line[:1] == ["kernel"])
            self.assertEqual(self.curl(host, kernel[1]), b"wimboot")
            got = {}
            for line in words:
                if line[:2] == ["initrd", "--name"]:
                    self.assertEqual(line[2], line[4])
                    got[line[2]] = self.curl(host, line[3])
            own = ["unattend.xml", "winpeshl.ini", "startnet.cmd"]
            self.assertEqual(list(got), [manager, "BCD", "boot.sdi", "boot.wim", *own])
            sdi = (self.files / medium / "Boot/boot.sdi").read_bytes()
            self.assertEqual(got["boot.sdi"], sdi)
            wim = self.folder / "boot.wim"
            wim.write_bytes(got["boot.wim"])
            self.assertIn("successfully verified", run("wimlib-imagex", "verify", str(wim)))
            answers = self.folder / "unattend.xml"
            answers.write_bytes(got["unattend.xml"])
            name = "string(//*[local-name()='ComputerName'])"
            found = run("xmllint", "--nonet", "--xpath", name, str(answers)).strip()
            self.assertEqual(found, "pc1" if number == 1 else "pc2")
        commands = got["startnet.cmd"].decode()
        self.assertIn('net use Z: "\\\\10.77.0.1\\win11"', commands)
        self.assertNotIn("Traceback", self.server.text)

    def test_secret(self) -> None:
        """A password is for the machine that was told where it is; no log has it, nor the URL."""
        host, other = self.machine(4), self.machine(2)
        (url,) = [line[3] for line in self.script(host, "x64") if line[2:3] == ["unattend.xml"]]
        self.assertRaises(LabError, self.curl, other, url)
        self.server.wait_for("pc4 http: an answer is refused to 10.77.0.32", 10)
        answers = self.folder / "unattend.xml"
        answers.write_bytes(self.curl(host, url))
        value = "string(//*[local-name()='AdministratorPassword']/*[local-name()='Value'])"
        found = run("xmllint", "--nonet", "--xpath", value, str(answers)).strip()
        self.assertEqual(found, "a<b&c")
        self.server.wait_for("unattend.xml of profile secret is given to 10.77.0.34", 10)
        for hidden in ("a<b", url.split("/")[-2]):
            self.assertNotIn(hidden, self.server.text)

    def test_installs_once(self) -> None:
        """The files of an order that is taken are still there for whom they are made; the next
        boot gets the disk.
        """
        host = self.machine(2)
        run(PXETWIST, "order", str(self.ini_file), "pc2", "win10")
        threading.Event().wait(1.0)  # so long it may take until a server sees it
        script = self.script(host, "x64")
        self.assertIn("win10", " ".join(map(" ".join, script)))
        (answers,) = [line[3] for line in script if line[2:3] == ["unattend.xml"]]
        report = re.search(rb'"(http://\S+)/done"', self.curl(host, answers))
        assert report is not None
        self.curl(host, f"{report[1].decode()}/done", "-d", "installed")
        again = " ".join(map(" ".join, self.script(host, "x64")))
        self.assertIn("then disk", again)
        self.assertNotIn("wimboot", again)
        self.assertIn(b"<unattend", self.curl(host, answers))


def mboot(text: str) -> tuple[str, list[str], str]:
    """Read a boot.cfg as VMware's esx-boot does: prefix, files and the kernel's options."""
    values = {}
    for raw in text.splitlines():
        line = " ".join(raw.split())
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            values[key.strip().lower()] = value.strip()
    items = [values["kernel"], *re.split("---", values["modules"])]
    return values["prefix"], [item.split()[0] for item in items], values["kernelopt"]


class EsxiTests(InstallerCase):
    def test_whole_set(self) -> None:
        """What mboot would do: its configuration, each module from the prefix, the kickstart."""
        host = self.machine(3)
        (kernel,) = [line for line in self.script(host, "x64") if line[:1] == ["kernel"]]
        self.assertEqual(kernel[2], "-c")
        loader = (self.files / "esxi8/EFI/BOOT/BOOTX64.EFI").read_bytes()
        self.assertEqual(self.curl(host, kernel[1]), loader)
        prefix, modules, options = mboot(self.curl(host, kernel[3]).decode())
        self.assertEqual(prefix, f"http://{Lan.address}/esxi8")
        self.assertEqual([each.upper() for each in modules], list(ESXI))
        for module, name in zip(modules, ESXI, strict=True):
            expected = (self.files / "esxi8" / name).read_bytes()
            self.assertEqual(self.curl(host, f"{prefix}/{module}"), expected)
        (kickstart,) = re.findall(r"ks=(\S+)", options)
        self.assertNotIn("cdromBoot", options)
        text = self.curl(host, kickstart).decode()
        self.assertTrue(text.startswith("# esx1: profile esxi\nvmaccepteula\n"), text)
        script = text.partition("%post --interpreter=python --ignorefailure=true\n")[2]
        host.run("python3", "-c", script)  # as the installer does
        self.server.wait_for("esx1 http: says done: ESXi is installed", 10)
        self.assertNotIn("Traceback", self.server.text)

    def test_started_by_firmware(self) -> None:
        """mboot by TFTP asks beside itself, below its MAC first."""
        host = self.machine(3)
        into = self.folder / "boot.cfg"
        name = "esxi8/efi/boot/01-02-00-00-00-00-03/boot.cfg"
        host.run("tftp", "-m", "binary", Lan.address, "-c", "get", name, str(into))
        prefix, modules, options = mboot(into.read_text())
        self.assertEqual((prefix, modules[0]), ("esxi8", "b.b00"))
        self.assertIn(f"ks=http://{Lan.address}/install/esxi/", options)

    def test_wrong_tokens(self) -> None:
        """Each of them is for one machine and one profile."""
        host = self.machine(3)
        (kernel,) = [line for line in self.script(host, "x64") if line[:1] == ["kernel"]]
        url = kernel[3]
        token = url.split("/")[-2]
        swapped = token[:-1] + ("A" if token[-1] != "A" else "B")
        for wrong in (url.replace(token, swapped), url.replace("/esxi/", "/win10/")):
            self.assertRaises(LabError, self.curl, host, wrong)
