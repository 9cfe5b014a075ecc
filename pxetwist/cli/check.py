"""``pxetwist check FILE``: all mistakes of an INI, then what is no mistake but will not boot."""

from __future__ import annotations

from pathlib import Path

from twisted.python import usage

from pxetwist.config.advice import advice
from pxetwist.tap import assembled


class Options(usage.Options):
    """Options of the command."""

    synopsis = "FILE"
    longdesc = "Exits with 1 if there are mistakes."

    def parseArgs(self, *args: str) -> None:
        """Take the INI."""
        if len(args) != 1:
            raise usage.UsageError("check takes one FILE")
        self["file"] = args[0]


def run(options: Options) -> int:
    """Load, build, and print what looks wrong."""
    assembly = assembled(Path(options["file"]))
    configuration = assembly.configuration
    for line in advice(configuration, assembly.built):
        print(f"warning: {line}")
    services = ", ".join(each.name for each in configuration.of_kind("service"))
    print(f"{options['file']}: no mistakes; services: {services}")
    return 0
