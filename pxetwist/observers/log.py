"""One line of the log for everything that happens to a machine."""

from __future__ import annotations

from collections import OrderedDict

import attrs
from twisted.logger import Logger, LogLevel
from zope.interface import implementer

from pxetwist.config.fields import boolean, option
from pxetwist.interfaces import IBootObserver, Site
from pxetwist.model.event import BootEvent, EventKind

#: A silence that repeats is logged once in this many seconds.
QUIET = 60.0

#: How many different silences are remembered.
REMEMBERED = 4096

_LINE = "{boot}{machine} {protocol}: {summary}{more}"


@attrs.frozen
class Settings:
    """How much."""

    debug: bool = option(
        boolean,
        default=False,
        doc="Also log the silence towards systems that are no network boot clients, what loaders"
        " look for and may well not find, and every detail.",
    )


@attrs.define
class _Repeated:
    """A silence: when it was last logged, and how often it was not since."""

    logged: float
    more: int = 0


@implementer(IBootObserver)
class LogObserver:
    """Writes each event as one line; a repeated silence only once a minute."""

    def __init__(self, log: Logger, debug: bool) -> None:
        self._log = log
        self._debug = debug
        self._silences: OrderedDict[tuple[str, str, str], _Repeated] = OrderedDict()

    def notice(self, event: BootEvent) -> None:
        """Log the event, unless it is no news."""
        detail = _is_detail(event)
        if detail and not self._debug:
            return
        more = ""
        if event.kind is EventKind.SILENT:
            repeats = self._repeats(event)
            if repeats is None:
                return
            more = f" ({repeats} times more)" if repeats else ""
        if self._debug and event.details:
            more += "".join(f" {key}={value!r}" for key, value in event.details.items())
        self._log.emit(
            LogLevel.debug if detail else LogLevel.info,
            _LINE,
            boot=f"boot {event.boot_id} " if event.boot_id else "",
            machine=_printable(event.machine),
            protocol=event.protocol,
            summary=_printable(event.summary),
            more=more,
            kind=event.kind.value,
            boot_id=event.boot_id,
            stage=event.stage,
            details=event.details,
        )

    def _repeats(self, event: BootEvent) -> int | None:
        """Return how often this silence was not logged; `None` if it is not to be logged now."""
        silence = (event.machine, event.protocol, event.summary)
        known = self._silences.get(silence)
        if known is not None and 0 <= event.time - known.logged < QUIET:
            known.more += 1
            return None
        self._silences[silence] = _Repeated(event.time)
        self._silences.move_to_end(silence)
        if len(self._silences) > REMEMBERED:
            self._silences.popitem(last=False)
        return known.more if known is not None else 0


def _is_detail(event: BootEvent) -> bool:
    """Whether only somebody who looks closely wants to read it. That a machine which tries to
    boot gets silence is what an operator looks for.
    """
    if event.kind is EventKind.SILENT:
        return not event.details.get("in_vain")
    return bool(event.details.get("debug"))


def _printable(text: str) -> str:
    """Replace what could forge a line or move a terminal's cursor; clients choose host names."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def build(settings: Settings, site: Site) -> LogObserver:
    """Make the observer."""
    return LogObserver(site.log, settings.debug)
