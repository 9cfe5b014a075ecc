"""The store that fetches: once for many, anew in time, and what it serves while nobody answers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.http import PotentialDataLoss, _DataLoss
from twisted.web.http_headers import Headers

from pxetwist.config.fields import OptionText
from pxetwist.content import mirror as mirrors_of
from pxetwist.content import upstream, upstream_store
from pxetwist.content.cache_folder import CacheFolder
from pxetwist.content.digests import digests, read_digests
from pxetwist.content.upstream_store import Trust, UpstreamStore
from pxetwist.errors import ConfigError, ContentError, ContentNotFound, StartError
from pxetwist.interfaces import IContent
from pxetwist.model.boot import BootRequest, BootStage, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.testing import FakeBoot, make_site
from pxetwist.testing.contracts import Contract, ThreadClock
from tests.unit.content.mirrors import URL, Mirror, Response, endless, tagged

REQUEST = BootRequest(ClientIdentity(), BootStage.LOADER, Protocol.HTTP)
ANY = Trust({})


class UpstreamCase(Contract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = ThreadClock()
        self.clock.advance(1_700_000_000)
        self.mirror = Mirror()
        self.folder = Path(self.mktemp()).absolute()
        self.boot = FakeBoot()
        self.store = self.build()

    def build(self, size: int = 1 << 20, trust: Trust = ANY, **more: Any) -> UpstreamStore:
        mirror = mirrors_of.Mirror(self.mirror, self.clock, URL, **more)
        store = UpstreamStore(
            mirror,
            CacheFolder(self.folder, size),
            make_site(self.boot, reactor=self.clock, name="debian"),
            trust=trust,
            fresh=3600.0,
            close=lambda: succeed(None),
        )
        store.startService()
        self.addCleanup(self.stop, store)
        return store

    def stop(self, store: UpstreamStore) -> None:
        ends: list[object] = []
        store.stopService().addBoth(ends.append)
        self.settle(lambda: bool(ends))

    def settle(self, done: Callable[[], bool]) -> None:
        self.clock.run_until(done)

    def opening(self, name: str = "linux") -> tuple[list[IContent], list[Exception]]:
        """Ask for a file; what is opened, or fails, appears in the lists."""
        opened: list[IContent] = []
        failed: list[Any] = []
        path = ContentPath.parse(name)
        asking = Deferred.fromCoroutine(self.store.open(path, REQUEST))
        asking.addCallbacks(opened.append, lambda failure: failed.append(failure.value))
        return opened, failed

    def text(self, name: str = "linux") -> bytes:
        content = self.result(self.store.open(ContentPath.parse(name), REQUEST))
        try:
            return self.result(content.read(0, content.info.size))
        finally:
            content.close()
            self.finish()

    def finish(self) -> None:
        """Let what is on its way arrive in the cache."""
        self.settle(lambda: not self.store._fetches)

    def missing(self, name: str = "linux") -> None:
        with self.assertRaises(ContentNotFound):
            self.text(name)

    def files(self) -> int:
        return len(list(self.folder.iterdir()))


class UpstreamTests(UpstreamCase):
    def test_fetched_once(self) -> None:
        self.mirror.files["a b/linux+x"] = b"kernel"
        for _ in range(3):
            self.assertEqual(self.text("a b/linux+x"), b"kernel")
        self.assertEqual(self.mirror.asked, [f"{URL}/a%20b/linux+x"])

    def test_odd_names_stay_below_the_url(self) -> None:
        for name in ("%2e%2e/x", "a?b", "a#b", "x\udcfey"):
            self.missing(name)
        self.assertEqual(
            self.mirror.asked,
            [f"{URL}/%252e%252e/x", f"{URL}/a%3Fb", f"{URL}/a%23b", f"{URL}/x%FEy"],
        )

    def test_asked_again_in_time(self) -> None:
        self.mirror.files["linux"] = b"old"
        self.text()
        self.clock.advance(3601)
        self.assertEqual(self.text(), b"old")  # 304
        self.assertEqual(self.text(), b"old")
        self.assertEqual(len(self.mirror.asked), 2)
        self.mirror.files["linux"] = b"newer"
        self.clock.advance(3601)
        self.assertEqual(self.text(), b"newer")
        self.assertEqual(self.files(), 2)  # the old one is gone

    def test_an_open_file_is_not_disturbed(self) -> None:
        self.mirror.files["linux"] = b"old"
        self.text()
        opened, _ = self.opening()
        self.mirror.files["linux"] = b"new"
        self.clock.advance(3601)
        self.assertEqual(self.text(), b"new")
        self.assertEqual(self.result(opened[0].read(0, 9)), b"old")
        opened[0].close()

    def test_stale_while_the_mirror_is_away(self) -> None:
        self.mirror.files["linux"] = b"old"
        self.text()
        self.clock.advance(3601)
        self.mirror.away = True
        with capturedLogs() as logs:
            self.assertEqual(self.text(), b"old")
            self.assertEqual(self.text(), b"old")
        told = [formatEvent(event) for event in logs]
        self.assertEqual(len(told), 1)
        self.assertIn(f"{URL}/linux: ", told[0])
        self.assertIn("what was fetched before is served", told[0])
        self.assertEqual(len(self.mirror.asked), 2)  # not asked all the time
        self.missing("other")
        self.assertEqual(len(self.mirror.asked), 2)
        self.mirror.away = False
        self.mirror.files["linux"] = b"new"
        self.clock.advance(31)
        self.assertEqual(self.text(), b"new")

    def test_stale_while_the_mirror_is_broken(self) -> None:
        self.mirror.files["linux"] = b"old"
        self.text()
        self.clock.advance(3601)
        self.mirror.answers[f"{URL}/linux"] = Response(503)
        self.assertEqual(self.text(), b"old")

    def test_dates_that_are_none(self) -> None:
        for name, year in (("linux", "9" * 20), ("initrd", "99999")):
            said = Headers({"Last-Modified": [f"Mon, 01 Jan {year} 00:00:00 GMT"]})
            self.mirror.answers[f"{URL}/{name}"] = Response(200, said, b"kernel")
            self.assertEqual(self.text(name), b"kernel")

    def test_no_control_characters_in_the_log(self) -> None:
        self.mirror.answers[f"{URL}/linux"] = Response(500, phrase=b"\x1b[31mred")
        _, failed = self.opening()
        self.assertTrue(str(failed[0]).endswith("the answer is 500"), failed)

    def test_what_the_mirror_lacks(self) -> None:
        self.missing()
        self.missing()
        self.assertEqual(len(self.mirror.asked), 1)
        self.mirror.files["linux"] = b"new"
        self.clock.advance(31)
        self.assertEqual(self.text(), b"new")
        del self.mirror.files["linux"]
        self.clock.advance(3601)
        self.missing()
        self.assertEqual(self.files(), 0)

    def test_no_answer_in_time(self) -> None:
        self.mirror.silent = True
        _, failed = self.opening()
        self.clock.advance(11)
        self.assertIsInstance(failed[0], ContentNotFound)
        self.assertIn("no answer within 10 s", str(failed[0]))

    def test_rehearsals_ask_nobody(self) -> None:
        self.boot.rehearsal = True
        self.missing()
        self.assertEqual(self.mirror.asked, [])

    def test_after_a_start(self) -> None:
        """What was kept is there; halves of a crash are not, nor what somebody cut."""
        for name in ("linux", "initrd"):
            self.mirror.files[name] = name.encode()
            self.text(name)
        data = next(f for f in self.folder.glob("*.data") if f.read_bytes() == b"initrd")
        data.write_bytes(b"ini")
        (self.folder / "0123.part").write_bytes(b"half")
        (self.folder / "4567.data").write_bytes(b"without a record")
        (self.folder / "89ab.json").write_text("{}")
        self.store = self.build()
        self.assertEqual(self.files(), 2)
        self.assertEqual(self.text(), b"linux")
        self.assertEqual(len(self.mirror.asked), 2)
        self.assertEqual(self.text("initrd"), b"initrd")
        self.assertEqual(len(self.mirror.asked), 3)

    def test_a_folder_that_cannot_be_used(self) -> None:
        self.folder = self.folder / "file"
        self.folder.write_bytes(b"")
        with self.assertRaisesRegex(StartError, "content:debian"):
            self.build()


class ArrivingTests(UpstreamCase):
    def setUp(self) -> None:
        super().setUp()
        self.slow = Response(200, tagged('"1"'), length=10, slow=True)
        self.mirror.answers[f"{URL}/linux"] = self.slow

    def test_many_are_served_while_it_arrives(self) -> None:
        first, _ = self.opening()
        second, _ = self.opening()
        self.assertEqual((first[0].info.size, first[0].fileno()), (10, None))
        read: list[bytes] = []
        for content in (first[0], second[0]):
            Deferred.fromCoroutine(content.read(2, 4)).addCallback(read.append)
        self.slow.deliver(b"01234")
        self.assertEqual(read, [])
        self.slow.deliver(b"56")
        self.assertEqual(read, [b"2345"] * 2)
        self.slow.deliver(b"789")
        self.slow.finish()
        self.finish()
        self.assertEqual(self.result(first[0].read(5, 99)), b"56789")
        descriptor = first[0].fileno()
        assert descriptor is not None
        self.assertEqual(os.pread(descriptor, 99, 0), b"0123456789")
        third, _ = self.opening()
        self.assertEqual(third[0].info, first[0].info)
        self.assertEqual(len(self.mirror.asked), 1)
        for content in (first[0], second[0], third[0]):
            content.close()

    def test_one_too_many_waits(self) -> None:
        self.patch(upstream_store, "_MOST_FETCHES", 1)
        self.mirror.files |= {"initrd": b"rd", "modules": b"mods"}
        first, _ = self.opening()
        others = [self.opening(name) for name in ("initrd", "modules", "initrd")]
        self.assertEqual(len(self.mirror.asked), 1)
        self.slow.deliver(b"0123456789")
        self.slow.finish()
        self.settle(lambda: all(opened for opened, _ in others))
        self.finish()
        self.assertEqual(len(self.mirror.asked), 3)
        for content in (first[0], *(opened[0] for opened, _ in others)):
            content.close()

    def test_one_that_waits_when_the_server_stops(self) -> None:
        self.patch(upstream_store, "_MOST_FETCHES", 1)
        first, _ = self.opening()
        _, failed = self.opening("initrd")
        self.stop(self.store)
        self.settle(lambda: bool(failed))
        self.assertIn("the server stops", str(failed[0]))
        first[0].close()

    def test_it_goes_on_when_the_first_leaves(self) -> None:
        first, _ = self.opening()
        first[0].close()
        self.slow.deliver(b"0123456789")
        self.slow.finish()
        self.finish()
        self.assertEqual(self.text(), b"0123456789")

    def test_it_breaks_off(self) -> None:
        """Who waits learns it; nothing of it is kept."""
        first, _ = self.opening()
        failed: list[Any] = []
        Deferred.fromCoroutine(first[0].read(0, 10)).addErrback(failed.append)
        self.slow.deliver(b"01234")
        self.slow.break_off()
        self.assertIsInstance(failed[0].value, ContentError)
        self.assertEqual(self.result(first[0].read(0, 5)), b"01234")
        first[0].close()
        self.assertEqual(self.files(), 0)

    def test_why_it_broke_off(self) -> None:
        """In words, without Twisted's wrappings."""
        closed, lost = Failure(ConnectionDone()), Failure(_DataLoss())
        for error, expected in (
            (
                ResponseFailed([closed, lost]),
                "it broke off: Connection was closed cleanly.; there",
            ),
            (PotentialDataLoss(), "it has no Content-Length: nobody can tell if this is all;"),
        ):
            self.setUp()
            first, _ = self.opening()
            with capturedLogs() as logs:
                self.slow.finish(error)
            said = " ".join(map(str, map(formatEvent, logs)))
            self.assertIn(expected, said)
            first[0].close()

    def test_it_stalls(self) -> None:
        first, _ = self.opening()
        self.slow.deliver(b"01234")
        self.clock.advance(9)
        self.slow.deliver(b"5")
        self.clock.advance(9)
        self.assertEqual(self.files(), 1)
        self.clock.advance(2)
        self.assertTrue(self.slow.transport.left)
        self.assertEqual(self.files(), 0)
        first[0].close()

    def test_the_server_stops(self) -> None:
        first, _ = self.opening()
        self.stop(self.store)
        self.assertEqual(self.files(), 0)
        first[0].close()

    def test_without_a_length(self) -> None:
        self.mirror.answers[f"{URL}/linux"] = endless(b"all of it")
        self.assertEqual(self.text(), b"all of it")


