"""Who gets a secret answer: each right URL once, and nothing for all others."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.boot import answers
from pxetwist.boot.facade import BootFacade
from pxetwist.boot.https import Https
from pxetwist.interfaces import IRedemptions
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Protocol, SecurePort
from pxetwist.model.boots import Files, Menu, MenuEntry
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.lease import Lease, Network, Pool
from pxetwist.model.machine import Machine
from pxetwist.model.redemption import AnswerQuestion, AnswerRefused, Redemption, Refusal
from pxetwist.state.memory import MemoryLeases
from pxetwist.state.redemptions import GRACE, KEPT, Redemptions
from pxetwist.testing import FakeHosts, FakeObserver, FakePolicy
from pxetwist.testing.contracts import Contract, ThreadClock
from pxetwist.wire.iana import Architecture

T = TypeVar("T")

MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
IPXE = ClientIdentity(mac=MAC, architecture=Architecture.X64_UEFI, firmware=Firmware.IPXE)
NETWORK = Network(
    "lab",
    IPv4Network("10.0.0.0/24"),
    (Pool(IPv4Address("10.0.0.10"), IPv4Address("10.0.0.20")),),
    lease_time=600,
)
SECRET = Answer("deb", "preseed.cfg", secret=True)
OPEN = Answer("deb", "preseed.cfg")
SERVER = Endpoints("10.0.0.1")


class Case(Contract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.clock.advance(1_700_000_000)
        self.folder = Path(self.mktemp())
        self.policy = FakePolicy(BootPlan(Files("linux", answer=SECRET), "deb"))
        self.leases = MemoryLeases()
        self.told = FakeObserver()
        self.neighbours: dict[str, str] = {}
        self.patch(
            answers, "neighbour_seen", lambda peer, link: self.neighbours.get(str(peer), "")
        )
        self.start()
        self.lease = self.leased(MAC)
        self.peer = str(self.lease.address)

    def start(self) -> None:
        """Start the server, again if it ran already."""
        self.store = Redemptions(self.folder, self.clock)
        self.addCleanup(self.stop, self.store)
        self.boot = BootFacade(
            self.clock,
            networks={"lab": NETWORK},
            state_folder=self.folder,
            https=Https(SecurePort()),
        )
        self.boot.attach(
            hosts=[("rack", FakeHosts({MAC: Machine("ws1", (MAC,))}))],
            policies=[("main", self.policy)],
            content=[],
            observers=[("told", self.told)],
            leases=self.leases,
            redemptions=self.store,
        )

    def stop(self, store: Redemptions) -> None:
        stopped = store.stopService()
        if stopped is not None:
            self.clock.run_until(lambda: stopped.called)

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    @property
    def now(self) -> float:
        return float(self.clock.seconds())

    def plan(self, answer: Answer) -> None:
        self.policy.plan = BootPlan(Files("linux", answer=answer), "deb")

    def leased(self, mac: str) -> Lease:
        identity = ClientIdentity(mac=mac)
        offer = self.result(self.leases.offer(identity, NETWORK, None, None, (), self.now))
        assert offer is not None
        lease = attrs.evolve(offer, ends=self.now + 3600)
        return self.result(self.leases.commit(lease, self.now))

    def url(self, answer: Answer = SECRET, peer: str = "", boot_id: str = "") -> str:
        """Boot the machine as far as its script, and return where its answers are."""
        identity = attrs.evolve(IPXE, address=IPv4Address(peer or self.peer))
        request = BootRequest(
            identity,
            BootStage.LOADER,
            Protocol.HTTP,
            endpoints=SERVER,
            boot_id=boot_id or self.boot.see(IPXE, BootStage.LOADER, self.now),
        )
        return self.result(self.boot.answer_folder(request, answer, self.now))

    def question(
        self, url: str, peer: str = "", file: str = "preseed.cfg", secure: bool = True
    ) -> AnswerQuestion:
        request = BootRequest(
            ClientIdentity(),
            BootStage.LOADER,
            Protocol.HTTP,
            endpoints=SERVER,
            secure=secure,
        )
        return AnswerQuestion(url.rpartition("/")[2], file, peer or self.peer, request)

    def ask(self, url: str, **words: Any) -> Redemption:
        return self.result(self.redeemed(self.question(url, **words)))

    async def redeemed(self, question: AnswerQuestion) -> Redemption:
        redemption = await self.boot.judge_answer(question, self.now)
        await self.boot.redeem_answer(redemption, self.now)
        return redemption

    def refused(self, url: str, **words: Any) -> Refusal:
        error = self.assertRaises(AnswerRefused, self.ask, url, **words)
        assert isinstance(error, AnswerRefused)
        reason = error.reason
        event = self.told.events[-1]
        self.assertEqual(event.kind, EventKind.REFUSED)
        self.assertEqual(event.details["reason"], reason.word)
        self.assertNotIn(url.rpartition("/")[2] or "/", str(event))
        return reason

    def end(self, redemption: Redemption, whole: bool = True) -> None:
        self.result(self.boot.settle_answer(redemption, whole=whole))


class UrlTests(Case):
    def test_the_scheme(self) -> None:
        self.assertTrue(self.url().startswith("https://10.0.0.1/answer/"))
        for answer in (attrs.evolve(SECRET, plain=True), OPEN):
            self.assertTrue(self.url(answer).startswith("http://10.0.0.1/answer/"))

    def test_given(self) -> None:
        redemption = self.ask(self.url())
        request = redemption.request
        self.assertEqual((request.identity.mac, request.granted), (MAC, "deb"))
        assert request.machine is not None
        self.assertEqual(request.machine.name, "ws1")
        event = self.told.events[-1]
        self.assertEqual((event.kind, event.machine), (EventKind.REDEEMED, "ws1"))
        self.assertEqual(event.boot_id, request.boot_id)
        self.assertEqual(event.summary, f"preseed.cfg of profile deb is given to {self.peer}")

    def test_as_often_as_wanted(self) -> None:
        url = self.url()
        for _ in range(3):
            self.end(self.ask(url))

    def test_entries_of_a_menu(self) -> None:
        entries = [
            MenuEntry(name, name, Files("linux", answer=attrs.evolve(SECRET, profile=name)))
            for name in ("a", "b")
        ]
        self.policy.plan = BootPlan(Menu("choose", tuple(entries), "a"), "menu")
        for name in ("a", "b"):
            redemption = self.ask(self.url(attrs.evolve(SECRET, profile=name)))
            self.assertEqual(redemption.request.granted, name)

    def test_after_a_restart(self) -> None:
        url = self.url()
        self.start()
        self.assertEqual(self.ask(url).request.granted, "deb")

    def test_an_open_answer_is_for_whoever_has_the_url(self) -> None:
        self.plan(OPEN)
        url = self.url(OPEN)
        self.clock.advance(3600)
        self.ask(url, peer="192.0.2.7", secure=False)
        self.assertNotIn("in the clear", self.told.events[-1].summary)

    def test_the_waiver_is_told_each_time(self) -> None:
        plain = attrs.evolve(SECRET, plain=True)
        self.plan(plain)
        url = self.url(plain)
        for _ in range(2):
            self.ask(url, secure=False)
            self.assertIn(", in the clear: secret-plain", self.told.events[-1].summary)


class RefusalTests(Case):
    def test_guesses(self) -> None:
        url = self.url()
        self.assertIs(self.refused("/nothing/"), Refusal.FORGED)
        for guess in ("x", "%", url[:-1], url + "A", url[:-3] + "AAA", "A" * 63):
            self.assertIs(self.refused(guess), Refusal.FORGED)
        script = self.boot.tokens.issue(IPXE, "1a2b", self.now)
        self.assertIs(self.refused(script), Refusal.FORGED)
        self.assertIs(self.refused(url, file="user-data"), Refusal.NO_FILE)

    def test_time(self) -> None:
        url = self.url()
        self.clock.advance(SECRET.life + 1)
        self.assertIs(self.refused(url), Refusal.EXPIRED)
        short = attrs.evolve(SECRET, life=10)
        url = self.url(short)
        self.clock.advance(11)
        self.assertIs(self.refused(url), Refusal.EXPIRED)

    def test_another_address(self) -> None:
        url = self.url()
        other = str(self.leased(OTHER).address)
        self.assertIs(self.refused(url, peer=other), Refusal.OTHER_MACHINE)
        self.assertIs(self.refused(url, peer="10.0.0.99"), Refusal.OTHER_ADDRESS)
        self.assertIs(self.refused(url, peer="fd77::1"), Refusal.OTHER_ADDRESS)
        self.assertEqual(self.told.events[-1].machine, "ws1")

    def test_a_url_made_for_a_thief(self) -> None:
        """Somebody at another address asks for the machine's script: nothing shows that it is
        the machine; neither does a DHCP message that says so.
        """
        thief = "10.0.0.99"
        self.boot.locate(IPv4Address(thief), IPXE, self.now)
        self.neighbours[thief] = OTHER
        self.assertIs(self.refused(self.url(peer=thief), peer=thief), Refusal.UNPROVEN)
        taken = str(self.leased(OTHER).address)
        self.assertIs(self.refused(self.url(peer=taken), peer=taken), Refusal.NO_LEASE)

    def test_a_lease_that_is_over(self) -> None:
        url = self.url()
        self.neighbours[self.peer] = MAC
        address = self.lease.address
        self.result(self.leases.release(address, ClientIdentity(mac=MAC), self.now))
        self.assertIs(self.refused(url), Refusal.NO_LEASE)

    def test_an_address_of_another_server(self) -> None:
        url = self.url(peer="10.0.0.77")
        self.assertIs(self.refused(url, peer="10.0.0.77"), Refusal.UNPROVEN)
        self.neighbours["10.0.0.77"] = MAC
        self.ask(url, peer="10.0.0.77")

    def test_without_tls(self) -> None:
        self.assertIs(self.refused(self.url(), secure=False), Refusal.IN_THE_CLEAR)

    def test_another_boot(self) -> None:
        url = self.url()
        self.boot.see(attrs.evolve(IPXE, firmware=Firmware.UEFI), BootStage.FIRMWARE, self.now)
        self.assertIs(self.refused(url), Refusal.EARLIER_BOOT)

    def test_another_plan(self) -> None:
        url = self.url()
        self.plan(attrs.evolve(SECRET, profile="other"))
        self.assertIs(self.refused(url), Refusal.NOT_PLANNED)
        self.policy.plan = None
        self.assertIs(self.refused(url), Refusal.NOT_PLANNED)


class OnceTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.once = attrs.evolve(SECRET, once=True)
        self.plan(self.once)

    def begun(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> tuple[Deferred[T], list[Any]]:
        """Start a question that may have to wait; return what comes of it."""
        found: list[Any] = []
        deferred = Deferred.fromCoroutine(coroutine)
        deferred.addBoth(found.append)
        return deferred, found

    def test_the_store(self) -> None:
        verifyObject(IRedemptions, self.store)

    def test_once_in_a_boot(self) -> None:
        """A fresh URL of the same boot does not help; one of the next boot does."""
        url = self.url(self.once)
        self.end(self.ask(url))
        for again in (url, self.url(self.once)):
            self.assertIs(self.refused(again), Refusal.REPLAYED)
        self.boot.see(attrs.evolve(IPXE, firmware=Firmware.UEFI), BootStage.FIRMWARE, self.now)
        self.end(self.ask(self.url(self.once)))

    def test_what_is_not_made_is_not_given(self) -> None:
        """Judged only, as when its template fails: nothing is told, nothing is taken."""
        url = self.url(self.once)
        for _ in range(2):
            self.result(self.boot.judge_answer(self.question(url), self.now))
        self.assertEqual(self.told.events, [])
        self.end(self.ask(url))
        self.assertNotIn("once more", self.told.events[-1].summary)

    def test_each_file_once(self) -> None:
        seeds = Answer("deb", "user-data", secret=True, once=True)
        self.plan(seeds)
        url = self.url(seeds)
        for file in ("meta-data", "user-data"):
            self.end(self.ask(url, file=file))
            self.assertIs(self.refused(url, file=file), Refusal.REPLAYED)

    def test_once_across_a_restart(self) -> None:
        url = self.url(self.once)
        self.end(self.ask(url))
        self.start()
        self.assertIs(self.refused(url), Refusal.REPLAYED)

    def test_what_did_not_arrive_may_be_had_again(self) -> None:
        url = self.url(self.once)
        self.end(self.ask(url), whole=False)
        self.end(self.ask(url), whole=False)
        self.assertIn("once more, since it did not arrive", self.told.events[-1].summary)
        self.clock.advance(GRACE)
        self.end(self.ask(url))
        self.assertIs(self.refused(url), Refusal.REPLAYED)

    def pauses(self) -> bool:
        """Whether somebody looks again in a moment."""
        return any(each.getTime() - self.now < 0.2 for each in self.clock.getDelayedCalls())

    def wait_in_vain(self, waiting: Deferred[bool | None]) -> None:
        self.settle(lambda: waiting.called or self.pauses())
        self.assertNoResult(waiting)

    def test_several_processes(self) -> None:
        """While one gives it, the others wait; when it was given, nobody does."""
        other = Redemptions(self.folder, self.clock, giver=2)
        self.addCleanup(self.stop, other)
        self.assertIs(self.result(self.store.claim("x", self.now)), False)
        waiting = Deferred.fromCoroutine(other.claim("x", self.now))
        self.wait_in_vain(waiting)
        self.result(self.store.settle("x", whole=False))
        self.clock.advance(1)
        self.settle(lambda: waiting.called)
        self.assertIs(self.successResultOf(waiting), True)
        waiting = Deferred.fromCoroutine(self.store.claim("x", self.now))
        self.wait_in_vain(waiting)
        self.result(other.settle("x", whole=True))
        self.clock.advance(1)
        self.settle(lambda: waiting.called)
        self.assertIsNone(self.successResultOf(waiting))

    def test_a_process_that_was_killed(self) -> None:
        """The one in its place knows that it gives nothing any more."""
        dead = Redemptions(self.folder, self.clock, giver=2)
        self.addCleanup(self.stop, dead)
        self.result(dead.claim("x", self.now))
        waiting = Deferred.fromCoroutine(self.store.claim("x", self.now))
        self.wait_in_vain(waiting)
        self.restarted(3)
        self.clock.advance(0.1)
        self.wait_in_vain(waiting)
        self.restarted(2)
        self.arrives(waiting)

    def test_a_server_that_was_killed(self) -> None:
        """Nor do its former workers give anything."""
        dead = Redemptions(self.folder, self.clock, giver=2)
        self.addCleanup(self.stop, dead)
        self.result(dead.claim("x", self.now))
        self.restarted(0)
        self.arrives(Deferred.fromCoroutine(self.store.claim("x", self.now)))

    def restarted(self, giver: int) -> None:
        again = Redemptions(self.folder, self.clock, giver=giver)
        self.addCleanup(self.stop, again)
        again.startService()
        self.result(again.claim(f"by {giver}", self.now))  # its thread has done the other by then

    def arrives(self, waiting: Deferred[bool | None]) -> None:
        for _ in range(100):
            if not waiting.called:
                self.settle(lambda: waiting.called or self.pauses())
                self.clock.advance(0.1)
        self.assertIs(self.successResultOf(waiting), True)

    def test_nobody_waits_for_ever(self) -> None:
        other = Redemptions(self.folder, self.clock, giver=2)
        self.addCleanup(self.stop, other)
        self.result(other.claim("x", self.now))
        waiting = Deferred.fromCoroutine(self.store.claim("x", self.now))
        self.wait_in_vain(waiting)
        self.clock.advance(GRACE + 1)
        self.settle(lambda: waiting.called)
        self.assertIsNone(self.successResultOf(waiting))

    def test_but_not_for_long(self) -> None:
        url = self.url(self.once)
        self.end(self.ask(url), whole=False)
        self.clock.advance(GRACE + 1)
        self.assertIs(self.refused(url), Refusal.REPLAYED)

    def test_a_server_that_died_in_the_middle(self) -> None:
        url = self.url(self.once)
        self.ask(url)
        self.start()
        self.end(self.ask(url))
        self.assertIs(self.refused(url), Refusal.REPLAYED)

    def race(self, url: str) -> tuple[Deferred[Redemption], list[Any]]:
        return self.begun(self.redeemed(self.question(url)))

    def test_two_at_once(self) -> None:
        """The second waits, and gets nothing if the first got all."""
        url = self.url(self.once)
        first = self.ask(url)
        _, second = self.race(url)
        self.assertEqual(second, [])
        self.end(first)
        self.settle(lambda: bool(second))
        self.assertIs(second[0].value.reason, Refusal.REPLAYED)

    def test_the_second_gets_what_the_first_lost(self) -> None:
        url = self.url(self.once)
        first = self.ask(url)
        _, second = self.race(url)
        leaver, third = self.race(url)
        leaver.cancel()
        self.assertIsInstance(third[0].value, CancelledError)
        self.end(first, whole=False)
        self.settle(lambda: bool(second))
        self.end(second[0])
        self.assertIs(self.refused(url), Refusal.REPLAYED)

    def test_many_at_once(self) -> None:
        url = self.url(self.once)
        racing = [self.race(url)[1] for _ in range(20)]
        given = 0
        for found in racing:
            self.settle(partial(bool, found))
            if isinstance(found[0], Redemption):
                given += 1
                self.end(found[0])
        self.assertEqual(given, 1)

    def test_what_is_long_past_is_forgotten(self) -> None:
        self.end(self.ask(self.url(self.once, boot_id="00aa")))
        self.clock.advance(KEPT + 1)
        self.peer = str(self.leased(MAC).address)
        self.end(self.ask(self.url(self.once, boot_id="00aa")))
