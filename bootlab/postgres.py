"""A server of PostgreSQL's in a folder of its own, as a user without rights."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import tempfile
from pathlib import Path

from bootlab.processes import Process, run, wait_until

BINARIES = Path("/usr/lib/postgresql/15/bin")
#: Whom the Debian package makes for it; the server refuses to run as root.
_USER = "postgres"


class Postgres:
    """A database ``inventory`` of the user ``pxetwist``; it is there until `close`.

    It listens on a Unix socket in `folder` and on `port` of loopback. Who measures it wants
    `fsync`: what is committed is on the disk then.
    """

    password = "it's % secret"

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._within: tuple[str, ...] = ()
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._within = ("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._process: Process | None = None
        try:
            self._initialise()
            self.start()
            self.sql("create database inventory", "postgres")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process that all others of the server are children of."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it listens, without the password."""
        return f"postgresql://pxetwist@127.0.0.1:{self.port}/inventory"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(BINARIES / "postgres"), "-D", str(self.folder / "data")]
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "on" if self._fsync else "off",
        }
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._process = Process(command, self.folder / "log", self._within)
        self._process.wait_for("ready to accept connections", 30)

    def stop(self) -> None:
        """Let it end at once, whoever is connected."""
        if self._process is not None:
            process, self._process = self._process, None
            if process.running:
                os.kill(process.pid, signal.SIGINT)  # "fast": it breaks the connections
                wait_until(lambda: not process.running, 30, "the end of PostgreSQL")
            process.stop()

    def freeze(self) -> None:
        """Let it hang: connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def sql(self, statements: str, database: str = "inventory") -> str:
        """Run statements, and return the rows, with ``|`` between columns."""
        return run(
            "env",
            f"PGPASSWORD={self.password}",
            "psql",
            *("-h", str(self.folder), "-p", str(self.port), "-U", "pxetwist", "-d", database),
            *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
            stdin=statements,
        )

    def close(self) -> None:
        """End it, and remove everything."""
        if self._process is not None:
            self.thaw()
        self.stop()
        shutil.rmtree(self.folder)

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        run(
            *self._within,
            str(BINARIES / "initdb"),
            f"--pgdata={self.folder / 'data'}",
            f"--pwfile={secret}",
            "--username=pxetwist",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            cwd=self.folder,
        )

    def _signal(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for each in (self.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):  # workers come and go
                os.kill(each, number)
