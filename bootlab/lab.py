"""One run of the lab: a network, what is on it, and a folder with everything they said."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from bootlab.captures import Capture
from bootlab.machines import Machine
from bootlab.neighbours import advertise_router
from bootlab.network import Lan
from bootlab.processes import Process

#: Where labs keep what they fetched and made: outside of the source, for fresh copies of it too.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pxetwist-lab"
ROOT = Path(__file__).resolve().parent.parent
#: Where the logs of the last runs are; not part of the source.
RUNS = ROOT / "var" / "lab" / "runs"


class Lab:
    """A network with a capture and, unless told otherwise, a `router` of IPv6; `folder` holds the
    logs of this run, and stays until the next run of the same name.

    Use it as a context manager, or `close` it: then all processes and namespaces are gone.
    """

    def __init__(self, name: str, *, router: bool = True) -> None:
        for old in RUNS.glob(f"{name}-*"):
            if not Path("/proc", old.name.rpartition("-")[2]).exists():
                shutil.rmtree(old, ignore_errors=True)
        self.folder = RUNS / f"{name}-{os.getpid()}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            self.lan = Lan()
            stack.callback(self.lan.close)
            self.capture = Capture(self.lan, self.folder)
            stack.callback(self.capture.close)
            self._stack = stack.pop_all()
            if router:
                self.keep(advertise_router(self.lan, self.folder))

    def __enter__(self) -> Lab:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def keep(self, process: Process) -> Process:
        """Stop a process when the lab closes."""
        self._stack.callback(process.stop)
        return process

    def boot(self, machine: Machine, echo: Callable[[str], None] | None = None) -> Process:
        """Power a machine on."""
        return self.keep(machine.start(self.lan, self.folder, echo))

    def close(self) -> None:
        """Stop everything, the newest first, and remove the network."""
        self._stack.close()
