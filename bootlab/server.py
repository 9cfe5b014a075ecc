"""The server under test: pxetwist itself, started as its users start it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from bootlab.lab import CACHE
from bootlab.linux import linux
from bootlab.network import Lan
from bootlab.processes import LabError, Process, run, wait_until

_BIN = Path(sys.executable).parent
_HTTP = ("ss", "-Hltn", "sport", "=", ":80")


def prepare_site(folder: Path, ini: Path) -> Path:
    """Fill a folder with a configuration, boot loaders and a Linux; return the INI in it.

    The configuration is all INI and CSV files beside `ini`; its content is below ``tftpboot``.
    """
    folder.mkdir(parents=True)
    for file in sorted([*ini.parent.glob("*.ini"), *ini.parent.glob("*.csv")]):
        shutil.copy(file, folder)
    content = folder / "tftpboot" / "lab"
    content.mkdir(parents=True)
    linux(CACHE).put(content)
    own = folder / ini.name
    pxetwist("loaders", str(own), "--install")
    return own


def pxetwist(*words: str) -> str:
    """Run a command of the product and return what it prints.

    :raises LabError: with its complaint, if it fails.
    """
    return run(str(_BIN / "pxetwist"), *words)


def command(ini: Path) -> list[str]:
    """Return the words that start the server in the foreground."""
    return [str(_BIN / "twistd"), "--nodaemon", "--pidfile=", "pxe", "--config", str(ini)]


def start_server(
    lan: Lan, ini: Path, log: Path, echo: Callable[[str], None] | None = None
) -> Process:
    """Start the server in the lab's network and wait until it listens; HTTP must be its last.

    :raises LabError: with its last words, if it does not start.
    """
    server = lan.server.start(command(ini), log, echo)
    wait_until(
        lambda: not server.running or bool(lan.server.run(*_HTTP)), 30, "the server's HTTP port"
    )
    if not server.running:
        raise LabError(f"the server ended:\n{server.text}")
    return server
