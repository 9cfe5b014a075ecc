"""``twistd pxe``: the only place that takes the reactor from where it is."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

from twisted.application.service import MultiService
from twisted.logger import Logger
from twisted.python import usage

from pxetwist.config.advice import advice
from pxetwist.config.assemble import Assembly, assemble
from pxetwist.config.load import load
from pxetwist.errors import ConfigErrors, StartError

_log = Logger()


class Options(usage.Options):
    """The options of ``twistd pxe``."""

    synopsis = "[options]"
    longdesc = "A network boot server: DHCP, ProxyDHCP, TFTP and HTTP from one configuration."
    optParameters = [["config", "c", None, "The INI that says what to do."]]  # noqa: RUF012  Twisted's way
    optFlags = [["check", None, "Look for mistakes in the INI, then leave."]]  # noqa: RUF012  ditto

    def postOptions(self) -> None:
        """Insist on the INI."""
        if not self["config"]:
            raise usage.UsageError("--config FILE is missing")


def assembled(file: Path) -> Assembly:
    """Load an INI and build everything it names, on the real reactor; nothing is opened.

    :raises ConfigErrors: with all mistakes.
    """
    from twisted.internet import reactor  # noqa: TID251, PLC0415  the one place; late, so that twistd may choose it

    return assemble(load(file), reactor)


def makeService(options: Options) -> MultiService:
    """Return the server, stopped; mistakes in the INI end the process with all their lines."""
    try:
        assembly = assembled(Path(options["config"]))
    except ConfigErrors as errors:
        raise SystemExit(str(errors)) from None
    for line in advice(assembly.configuration):
        _log.warn("{line}", line=line)
    if options["check"]:
        raise SystemExit(0)
    sys.excepthook = _except_hook
    return assembly.root


def _except_hook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a failed start in one line: it is no bug of ours."""
    if isinstance(error, StartError):
        print(f"pxetwist: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
