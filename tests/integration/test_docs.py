"""The tutorial's plugins, used as its readers use them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "plugins" / "example"
BIN = Path(sys.executable).parent
PATIENCE = 120  # seconds

#: Asks the example what a machine boots, at a time that is given; the server's own code answers.
ASK = """
import sys
from datetime import datetime
from pathlib import Path
from twisted.internet.task import Clock
from pxetwist.config.assemble import assemble
from pxetwist.config.load import load
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import result_of

clock = Clock()
clock.advance(datetime.fromisoformat(sys.argv[1]).timestamp())
boot = assemble(load(Path("pxe.ini")), clock).boot
identity = ClientIdentity(mac=sys.argv[2])
request = BootRequest(identity, BootStage.FIRMWARE, Protocol.DHCP)
plan = result_of(boot.resolve(request)).plan
print(plan.profile, plan.policy, plan.loader or "any")
"""


class Tutorial(TestCase):
    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name) / "example"
        left_out = shutil.ignore_patterns("__pycache__", "dropin.cache", "var")
        shutil.copytree(EXAMPLE, self.folder, ignore=left_out)
        for path in (self.folder / "plugins", *(self.folder / "plugins").iterdir()):
            path.chmod(path.stat().st_mode & ~0o022)  # a checkout may be writable by a group

    def run_command(self, *command: str | Path, code: int = 0, **environment: str) -> str:
        """Run a command in the example's folder and return all that it printed."""
        ended = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(ended.returncode, code, ended.stdout)
        return ended.stdout

    def pxetwist(self, *arguments: str, code: int = 0, **environment: str) -> str:
        return self.run_command(BIN / "pxetwist", *arguments, code=code, **environment)

    def replace(self, file: str, old: str, new: str) -> None:
        """Change a text of the example that must be there."""
        text = (self.folder / file).read_text()
        self.assertIn(old, text)
        (self.folder / file).write_text(text.replace(old, new))

    def test_its_own_tests(self) -> None:
        told = self.run_command(sys.executable, "-m", "unittest")
        self.assertRegex(told, r"Ran 1\d tests")  # the contracts are among them

    def test_check(self) -> None:
        told = self.pxetwist("check", "pxe.ini").splitlines()
        self.assertEqual(told[-1], "pxe.ini: no mistakes; services: dhcp, tftp, http")

    def test_plugins(self) -> None:
        told = self.pxetwist("plugins", "--site-plugins", "plugins", "inventory")
        page = (EXAMPLE.parent / "tutorial.rst").read_text()
        for line in told.strip().splitlines():
            self.assertIn(f"   {line}\n", page)

    def test_explain(self) -> None:
        told = self.pxetwist("explain", "pxe.ini", "--mac", "52:54:00:00:14:13")
        self.assertIn("hosts inventory: machine pc-0413", told)
        self.assertRegex(told, r"night: (no, \d\d:\d\d is not )?between 20:00 - 06:00")
        self.assertIn("yiaddr 10.0.0.13", told)
        self.assertIn("boot file loaders/shimx64.efi", told)

    def test_decisions(self) -> None:
        for time, mac, expected in (
            ("2026-11-23T12:00", "52:54:00:00:04:12", "classroom day any"),
            ("2026-11-23T23:00", "52:54:00:00:04:12", "compute night any"),
            ("2026-11-23T12:00", "52:54:00:00:04:13", "classroom day grub"),
            ("2026-11-23T23:00", "52:54:00:00:04:13", "compute night grub"),
            ("2026-11-23T23:00", "52:54:00:00:07:07", "local day any"),
            ("2026-11-23T23:00", "52:54:00:99:99:99", "local day any"),
        ):
            told = self.run_command(sys.executable, "-c", ASK, time, mac)
            self.assertEqual(told.strip(), expected, (time, mac))

    def test_mistakes(self) -> None:
        """The messages that the page shows."""
        page = (EXAMPLE.parent / "tutorial.rst").read_text()
        self.replace("pxe.ini", "20:00 - 06:00", "8 pm - 6 am")
        told = self.pxetwist("check", "pxe.ini", code=1)
        self.assertIn(f"   {told}", page)
        self.replace("pxe.ini", "8 pm - 6 am", "20:00 - 06:00")
        self.replace("inventory.csv", "52:54:00:00:04:13 52:54:00:00:14:13", "52:54:zz")
        told = self.pxetwist("check", "pxe.ini", code=1)
        self.assertIn(f"   {told.replace(f'{self.folder}/', '')}", page)
        self.replace("inventory.csv", "52:54:zz", "52:54:00:00:04:13")
        self.replace("pxe.ini", "profile = compute", "profile = computer")
        told = self.pxetwist("check", "pxe.ini", code=1)
        self.assertEqual(
            told, "pxe.ini:18: [policy:night] profile: there is no [profile:computer]\n"
        )

    def test_as_a_package(self) -> None:
        """The same files from pip; with both, the mistake names both sources."""
        target = self.folder / "installed"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
        place = ("--no-build-isolation", "--target", target)
        self.run_command(*pip, *place, ".", PIP_ROOT_USER_ACTION="ignore")
        path = str(target)
        told = self.pxetwist("plugins", "inventory", PYTHONPATH=path)
        self.assertIn("(from distribution campus-pxetwist)", told)
        told = self.pxetwist("check", "pxe.ini", code=1, PYTHONPATH=path)
        self.assertIn("hosts plugin 'inventory' comes from twisted.plugins.inventory", told)
        self.assertIn("and from distribution campus-pxetwist", told)
        self.replace("pxe.ini", "site-plugins = plugins\n", "")
        self.pxetwist("check", "pxe.ini", PYTHONPATH=path)
