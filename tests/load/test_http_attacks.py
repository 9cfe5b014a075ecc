"""A known machine boots over HTTP while others do what they can against that."""

from __future__ import annotations

import os
import sys

from bootlab.network import Lan
from bootlab.processes import Process
from tests.integration.case import FilesCase

URL = f"http://{Lan.address}"
MAC = "02:00:00:00:00:01"
IDLE, SLOW = 11_000, 1000

#: Makes connections, each of which sends something at once and something each second, and keeps
#: them; words that are sent are Python's. Answers are never read, but for their first line.
ATTACK = """
import resource, selectors, socket, sys, time
count, once, often = int(sys.argv[1]), *(eval(word) for word in sys.argv[2:4])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for _ in range(count):
    made = socket.create_connection(("10.77.0.1", 80))
    made.setblocking(False)
    held.append(made)
    if once:
        try:
            made.send(once)
        except OSError:
            pass
print("begun", flush=True)
while True:
    time.sleep(1)
    for each in held if often else ():
        try:
            each.send(often)
        except OSError:
            pass
"""
#: Asks what is no request again and again, and prints how it was answered.
NONSENSE = """
import collections, socket, sys, time
raw, seconds = eval(sys.argv[1]), float(sys.argv[2])
answers, end = collections.Counter(), time.monotonic() + seconds
while time.monotonic() < end:
    with socket.create_connection(("10.77.0.1", 80)) as made:
        try:
            made.sendall(raw)
        except OSError:
            pass  # it is refused before all is sent
        try:
            answers[made.recv(100)[9:12].decode()] += 1
        except OSError:
            answers["reset"] += 1
print("answers:", *(f"{status}={count}" for status, count in sorted(answers.items())), flush=True)
"""


class AttackTests(FilesCase):
    service = "http"
    machines = f"name,mac\nws1,{MAC}\n"
    ini = """
[pxe]
services = http
hosts = lab
policies = main
content = scripts, files
state = memory
[hosts:lab]
plugin = static
file = hosts.csv
[policy:main]
plugin = rules
rules =
    unknown -> local
    any -> linux
[profile:local]
kind = local
[profile:linux]
kind = linux
kernel = vmlinuz
initrds = initrd
arguments = hostname={{ machine.name }}
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = files
"""

    def setUp(self) -> None:
        super().setUp()
        self.host.ip("link set eth0 down")
        self.host.ip(f"link set eth0 address {MAC}")
        self.host.ip("link set eth0 up")
        self.attacker = self.lan.host("a", "10.77.0.66/24")
        self.kernel = self.put("vmlinuz", 3_000_000).read_bytes()
        self.initrd = self.put("initrd", 30_000).read_bytes()

    def attack(self, count: int, once: str, often: str = "b''") -> Process:
        """Begin with so many connections, and return when they are made."""
        words = [sys.executable, "-c", ATTACK, str(count), once, often]
        attack = self.start(self.attacker, words)
        attack.wait_for("begun", 60)
        return attack

    def boot(self) -> None:
        """Do what iPXE does: a script, and what it names; each file is compared."""
        script = self.curl("boot.ipxe").decode()
        self.assertIn(f"kernel {URL}/vmlinuz initrd=initrd hostname=ws1 ", script)
        self.assertEqual(self.curl("vmlinuz"), self.kernel)
        self.assertEqual(self.curl("initrd"), self.initrd)

    def curl(self, path: str) -> bytes:
        into = self.folder / "into"
        self.host.run("curl", "-sSf", "-m", "60", "-o", str(into), f"{URL}/{path}")
        return into.read_bytes()

    def test_connections(self) -> None:
        """Many that say nothing, and many that never come to an end."""
        self.boot()
        memory = self.memory()
        self.attack(SLOW, "b'GET / HTTP/1.1\\r\\nX: '", "b'x'")
        idle = self.attack(IDLE, "b''")
        open_files = len(os.listdir(f"/proc/{self.server.pid}/fd"))
        self.assertGreater(open_files, 9000)
        self.assertLess(open_files, 11_000)  # `connections` is 10,000
        for _ in range(3):
            self.boot()
        self.assertTrue(idle.running)
        self.assertLess(self.memory() - memory, 200)
        counts = self.counts()
        self.assertGreaterEqual(counts["crowded out"], IDLE + SLOW - 10_000, counts)
        self.assertNotIn("Traceback", self.server.text)

    def test_requests(self) -> None:
        """Heads without an end, lines without an end, and requests whose answers nobody reads."""
        self.boot()
        memory = self.memory()
        request = "b'GET /vmlinuz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'"
        flood = self.attack(50, f"{request} * 1500", f"{request} * 1500")
        bombs = [
            self.start(self.attacker, [sys.executable, "-c", NONSENSE, raw, "4"])
            for raw in (
                "b'GET / HTTP/1.1\\r\\n' + b'X: y\\r\\n' * 100000",
                "b'GET /' + b'x' * 1000000",
            )
        ]
        for _ in range(3):
            self.boot()
        self.assertTrue(flood.running)
        for bomb, status in zip(bombs, ("431", "414"), strict=True):
            answers = bomb.wait_for(r"answers: (.*)", 60)[1]
            self.assertRegex(answers, rf"^({status}=\d+)?( ?reset=\d+)?$")
        self.assertLess(self.memory() - memory, 100)
        counts = self.counts()
        self.assertGreater(counts["431"], 10, counts)
        self.assertGreater(counts["414"], 10, counts)
        self.assertNotIn("Traceback", self.server.text)
