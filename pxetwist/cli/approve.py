"""``pxetwist approve FILE CODE NAME``: put a machine that reported itself into the directory."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from pathlib import Path

from twisted.python import usage

from pxetwist.cli.file_options import FileOptions
from pxetwist.cli.pending import reports_of
from pxetwist.config.bind import did_you_mean
from pxetwist.config.load import load
from pxetwist.errors import PxeError
from pxetwist.model.identity import parse_mac
from pxetwist.state import discovered

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LABEL = re.compile(r"[\w.-]+")


class Options(FileOptions):
    """Options of the command."""

    synopsis = "FILE CODE|MAC NAME [LABEL=VALUE …] | FILE CODE|MAC --reject"
    longdesc = (
        "The machine is then in the directory approved, and boots what the policies say; if it"
        " waits, without a reset. The labels mac (further ones), uuid, address, address6,"
        " serial, asset and groups are what they are called, all others are labels for rules,"
        " like profile=debian12."
    )
    optFlags = [["reject", "r", "Let it not wait any more; one that was approved is removed."]]

    def parseArgs(self, *args: str) -> None:
        """Take the INI, the machine, its name and labels."""
        wanted = 2 if self["reject"] else 3
        if len(args) < wanted or (self["reject"] and len(args) > wanted):
            raise usage.UsageError(f"expected {self.synopsis}")
        self["file"], self["which"] = args[:2]
        self["name"] = "" if self["reject"] else args[2]
        self["given"] = dict(_label(word) for word in args[3:])
        if self["name"] and not _NAME.fullmatch(self["name"]):
            raise usage.UsageError(
                f"expected a name of letters, digits, '.', '-' or '_', got {self['name']!r}"
            )


def _label(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not _LABEL.fullmatch(name) or not value.isprintable():
        raise usage.UsageError(f"expected LABEL=VALUE, got {word!r}")
    return name.lower(), value


def run(options: Options) -> int:
    """Approve or reject."""
    file, which = Path(options["file"]), options["which"]
    with suppress(ValueError):  # a code
        which = parse_mac(which)
    configuration = load(file)
    profile = options["given"].get("profile", "")
    if profile and profile not in configuration.profiles:
        hint = did_you_mean(profile, configuration.profiles)
        raise PxeError(f"unknown profile {profile!r}{hint}")
    if "approved" not in {each.factory.name for each in configuration.of_kind("hosts")}:
        raise PxeError(f"{file}: hosts names no directory of the plugin approved")
    with reports_of(file, change=True) as session:
        assert session is not None
        if options["reject"]:
            found = session.run(partial(discovered.reject, which), change=True)
            print(f"{found.mac} ({found.code}) is rejected")
            return 0
        work = partial(discovered.approve, which, options["name"], options["given"])
        try:
            found, machine = session.run(work, change=True)
        except ValueError as error:
            raise PxeError(str(error)) from error
    labels = "".join(f" {name}={value}" for name, value in machine.labels.items())
    print(f"{found.mac} ({found.code}) is {machine.name}{labels}")
    return 0
