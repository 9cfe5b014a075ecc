"""Real FTP clients against `twistd pxe`."""

from __future__ import annotations

import os

from bootlab.network import Lan
from bootlab.processes import LabError, wait_until
from tests.integration.case import FilesCase, url_host

INI = """
[pxe]
services = http, ftp
policies = main
content = scripts, files
state = memory
[service:ftp]
port-range = 50000-50003
max-per-client = 3
[policy:main]
plugin = fixed
profile = own
[profile:own]
kind = script
ipxe = own.ipxe
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = files
listing = yes
"""
OWN = "#!ipxe\necho {{ identity.mac or 'a stranger' }}\necho {{ ftp_url('boot/file') }}\n"
URL = f"ftp://{Lan.address}"
#: Opens three connections, and waits for somebody else at the data port of one.
STEAL = """
import socket, sys
control, *others = [socket.create_connection((sys.argv[1], 21)) for _ in range(3)]
said = control.makefile("r")
for line in ("USER ftp", "PASS x", "EPSV"):
    control.sendall(line.encode() + b"\\r\\n")
answers = [said.readline() for _ in range(4)]
print(answers[-1].split("|||")[1].split("|")[0], flush=True)
control.sendall(b"RETR boot/file\\r\\n")
print(said.readline(), said.readline(), flush=True)
for each in others:
    each.recv(1000)
said.read()
"""


class FtpClientTests(FilesCase):
    ini = INI
    service = "ftp"

    def prepare(self) -> None:
        super().prepare()
        (self.folder / "own.ipxe").write_text(OWN)

    def curl(self, *words: str) -> bytes:
        into = self.folder / "curl"
        into.write_bytes(b"")
        self.host.run("curl", "-gsS", "-m", "60", "-o", str(into), *words)
        return into.read_bytes()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.server.pid}/fd"))

    def test_files_of_all_sizes(self) -> None:
        """By both ways to a port for data, over both families; and what comes back at once."""
        self.put("boot/file", 9)
        self.curl(f"{URL}/boot/file")
        before = self.descriptors()
        for size in (0, 1, 65536, 80_000_000):
            expected = self.put("boot/file", size).read_bytes()
            for ways in ((), ("--disable-epsv",), ("--ftp-method", "nocwd")):
                self.assertEqual(self.curl(*ways, f"{URL}/boot/file"), expected, (size, ways))
        self.assertEqual(self.curl(f"ftp://{url_host(Lan.address6)}/boot/file"), expected)
        link = f"ftp://[{self.lan.link_local()}%25eth0]/boot/file"
        self.assertEqual(self.curl(link), expected)
        into = self.folder / "busybox"
        self.host.run("busybox", "ftpget", Lan.address, str(into), "boot/file")
        self.assertEqual(into.read_bytes(), expected)
        self.assertEqual(self.curl("-r", "1000-1999", f"{URL}/boot/file"), expected[1000:2000])
        self.assertEqual(self.curl("-r", "-7", f"{URL}/boot/file"), expected[-7:])
        into.write_bytes(expected[:31_234_567])
        self.host.run("curl", "-sS", "-C", "-", "-o", str(into), f"{URL}/boot/file")
        self.assertEqual(into.read_bytes(), expected)
        head = self.curl("-I", f"{URL}/boot/file").decode()
        self.assertIn("Content-Length: 80000000", head)
        self.server.wait_for(r"sent boot/file, 76.3 MiB", 5)
        wait_until(lambda: self.descriptors() <= before, 10, "closed connections")

    def test_text_and_listings(self) -> None:
        (self.files / "grub.cfg").write_bytes(b"one\ntwo\n")
        (self.files / "boot").mkdir()
        (self.folder / "secret").write_text("secret")
        (self.files / "boot" / "out").symlink_to(self.folder / "secret")
        (self.files / "boot" / "größe").write_bytes(b"123")
        self.assertEqual(self.curl("-B", f"{URL}/grub.cfg"), b"one\ntwo\n")  # as it was
        lines = self.curl(f"{URL}/boot/").decode().splitlines()
        self.assertEqual(len(lines), 1)
        self.assertRegex(lines[0], r"^-r--r--r-- 1 ftp ftp +3 \w{3} \d\d \d\d:\d\d größe$")
        self.assertEqual(set(self.curl("-l", f"{URL}/").split()), {b"boot", b"grub.cfg"})
        for path in ("boot/out", "../secret", "%2e%2e/secret", "..%5csecret", "none", "none/"):
            with self.assertRaises(LabError, msg=path):
                self.curl("--path-as-is", f"{URL}/{path}")

    def test_who_gets_what(self) -> None:
        """A guest is a stranger, and a token is the machine that it was made for."""
        self.assertIn(b"echo a stranger", self.curl(f"{URL}/boot.ipxe"))
        text = self.curl(f"http://{Lan.address}/boot.ipxe").decode()
        mac = self.host.run("cat", "/sys/class/net/eth0/address").strip()
        url = next(word for word in text.split() if word.startswith("ftp://boot:"))
        self.put("boot/file", 100)
        self.assertEqual(len(self.curl(url)), 100)
        mine = url.replace("boot/file", "boot.ipxe")
        self.assertIn(f"echo {mac}\n".encode(), self.curl(mine))
        with self.assertRaises(LabError):
            self.curl(mine[:-15].replace("@", "A@") + mine[-15:])
        with self.assertRaises(LabError):
            self.curl("-T", str(self.ini_file), f"{URL}/new")
        with self.assertRaises(LabError):
            self.curl("-P", "-", f"{URL}/boot/file")
        self.assertEqual(sorted(each.name for each in self.files.iterdir()), ["boot"])

    def test_strangers_and_crowds(self) -> None:
        self.put("boot/file", 5000)
        other = self.lan.host("d", "10.77.0.21/24")
        script = self.folder / "steal.py"
        script.write_text(STEAL)
        client = self.start(self.host, ["python3", "-u", str(script), Lan.address])
        client.wait_for(r"^\d+", 10)
        port = client.log.read_text().split()[0]
        stolen = other.run("sh", "-c", f"busybox nc -w 3 {Lan.address} {port} | wc -c")
        self.assertEqual(int(stolen), 0)

        def is_full() -> bool:
            said = self.host.run("sh", "-c", f"busybox nc -w 2 {Lan.address} 21 </dev/null")
            return said.startswith("421")

        wait_until(is_full, 10, "a crowd")
        size = other.run("sh", "-c", f"curl -sS -m 60 {URL}/boot/file | wc -c")
        self.assertEqual(int(size), 5000)
        self.assertNotIn("Traceback", self.server.log.read_text())
