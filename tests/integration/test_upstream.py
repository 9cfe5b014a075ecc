"""The store that fetches from a mirror, with a real one behind TLS, and real clients."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from bootlab.certificates import Authority
from bootlab.network import Lan
from bootlab.processes import Process, wait_until
from tests.integration.case import LanCase

ADDRESS = "10.77.0.30"
INI = f"""
[pxe]
services = tftp, http
policies = main
content = mirror
state = memory
state-folder = state
[policy:main]
plugin = fixed
profile = disk
[profile:disk]
kind = local
[content:mirror]
plugin = upstream
url = https://{ADDRESS}:8443/debian
ca = ca.pem
fresh = 1s
deadline = 3s
prefix = debian
"""
#: Serves its folder, and says each path that it is asked for; what is slow comes slowly.
MIRROR = """
import http.server, ssl, sys, time

class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def copyfile(self, source, into):
        while data := source.read(1 << 20):
            into.write(data)
            time.sleep(0.2 if "slow" in self.path else 0)
    def log_request(self, code="-", size="-"):
        print("asked", self.path, int(code), flush=True)

server = http.server.ThreadingHTTPServer((sys.argv[1], 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
"""
URL = f"http://{Lan.address}/debian"


class UpstreamTests(LanCase):
    ini = INI
    service = "http"

    def setUp(self) -> None:
        super().setUp()
        authority = Authority(self.folder / "ca.pem")
        self.pair = authority.issue(self.folder, "mirror", ADDRESS)
        self.files = self.folder / "www" / "debian"
        self.files.mkdir(parents=True)
        (self.folder / "mirror.py").write_text(MIRROR)
        self.there = self.lan.host("m", f"{ADDRESS}/24")
        self.host = self.lan.host("c", "10.77.0.20/24")
        self.mirror = self.start_mirror()

    def start_mirror(self) -> Process:
        program = [sys.executable, "../mirror.py", ADDRESS, *map(str, self.pair)]
        words = ["sh", "-c", f"cd {self.folder}/www && exec {' '.join(program)}"]
        mirror = self.start(self.there, words)
        mirror.wait_for("ready", 10)
        return mirror

    def put(self, name: str, size: int) -> bytes:
        (self.files / name).write_bytes(os.urandom(size))
        return (self.files / name).read_bytes()

    def curl(self, *words: str) -> bytes:
        into = self.folder / "curl"
        self.host.run("curl", "-gsSf", "-m", "60", "-o", str(into), *words)
        return into.read_bytes()

    def status(self, url: str) -> str:
        words = ("-m", "60", "-o", "/dev/null", "-w", "%{http_code}", url)
        return self.host.run("curl", "-gsS", *words)

    def kept(self) -> list[Path]:
        return sorted((self.folder / "state" / "upstream-mirror").iterdir())

    def kept_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.kept())

    def test_one_fetch_for_many(self) -> None:
        """They are served while it arrives, whole and in ranges, and by TFTP."""
        expected = self.put("slow", 8_000_000)
        self.serve()
        into = [str(self.folder / f"many{number}") for number in range(12)]
        words = [word for file in into for word in ("-o", file, f"{URL}/slow")]
        self.host.run("curl", "-sS", "-m", "60", "-Z", "--parallel-immediate", *words)
        for file in into:
            self.assertEqual(Path(file).read_bytes(), expected)
        self.assertEqual(self.curl("-r", "1000-1999", f"{URL}/slow"), expected[1000:2000])
        into_tftp = self.folder / "atftp"
        options = ("--option", "blksize 1468", "--option", "windowsize 16")
        words = ["-g", "-r", "debian/slow", "-l", str(into_tftp), Lan.address]
        self.host.run("atftp", *options, *words)
        self.assertEqual(into_tftp.read_bytes(), expected)
        self.assertEqual(self.mirror.text.count("asked /debian/slow 200"), 1)

    def test_changed_away_and_back(self) -> None:
        before = self.put("linux", 3_000_000)
        self.serve()
        self.assertEqual(self.curl(f"{URL}/linux"), before)
        self.host.run("sleep", "1.1")
        self.assertEqual(self.curl(f"{URL}/linux"), before)
        self.mirror.wait_for("asked /debian/linux 304", 10)
        self.mirror.stop()
        self.host.run("sleep", "1.1")
        self.assertEqual(self.curl(f"{URL}/linux"), before)
        self.server.wait_for(rf"https://{ADDRESS}:8443/debian/linux: .*before is served", 10)
        self.assertEqual(self.status(f"{URL}/other"), "404")

    def test_a_server_that_is_killed_keeps_no_half(self) -> None:
        expected = self.put("slow", 20_000_000)
        server = self.serve()
        words = ["curl", "-sS", "-m", "60", "-o", "/dev/null", f"{URL}/slow"]
        self.start(self.host, words)
        wait_until(lambda: self.kept_bytes() > 1_000_000, 20, "a part of the file")
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.running, 10, "the end of the server")
        self.assertEqual([file.suffix for file in self.kept()], [".part"])
        self.serve()
        self.assertEqual(self.kept(), [])
        self.assertEqual(self.curl(f"{URL}/slow"), expected)

    def test_a_mirror_that_nobody_vouches_for(self) -> None:
        self.put("linux", 1000)
        Authority(self.folder / "ca.pem")
        self.serve()
        self.assertEqual(self.status(f"{URL}/linux"), "404")
        self.server.wait_for("certificate verify failed", 10)
        self.assertNotIn("asked", self.mirror.text)
