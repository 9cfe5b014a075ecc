"""Content stores behind real clients: images, and files that are larger than 4 GiB."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from bootlab.images import mark, sparse_file, sparse_iso
from bootlab.network import Lan
from bootlab.processes import LabError
from tests.integration.case import FilesCase
from tests.unit.content.isos import iso

INI = """
[pxe]
services = tftp, http
policies = main
content = isos, files
state = memory
[policy:main]
plugin = fixed
profile = disk
[profile:disk]
kind = local
[content:isos]
plugin = iso
root = files
[content:files]
plugin = directory
root = files
listing = yes
"""
URL = f"http://{Lan.address}"
TFTP = f"tftp://{Lan.address}"


class StoresCase(FilesCase):
    ini = INI
    service = "http"

    def curl(self, *words: str) -> bytes:
        into = self.folder / "curl"
        into.unlink(missing_ok=True)
        self.host.run("curl", "-gsSf", "-m", "60", "-o", str(into), *words)
        return into.read_bytes()

    def atftp(self, name: str, *options: str) -> bytes:
        into = self.folder / "atftp"
        words = [word for option in options for word in ("--option", option)]
        self.host.run("atftp", *words, "-g", "-r", name, "-l", str(into), Lan.address)
        return into.read_bytes()


class IsoTests(StoresCase):
    def setUp(self) -> None:
        super().setUp()
        self.inside = {"live/vmlinuz": os.urandom(3_000_000), "live/initrd": os.urandom(70_000)}
        self.image = iso(self.inside)
        (self.files / "images").mkdir()
        (self.files / "images" / "live.iso").write_bytes(self.image)

    def test_files_inside(self) -> None:
        for name, expected in self.inside.items():
            path = f"images/live.iso/{name}"
            self.assertEqual(self.curl(f"{URL}/{path}"), expected)
            self.assertEqual(self.curl("-r", "1000-1999", f"{URL}/{path}"), expected[1000:2000])
            self.assertEqual(self.curl("-r", "-9", f"{URL}/{path}"), expected[-9:])
            several = self.curl("-r", "0-9,50000-60000", f"{URL}/{path}")
            self.assertIn(b"\r\n\r\n" + expected[50000:60001] + b"\r\n--", several)
            for options in ((), ("blksize 1468", "windowsize 16"), ("blksize 65464",)):
                self.assertEqual(self.atftp(path, *options), expected, options)
            self.assertEqual(self.curl("--tftp-blksize", "8192", f"{TFTP}/{path}"), expected)

    def test_the_image_as_a_disk(self) -> None:
        url = f"{URL}/images/live.iso"
        self.assertEqual(self.curl("-r", "32768-34815", url), self.image[32768:34816])
        self.assertEqual(self.curl(url), self.image)

    def test_a_broken_image(self) -> None:
        (self.files / "bad.iso").write_bytes(self.image[:100_000])
        status = ("-o", "/dev/null", "-w", "%{http_code}")
        asked = self.host.run("curl", "-sS", *status, f"{URL}/bad.iso/live/vmlinuz")
        self.assertEqual(asked, "404")
        self.server.wait_for(r"Cannot read image \S*/files/bad\.iso: ", 10)
        path = "images/live.iso/live/initrd"
        self.assertEqual(self.curl(f"{URL}/{path}"), self.inside["live/initrd"])

    def test_a_replaced_image(self) -> None:
        self.assertEqual(
            self.curl(f"{URL}/images/live.iso/live/initrd"), self.inside["live/initrd"]
        )
        new = self.files / "new"
        new.write_bytes(iso({"other": b"-" * 5000, "live/initrd": b"another"}))
        new.replace(self.files / "images" / "live.iso")
        self.assertEqual(self.curl(f"{URL}/images/live.iso/live/initrd"), b"another")


class ListingTests(StoresCase):
    def test_links_lead_to_the_files(self) -> None:
        expected = self.put("a/b c/<i>.txt", 10).read_bytes()
        page = self.curl(f"{URL}/a/").decode()
        (folder,) = re.findall('href="([^"]*)"', page)
        (file,) = re.findall('href="([^"]*)"', self.curl(URL + folder).decode())
        self.assertEqual(self.curl(URL + file), expected)
        with self.assertRaises(LabError):
            self.atftp("a")


class LargeFileTests(StoresCase):
    """More than 4 GiB, of which some places are written; the rest is a hole."""

    SIZE = 4_400_000_007
    PLACES = (0, 0x7FFF_FFF0, 0xFFFF_FFF8, SIZE - 20)

    def setUp(self) -> None:
        super().setUp()
        sparse_file(self.files / "large.img", self.SIZE, self.PLACES)
        sparse_iso(self.files / "large.iso", "install.wim", self.SIZE, self.PLACES)

    def test_ranges(self) -> None:
        for path in ("large.img", "large.iso/install.wim"):
            head = self.host.run("curl", "-sSI", "-m", "60", f"{URL}/{path}")
            self.assertIn(f"Content-Length: {self.SIZE}\n", head)
            for place in self.PLACES:
                found = self.curl("-r", f"{place}-{place + 15}", f"{URL}/{path}")
                self.assertEqual(found, mark(place), (path, place))

    def test_whole_by_tftp(self) -> None:
        """Block 65535 of 65464 bytes is followed by block 0."""
        reader = Path(self.folder, "reader.py")
        reader.write_text(_READ)
        words = ["curl", "-sSf", "-m", "300", "--tftp-blksize", "65464"]
        words.append(f"{TFTP}/large.iso/install.wim")
        command = f"{shlex.join(words)} | python3 {reader} {' '.join(map(str, self.PLACES))}"
        asking = ["bash", "-o", "pipefail", "-c", f"{command} && echo :end"]
        told = self.start(self.host, asking).wait_for(r"(\d+) (.*)\s:end", 300)
        self.assertEqual(int(told[1]), self.SIZE)
        self.assertEqual(told[2].split(), [mark(place).hex() for place in self.PLACES])


#: Prints how much it reads, and what stands at some places.
_READ = """
import sys
places = [int(word) for word in sys.argv[1:]]
found, size = {place: b"" for place in places}, 0
while data := sys.stdin.buffer.read(1 << 20):
    for place in places:
        if place < size + len(data) and place + 16 > size:
            found[place] += data[max(place - size, 0) : place + 16 - size]
    size += len(data)
print(size, *(each.hex() for each in found.values()))
"""
