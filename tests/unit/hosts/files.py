"""What tests of host files share: a folder with files in it, and the samples."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import attrs
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import ConfigErrors
from pxetwist.hosts import static
from pxetwist.hosts.hostfile import Reading, read
from pxetwist.interfaces import Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site, result_of
from pxetwist.testing.contracts import ThreadClock

SAMPLES = Path(__file__).parent / "samples"


class FilesCase(SynchronousTestCase):
    """Has a folder; messages name files relative to it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.logged: list[LogEvent] = []
        self.clock = ThreadClock()

    def write(self, name: str, text: str | bytes) -> Path:
        file = self.folder / name
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def read(self, *files: Path, form: str = "auto") -> Reading:
        return read(files or [self.folder], "rack", form)

    def machines(self, *files: Path) -> dict[str, Machine]:
        """Read files, or the folder, and return the machines by name."""
        return {machine.name: machine for machine in self.read(*files).machines}

    def mistakes(self, *files: Path, form: str = "auto") -> list[str]:
        with self.assertRaises(ConfigErrors) as caught:
            self.read(*files, form=form)
        return [self.short(str(error)) for error in caught.exception.errors]

    def warnings(self, *files: Path, form: str = "auto") -> list[str]:
        return [self.short(line) for line in self.read(*files, form=form).warnings]

    def short(self, text: str) -> str:
        return text.replace(f"{self.folder}/", "").replace(f"{SAMPLES}/", "")

    def site(self) -> Site:
        log = Logger("rack", observer=cast(ILogObserver, self.logged.append))
        return attrs.evolve(make_site(name="rack", reactor=self.clock), log=log)

    def directory(self, *files: Path) -> static.StaticDirectory:
        return static.build(static.Settings(file=files or (self.folder,)), self.site())

    def found(self, directory: static.StaticDirectory, identity: ClientIdentity) -> str | None:
        machine = result_of(directory.find_machine(identity))
        return None if machine is None else machine.name

    def levels(self) -> list[str]:
        return [event["log_level"].name for event in self.logged]