class RoomTests(UpstreamCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.build(size=1000)
        for name in "abcd":
            self.mirror.files[name] = name.encode() * 400

    def test_what_is_unused_makes_room(self) -> None:
        for name in ("a", "b", "a", "c"):
            self.clock.advance(1)
            self.text(name)
        self.assertEqual(self.files(), 4)
        asked = len(self.mirror.asked)
        self.text("a")
        self.text("c")
        self.assertEqual(len(self.mirror.asked), asked)
        self.text("b")
        self.assertEqual(len(self.mirror.asked), asked + 1)

    def test_the_order_of_use_survives_a_start(self) -> None:
        for name in ("a", "b", "a"):
            self.clock.advance(1)
            self.text(name)
        self.store = self.build(size=1000)
        self.text("c")
        asked = len(self.mirror.asked)
        self.text("a")
        self.assertEqual(len(self.mirror.asked), asked)

    def test_larger_than_all(self) -> None:
        self.mirror.files["linux"] = b"x" * 1001
        self.missing()
        self.mirror.answers[f"{URL}/initrd"] = endless(b"x" * 1001)
        self.missing("initrd")
        self.assertEqual(self.files(), 0)

    def test_larger_than_all_takes_nothing_away(self) -> None:
        self.text("a")
        for answer in (Response(200, body=b"x" * 1001), endless(b"x" * 1001)):
            self.mirror.answers[f"{URL}/linux"] = answer
            self.clock.advance(31)
            self.missing()
        asked = len(self.mirror.asked)
        self.assertEqual(self.text("a"), b"a" * 400)
        self.assertEqual(len(self.mirror.asked), asked)


class DigestTests(UpstreamCase):
    def setUp(self) -> None:
        super().setUp()
        self.mirror.files["images/linux"] = b"good"
        self.write_list()
        self.store = self.build(trust=Trust({}, ContentPath.parse("images/SHA256SUMS")))

    def write_list(self) -> None:
        digest = hashlib.sha256(self.mirror.files["images/linux"]).hexdigest()
        self.mirror.files["images/SHA256SUMS"] = f"{digest}  ./linux\n".encode()

    def test_listed(self) -> None:
        self.assertEqual(self.text("images/linux"), b"good")
        self.assertEqual(self.text("images/linux"), b"good")
        self.assertEqual(len(self.mirror.asked), 2)

    def test_not_listed(self) -> None:
        self.mirror.files["images/other"] = b"other"
        self.missing("images/other")
        self.assertNotIn(f"{URL}/images/other", self.mirror.asked)

    def test_nothing_is_shown_before_it_was_checked(self) -> None:
        slow = Response(200, tagged('"1"'), length=4, slow=True)
        self.mirror.answers[f"{URL}/images/linux"] = slow
        self.opening("images/SHA256SUMS")[0]
        self.finish()
        opened, failed = self.opening("images/linux")
        slow.deliver(b"evil")
        self.assertEqual(opened, [])
        slow.finish()
        self.assertIn("its SHA-256 is", str(failed[0]))
        self.assertEqual(self.files(), 2)  # the list alone

    def test_a_new_list(self) -> None:
        """New files beside an old list: the list is asked for again."""
        self.text("images/linux")
        self.clock.advance(3500)
        self.text("images/SHA256SUMS")
        self.mirror.files["images/linux"] = b"newer"
        self.write_list()
        self.clock.advance(200)
        self.assertEqual(self.text("images/linux"), b"newer")

    def test_given_in_the_ini(self) -> None:
        digest = hashlib.sha256(b"good").hexdigest()
        self.store = self.build(trust=Trust({"images/linux": digest}))
        self.assertEqual(self.text("images/linux"), b"good")
        self.store = self.build(trust=Trust({"images/linux": "0" * 64}))
        self.missing("images/linux")

    def test_reading_lists(self) -> None:
        one, two = "a" * 64, "B" * 64
        text = f"{one}  ./x/y\n{two} *z\nnothing\n{one}  ../out\n"
        self.assertEqual(read_digests(text, "d"), {"d/x/y": one, "d/z": two.lower()})
        self.assertEqual(digests(OptionText.of(f"{one} x")), {"x": one})
        self.assertRaises(ConfigError, digests, OptionText.of("abc x"))


class RedirectTests(UpstreamCase):
    def redirect(self, target: str) -> None:
        answer = Response(302, Headers({"Location": [target]}))
        self.mirror.answers[f"{URL}/linux"] = answer

    def test_to_the_same_host(self) -> None:
        self.mirror.files["pool/linux"] = b"there"
        self.redirect("/debian/pool/linux")
        self.assertEqual(self.text(), b"there")

    def test_elsewhere(self) -> None:
        for target in ("https://evil.test/x", "http://mirror.test/debian/x", "ftp://mirror.test/x",
                       "https://mirror.test@evil.test/x"):  # fmt: skip
            self.clock.advance(31)
            self.redirect(target)
            _, failed = self.opening()
            self.assertIn("which is not allowed", str(failed[0]))
            self.assertNotIn(target, self.mirror.asked)

    def test_to_an_allowed_host(self) -> None:
        self.store = self.build(elsewhere=("cdn.test:8443",))
        self.redirect("https://CDN.test:8443/linux")
        self.mirror.answers["https://CDN.test:8443/linux"] = Response(200, body=b"cdn")
        self.assertEqual(self.text(), b"cdn")

    def test_to_what_is_no_url(self) -> None:
        self.mirror.files["initrd"] = b"there"
        for target in ("http://[", "http://\u2100.test/", "/debian/\xe9", "/debian/a b", "//\x1b"):
            self.clock.advance(31)
            self.redirect(target)
            _, failed = self.opening()
            self.assertIn("redirects to what is no URL", str(failed[0]), target)
        self.assertEqual(self.text("initrd"), b"there")  # others are not given up for it

    def test_in_circles(self) -> None:
        self.redirect("/debian/linux")
        _, failed = self.opening()
        self.assertIn("redirects more than", str(failed[0]))


class SettingsTests(SynchronousTestCase):
    def test_urls(self) -> None:
        convert = upstream.Settings.__attrs_attrs__[0].metadata["convert"]
        self.assertEqual(convert("https://h/debian"), "https://h/debian")
        for wrong in (
            "h/debian",
            "ftp://h/",
            "https://",
            "https://u:p@h/",
            "http://h/?q",
            "http://ü/",
        ):
            self.assertRaises(ValueError, convert, wrong)
