"""``twistd pxe``: the only place that takes the reactor from where it is."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from pxetwist.config.advice import advice
from pxetwist.config.assemble import Assembly, also_mistaken, assemble
from pxetwist.config.changed import tell_changes
from pxetwist.config.greeting import greet
from pxetwist.config.load import read
from pxetwist.config.status import status, tell_counts
from pxetwist.errors import ConfigErrors, StartError
from pxetwist.services.clock_steps import keep_timers
from pxetwist.services.workers.duty import Duty, end_with
from pxetwist.services.workers.feed import feed

T = TypeVar("T")

#: So many more objects than before let the collector look at the youngest ones: an answer makes
#: dozens, and none in a ring.
_YOUNG = 20_000
#: So many files may be open, if the system lets us say so: each connection is one.
_FILES = 65_536

_log = Logger(namespace="pxetwist")


class Options(usage.Options):
    """The options of ``twistd pxe``."""

    synopsis = "[options]"
    longdesc = "A network boot server: DHCP, ProxyDHCP, TFTP and HTTP from one configuration."
    optParameters = [
        ["config", "c", None, "The INI that says what to do."],
        ["worker", None, None, "Be one of a server's workers; only the server says this."],
    ]
    optFlags = [["check", None, "Look for mistakes in the INI, then leave."]]

    def postOptions(self) -> None:
        """Insist on the INI."""
        if not self["config"]:
            raise usage.UsageError("--config FILE is missing")


def assembled(file: Path, duty: Duty | None = None) -> Assembly:
    """Load an INI and build everything it names, on the real reactor; nothing is opened.

    :raises ConfigErrors: with all mistakes.
    """
    from twisted.internet import reactor  # noqa: TID251, PLC0415  the one place; late, so that twistd may choose it

    keep_timers(reactor)
    configuration, errors = read(file, duty.texts if duty else None)
    if configuration is None or errors:
        raise ConfigErrors(also_mistaken(configuration, errors, reactor))
    return assemble(configuration, reactor, duty)


def completed(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, turning the real reactor only if it has to wait."""
    from twisted.internet import reactor  # noqa: TID251, PLC0415  as above

    results: list[T | Failure] = []
    waiting = Deferred.fromCoroutine(work).addBoth(results.append)
    if not waiting.called:
        waiting.addBoth(lambda _: reactor.stop())
        reactor.run()
    [result] = results
    if isinstance(result, Failure):
        result.raiseException()
    return result


def makeService(options: Options) -> MultiService:
    """Return the server, stopped; mistakes in the INI end the process with all their lines."""
    duty = None
    if options["worker"]:
        duty = Duty.read(sys.stdin.buffer)
        end_with(duty.parent)
    try:
        assembly = assembled(Path(options["config"]), duty)
    except ConfigErrors as errors:
        raise SystemExit(str(errors)) from None
    if duty is None:
        _be_server(assembly, options)
    else:
        told = feed()
        assembly.root.greet = partial(told.tell, "ready")
        assembly.root.status = partial(tell_counts, assembly, told)
        assembly.root.logs_failure = False
    sys.excepthook = _except_hook
    gc.freeze()  # what was built stays
    gc.set_threshold(_YOUNG, 20, 20)
    _allow_files()
    return assembly.root


def _be_server(assembly: Assembly, options: Options) -> None:
    lines = advice(assembly.configuration, assembly.built)
    if options["check"]:
        print(*(f"warning: {line}\n" for line in lines), sep="", end="")
        raise SystemExit(0)
    for line in lines:
        _log.warn("{line}", line=line)
    root = assembly.root
    root.reloads = (("pxe", partial(tell_changes, assembly.configuration)), *root.reloads)
    root.greet = partial(greet, assembly)
    root.status = partial(status, assembly)
    # In the foreground both would stand on the same terminal.
    root.logs_failure = not _logs_to_terminal(options)


def _allow_files() -> None:
    """Raise the limit of open files, which is 1024 for most; the hard one stays as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _logs_to_terminal(options: Options) -> bool:
    server = options.parent
    return server is not None and bool(server["nodaemon"]) and not server["logfile"]


def _except_hook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a failed start in one line: it is no bug of ours."""
    if isinstance(error, StartError):
        print(f"pxetwist: {error}", file=sys.__stderr__)  # twistd's own one is the log
    else:
        sys.__excepthook__(kind, error, trace)
