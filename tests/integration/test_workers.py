"""Workers: several processes serve contents, and each knows what DHCP told every machine."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from bootlab.network import Lan, Namespace
from bootlab.processes import wait_until
from bootlab.server import pxetwist
from tests.integration.case import ClientsCase

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
HTTP, TFTP = f"http://{Lan.address}", f"tftp://{Lan.address}"
#: So many connections reach all workers: the kernel chooses by their ports.
MANY = 16


class WorkersCase(ClientsCase):
    service = "http"
    machines = "name,mac\n" + "".join(f"ws{n},{mac}\n" for n, mac in enumerate(MACS, 1))
    script = '#!/bin/sh\n[ "$1" != bound ] || ip address add "$ip/24" dev "$interface"\n'
    ini: ClassVar[str] = """
[pxe]
services = dhcp, tftp, http
hosts = known
policies = once, main
content = scripts, files
state-folder = var
workers = 2
[hosts:known]
plugin = static
file = hosts.csv
[service:dhcp]
interfaces = br0
[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
[policy:once]
plugin = orders
[policy:main]
plugin = fixed
profile = disk
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = files
[profile:disk]
kind = linux
kernel = linux
arguments = hostname={{ machine.name }}
[profile:install]
kind = linux
kernel = linux
family = debian-installer
answer = preseed.cfg
answer.root-password = file:root.hash
secret-once = yes
secret-plain = yes
""".lstrip()

    def setUp(self) -> None:
        super().setUp()
        (self.folder / "files").mkdir()
        self.content = os.urandom(300_000)
        (self.folder / "files" / "large").write_bytes(self.content)
        secret = self.folder / "root.hash"
        secret.touch(mode=0o600)
        secret.write_text("$6$salt$veryveryhash")
        self.serve()
        for worker in (1, 2):
            self.server.wait_for(rf"worker {worker} .*service:http\] listens", 60)
        self.workers = self.children()
        self.hosts = [self.leased(f"m{number}", mac) for number, mac in enumerate(MACS)]

    def children(self) -> set[int]:
        """Return the processes that the server has started, with all that they will be."""
        listed = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text()
        return {int(pid) for pid in listed.split()}

    def leased(self, name: str, mac: str) -> Namespace:
        host = self.host(name, mac)
        self.lease(host)
        return host

    def lease(self, host: Namespace) -> None:
        client = self.udhcpc(host, "-n", "-q", "-t", "5", "-T", "1")
        client.wait_for("lease of .* obtained", 20)

    def get(self, host: Namespace, url: str) -> str:
        return host.run("curl", "-s", "--max-time", "30", url)

    def at_once(self, *works: Callable[[], object]) -> None:
        threads = [threading.Thread(target=work) for work in works]
        for each in threads:
            each.start()
        for each in threads:
            each.join(120)


def alive(pid: int) -> bool:
    """Whether a process runs: one that has ended may wait for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class WorkersTests(WorkersCase):
    def scripts(self, number: int, told: str, counted: list[int]) -> None:
        """Let a machine ask for its script, over and over."""
        for base in (HTTP, TFTP):
            for _ in range(MANY):
                script = self.get(self.hosts[number - 1], f"{base}/boot.ipxe")
                counted[number] += told in script

    def both_ask(self, *told: str) -> None:
        """Let both machines ask at once; each must be told its own each time, by all workers."""
        counted, since = [0, 0, 0], len(self.server.text)
        self.at_once(*(partial(self.scripts, n, text, counted) for n, text in enumerate(told, 1)))
        self.assertEqual(counted[1:], [2 * MANY, 2 * MANY])
        log = self.server.text[since:]
        for worker in (1, 2):
            for protocol in ("http", "tftp"):
                self.assertRegex(log, rf"{protocol}: sent boot.ipxe.*\(worker {worker}\)")

    def test_what_machines_get(self) -> None:
        self.both_ask("hostname=ws1", "hostname=ws2")
        machine, other = self.hosts
        for base in (HTTP, TFTP):
            digest = machine.run("sh", "-c", f"curl -s {base}/large | sha256sum")
            self.assertEqual(digest.split()[0], hashlib.sha256(self.content).hexdigest())
        pxetwist("order", str(self.ini_file), "ws1", "install")
        self.lease(machine)  # its next boot, that of a system
        scripts = [self.get(machine, f"{HTTP}/boot.ipxe") for _ in range(6)]
        [url, *others] = [re.findall(r" url=(\S+)", script)[0] for script in scripts]
        self.assertEqual(len(others), 5, "whichever worker gives it, it is one boot's order")
        self.assertEqual(len(re.findall("order 1.* is taken by", self.server.text)), 1)
        self.assertEqual(self.get(other, url), self.get(other, f"{HTTP}/nothing"))
        answers: list[str] = []
        self.at_once(*[lambda: answers.append(self.get(machine, url))] * MANY)
        self.assertEqual(sum("veryveryhash" in answer for answer in answers), 1, answers)
        os.kill(self.server.pid, signal.SIGUSR2)
        refused = r"service http{}: .*refused-replayed {}"
        self.server.wait_for(refused.format(" of all workers", MANY - 1), 10)
        for worker in (1, 2):
            self.server.wait_for(f"worker {worker} .*" + refused.format("", "[1-9]"), 10)
        self.server.stop(15)
        self.assertIn("Server Shut Down.", self.server.text)
        self.assertNotRegex(self.server.text, "Traceback|has ended")
        self.assertEqual([pid for pid in self.workers if alive(pid)], [])

    def test_processes_and_signals(self) -> None:
        (self.folder / "hosts.csv").write_text(self.machines.replace("ws", "pc"))
        os.kill(self.server.pid, signal.SIGHUP)
        for worker in (1, 2):
            self.server.wait_for(rf"worker {worker} pxetwist.*reading data again", 20)
        self.both_ask("hostname=pc1", "hostname=pc2")
        victim = min(self.workers)
        self.ini_file.write_text("a new one is not for a worker that is replaced")
        os.kill(victim, signal.SIGKILL)
        self.server.wait_for(r"worker [12] has ended \(signal 9\); another one starts", 10)
        self.both_ask("hostname=pc1", "hostname=pc2")
        [fresh] = self.children() - self.workers
        os.kill(self.server.pid, signal.SIGUSR2)
        self.server.wait_for(rf"worker [12] serves \(process {fresh}, replaced 1 times\)", 10)
        self.server.wait_for(r"worker 1 pxetwist.*policy main is up", 10)
        self.server.wait_for(r"service http of all workers: 200 [3-9]\d", 10)
        left = self.children()
        os.kill(self.server.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, left)), 10, "the end of the workers")
