"""Running the tools that make images: what they say is logged, how far they are is told."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from pxetwist.diskless.folder import ImageError

#: What the tools say when something begins: percents of the whole from there and up to the next
#: one, and what to call it. mmdebstrap, debootstrap, apt-get and update-initramfs.
_PHASES = (
    (r"I: running apt-get update|I: Retrieving InRelease", 2, 6, "asking the mirrors"),
    (r"I: downloading packages|I: Retrieving ", 6, 20, "downloading the base system"),
    (r"I: extracting archives|I: Extracting ", 20, 25, "unpacking the base system"),
    (r"I: installing essential|I: Unpacking ", 25, 40, "installing the base system"),
    (r"I: installing remaining|I: Configuring ", 40, 88, "installing"),
    (r"update-initramfs: Generating", 88, 90, "making the initramfs"),
)
_COUNTED = re.compile(r"(Get:\d+ |Unpacking |Setting up )")
_EXPECTED = re.compile(r"\d+ upgraded, (\d+) newly installed")
#: What tools complain of, and what would mend it.
_TROUBLES = (
    (r"No space left on device", "the disk is full; state-folder in [pxe] may be elsewhere"),
    (
        r"Unable to locate package (\S+)|Couldn't find these debs: (.*)"
        r"|Package '?(\S+?)'? has no installation candidate",
        "the mirrors have no such package; see --include, --kernel and --mirror",
    ),
    (r"NO_PUBKEY|is not signed", "the mirror's key is unknown here: apt-get install"
     " debian-archive-keyring, or put the key into /etc/apt/trusted.gpg.d"),
    (
        r"404 +Not Found|does not have a Release file|Invalid Release file",
        "the mirror has no such release; see --from and --mirror",
    ),
    (
        r"[Tt]emporary failure resolving|Could not (resolve|connect)|Connection refused"
        r"|[Tt]imed out|Failed to fetch|Failed getting release file",
        "the mirror cannot be reached: give --mirror URL, or tell apt the way to it (for"
        " instance Acquire::http::Proxy in /etc/apt/apt.conf.d)",
    ),
)  # fmt: skip
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


class Progress:
    """Says how far the work is, in lines that begin with percents."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told = ""
        self._percent = -1
        self._from = self._to = 0
        self._word = ""
        self._count = self._expected = 0

    def step(self, percent: int, word: str, end: int = 0) -> None:
        """A part of the work begins, and takes until `end` percent if tools tell how far it is."""
        self._from, self._to = percent, max(percent, end)
        self._count = self._expected = 0
        self._word = word
        self._tell(percent)

    def hear(self, line: str) -> None:
        """Take note of what a tool says."""
        for pattern, start, end, word in _PHASES:
            if re.match(pattern, line) and start >= self._from:
                if start > self._from or word != self._word:
                    self._count = self._expected = 0
                self._from, self._to, self._word = start, end, word
        expected = _EXPECTED.match(line)
        if expected:
            self._count, self._expected = 0, 3 * int(expected[1])
        self._count += bool(_COUNTED.match(line))
        part = min(self._count / self._expected, 1) if self._expected else 0
        self._tell(self._from + int(part * (self._to - self._from)))

    def _tell(self, percent: int) -> None:
        """Print a line for each new part, and at every tenth percent."""
        if self._word and (self._word != self._told or percent // 10 > self._percent // 10):
            self._say(f"{percent:3} %  {self._word}")
            self._told, self._percent = self._word, percent


class Tools:
    """Runs programs, each in a mount namespace of its own: what they mount ends with them."""

    def __init__(self, log: Path, progress: Progress) -> None:
        self._log = log
        self.progress = progress

    def run(self, *command: str) -> None:
        """Run a program to its end.

        :raises ImageError: if it fails, with the reason in words as far as we know it.
        """
        tail: list[str] = []
        words = ("unshare", "--mount", "--propagation", "private", *command)
        with self._log.open("a") as log, _started(words) as process:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                tail = [*tail[-40:], line.rstrip()]
                self.progress.hear(line)
        if process.returncode:
            raise ImageError(complaint(command[0], tail, self._log))

    def chroot(self, root: Path, command: str) -> None:
        """Run a command of the shell inside a root; no daemon is started there.

        :raises ImageError: if it fails.
        """
        policy = root / "usr" / "sbin" / "policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")  # invoke-rc.d and systemd start nothing
        policy.chmod(0o755)
        try:
            self.run("sh", "-c", _INSIDE, "sh", str(root), command)
        finally:
            policy.unlink(missing_ok=True)


#: Where Debian's programs are, whatever the path of who calls us is.
PATHS = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH"
#: Runs the second argument in the root that the first one names.
_INSIDE = f"""\
set -e
{PATHS}
mount -t proc proc "$1/proc"
mount -t sysfs -o ro sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
resolver="$1/etc/resolv.conf"
if [ -e /etc/resolv.conf ] && [ ! -e "$resolver" ] && [ ! -L "$resolver" ]; then
    cp /etc/resolv.conf "$resolver"  # for this command
    code=0
    chroot "$1" sh -c "$2" || code=$?
    rm -f "$resolver"
    exit $code
fi
exec chroot "$1" sh -c "$2"
"""


def _started(words: Sequence[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            words,
            env={**os.environ, **_QUIET},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise ImageError(f"{words[0]} is missing: apt-get install util-linux") from None


def complaint(tool: str, tail: Sequence[str], log: IO[str] | Path) -> str:
    """Say in words what a tool's last lines mean, and what would mend it."""
    for pattern, mend in _TROUBLES:
        for line in tail:
            if re.search(pattern, line):
                return f"{line.strip()}\n{mend} (all of it: {log})"
    said = [line for line in tail if re.match(r"(E|W|error|dpkg): ?", line)] or list(tail)
    last = "\n".join(said[-3:])
    return f"{tool} failed:\n{last}\nall that it said: {log}"
