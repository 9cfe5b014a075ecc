"""What `pxetwist loaders` finds in packages, what it copies, and what it leaves alone."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from pxetwist.cli import main
from pxetwist.cli.loaders import OFFERS, SOURCES, Source
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = tftp
content = files
[content:files]
plugin = directory
root = served
[profile:memtest]
kind = linux
kernel.x64 = /memtest/memtest.efi
kernel.bios = memtest/memtest.bin
"""
RESCUE = "".join(
    f"[profile:rescue]\nkind = linux\nkernel = rescue/{os.uname().machine}/vmlinuz\n"
    f"initrds = http://10.0.0.1/other rescue/{os.uname().machine}/initrd.img\n"
)


class Loaders(IniCase):
    """Packages are unpacked in the folder ``system``, served is ``served``."""

    def setUp(self) -> None:
        super().setUp()
        self.served = self.folder / "served"
        self.served.mkdir()
        self.write("pxe.ini", INI)
        for source in SOURCES:
            if "arm64" not in source.package:
                self.provide(source)

    def provide(self, source: Source, text: str = "x") -> Path:
        return self.write(f"system/{source.file.lstrip('/')}".replace("*", "12"), text)

    def run_command(self, *arguments: str) -> tuple[int, str]:
        output = StringIO()
        words = [str(self.folder / "pxe.ini"), "--from", str(self.folder / "system"), *arguments]
        with redirect_stdout(output):
            code = main(["loaders", *words])
        return code, output.getvalue()

    def files(self) -> set[str]:
        return {str(f.relative_to(self.served)) for f in self.served.rglob("*") if f.is_file()}

    def test_shims_manager_of_keys(self) -> None:
        """The signed one of Debian goes before the other; without any nothing is missing."""
        self.assertEqual(self.run_command("--install")[0], 0)
        self.assertNotIn("loaders/mmx64.efi", self.files())
        self.write("system/usr/lib/shim/mmx64.efi", "unsigned")
        for ending, text in (("", "unsigned"), (".signed", "signed")):
            self.write(f"system/usr/lib/shim/mmx64.efi{ending}", text)
            self.assertEqual(self.run_command("--install")[0], 0)
            self.assertEqual((self.served / "loaders/mmx64.efi").read_text(), text)
        self.assertNotIn("mmaa64", self.run_command()[1])

    def test_nothing_is_copied_unasked(self) -> None:
        code, output = self.run_command()
        self.assertEqual((code, self.files()), (0, set()))
        self.assertIn("loaders/snponly.efi", output)
        self.assertIn("can be installed", output)

    def test_what_machines_are_given(self) -> None:
        own = "".join(
            f"[loader:{name}]\narchitecture = x64\nfamily = ipxe\nfile = {name}.efi\n"
            for name in ("snp", "native")
        )
        self.write("pxe.ini", INI + own)
        output = self.run_command()[1]
        self.assertRegex(output, r"x64 +ipxe +snp\.efi, then native\.efi\n")
        self.assertRegex(output, r"bios +ipxe +loaders/undionly\.kpxe\n")

    def test_loaders_are_installed(self) -> None:
        self.run_command("--install")
        expected = {each.target for each in SOURCES if "arm64" not in each.package}
        self.assertEqual(self.files(), expected)

    def test_a_missing_loader_counts(self) -> None:
        (self.folder / "system/usr/lib/ipxe/snponly.efi").unlink()
        code, output = self.run_command()
        self.assertEqual(code, 1)
        self.assertIn("missing packages: apt-get install ipxe\n", output)

    def test_a_missing_offer_does_not(self) -> None:
        code, output = self.run_command("--install", "--quiet")
        self.assertEqual(code, 0)
        self.assertIn("more for menus: apt-get install memtest86+\n", output)
        self.assertNotIn("debian-installer", output)  # no profile wants it

    def test_offers_that_profiles_name_are_installed(self) -> None:
        for offer in OFFERS:
            self.provide(offer)
        self.run_command("--install")
        more = {file for file in self.files() if not file.startswith("loaders/")}
        self.assertEqual(more, {"memtest/memtest.efi", "memtest/memtest.bin"})
        self.write("pxe.ini", INI + RESCUE)
        self.run_command("--install")
        rescue = {file for file in self.files() if file.startswith("rescue/")}
        self.assertEqual(len(rescue), 2)

    def test_what_only_root_may_read_is_not_for_everybody(self) -> None:
        """Debian makes an initrd with keys in it unreadable."""
        self.write("pxe.ini", INI + RESCUE)
        kernel, initrd = (self.provide(each) for each in OFFERS if not each.package)
        initrd.chmod(0o600)
        _, output = self.run_command("--install")
        machine = os.uname().machine
        self.assertIn(f"rescue/{machine}/vmlinuz", self.files())
        self.assertNotIn(f"rescue/{machine}/initrd.img", self.files())
        self.assertIn("not for everybody to read", output)
        self.assertTrue(kernel.exists())

    def test_quiet_tells_news_only(self) -> None:
        _, output = self.run_command("--install", "--quiet")
        lines = output.splitlines()[:-1]
        self.assertTrue(all(line.endswith("installed now") for line in lines), output)
        _, output = self.run_command("--install", "--quiet")
        self.assertEqual(output, "more for menus: apt-get install memtest86+\n")

    def test_a_newer_file_takes_the_place_of_the_old_one(self) -> None:
        self.run_command("--install")
        source = next(each for each in SOURCES if each.target.endswith("snponly.efi"))
        self.provide(source, "newer")
        self.run_command("--install")
        self.assertEqual((self.served / source.target).read_text(), "newer")

    def test_without_a_folder(self) -> None:
        self.write("pxe.ini", "[pxe]\nservices = tftp\n")
        code, _ = self.run_command()
        self.assertEqual(code, 1)
