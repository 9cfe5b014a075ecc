"""What a worker is told when it starts."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
from collections.abc import Mapping
from typing import IO, Any

import attrs

from pxetwist.interfaces import Port

_PR_SET_PDEATHSIG = 1


@attrs.frozen
class Duty:
    """The part of one worker: its number, the services that it runs, and the descriptors of their
    ports. `texts` are those of the INI's files, as the server has read them; `parent` is the
    process that it is a part of, `key` opens what both of them note (hexadecimal).
    """

    number: int
    services: tuple[str, ...]
    ports: Mapping[Port, int]
    texts: Mapping[str, str]
    parent: int
    key: str = attrs.field(default="", repr=False)

    def written(self) -> bytes:
        """Return it as a line."""
        ports = [(*attrs.astuple(port), number) for port, number in self.ports.items()]
        return json.dumps({**attrs.asdict(self, recurse=False), "ports": ports}).encode() + b"\n"

    @classmethod
    def read(cls, file: IO[bytes]) -> Duty:
        """Wait for the line, and read it."""
        said: dict[str, Any] = json.loads(file.readline())
        ports = {Port(*port): number for *port, number in said.pop("ports")}
        return cls(**{**said, "services": tuple(said["services"])}, ports=ports)

    def sockets(self) -> dict[Port, socket.socket]:
        """Return the sockets of its ports; once, for each closes its descriptor in the end."""
        return {port: socket.socket(fileno=number) for port, number in self.ports.items()}


def end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, however that may be; and let the
    signals of a terminal go to the parent alone.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)
    os.setpgrp()
