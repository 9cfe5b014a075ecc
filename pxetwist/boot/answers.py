"""Answer files of installers: at which URL each machine finds its own, and who gets them there.

A URL is made when a loader is given the text that names it. It is signed, and tells the machine,
its boot, the profile, the address and when it ends. A secret answer is given to that address
alone, while it is the machine's: by its lease, if it held one of ours when the URL was made, else
by the kernel's neighbour table.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import attrs

from pxetwist.boot.https import Https
from pxetwist.boot.neighbours import neighbour_seen, peer_address, peer_link
from pxetwist.boot.sightings import Sightings
from pxetwist.boot.tokens import REPORT_LIFE, Tokens
from pxetwist.interfaces import IRedemptions
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootRequest, BootStage, Resolution
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.redemption import AnswerQuestion, AnswerRefused, Redemption, Refusal
from pxetwist.wire.iana import Architecture

PURPOSE = "answer"
#: MAC, architecture, boot id, end of life, mark of the profile, address, whether it was leased.
_BODY = struct.Struct("!6sHHI4s16s?")
_NO_ARCHITECTURE = 0xFFFF

Address = IPv4Address | IPv6Address


@attrs.frozen
class _Token:
    """What a token says."""

    mac: str
    architecture: Architecture | None
    boot_id: str
    ends: int
    mark: bytes
    address: bytes
    leased: bool


@attrs.frozen
class Answers:
    """Makes URLs and judges who comes with them; `leases` and `store` are there from the start
    of the services on.
    """

    tokens: Tokens
    sightings: Sightings
    https: Https
    resolve: Callable[[BootRequest], Awaitable[Resolution]]
    tell: Callable[[BootEvent], None]
    leases: Any  # ILeaseStore
    store: IRedemptions

    async def folder(self, request: BootRequest, answer: Answer, now: float) -> str:
        """Return the URL below which an answer is; see :meth:`IBoot.answer_folder`."""
        identity = request.identity
        if not identity.mac:
            return ""
        life = answer.life if answer.secret else REPORT_LIFE
        leased = (
            identity.address is not None
            and await self._leased_by(identity.address, now) == identity.mac
        )
        architecture = identity.architecture
        body = _BODY.pack(
            bytes.fromhex(identity.mac.replace(":", "")),
            _NO_ARCHITECTURE if architecture is None else int(architecture),
            int(request.boot_id or "0", 16),
            int(now + life),
            answer.mark,
            _packed(identity.address),
            leased,
        )
        base = request.endpoints.http
        if answer.secret and not answer.plain:
            secure = self.https.port or self.https.certified
            base = attrs.evolve(request.endpoints, secure=secure).web
        return f"{base}/{PURPOSE}/{self.tokens.seal(body, PURPOSE)}"

    async def judge(self, question: AnswerQuestion, now: float) -> Redemption:
        """Return what may be given; see :meth:`IBoot.judge_answer`."""
        try:
            return await self._judged(question, now)
        except AnswerRefused as refused:
            self._tell_refused(question.request, question.peer, refused, now)
            raise

    async def redeem(self, redemption: Redemption, now: float) -> None:
        """Note that it is given; see :meth:`IBoot.redeem_answer`."""
        again: bool | None = False
        if redemption.claim:
            again = await self.store.claim(redemption.claim, now)
        if again is None:
            refused = AnswerRefused(Refusal.REPLAYED, _name(redemption.request))
            self._tell_refused(redemption.request, redemption.peer, refused, now)
            raise refused
        self._tell_given(redemption, now, again=again)

    async def _judged(self, question: AnswerQuestion, now: float) -> Redemption:
        token = self._read(question.token)
        if token is None:
            raise AnswerRefused(Refusal.FORGED)
        sighting = self.sightings.get(token.mac, now)
        who = sighting.machine.name if sighting and sighting.machine else token.mac
        if token.ends < now:
            raise AnswerRefused(Refusal.EXPIRED, who)
        if sighting is not None and token.boot_id and sighting.boot_id != token.boot_id:
            raise AnswerRefused(Refusal.EARLIER_BOOT, who)
        request, answer = await self._wanted(token, question, now)
        who = _name(request)
        if answer is None:
            raise AnswerRefused(Refusal.NOT_PLANNED, who)
        if question.file not in answer.files:
            raise AnswerRefused(Refusal.NO_FILE, who)
        claim = ""
        if answer.secret:
            await self._check_address(token, question.peer, who, now)
            if not (request.secure or answer.plain):
                raise AnswerRefused(Refusal.IN_THE_CLEAR, who)
            if answer.once:
                claim = _claim(token, answer, question.file)
        return Redemption(request, answer, question.file, question.peer, claim)

    async def settle(self, redemption: Redemption, *, whole: bool) -> None:
        """Note that an answer has left; see :meth:`IBoot.settle_answer`."""
        if redemption.claim:
            await self.store.settle(redemption.claim, whole=whole)

    def _read(self, token: str) -> _Token | None:
        body = self.tokens.unseal(token, _BODY.size, PURPOSE)
        if body is None:
            return None
        mac, architecture, boot, *rest = _BODY.unpack(body)
        known = None if architecture == _NO_ARCHITECTURE else Architecture(architecture)
        return _Token(mac.hex(":"), known, f"{boot:04x}" if boot else "", *rest)

    async def _wanted(
        self, token: _Token, question: AnswerQuestion, now: float
    ) -> tuple[BootRequest, Answer | None]:
        """Find out what the machine of a token boots, and the answer of that."""
        identity = ClientIdentity(
            mac=token.mac,
            architecture=token.architecture,
            firmware=Firmware.SYSTEM,
            address=peer_address(question.peer),
        )
        sighting = self.sightings.get(token.mac, now)
        if sighting is not None:
            identity = sighting.recall(identity)
        undecided = attrs.evolve(
            question.request, identity=identity, boot_id=token.boot_id, stage=BootStage.KERNEL
        )
        request = (await self.resolve(undecided)).request
        answers = request.plan.answers if request.plan else ()
        answer = next((each for each in answers if each.mark == token.mark), None)
        return attrs.evolve(request, granted=answer.profile if answer else ""), answer

    async def _check_address(self, token: _Token, peer: str, who: str, now: float) -> None:
        """Let nobody pass but the machine, from the address that the token was made for.

        A DHCP message that somebody made up is no proof: sightings are not looked at.
        """
        address = peer_address(peer)
        holder = await self._leased_by(address, now) if address else ""
        if _packed(address) != token.address:
            other = holder not in ("", token.mac)
            raise AnswerRefused(Refusal.OTHER_MACHINE if other else Refusal.OTHER_ADDRESS, who)
        if holder == token.mac:
            return
        if token.leased or holder:
            raise AnswerRefused(Refusal.NO_LEASE, who)
        if address is None or neighbour_seen(address, peer_link(peer)) != token.mac:
            raise AnswerRefused(Refusal.UNPROVEN, who)

    async def _leased_by(self, address: Address, now: float) -> str:
        """Return the key of who holds an address by a lease of ours; empty: nobody."""
        lease = await self.leases.holder(address, now) if self.leases else None
        return "" if lease is None else str(lease.key)

    def _tell_given(self, redemption: Redemption, now: float, *, again: bool) -> None:
        answer, request, peer = redemption.answer, redemption.request, redemption.peer
        text = f"{redemption.file} of profile {answer.profile} is given to {peer}"
        if again:
            text += " once more, since it did not arrive"
        if answer.secret and not request.secure:
            text += ", in the clear: secret-plain"
        details = {
            "address": peer,
            "profile": answer.profile,
            "file": redemption.file,
            "secret": answer.secret,
            "secure": request.secure,
        }
        self.tell(
            BootEvent(
                now,
                EventKind.REDEEMED,
                "https" if request.secure else "http",
                _name(request),
                request.boot_id,
                BootStage.KERNEL.value,
                text,
                details,
            )
        )

    def _tell_refused(
        self, request: BootRequest, peer: str, refused: AnswerRefused, now: float
    ) -> None:
        """Say it, but neither token nor name: whoever guesses chooses them."""
        reason = refused.reason
        self.tell(
            BootEvent(
                now,
                EventKind.REFUSED,
                "https" if request.secure else "http",
                refused.machine or peer,
                summary=f"an answer is refused to {peer}: {reason.value}",
                details={"address": peer, "reason": reason.word},
            )
        )


def _name(request: BootRequest) -> str:
    return request.machine.name if request.machine else request.identity.mac


def _packed(address: Address | None) -> bytes:
    """Return an address as 16 bytes; IPv4 as IPv6 maps it (RFC 4291 §2.5.5.2)."""
    if isinstance(address, IPv4Address):
        return bytes(10) + b"\xff\xff" + address.packed
    return address.packed if address is not None else bytes(16)


def _claim(token: _Token, answer: Answer, file: str) -> str:
    """Name what is given once: for a machine without a boot id, by each URL."""
    boot = token.boot_id or str(token.ends)
    return f"{token.mac} {boot} {answer.profile} {file}"
