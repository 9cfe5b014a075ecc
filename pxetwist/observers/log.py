"""One line of the log for everything that happens to a machine."""

from __future__ import annotations

import re
from collections import OrderedDict

import attrs
from twisted.logger import Logger, LogLevel
from zope.interface import implementer

from pxetwist.config.fields import boolean, option
from pxetwist.interfaces import IBootObserver, Site
from pxetwist.model.event import BootEvent, EventKind

#: A silence that repeats is logged once in this many seconds.
QUIET = 60.0
#: Of the files that a machine does not find, one is logged in this many seconds.
MOMENT = 1.0

#: How much that repeats is remembered.
REMEMBERED = 4096

#: So many lines about machines without a name are written at once, and so many a second after
#: that: with invented machines somebody could fill the disk.
STRANGERS, STRANGERS_PER_SECOND = 500, 20.0

#: What was left out is told once in so many seconds.
TOLD_EVERY = 10.0

_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2})+")

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
    """What repeats: when it was last logged, and how often it was not since."""

    logged: float
    more: int = 0


@attrs.define
class _Budget:
    """So many at once, and `rate` more in each second; `refused` counts since it was told."""

    most: float
    rate: float
    left: float = attrs.field(init=False)
    refused: int = 0
    told: float = float("-inf")
    _last: float = 0.0

    @left.default
    def _all(self) -> float:
        return self.most

    def spend(self, now: float) -> bool:
        """Take one, if there is one."""
        self.left = min(self.most, self.left + max(0.0, now - self._last) * self.rate)
        self._last = now
        if self.left < 1:
            self.refused += 1
            return False
        self.left -= 1
        return True


@implementer(IBootObserver)
class LogObserver:
    """Writes each event as one line; a repeated silence only once a minute, and of missing files
    one for each machine and moment.
    """

    def __init__(self, log: Logger, debug: bool) -> None:
        self._log = log
        self._debug = debug
        self._repeated: OrderedDict[tuple[str, str, str], _Repeated] = OrderedDict()
        self._strangers = _Budget(STRANGERS, STRANGERS_PER_SECOND)

    def notice(self, event: BootEvent) -> None:
        """Log the event, unless it is no news."""
        detail = _is_detail(event)
        if detail and not self._debug:
            return
        refused = event.kind is EventKind.REFUSED  # to whom, anybody may choose
        if (refused or _MAC.fullmatch(event.machine)) and not self._affords(event.time):
            return
        more = ""
        if refused or event.kind is EventKind.SILENT:
            repeats = self._repeats(event, event.summary, QUIET)
            if repeats is None:
                return
            more = f" ({repeats} times more)" if repeats else ""
        elif event.details.get("missing") and not self._debug:
            others = self._repeats(event, f"missing: {event.details['reason']}", MOMENT)
            if others is None:
                return
            more = f" ({others} more were not found)" if others else ""
        if "worker" in event.details:
            more += f" (worker {event.details['worker']})"
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

    def _affords(self, now: float) -> bool:
        """Whether one more line may be written about a machine without a name."""
        budget = self._strangers
        if not budget.spend(now):
            return False
        if budget.refused and now - budget.told >= TOLD_EVERY:
            text = "{count} lines about machines without a name were left out"
            self._log.warn(text, count=budget.refused)
            budget.refused, budget.told = 0, now
        return True

    def _repeats(self, event: BootEvent, what: str, quiet: float) -> int | None:
        """Return how often `what` was not logged of a machine since it was; `None` if it is not to
        be logged now, less than `quiet` seconds later.
        """
        key = (event.machine, event.protocol, what)
        known = self._repeated.get(key)
        if known is not None and 0 <= event.time - known.logged < quiet:
            known.more += 1
            return None
        self._repeated[key] = _Repeated(event.time)
        self._repeated.move_to_end(key)
        if len(self._repeated) > REMEMBERED:
            self._repeated.popitem(last=False)
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
