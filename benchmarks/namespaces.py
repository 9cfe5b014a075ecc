"""Two network namespaces joined by a veth pair: the server in one, the load in the other."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import attrs

from bootlab.network import TAG, Namespace, remove_stale
from bootlab.processes import LabError

#: The device in either namespace, with Ethernet's MTU of 1500.
DEVICE = "eth0"
#: The server's address, and that of the load, which stands for a relay and all its clients.
SERVER = "10.99.0.1"
LOAD = "10.99.0.2"


@attrs.frozen
class Link:
    """The two namespaces, joined; made by :func:`linked`."""

    server: Namespace
    load: Namespace

    def run(self, command: Sequence[str], seconds: float) -> str:
        """Run a load generator to its end and return what it printed, whatever its exit code.

        :raises LabError: if it has not ended after `seconds`; it is killed then.
        """
        words = [*self.load.inside, *command]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{command[0]} did not end within {seconds:g} s") from error
        return done.stdout or done.stderr


@contextmanager
def linked(tag: str = "bench") -> Iterator[Link]:
    """Make the namespaces; at the end both are gone, and all that ran within them. Links with
    other tags have the same addresses, and do not see each other.

    :raises LabError: without the rights to.
    """
    if os.geteuid() != 0:
        raise LabError("network namespaces need root")
    remove_stale()
    with ExitStack() as undo:

        def namespace(name: str) -> Namespace:
            made = Namespace(f"{TAG}-{os.getpid()}-{tag}-{name}")
            undo.callback(made.close)
            return made

        server, load = namespace("server"), namespace("load")
        server.ip(f"link add {DEVICE} type veth peer name {DEVICE} netns {load.name}")
        for end, address in ((server, SERVER), (load, LOAD)):
            end.ip(f"addr add {address}/16 dev {DEVICE}")
            end.ip(f"link set {DEVICE} up")
        yield Link(server, load)
