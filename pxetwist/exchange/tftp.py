"""The server's side of a TFTP read transfer: packets and time go in, what to send comes out.

Blocks are counted from 1 without end; only the wire has 16 bits, and rolls over to 0. The machine
names ranges of blocks and never sees their bytes. Window rules are those of RFC 7440; with a
window of one block a repeated ACK is never answered (RFC 1123 §4.2.3.1).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import attrs

from pxetwist.errors import WireError
from pxetwist.exchange.repeat_timer import RepeatTimer
from pxetwist.wire import tftp
from pxetwist.wire.tftp import Error, ErrorCode, OptionAck, Options

_FIRST_TRIES = 3  # repetitions for a client that has never answered: it may not have asked
_FIRST_ANSWERS = 10  # and so many answers to its repeated requests, no sooner than each:
_FIRST_GAP = 0.05  # seconds
_LAST_TRIES = 4  # EDK2 and many ROMs leave without acknowledging the last block,
_LAST_PATIENCE = 20.0  # but one that lost it may come back for it after seconds
_REMEMBERED = 256  # terms: in a storm of boots many are the same
_USUAL = 8  # options; what has more is not remembered


class Outcome(enum.Enum):
    """How a transfer ended; the first four are no failures."""

    SENT = "sent"  # the last block was acknowledged
    RECEIVED = "received"  # all of the client's file has come
    PRESUMED = "presumed"  # all was sent, but the client left without a word
    PROBED = "probed"  # the client wanted to know the size (EDK2, PXELINUX)
    ABORTED = "aborted"  # the client said ERROR, or closed its port
    LOST = "lost"  # the client fell silent
    UNANSWERED = "never answered"  # the client, who may never have asked


@attrs.frozen
class SendOack:
    """Send these bytes, an OACK."""

    packet: bytes


class SendBlocks(NamedTuple):
    """Send so many `blocks` from the absolute number `first`."""

    first: int
    blocks: int


@attrs.frozen
class Finished:
    """The transfer is over; `error` is what the client said, if it did."""

    outcome: Outcome
    error: Error | None = None


Action = SendOack | SendBlocks | Finished


@attrs.frozen
class Limits:
    """The most that a client gets: bytes per block (from the path's MTU) and blocks per window."""

    block_size: int = 1468
    window: int = 64


@attrs.frozen
class Terms:
    """What was agreed; `options` go into the `oack`, a packet; empty means that there is none."""

    block_size: int = 512
    window: int = 1
    timeout: float = 0.0
    options: Options = ()
    oack: bytes = attrs.field(init=False)

    @oack.default
    def _encoded(self) -> bytes:
        return tftp.encode(OptionAck(self.options)) if self.options else b""


def negotiate(asked: Options, size: int | None, limits: Limits) -> Terms:
    """Answer a request's options: nothing unasked, nothing above what was asked, and names in
    the client's spelling (GRUB and PXELINUX compare bytes, EDK2 aborts on surprises).

    What is invalid or unknown is left out (RFC 2347). A `size` of `None` leaves out tsize.
    """
    return (_known if len(asked) <= _USUAL else _negotiated)(asked, size, limits)


def _negotiated(asked: Options, size: int | None, limits: Limits) -> Terms:
    agreed: dict[str, int] = {}
    spelled: list[tuple[str, str]] = []
    for name, text in asked:
        key = name.lower()
        if key in agreed or key not in _OPTIONS:
            continue
        value = _OPTIONS[key](_number(text), size, limits)
        if value is not None:
            agreed[key] = value
            spelled.append((name, str(value)))
    return Terms(
        block_size=agreed.get("blksize", 512),
        window=agreed.get("windowsize", 1),
        timeout=float(agreed.get("timeout", 0)),
        options=tuple(spelled),
    )


_known = lru_cache(_REMEMBERED)(_negotiated)


def _number(text: str) -> int:
    """Read a decimal number; anything else is -1, which no option allows."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


def _block_size(asked: int, size: int | None, limits: Limits) -> int | None:
    return min(asked, max(limits.block_size, 8)) if 8 <= asked <= 65464 else None


def _transfer_size(asked: int, size: int | None, limits: Limits) -> int | None:
    return size if asked >= 0 else None


def _timeout(asked: int, size: int | None, limits: Limits) -> int | None:
    return asked if 1 <= asked <= 255 else None  # never another number (U-Boot, EDK2)


def _window(asked: int, size: int | None, limits: Limits) -> int | None:
    return min(asked, max(limits.window, 1)) if 1 <= asked <= 65535 else None


_OPTIONS: dict[str, Callable[[int, int | None, Limits], int | None]] = {
    "blksize": _block_size,  # RFC 2348
    "tsize": _transfer_size,  # RFC 2349
    "timeout": _timeout,  # RFC 2349
    "windowsize": _window,  # RFC 7440
}


class ReadTransfer:
    """One file on its way to one client; every method returns what to do next, if anything.

    `size` is in bytes as they go over the wire. `repetitions` counts what was sent again: each
    window or OACK once. `acknowledged` is in bytes.
    """

    def __init__(
        self, size: int, options: Options, limits: Limits, now: float, *, tell_size: bool = True
    ) -> None:
        self.terms = negotiate(options, size if tell_size else None, limits)
        self.size = size
        self.blocks = size // self.terms.block_size + 1  # the last one is short, maybe empty
        self.started = now
        self._repeated = -math.inf
        self.repetitions = 0
        self._oack = self.terms.oack
        self._base = 0 if self._oack else 1  # the first one not acknowledged; 0 is the OACK
        self._end = 0  # the last one sent
        self._went_back = 0  # the base for which a repeated ACK was answered
        self._first_tries = self._first_answers = 0
        self._last_tries = 0
        self._timer = RepeatTimer(self.terms.timeout, now)

    @property
    def acknowledged(self) -> int:
        """How many bytes the client is known to have."""
        return min(max(self._base - 1, 0) * self.terms.block_size, self.size)

    @property
    def heard(self) -> float:
        """When the client last gave a sign of life (its request is one)."""
        return self._timer.heard

    @property
    def waits_for_first(self) -> bool:
        """Whether the client has not yet answered the first packet."""
        return self._base == (0 if self._oack else 1)

    def next_timeout(self, heard: float = 0.0) -> float:
        """Return when :meth:`handle_timeout` wants to be called, if :meth:`went_on` is to be told
        of an ACK that was `heard`.
        """
        return max(self._timer.deadline, heard + self._timer.usual)

    def start(self) -> Action:
        """Begin: with the OACK, or with block 1."""
        return SendOack(self._oack) if self._oack else self._window()

    def repeat_first(self, now: float) -> Action | None:
        """Answer a repeated request while :attr:`waits_for_first`; a bounded number of them, for
        who asks in the name of others must not flood them.
        """
        if self._first_answers >= _FIRST_ANSWERS or now - self._repeated < _FIRST_GAP:
            return None
        self._first_answers += 1
        self._repeated = now
        self.repetitions += 1
        self._timer.deadline = now + self._timer.wait
        return self.start()

    def receive(self, data: bytes, now: float) -> Action | None:
        """Take a packet of the client; what makes no sense is passed over."""
        block = tftp.acknowledged(data)
        if block is not None:
            return self.acknowledge(block, now)
        try:
            packet = tftp.decode(data)
        except WireError:
            return None
        return self._refused(packet) if isinstance(packet, Error) else None

    def closed(self) -> Finished:
        """Know that the client's port is closed (ICMP port unreachable)."""
        if self._base == 0:
            return Finished(Outcome.PROBED)
        return Finished(Outcome.PRESUMED if self._end >= self.blocks else Outcome.ABORTED)

    def handle_timeout(self, now: float) -> Action:
        """Send all that is not acknowledged once more, or give up."""
        all_sent = self._end >= self.blocks
        if self.waits_for_first and not all_sent:
            self._first_tries += 1
            if self._first_tries > _FIRST_TRIES:
                return Finished(Outcome.UNANSWERED)
        if all_sent:
            self._last_tries += 1
        left = self._last_tries > _LAST_TRIES and now - self.heard >= _LAST_PATIENCE
        if left or self._timer.exhausted(now):
            return Finished(Outcome.PRESUMED if all_sent else Outcome.LOST)
        self._timer.repeated(now)
        self.repetitions += 1
        self._went_back = 0
        return self._window() if self._base else SendOack(self._oack)

    @property
    def following(self) -> int:
        """The block after the last one that was sent."""
        return self._end + 1

    def ahead(self, end: int) -> int:
        """Return how many ACKs, if they come in order, ask each for one more whole window, with
        blocks before `end`, but not the last one of the file. Their numbers do not roll over.

        Who answers so many, or fewer, tells by :meth:`went_on`.
        """
        window, last = self.terms.window, self._end
        if last - self._base != window - 1:
            return 0
        before_rollover = (0xFFFF - (last & 0xFFFF)) // window + 1
        return min((min(end, self.blocks) - last - 1) // window, before_rollover)

    def went_on(self, answered: int, heard: float) -> None:
        """Know that so many ACKs came in order and were answered; the last one was `heard`."""
        blocks = answered * self.terms.window
        self._base += blocks
        self._end += blocks
        self._last_tries = 0
        self._timer.went_on(heard)

    def acknowledge(self, block: int, now: float) -> Action | None:
        """Take an ACK; what makes no sense is passed over."""
        distance = (block - self._base) & 0xFFFF
        if distance <= self._end - self._base:
            partial = self._base + distance < self._end
            self._base += distance + 1
            self._timer.progress(now)
            self._last_tries = 0
            if self._base > self.blocks:
                return Finished(Outcome.SENT)
            if partial:
                self._go_back()
            return self._window()
        if distance == 0xFFFF and self.terms.window > 1 and self._went_back != self._base:
            self._go_back()
            return self._window()
        return None

    def _go_back(self) -> None:
        """Answer only the first of several equal ACKs: EDK2 sends one per block out of order."""
        self._went_back = self._base
        self.repetitions += 1

    def _refused(self, error: Error) -> Finished:
        probe = error.code in (ErrorCode.OPTIONS_REFUSED, ErrorCode.UNDEFINED)
        if self._base == 0 and probe:
            return Finished(Outcome.PROBED, error)
        return Finished(Outcome.ABORTED, error)

    def _window(self) -> SendBlocks:
        count = min(self.terms.window, self.blocks - self._base + 1)
        self._end = self._base + count - 1
        return SendBlocks(self._base, count)
