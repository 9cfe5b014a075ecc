"""The lab's own network: a bridge in a namespace, with machines and hosts plugged into it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from bootlab.processes import LabError, Process, run, wait_until

#: Every namespace of a lab is named with this and the process id of its owner.
TAG = "bootlab"
#: Files that ``ip netns exec`` puts in the place of those of ``/etc``, by namespace.
_FILES = Path("/etc/netns")


class Namespace:
    """One network namespace: a host of its own as far as the network goes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inside = ("ip", "netns", "exec", name)
        run("ip", "netns", "add", name)
        self.ip("link set lo up")

    def ip(self, words: str) -> str:
        """Run iproute2 inside, for example ``link set lo up``."""
        return run("ip", "-netns", self.name, *words.split())

    def start(
        self, command: Sequence[str], log: Path, echo: Callable[[str], None] | None = None
    ) -> Process:
        """Start a program inside."""
        return Process(command, log, self.inside, echo)

    def run(self, *command: str) -> str:
        """Run a short command inside to its end."""
        return run(*self.inside, *command)

    def name_hosts(self, lines: str) -> None:
        """Let programs inside find these lines in ``/etc/hosts``, in place of the system's."""
        file = _FILES / self.name / "hosts"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lines)

    def close(self) -> None:
        """Kill what is left inside, and remove it."""
        remove(self.name)


def remove(name: str) -> None:
    """Kill what runs in a namespace, by process id, and remove it."""
    for pid in run("ip", "netns", "pids", name).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "delete", name)
    shutil.rmtree(_FILES / name, ignore_errors=True)


def remove_stale() -> None:
    """Remove the namespaces of labs whose owner was killed before it could."""
    names = [entry["name"] for entry in json.loads(run("ip", "-j", "netns", "list") or "[]")]
    for name in names:
        tag, _, rest = name.partition("-")
        owner = rest.partition("-")[0]
        if tag == TAG and owner.isdigit() and not Path("/proc", owner).exists():
            with contextlib.suppress(LabError):  # another lab removes it at the same time
                remove(name)


class Lan:
    """A bridge ``br0`` with the server's addresses, and whatever is plugged into it.

    The server under test runs in `server`. Machines get a tap each, other hosts a namespace.
    """

    network = "10.77.0.0/24"
    address = "10.77.0.1"
    address6 = "fd77::1"
    mac = "02:00:0a:4d:00:01"
    bridge = "br0"

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise LabError("network namespaces need root")
        remove_stale()
        self._name = f"{TAG}-{os.getpid()}"
        self._hosts: list[Namespace] = []
        self._taps = 0
        self.server = self._namespace(self._name)
        for words in (
            f"link add {self.bridge} address {self.mac} type bridge stp_state 0 forward_delay 0",
            f"addr add {self.address}/24 dev {self.bridge}",
            f"addr add {self.address6}/64 dev {self.bridge} nodad",
            f"link set {self.bridge} up",
        ):
            self.server.ip(words)

    def link_local(self) -> str:
        """Wait until the bridge can use its link-local address, and return that."""
        show = f"-6 -o addr show dev {self.bridge} scope link -tentative"
        wait_until(lambda: "fe80" in self.server.ip(show), 10, "a link-local address")
        return self.server.ip(show).split("inet6 ")[1].partition("/")[0]

    def tap(self) -> str:
        """Plug in a new tap for a virtual machine and return its name."""
        name = f"tap{self._taps}"
        self._taps += 1
        self.server.ip(f"tuntap add {name} mode tap")
        self.server.ip(f"link set {name} master {self.bridge} up")
        return name

    def host(self, name: str, *addresses: str, mac: str = "") -> Namespace:
        """Plug in another host, whose ``eth0`` has these addresses (with prefix lengths) and a MAC
        of its own or any.
        """
        host = self._namespace(f"{self._name}-{name}")
        self.server.ip(f"link add to-{name} type veth peer name eth0 netns {host.name}")
        self.server.ip(f"link set to-{name} master {self.bridge} up")
        if mac:
            host.ip(f"link set eth0 address {mac}")
        for address in addresses:
            nodad = " nodad" if ":" in address else ""
            host.ip(f"addr add {address} dev eth0{nodad}")
        host.ip("link set eth0 up")
        return host

    def isolate(self, *names: str) -> None:
        """Let these hosts see nothing of each other, as switches do it that keep clients apart."""
        for name in names:
            self.server.ip(f"link set to-{name} type bridge_slave isolated on")

    def close(self) -> None:
        """Remove all namespaces, the newest first."""
        while self._hosts:
            self._hosts.pop().close()

    def _namespace(self, name: str) -> Namespace:
        namespace = Namespace(name)
        self._hosts.append(namespace)
        return namespace
