"""What reading and writing TFTP transfers have in common: a machine, a socket, an end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import attrs
from twisted.logger import Logger

from pxetwist.errors import PxeError
from pxetwist.exchange.tftp import Finished, Outcome, Terms
from pxetwist.model.boot import BootRequest
from pxetwist.services.sockets import Peer
from pxetwist.services.tftp.transfer_interfaces import ITransferSocket
from pxetwist.wire.tftp import Error, ErrorCode, ReadRequest, WriteRequest, encode

M = TypeVar("M", bound="IMachine")


class IMachine(Protocol):
    """What :class:`~pxetwist.exchange.tftp.ReadTransfer` and `WriteTransfer` have in common."""

    terms: Terms
    started: float
    repetitions: int

    @property
    def heard(self) -> float:
        """When the client last gave a sign of life."""

    @property
    def waits_for_first(self) -> bool:
        """Whether the client has not yet answered."""

    def next_timeout(self) -> float:
        """Return when :meth:`handle_timeout` wants to be called."""

    def handle_timeout(self, now: float) -> Any:
        """Return what to do when the time has come."""

    def repeat_first(self, now: float) -> Any:
        """Return what to do when the request came once more; `None`: nothing."""

    def receive(self, data: bytes, now: float) -> Any:
        """Return what to do with a packet; `None`: nothing."""

    def closed(self) -> Finished:
        """Return how it ended when the client's port is closed."""


class ITransferOwner(Protocol):
    """Who keeps the running transfers."""

    def moved(self, transfer: RunningTransfer[Any]) -> None:
        """Know that something happened: the transfer's deadline may have changed."""

    def tell(self, transfer: RunningTransfer[Any], finished: Finished) -> None:
        """Tell how a transfer ended, though it may still repeat its last word."""

    def ended(self, transfer: RunningTransfer[Any], finished: Finished) -> None:
        """Know that a transfer is over; its socket and file are closed."""


class RunningTransfer(ABC, Generic[M]):
    """One transfer; its socket delivers to it.

    `asked` is the packet that began it, `request` the resolved request, `peer` the client's
    address and port. `told` says that the observers know its end.
    """

    log = Logger()

    def __init__(
        self,
        owner: ITransferOwner,
        asked: ReadRequest | WriteRequest,
        request: BootRequest,
        *,
        peer: Peer,
        clock: Any,
    ) -> None:
        self.asked = asked
        self.request = request
        self.peer = peer
        self.over = self.told = False
        self.watched = math.inf
        self.machine: M
        self._owner = owner
        self._clock = clock
        self._socket: ITransferSocket

    def repeat_first(self) -> None:
        """Answer a request that came once more."""
        self._act(self.machine.repeat_first(self._clock.seconds()))

    def next_timeout(self) -> float:
        """Return when it wants to be told of the time; infinite when it is over."""
        return math.inf if self.over else self.machine.next_timeout()

    def timed_out(self, now: float) -> None:
        """Repeat, or give up."""
        self._act(self.machine.handle_timeout(now))

    def received(self, data: bytes, now: float) -> None:
        """Take a packet of the client."""
        self._act(self.machine.receive(data, now))

    def closed(self) -> None:
        """Know that the client's port is closed."""
        if not self.over:
            self._finish(self.machine.closed())

    def abandon(self, reason: str) -> None:
        """End it without a word to the client, who may have had what it wanted."""
        self._finish(attrs.evolve(self.machine.closed(), error=Error(ErrorCode.UNDEFINED, reason)))

    def give_up(self) -> None:
        """End it, as its client has not answered."""
        self._finish(Finished(Outcome.UNANSWERED))

    @abstractmethod
    def report(self, finished: Finished) -> tuple[bool, str, Mapping[str, object]]:
        """Return whether it ended well, one line for people, and the same for programs."""

    @abstractmethod
    def _perform(self, action: Any) -> None:
        """Do what the machine wants; exceptions are treated here."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of the file."""

    def _act(self, action: Any) -> None:
        if action is None:
            return
        try:
            self._perform(action)
        except Exception as error:
            self._broken(error)
        if self.next_timeout() < self.watched:
            self._owner.moved(self)

    def _broken(self, error: Exception, told: Error | None = None) -> None:
        """End it for a fault of ours, and say so to the client; called where it was caught."""
        if self.over:
            return
        path = str(self.request.wanted)
        if isinstance(error, PxeError | OSError):
            self.log.warn("The transfer of {path} failed: {error}", path=path, error=error)
        else:
            self.log.failure("The transfer of {path} failed", path=path)
        told = told or Error(ErrorCode.UNDEFINED, "The server cannot use the file")
        self._socket.send(encode(told))
        self._finish(Finished(Outcome.LOST, told))

    def _finish(self, finished: Finished) -> None:
        if self.over:
            return
        self.over = True
        self._release()
        self._socket.close()
        self._owner.ended(self, finished)

    def _details(self, finished: Finished, octets: int, size: int) -> dict[str, object]:
        seconds = self._seconds()
        return {
            "outcome": finished.outcome.value,
            "bytes": octets,
            "size": size,
            "seconds": seconds,
            "rate": octets / seconds / 1e6 if seconds else 0.0,  # MB/s
            "repetitions": self.machine.repetitions,
            "block size": self.machine.terms.block_size,
            "window": self.machine.terms.window,
        }

    def _seconds(self) -> float:
        passed: float = self._clock.seconds() - self.machine.started
        return passed


def reason(finished: Finished) -> str:
    """Say why a transfer did not come to its end."""
    if finished.error is not None:
        return finished.error.text or f"the client said ERROR {int(finished.error.code)}"
    if finished.outcome is Outcome.UNANSWERED:
        return "the client never answered"
    if finished.outcome is Outcome.LOST:
        return "the client fell silent"
    return "the client closed its port"
