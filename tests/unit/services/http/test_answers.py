"""Answer files over HTTP: given whole to who may have them, one and the same 404 to all others."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from pxetwist.errors import PolicyError, StateUnavailable
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.redemption import AnswerRefused, Redemption, Refusal
from pxetwist.services.http.answers import REFUSED_AFTER
from pxetwist.services.http.delivery import Delivery
from pxetwist.testing import FakeBoot, MemoryContent
from tests.unit.services.http.test_service import ServiceCase

URL = "/answer/AbCdEf/preseed.cfg"
TEXT = b"d-i passwd/root-password-crypted password $6$x\n"


class AnswerTests(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.files["preseed.cfg"] = TEXT
        request = BootRequest(
            ClientIdentity(mac="52:54:00:12:34:56"),
            BootStage.KERNEL,
            Protocol.HTTP,
            ContentPath.parse(URL.replace("AbCdEf/", "")),
            granted="deb",
        )
        self.boot.redemption = Redemption(
            request, Answer("deb", "preseed.cfg"), "preseed.cfg", "10.0.0.9"
        )

    def refusal(self, target: str = URL) -> str:
        """Ask, and return the answer when it is time for it."""
        self.assertEqual(self.get(target), "")
        self.clock.advance(REFUSED_AFTER)
        return str(self.connection.transport.value(), "latin-1").partition("Date")[0]

    def test_given(self) -> None:
        answer = self.get(URL)
        head, _, body = answer.partition("\r\n\r\n")
        self.assertTrue(head.startswith("HTTP/1.1 200 OK\r\n"))
        self.assertEqual(body.encode(), TEXT)
        self.assertIn("\r\nCache-Control: no-store\r\n", answer)
        self.assertEqual(self.asked.granted, "deb")
        self.assertEqual(self.boot.settled, [True])
        event = self.boot.events[-1]
        self.assertEqual(event.kind, EventKind.ENDED)
        self.assertNotIn("AbCdEf", str(event))
        self.assertEqual(self.status("/boot/nbp.efi"), 200)  # the connection goes on

    def test_always_the_whole(self) -> None:
        answer = self.get(URL, "Range: bytes=0-3", 'If-None-Match: "*"')
        self.assertTrue(answer.startswith("HTTP/1.1 200 OK\r\n"))
        self.assertTrue(answer.endswith("$6$x\n"))

    def test_to_look_is_not_to_redeem(self) -> None:
        self.assertEqual(self.status(URL, method="HEAD"), 404)
        self.assertEqual(self.status(URL, method="POST"), 405)
        self.assertEqual((self.boot.redeemed, self.boot.settled), ([], []))

    def test_one_answer_for_every_reason(self) -> None:
        """The same bytes, not earlier; it is that of any path that is not there."""
        missing = self.get("/none").partition("Date")[0]
        for reason in Refusal:
            self.boot.redemption = AnswerRefused(reason, "ws1")
            self.assertEqual(self.refusal(), missing)
            self.assertEqual(self.service.counts()[f"refused-{reason.word}"], 1)
        self.boot.redemption = None
        for path in ("/answer", "/answer/", "/answer/x", "/answer/x/y/z"):
            self.assertEqual(self.refusal(path), missing)

    def test_a_refusal_that_took_its_time_is_not_later(self) -> None:
        waiting: Deferred[None] = Deferred()

        async def slow(boot: FakeBoot, question: object, now: float) -> Redemption:
            await waiting
            raise AnswerRefused(Refusal.REPLAYED)

        self.patch(FakeBoot, "judge_answer", slow)
        self.assertEqual(self.get(URL), "")
        self.clock.advance(REFUSED_AFTER / 2)
        waiting.callback(None)
        self.clock.advance(REFUSED_AFTER / 2)
        self.assertIn(b" 404 ", self.connection.transport.value())

    def test_a_connection_that_breaks(self) -> None:
        self.patch(Delivery, "arrived", lambda delivery: False)
        self.get(URL)
        self.connection.lose()
        self.assertEqual((self.boot.redeemed, self.boot.settled), (["preseed.cfg"], [False]))

    def test_a_connection_that_breaks_before(self) -> None:
        blocked: Deferred[None] = Deferred()
        self.files["preseed.cfg"] = MemoryContent(TEXT, wait=lambda: blocked)
        self.get(URL)
        self.connection.lose()
        self.assertEqual((self.boot.redeemed, self.boot.settled), ([], []))

    def test_it_is_noted_before_a_byte_leaves(self) -> None:
        noted: Deferred[None] = Deferred()

        async def slow(boot: FakeBoot, redemption: Redemption, now: float) -> None:
            await noted

        self.patch(FakeBoot, "redeem_answer", slow)
        self.assertEqual(self.get(URL), "")
        noted.callback(None)
        self.assertTrue(self.connection.transport.value().endswith(TEXT))

    def test_what_was_given_before(self) -> None:
        async def given(boot: FakeBoot, redemption: Redemption, now: float) -> None:
            raise AnswerRefused(Refusal.REPLAYED)

        missing = self.get("/none").partition("Date")[0]
        self.patch(FakeBoot, "redeem_answer", given)
        self.assertEqual(self.refusal(), missing)
        self.assertEqual(self.boot.settled, [])

    def test_a_client_that_leaves_while_it_is_refused(self) -> None:
        self.boot.redemption = AnswerRefused(Refusal.FORGED)
        self.get(URL)
        self.connection.lose()
        self.clock.advance(REFUSED_AFTER)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_cannot_be_given(self) -> None:
        self.files["preseed.cfg"] = PolicyError("template preseed.cfg.j2: 'x' is undefined")
        self.assertEqual(self.status(URL), 500)
        self.assertIn("'x' is undefined", self.boot.events[-1].summary)
        self.assertEqual((self.boot.redeemed, self.boot.settled), ([], []))
        self.boot.redemption = StateUnavailable("full")
        self.assertEqual(self.status(URL), 503)
