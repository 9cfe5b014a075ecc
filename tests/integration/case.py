"""What the tests of file services share: a network, a server with random files, one client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from bootlab.network import Lan
from bootlab.server import command


def url_host(address: str) -> str:
    """Spell an address as URLs do."""
    return f"[{address}]" if ":" in address else address


class FilesCase(SynchronousTestCase):
    """`ini` is the server's, with its content below ``files``; it listens when `service` does."""

    ini: ClassVar[str]
    service: ClassVar[str]

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.files = self.folder / "files"
        self.files.mkdir(parents=True)
        (self.folder / "pxe.ini").write_text(self.ini)
        self.lan = Lan()
        self.addCleanup(self.lan.close)
        self.host = self.lan.host("c", "10.77.0.20/24", "fd77::20/64")
        self.server = self.lan.server.start(
            command(self.folder / "pxe.ini"), self.folder / "server.log"
        )
        self.addCleanup(self.server.stop)
        self.server.wait_for(rf"\[service:{self.service}\] listens on", 30)

    def put(self, name: str, size: int) -> Path:
        """Let the server have a file of random bytes."""
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
        return path
