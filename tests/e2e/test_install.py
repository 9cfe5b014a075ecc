"""Debian's own installer, which gets secret answers by its token, and ends its order."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

from bootlab import disks
from bootlab.machines import Firmware, Machine
from bootlab.network import Lan
from bootlab.processes import run
from bootlab.server import pxetwist
from tests.e2e.case import PATIENCE, BootCase

_INSTALLER = Path("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64")
_HASH = "$6$0815$pxetwistpxetwist"


class InstallTests(BootCase):
    def setUp(self) -> None:
        super().setUp()
        secret = self.lab.folder / "root.hash"
        secret.touch(mode=0o600)
        secret.write_text(_HASH + "\n")

    def prepare(self) -> None:
        folder = self.site.parent
        for words in (("init",), ("issue", Lan.address)):
            pxetwist("pki", words[0], str(self.site), *words[1:])
        content = folder / "tftpboot" / "debian"
        content.mkdir()
        for name in ("linux", "initrd.gz"):
            shutil.copy(_INSTALLER / name, content)
        authority = folder / "pki" / "ca.pem"
        name = run("openssl", "x509", "-noout", "-hash", "-in", str(authority)).strip()
        certificates = folder / "initrd" / "etc" / "ssl" / "certs"
        certificates.mkdir(parents=True)
        shutil.copy(authority, certificates / f"{name}.0")
        paths = ["etc", "etc/ssl", "etc/ssl/certs", f"etc/ssl/certs/{name}.0"]
        packed = subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"],
            cwd=folder / "initrd",
            input="\n".join(paths).encode(),
            capture_output=True,
            check=True,
        )
        (content / "authority.gz").write_bytes(gzip.compress(packed.stdout))

    def test_install_once(self) -> None:
        self.serve("install.ini")
        pxetwist("order", str(self.site), "bios-ipxe", "debian")
        installer = self.boot("bios-ipxe", Firmware.BIOS)
        installer.wait_for(re.escape(f"PXETWIST-PRESEEDED {_HASH}"), PATIENCE)
        address = self.known["bios-ipxe"]["address"]
        given = rf"bios-ipxe https: preseed\.cfg of profile debian is given to {address}\n"
        self.server.wait_for(given, 5)
        self.server.wait_for("bios-ipxe http: says done: answers are here", PATIENCE)
        self.assertRegex(pxetwist("order", str(self.site), "--list"), r"bios-ipxe +debian +done ")
        disk = disks.bios_disk(self.lab.folder / "disk.img")
        mac = self.known["bios-ipxe"]["mac"]
        again = self.lab.boot(Machine("bios-ipxe-again", mac, Firmware.BIOS, disk))
        again.wait_for(disks.MARKER, PATIENCE)
        self.assertNotIn(_HASH, self.server.text)
        self.assertNotIn("Traceback", self.server.text)
