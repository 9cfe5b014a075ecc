"""Machines that load by NFS."""

from __future__ import annotations

import hashlib
import os
import shutil

from bootlab.lab import CACHE
from bootlab.linux import NFS_READ, linux
from bootlab.machines import Firmware
from bootlab.processes import run
from tests.e2e.case import PATIENCE, BootCase

#: Where the large file has more than a hole: at its ends, and beyond 4 GiB; in pages.
PLACES = (0, 1310720, 2621439)


class NfsTests(BootCase):
    def prepare(self) -> None:
        folder = self.site.parent
        shutil.copy(linux(CACHE).nfs, folder / "tftpboot" / "lab" / "nfs.gz")
        self.tree = folder / "tree"
        (self.tree / "many").mkdir(parents=True)

    def test_ipxe_loads_by_nfs(self) -> None:
        """iPXE asks the portmapper, mounts the folder of each file."""
        self.serve("nfs.ini")
        machine = self.boot("bios-ipxe", Firmware.BIOS)
        self.assert_booted(machine, "bios-ipxe")
        paths = [path.partition("?")[0] for path in self.asked("http")]
        self.assertEqual({path.rpartition("/")[2] for path in paths}, {"boot.ipxe"})
        self.server.wait_for("mounted /lab/lab", 10)

    def test_linux_reads_a_large_tree(self) -> None:
        """100,000 files, a fifth of them in one folder, each 50th with something in it, and one of
        10 GB, mostly holes.
        """
        self.serve("nfs.ini")
        many = self.tree / "many"
        names = [f"d{n // 1000}/f{n}" for n in range(80_000)]
        names += [f"wide/f{n}" for n in range(20_000)]
        for folder in {name.partition("/")[0] for name in names}:
            (many / folder).mkdir()
        run("xargs", "touch", cwd=many, stdin="\n".join(names))
        written = {name: os.urandom(n % 5000 + 1) for n, name in enumerate(names) if n % 50 == 0}
        for name, data in written.items():
            (many / name).write_bytes(data)
        pieces = [os.urandom(4096) for _ in PLACES]
        with (self.tree / "large").open("wb") as file:
            for place, piece in zip(PLACES, pieces, strict=True):
                file.seek(place * 4096)
                file.write(piece)
        machine = self.boot("uefi-ipxe", Firmware.UEFI)
        told = machine.wait_for(NFS_READ, PATIENCE).groupdict()
        names.sort(key=lambda name: f"{name} ")
        sizes = "".join(f"./{name} {len(written.get(name, b''))}\n" for name in names)
        self.assertEqual(told["sizes"], hashlib.sha256(sizes.encode()).hexdigest())
        content = b"".join(written[name] for name in names if name in written)
        self.assertEqual(told["content"], hashlib.sha256(content).hexdigest())
        self.assertEqual(told["pieces"], hashlib.sha256(b"".join(pieces)).hexdigest())
        self.assertIn("Read-only file system", told["written"])
        self.assert_booted(machine, "uefi-ipxe")
