"""Questions of DHCP clients, and what is known of them.

Most of what arrives was asked before: of the same machine yesterday, or in a boot of a minute ago.
What follows from the bytes of a question alone is found out once.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import attrs

from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4 import Asks, Destination, Silence
from pxetwist.exchange.dhcp4_replies import encode_reply
from pxetwist.model.boot import BootFile, BootPlan
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.lease import Network
from pxetwist.model.recent import Recent
from pxetwist.wire.dhcp4 import Dhcp4Message, decode
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode

if TYPE_CHECKING:
    from pxetwist.services.dhcp.standing import Standing

#: So many questions of known machines are remembered at least: a boot asks some six. With its
#: replies one takes about 6 KiB.
QUESTIONS = 24_576
#: And so many clients that have asked last, whoever they are.
LATEST = 2048
_BROADCAST = (b"\0", b"\1")
_LARGEST = 1024  # a longer question is not remembered

#: Where the value of option 53 stands in what we write: it is the first one.
_KIND = 242
#: What tells a REQUEST from the DISCOVER before it.
_TAKES_UP = (OptionCode.MESSAGE_TYPE, OptionCode.REQUESTED_ADDRESS, OptionCode.SERVER_ID)


class Reply:
    """A reply and where it goes, for every time that the same is said to the same question: only
    the transaction id is another one.
    """

    def __init__(
        self,
        request: Dhcp4Message,
        message: Dhcp4Message,
        destination: Destination,
        note: str = "",
    ) -> None:
        """Keep the request for its limits; `note` is what else is to be said of it."""
        self._request = request
        self._message: Dhcp4Message | None = message
        self._payload = b""
        self.note = note
        self.destination = destination
        self.kind = message.message_type
        self.yiaddr = message.yiaddr
        self.address = str(message.yiaddr)
        self._offer: Reply | None = None
        self._summary: tuple[BootPlan | None, BootFile | None, str] | None = None

    @property
    def message(self) -> Dhcp4Message:
        """The reply as a message."""
        if self._message is None:
            assert self._offer is not None
            told = self._offer.message
            options = {**told.options, OptionCode.MESSAGE_TYPE: bytes([Dhcp4Type.ACK])}
            self._message = attrs.evolve(told, xid=self._request.xid, options=options)
        return self._message

    def payload(self, xid: int) -> bytes:
        """Return the bytes to be sent.

        :raises WireError: if they cannot be written.
        """
        payload = self._payload
        if not payload:
            payload = self._payload = encode_reply(self._request, self.message)
        return b"%b%b%b" % (payload[:4], xid.to_bytes(4, "big"), payload[8:])

    def acknowledged(self, request: Dhcp4Message) -> Reply:
        """Turn an OFFER into the ACK of a request that is the DISCOVER but for its type and what
        it takes up.
        """
        made = Reply.__new__(Reply)
        vars(made).update(vars(self))
        made._request, made._message, made._offer = request, None, self
        made.kind, made._summary = Dhcp4Type.ACK, None
        offer = self._payload
        if offer:
            made._payload = b"%b%c%b" % (offer[:_KIND], Dhcp4Type.ACK, offer[_KIND + 1 :])
        return made

    def summary(self, plan: BootPlan | None, boot_file: BootFile | None) -> str:
        """Say in one line what is answered and why."""
        known = self._summary
        if known is None or known[0] is not plan or known[1] != boot_file:
            known = self._summary = (plan, boot_file, self._summarise(plan, boot_file))
        return known[2]

    def _summarise(self, plan: BootPlan | None, boot_file: BootFile | None) -> str:
        words = [self.kind.name if self.kind else "BOOTP reply"]
        if int(self.yiaddr):
            words.append(self.address)
        if boot_file:
            words.append(f"boot file {boot_file.name} ({boot_file.reason})")
        if self.note:
            words.append(self.note)
        if plan is not None:
            words.append(f"profile {plan.profile}" + (f": {plan.reason}" if plan.reason else ""))
        return ", ".join(words)


@attrs.define(eq=False)
class Situation:
    """What follows from a question and our address on its wire: what is asked for, if it is to be
    answered, of which networks, and what we are to be called (option 54).
    """

    server: IPv4Address
    server_id: IPv4Address
    asks: Asks | Silence
    wanted: IPv4Address | None = None
    wish: int | None = None  # seconds (option 51)
    link: tuple[Network, ...] = ()


@attrs.define(eq=False)
class Question:
    """A message without what differs each time that it is sent, and what is known of it.

    `message` is the one that came first: `xid` and `secs` are its own. `said` is the last reply,
    and what it was made of; `standing` is an answer that is given as long as it may. `asked` are
    its bytes, if it may be remembered. `discover` is the question before it, if this one takes up
    what was offered to that.
    """

    message: Dhcp4Message
    identity: ClientIdentity
    kind: Dhcp4Type | None
    situation: Situation | None = None
    said: tuple[tuple[object, ...], Reply] | None = None
    standing: Standing | None = None
    asked: bytes = b""
    kept: bool = False
    discover: Question | None = None

    @classmethod
    def of(
        cls, message: Dhcp4Message, interface: str = "", before: Question | None = None
    ) -> Question:
        """Read a message that arrived on an interface, maybe after another one of its sender."""
        if before is not None and _takes_up(message, before):
            return cls(message, before.identity, message.message_type, discover=before)
        return cls(message, dhcp4.identify(message, interface), message.message_type)


def _takes_up(message: Dhcp4Message, before: Question) -> bool:
    """Whether this is the REQUEST that follows a DISCOVER, and says all else as that did."""
    first = before.message
    return (
        before.kind == Dhcp4Type.DISCOVER
        and message.message_type == Dhcp4Type.REQUEST
        and not int(message.ciaddr)
        and not int(first.ciaddr)
        and message.flags == first.flags
        and message.giaddr == first.giaddr
        and message.chaddr == first.chaddr
        and (message.htype, message.hlen) == (first.htype, first.hlen)
        and _lasting(message) == _lasting(first)
    )


def _lasting(message: Dhcp4Message) -> dict[int, bytes]:
    options = dict(message.options)
    for code in _TAKES_UP:
        options.pop(code, None)
    return options


class Questions:
    """The memory of one port: bounded, and no flood of strangers washes it away."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._kept: Recent[bytes, Question] = Recent(QUESTIONS)
        self._latest: Recent[bytes, Question] = Recent(LATEST)  # by chaddr

    def __len__(self) -> int:
        return len(self._kept) + len(self._latest)

    def find(self, data: bytes, *, broadcast: bool) -> Question:
        """Return the question of a datagram.

        :raises WireError: if it is none.
        """
        asked = b"%b%b%b" % (_BROADCAST[broadcast], data[:4], data[10:])  # but for xid and secs
        question = self._kept.get(asked)
        if question is not None:
            return question
        before = self._latest.get(data[28:44])
        if before is not None and before.asked == asked:
            return before
        question = Question.of(decode(data), self._interface, before)
        if len(asked) <= _LARGEST:
            question.asked = asked
            self._latest.put(data[28:44], question)
        return question

    def keep(self, question: Question) -> None:
        """Remember a question of a machine that is known, or has a lease."""
        for each in (question, question.discover):
            if each is not None and each.asked and not each.kept:
                each.kept = True
                self._kept.put(each.asked, each)

    def forget(self) -> None:
        """Remember nothing."""
        self._kept.clear()
        self._latest.clear()
