"""Real HTTP clients against `twistd pxe`."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from bootlab.network import Lan
from bootlab.processes import wait_until
from tests.integration.case import FilesCase

INI = """
[pxe]
services = http
policies = main
content = files
state = memory
[policy:main]
plugin = fixed
profile = disk
[profile:disk]
kind = local
[content:files]
plugin = directory
root = files
"""
URL = f"http://{Lan.address}"
URL6 = f"http://[{Lan.address6}]"


class HttpClientTests(FilesCase):
    ini = INI
    service = "http"

    def file(self, name: str, size: int) -> bytes:
        return self.put(name, size).read_bytes()

    def curl(self, *words: str) -> bytes:
        into = self.folder / "curl"
        into.write_bytes(b"")
        self.host.run("curl", "-gsS", "-m", "60", "-o", str(into), *words)
        return into.read_bytes()

    def headers(self, *words: str) -> str:
        """Return the header lines, separated by newlines, of one answer."""
        return self.host.run("curl", "-sS", "-m", "60", "-D", "-", "-o", "/dev/null", *words)

    def status(self, target: str) -> int:
        """Ask for a target exactly as it is spelled."""
        words = ("--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", f"{URL}{target}")
        return int(self.host.run("curl", "-sS", "-m", "60", *words))

    def open_files(self) -> int:
        """Return how many files the server holds open."""
        found = 0
        for link in Path(f"/proc/{self.server.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed by now
                found += str(self.files) in os.readlink(link)
        return found

    def test_sizes(self) -> None:
        for size in (0, 1, 65535, 65536, 1_000_000, 80_000_000):
            expected = self.file("boot/file", size)
            self.assertEqual(self.curl(f"{URL}/boot/file"), expected, size)
        into = self.folder / "wget"
        self.host.run("busybox", "wget", "-q", "-O", str(into), f"{URL}/boot/file")
        self.assertEqual(into.read_bytes(), expected)
        self.assertEqual(self.open_files(), 0)

    def test_ipv6(self) -> None:
        """To an address of the network and to that of the link alone; IPv4 goes on beside it."""
        expected = self.file("boot/file", 3_000_000)
        self.assertEqual(self.curl("-6", f"{URL6}/boot/file"), expected)
        self.assertEqual(
            self.curl("-6", "-r", "512-1023", f"{URL6}/boot/file"), expected[512:1024]
        )
        link = f"http://[{self.lan.link_local()}%25eth0]"
        self.assertEqual(self.curl("-6", f"{link}/boot/file"), expected)
        self.assertEqual(self.curl(f"{URL}/boot/file"), expected)
        into = self.folder / "wget"
        self.host.run("busybox", "wget", "-q", "-O", str(into), f"{URL6}/boot/file")
        self.assertEqual(into.read_bytes(), expected)

    def test_headers(self) -> None:
        self.file("grubx64.efi", 3000)
        lines = self.headers(f"{URL}/grubx64.efi").splitlines()
        self.assertEqual(lines[0], "HTTP/1.1 200 OK")
        self.assertEqual(lines[1], "Content-Length: 3000")
        self.assertEqual(lines[2], "Content-Type: application/efi")
        head = self.headers("-I", f"{URL}/grubx64.efi").splitlines()
        self.assertEqual(
            [x for x in lines if "Date" not in x], [x for x in head if "Date" not in x]
        )

    def test_one_connection_for_many_requests(self) -> None:
        expected = self.file("nbp", 3_000_000)
        connections = self.host.run(
            "curl", "-sS", *["-o", "/dev/null", f"{URL}/nbp"] * 5, "-w", "%{num_connects} "
        )
        self.assertEqual(connections, "1 0 0 0 0 ")
        first, second = self.folder / "1", self.folder / "2"
        words = ["-I", f"{URL}/nbp", "--next", "-sS", "-o", str(second), f"{URL}/nbp"]
        self.host.run("curl", "-sS", "-o", str(first), *words)
        self.assertEqual(second.read_bytes(), expected)

    def test_ranges(self) -> None:
        expected = self.file("disk.img", 2_000_000)
        self.assertEqual(self.curl("-r", "512-1023", f"{URL}/disk.img"), expected[512:1024])
        self.assertEqual(self.curl("-r", "1999000-", f"{URL}/disk.img"), expected[1999000:])
        self.assertEqual(self.curl("-r", "-5", f"{URL}/disk.img"), expected[-5:])
        several = self.curl("-r", "0-9,700000-1400000", f"{URL}/disk.img")
        self.assertIn(b"\r\n\r\n" + expected[:10] + b"\r\n--", several)
        self.assertIn(b"\r\n\r\n" + expected[700000:1400001] + b"\r\n--", several)
        into = self.folder / "part"
        into.write_bytes(expected[:1_234_567])
        self.host.run("curl", "-sS", "-C", "-", "-o", str(into), f"{URL}/disk.img")
        self.assertEqual(into.read_bytes(), expected)

    def test_a_cached_file(self) -> None:
        self.file("nbp", 100)
        tag = self.headers(f"{URL}/nbp").split("ETag: ")[1].splitlines()[0]
        same = self.headers("-H", f"If-None-Match: {tag}", f"{URL}/nbp")
        self.assertIn("HTTP/1.1 304 Not Modified\n", same)
        self.file("nbp", 101)
        changed = self.headers("-H", f"If-Match: {tag}", "-r", "50-", f"{URL}/nbp")
        self.assertIn("HTTP/1.1 412 ", changed)

    def test_paths_that_climb_out(self) -> None:
        (self.folder / "secret").write_bytes(b"secret")
        (self.files / "link").symlink_to(self.folder / "secret")
        (self.files / "folder").symlink_to("..")
        for target in (
            "/../secret",
            "/a/../../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/..%5csecret",
            "/..\\secret",
            "/%252e%252e/secret",
            "//../secret",
            f"/{self.folder}/secret",
            "/etc/passwd",
            "/link",
            "/folder/secret",
            "/",
        ):
            self.assertEqual(self.status(target), 404, target)
        self.assertEqual(self.status("/link%00"), 400)

    def test_spellings(self) -> None:
        self.file("EFI/boot x/grubx64.efi", 10)
        for target in (
            "/EFI/boot%20x/grubx64.efi",
            "//EFI//boot%20x//grubx64.efi",
            "/efi/BOOT%20X/GRUBX64.EFI",
            "/EFI%2Fboot%20x/grubx64.efi?mac=52:54:00:00:00:01",
        ):
            self.assertEqual(self.status(target), 200, target)
        for target in ("/EFI", "/EFI/", "//EFI//boot%20x"):
            self.assertEqual(self.status(target), 404, "firmware follows no redirection")

    def test_many_at_once(self) -> None:
        expected = self.file("initrd", 2_000_000)
        words = [
            word
            for number in range(60)
            for word in ("-o", str(self.folder / f"many{number}"), f"{URL}/initrd")
        ]
        self.host.run("curl", "-sS", "-m", "60", "-Z", "--parallel-immediate", *words)
        for number in range(60):
            self.assertEqual((self.folder / f"many{number}").read_bytes(), expected)
        self.assertEqual(self.open_files(), 0)

    def test_a_slow_client(self) -> None:
        expected = self.file("initrd", 6_000_000)
        self.assertEqual(self.curl("--limit-rate", "3M", f"{URL}/initrd"), expected)

    def test_a_client_that_sends_no_more(self) -> None:
        expected = self.file("initrd", 6_000_000)
        into = self.folder / "nc"
        asks = f"printf 'GET /initrd HTTP/1.0\\r\\n\\r\\n' | busybox nc {Lan.address} 80 > {into}"
        self.host.run("sh", "-c", asks)
        self.assertTrue(into.read_bytes().endswith(b"\r\n\r\n" + expected))
        self.assertEqual(self.open_files(), 0)

    def test_a_client_that_leaves(self) -> None:
        self.file("initrd", 60_000_000)
        words = ["curl", "-sS", "--limit-rate", "1M", "-o", "/dev/null", f"{URL}/initrd"]
        client = self.host.start(words, self.folder / "leaving")
        self.addCleanup(client.stop)
        wait_until(lambda: self.open_files() == 1, 10, "the download")
        os.kill(client.pid, signal.SIGKILL)
        wait_until(lambda: self.open_files() == 0, 10, "the file closed")
        self.server.wait_for(r"stopped sending initrd after .* of 57\.2 MiB", 10)

    def test_a_replaced_file(self) -> None:
        """A download goes on with the file that it began with."""
        before = self.file("initrd", 60_000_000)
        into = self.folder / "into"
        words = ["curl", "-sS", "--limit-rate", "12M", "-o", str(into), f"{URL}/initrd"]
        client = self.host.start(words, self.folder / "replaced")
        self.addCleanup(client.stop)
        wait_until(lambda: self.open_files() == 1, 10, "the download")
        after = self.file("new", 300)
        (self.files / "new").replace(self.files / "initrd")
        self.assertEqual(self.curl(f"{URL}/initrd"), after)
        wait_until(lambda: not client.running, 30, "the end of the download")
        self.assertEqual(into.read_bytes(), before)

    def test_a_file_that_is_cut_short(self) -> None:
        """The client learns that it has not got the whole, and the server lives."""
        self.file("initrd", 60_000_000)
        words = ["curl", "-sS", "--limit-rate", "4M", "-o", "/dev/null", f"{URL}/initrd"]
        client = self.host.start(words, self.folder / "cut")
        self.addCleanup(client.stop)
        wait_until(lambda: self.open_files() == 1, 10, "the download")
        os.truncate(self.files / "initrd", 100)
        client.wait_for(r"curl: \((18|56)\)", 30)
        self.assertEqual(len(self.curl(f"{URL}/initrd")), 100)
