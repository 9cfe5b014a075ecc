"""The ``pxetwist`` command.

Each command is a module here with a class ``Options`` and a function ``run(options)`` that
returns the exit code. It is imported when it is called, not before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version

from twisted.python import usage

from pxetwist.errors import PxeError

#: Every command and what it does.
COMMANDS = {
    "approve": "Name a machine that reported itself, so that it boots; or reject it.",
    "check": "Look for mistakes in an INI, and for what will not boot.",
    "explain": "Say what a machine would get, step by step, and why.",
    "image": "Make and keep roots of machines without disks.",
    "leases": "List who has which address; export, import and release leases.",
    "loaders": "Show the boot loaders, and put them where they are served from.",
    "neighbours": "Find other DHCP servers on the wire, and say whether they clash.",
    "order": "Let a machine boot a profile once; list or cancel such orders.",
    "pending": "List the unknown machines that reported themselves.",
    "pki": "Make certificates for HTTPS: an authority, servers, machines and persons.",
    "plugins": "List the plugins, or the options of one.",
}


def _options_of(command: str) -> Callable[[], usage.Options]:
    def make() -> usage.Options:
        options: usage.Options = import_module(f"pxetwist.cli.{command}").Options()
        return options

    return make


class Options(usage.Options):
    """The options before the command."""

    synopsis = "Usage: pxetwist COMMAND [options]"

    @property
    def subCommands(self) -> list[tuple[str, None, Callable[[], usage.Options], str]]:
        """Return all commands as Twisted wants them."""
        return [(name, None, _options_of(name), doc) for name, doc in COMMANDS.items()]

    def opt_version(self) -> None:
        """Print the version and leave."""
        print(f"pxetwist {version('pxetwist')}")
        sys.exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0 if all is well, 1 if something is wrong, 2 if it was called wrongly."""
    options = Options()
    try:
        options.parseOptions(arguments)
        command = options.subCommand
        if command is None:
            raise usage.UsageError(f"a command is missing: {', '.join(COMMANDS)}")
        return int(import_module(f"pxetwist.cli.{command}").run(options.subOptions))
    except BrokenPipeError:  # `pxetwist explain … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except usage.UsageError as error:
        print(f"pxetwist: {error}", file=sys.stderr)
        return 2
    except PxeError as error:
        print(error, file=sys.stderr)
        return 1
