"""How answer files of installers are asked for, and given or not."""

from __future__ import annotations

import enum

import attrs

from pxetwist.errors import ContentError
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootRequest


@attrs.frozen
class AnswerQuestion:
    """Who asks for a file of an answer: with which token, from which address, over TLS or not.

    The `request` is without identity and plan.
    """

    token: str = attrs.field(repr=False)
    file: str
    peer: str
    request: BootRequest


class Refusal(enum.Enum):
    """Why an answer is not given; who asks is never told."""

    FORGED = "no token of ours"
    EXPIRED = "its time is over"
    EARLIER_BOOT = "it is of an earlier boot"
    NOT_PLANNED = "its machine does not boot that profile now"
    NO_FILE = "there is no such file"
    OTHER_MACHINE = "it is another machine's"
    OTHER_ADDRESS = "it was made for another address"
    NO_LEASE = "its machine does not hold that address any more"
    UNPROVEN = "nothing shows that the machine has that address"
    IN_THE_CLEAR = "it is secret, and was asked for without TLS"
    REPLAYED = "it was redeemed before"

    @property
    def word(self) -> str:
        """Its name for programs and counters."""
        return self.name.lower().replace("_", "-")


class AnswerRefused(ContentError):
    """An answer is not given; `machine` is the name of whose it is, empty if nobody's."""

    def __init__(self, reason: Refusal, machine: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.machine = machine


@attrs.frozen
class Redemption:
    """A question that may be answered: the resolved `request`, which answer, and to which address.

    `claim` is what is noted of one that is given once; empty for all others.
    """

    request: BootRequest
    answer: Answer
    file: str
    peer: str
    claim: str = ""
