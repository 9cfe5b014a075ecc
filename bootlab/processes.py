"""Programs that run for a while, and what they print."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

#: Colours and cursor movements: firmware and loaders draw, but the words are what counts.
TERMINAL = re.compile(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()][0-9A-B]|c)")

#: No short command takes longer, in seconds.
_LONGEST = 600


class LabError(Exception):
    """The lab could not do what was asked; the text says where to look."""


def run(*command: str, cwd: Path | None = None, stdin: str | None = None) -> str:
    """Run a short command to its end and return what it printed.

    :raises LabError: with the command and its complaint, if it fails or does not end.
    """
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)}: no end within {_LONGEST} s") from error
    except FileNotFoundError as error:
        raise LabError(
            f"{command[0]} is missing; scripts/install-debian installs what the lab needs"
        ) from error
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Look every 50 ms whether something is true.

    :raises LabError: naming `what`, if it is not within `seconds`.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def halt(pid: int) -> None:
    """Let a process hang until it gets SIGCONT; when this returns, none of its threads runs."""
    os.kill(pid, signal.SIGSTOP)
    states = Path(f"/proc/{pid}/task")
    wait_until(
        lambda: all(
            each.read_text().rpartition(")")[2].split()[0] == "T" for each in states.glob("*/stat")
        ),
        10,
        f"the halt of process {pid}",
    )


class Process:
    """A running program; a thread keeps what it prints and writes it to a log file.

    `echo` is called with every piece of the output as it comes. The kernel kills the program
    when the one that started it dies.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        within: Sequence[str] = (),
        echo: Callable[[str], None] | None = None,
    ) -> None:
        self.command = tuple(command)
        self.log = log
        self._echo = echo
        self._output = bytearray()
        self._ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [*within, "setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def text(self) -> str:
        """All it has printed so far, without terminal sequences."""
        with self._changed:
            output = self._output.decode("utf-8", "replace")
        return TERMINAL.sub("", output)

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait until `pattern` occurs anywhere in the output, from its beginning.

        :raises LabError: with the end of the output, if it does not come or the program ends.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                found = re.search(pattern, self.text)
                if found:
                    return found
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    why = "it ended" if self._ended else f"not within {seconds:g} s"
                    raise LabError(f"waited for {pattern!r}: {why}\n{self._last()}")
                self._changed.wait(left)

    def type(self, keys: str) -> None:
        """Type keys as slowly as the input queue of firmware needs it."""
        assert self._process.stdin is not None
        for key in keys:
            self._process.stdin.write(key.encode())
            time.sleep(0.1)

    def stop(self, patience: float = 5.0) -> None:
        """Ask it to end, insist after `patience` seconds, and wait until its log is whole."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._reader.join(patience)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _last(self) -> str:
        lines = [line.rstrip() for line in self.text.splitlines() if line.strip()]
        return "\n".join([f"-- the end of {self.log}:", *lines[-15:]])

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("wb", buffering=0) as log:
            while piece := self._process.stdout.read(65536):
                log.write(piece)
                with self._changed:
                    self._output += piece
                    self._changed.notify_all()
                if self._echo is not None:
                    self._echo(piece.decode("utf-8", "replace"))
        with self._changed:
            self._ended = True
            self._changed.notify_all()
