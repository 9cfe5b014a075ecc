"""The server's side of a TFTP write transfer: packets and time go in, what to do comes out.

Blocks are counted from 1 without end, as in :mod:`pxetwist.exchange.tftp`. A block that came
before is acknowledged once more, for the ACK may be lost; not if it is a mere double, for some
clients answer each ACK with a block (atftp), and there would be no end. Windows are not granted:
clients that send in windows do not all find back to a block that was lost (atftp).
"""

from __future__ import annotations

import attrs

from pxetwist.errors import WireError
from pxetwist.exchange.repeat_timer import RepeatTimer
from pxetwist.exchange.tftp import Finished, Limits, Outcome, negotiate
from pxetwist.wire import tftp
from pxetwist.wire.tftp import Ack, Data, Error, ErrorCode, OptionAck, Options

_FIRST_TRIES = 3  # repetitions for a client that has never sent a block: it may not have asked
_DOUBLE = 0.1  # seconds after an ACK in which no client has waited long enough to repeat a block
_DALLY = 5.0  # seconds in which a last block that comes again is acknowledged again


@attrs.frozen
class Answer:
    """Send these bytes."""

    packet: bytes


@attrs.frozen
class Keep:
    """Keep a block of the file; when that is done, send `answer`. With the `last` one the file
    is whole.
    """

    payload: bytes
    answer: bytes
    last: bool


Action = Answer | Keep | Finished


class WriteTransfer:
    """One file on its way from a client; every method returns what to do next, if anything.

    `received` is in bytes as they come over the wire, and `announced` what the client said the
    file has (tsize), `None` if it did not.
    """

    def __init__(self, options: Options, limits: Limits, now: float) -> None:
        self.announced = tftp.announced_size(options)
        self.terms = negotiate(options, self.announced, attrs.evolve(limits, window=1))
        self.started = now
        self.received = 0
        self.repetitions = 0
        self.whole = False
        self._next = 1
        self._first_tries = 0
        self._acknowledged = now
        self._timer = RepeatTimer(self.terms.timeout, now)

    @property
    def heard(self) -> float:
        """When the client last gave a sign of life (its request is one)."""
        return self._timer.heard

    @property
    def waits_for_first(self) -> bool:
        """Whether no block has come yet."""
        return self._next == 1

    def next_timeout(self) -> float:
        """Return when :meth:`handle_timeout` wants to be called."""
        return self._timer.heard + _DALLY if self.whole else self._timer.deadline

    def start(self) -> Answer:
        """Begin: with the OACK, or with the ACK of block 0."""
        options = self.terms.options
        return Answer(tftp.encode(OptionAck(options) if options else Ack(0)))

    def repeat_first(self, now: float) -> Answer | None:
        """Answer a repeated request; as often as a timeout would, and no more."""
        action = self.handle_timeout(now) if now > self.started else None
        return action if isinstance(action, Answer) else None

    def receive(self, data: bytes, now: float) -> Action | None:
        """Take a packet of the client; what makes no sense is passed over."""
        try:
            packet = tftp.decode(data)
        except WireError:
            return None
        if isinstance(packet, Error):
            return Finished(Outcome.RECEIVED if self.whole else Outcome.ABORTED, packet)
        return self._take(packet, now) if isinstance(packet, Data) else None

    def closed(self) -> Finished:
        """Know that the client's port is closed, as it well may be at the end."""
        return Finished(Outcome.RECEIVED if self.whole else Outcome.ABORTED)

    def handle_timeout(self, now: float) -> Action:
        """Acknowledge what has come once more, or give up."""
        if self.whole:
            return Finished(Outcome.RECEIVED)
        if self.waits_for_first:
            self._first_tries += 1
            if self._first_tries > _FIRST_TRIES:
                return Finished(Outcome.UNANSWERED)
        if self._timer.exhausted(now):
            return Finished(Outcome.LOST)
        self._timer.repeated(now)
        return self._again(now)

    def _again(self, now: float) -> Answer:
        self.repetitions += 1
        self._acknowledged = now
        return self.start() if self.waits_for_first else Answer(self._ack())

    def _ack(self) -> bytes:
        return tftp.encode(Ack(self._next - 1))

    def _take(self, block: Data, now: float) -> Action | None:
        if self.whole or block.block != self._next & 0xFFFF:
            before = block.block == (self._next - 1) & 0xFFFF
            double = now - self._acknowledged < _DOUBLE
            return self._again(now) if before and not double else None
        length = len(block.payload)
        if length > self.terms.block_size:
            return Finished(Outcome.LOST, Error(ErrorCode.ILLEGAL_OPERATION, "A long block"))
        self._timer.progress(now)
        self._acknowledged = now
        self._next += 1
        self.received += length
        self.whole = length < self.terms.block_size
        return Keep(block.payload, self._ack(), self.whole)
