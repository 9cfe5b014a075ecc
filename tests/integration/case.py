"""What tests with real clients share: a network, a server of an INI, and those who ask it."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from bootlab.network import Lan, Namespace
from bootlab.processes import Process, run
from bootlab.server import command

#: Sends a datagram as a client without an address does, and prints the answer, if there is one.
ASK = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
client.bind(("", 68))
client.settimeout(float(sys.argv[2]))
client.sendto(bytes.fromhex(sys.argv[1]), ("255.255.255.255", 67))
try:
    print(client.recv(4096).hex())
except TimeoutError:
    pass
"""


def url_host(address: str) -> str:
    """Spell an address as URLs do."""
    return f"[{address}]" if ":" in address else address


class NetworkCase(SynchronousTestCase):
    """A network without anybody, and a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.lan = Lan()
        self.addCleanup(self.lan.close)
        self._started = 0

    def start(self, host: Namespace, words: Sequence[str]) -> Process:
        """Start a program on a host; it is stopped at the end."""
        self._started += 1
        log = self.folder / f"{self._started}-{Path(words[0]).name}.log"
        made = host.start(words, log)
        self.addCleanup(made.stop)
        return made


class LanCase(NetworkCase):
    """The folder has the `ini` of a server and its `machines`; :meth:`serve` starts it, and
    returns when its `service` listens.
    """

    ini: ClassVar[str]
    machines: ClassVar[str] = ""
    service: ClassVar[str]

    def setUp(self) -> None:
        super().setUp()
        self.ini_file = self.folder / "pxe.ini"
        self.ini_file.write_text(self.ini)
        if self.machines:
            (self.folder / "hosts.csv").write_text(self.machines)

    def serve(self) -> Process:
        self.server = self.start(self.lan.server, command(self.ini_file))
        self.server.wait_for(rf"\[service:{self.service}\] listens on", 60)
        return self.server

    def memory(self) -> int:
        """Return the resident memory of the server, in MiB."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) // 1024

    def counts(self) -> Counter[str]:
        os.kill(self.server.pid, signal.SIGUSR2)
        line = self.server.wait_for(rf"service {self.service}: (.*)\n", 20)[1]
        return Counter({name: int(n) for name, n in re.findall(r"([\w -]+?) (\d+)(?:, |$)", line)})


class ServedCase(LanCase):
    """The server runs, and `host` is a client with an address; :meth:`prepare` comes before."""

    def setUp(self) -> None:
        super().setUp()
        self.prepare()
        self.host = self.lan.host("c", "10.77.0.20/24", "fd77::20/64")
        self.serve()

    def prepare(self) -> None:
        """Make what the server needs to start."""


class FilesCase(ServedCase):
    """The server has a content, the folder ``files``."""

    def prepare(self) -> None:
        super().prepare()
        self.files = self.folder / "files"
        self.files.mkdir()

    def put(self, name: str, size: int) -> Path:
        """Let the server have a file of random bytes."""
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
        return path


class ClientsCase(LanCase):
    """DHCP clients, each on a host of its own; `script` is told what they get."""

    service = "dhcp"
    script: ClassVar[str] = "#!/bin/sh\n"

    def setUp(self) -> None:
        super().setUp()
        self.script_file = self.folder / "script"
        self.script_file.write_text(self.script)
        self.script_file.chmod(0o755)

    def host(self, name: str, mac: str = "") -> Namespace:
        """Plug in a host without an address, with a MAC of its own or any."""
        return self.lan.host(name, mac=mac)

    def udhcpc(self, host: Namespace, *words: str, interface: str = "eth0") -> Process:
        """Start busybox's client; without `-q` it stays, and renews."""
        program = ["busybox", "udhcpc", "-i", interface, "-f", "-s", str(self.script_file)]
        return self.start(host, [*program, *words])

    def dhclient(
        self,
        host: Namespace,
        *words: str,
        version: int = 4,
        config: str = "/dev/null",
        interface: str = "eth0",
    ) -> str:
        """Let ISC's client do its work, and return what the script said; it stays behind."""
        base = self.folder / host.name
        files = ["-lf", f"{base}.leases", "-pf", f"{base}.pid", "-cf", config]
        program = ["timeout", "60", "dhclient", f"-{version}", "-1", *files]
        return host.run(*program, "-sf", str(self.script_file), *words, interface)

    def cable(self, here: Namespace, name: str, there: Namespace, other: str) -> None:
        """Lay a cable between two hosts; both ends are up."""
        run("ip", "link", "add", name, "netns", here.name, "type", "veth",
            "peer", "name", other, "netns", there.name)  # fmt: skip
        here.ip(f"link set {name} up")
        there.ip(f"link set {other} up")

    def relay(self, host: Namespace, *words: str) -> Process:
        """Let a host be a relay agent: start one, and wait until it works."""
        agent = self.start(host, words)
        agent.wait_for("Sending on|Listening", 10)
        return agent
