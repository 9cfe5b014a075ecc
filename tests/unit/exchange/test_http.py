"""Conditions, ranges and headers of HTTP answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.http import Answer, Span, answer, basic_login, text_answer
from pxetwist.model.boot import Login
from pxetwist.model.content import ContentInfo

INFO = ContentInfo(1000, 1700000000.5, "t1", "application/efi")
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER = "Tue, 14 Nov 2023 22:13:21 GMT"
EARLIER = "Tue, 14 Nov 2023 22:13:19 GMT"
NO_DATES = (
    "nonsense",
    f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
    f"Mon, 01 Jan 2020 00:00:00 +{'9' * 20}",
)


def ask(info: ContentInfo = INFO, method: str = "GET", **headers: str) -> Answer:
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return answer(info, method, given.get, lambda: "BOUNDARY")


class WholeTests(SynchronousTestCase):
    def test_headers_and_their_order(self) -> None:
        expected = (
            ("Content-Length", "1000"),
            ("Content-Type", "application/efi"),
            ("Accept-Ranges", "bytes"),
            ("ETag", '"t1"'),
            ("Last-Modified", DATE),
        )
        self.assertEqual(ask(), Answer(200, expected, (Span(0, 1000),)))
        self.assertEqual(ask(method="HEAD").headers, expected)

    def test_there_is_no_empty_header(self) -> None:
        names = [name for name, _ in ask(ContentInfo(5)).headers]
        self.assertEqual(names, ["Content-Length", "Content-Type", "Accept-Ranges"])

    def test_short_texts(self) -> None:
        found = text_answer(405, "No", ("Allow", "GET"))
        self.assertEqual(found.headers[0], ("Content-Length", "3"))
        self.assertEqual((found.headers[-1], found.body), (("Allow", "GET"), (b"No\n",)))


class RangeTests(SynchronousTestCase):
    def test_one_range(self) -> None:
        for value, start, end in [
            ("bytes=0-99", 0, 100),
            ("bytes=900-", 900, 1000),
            ("bytes=-10", 990, 1000),
            ("bytes=-5000", 0, 1000),
            ("bytes=990-5000", 990, 1000),
            ("BYTES= 5-5", 5, 6),
        ]:
            found = ask(Range=value)
            self.assertEqual((found.status, found.body), (206, (Span(start, end),)), value)
            self.assertEqual(found.headers[0], ("Content-Length", str(end - start)))
            self.assertIn(("Content-Range", f"bytes {start}-{end - 1}/1000"), found.headers)

    def test_ranges_beyond_the_end(self) -> None:
        for value in ("bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=1000-,2000-3000"):
            self.assert_beyond(value)
        for digits in (19, 20, 23, 9999):
            self.assert_beyond(f"bytes={'9' * digits}-")
            self.assert_beyond(f"bytes=1000-{'9' * digits}")
            self.assertEqual(ask(Range=f"bytes=-{'9' * digits}").body, (Span(0, 1000),))
        self.assertEqual(ask(ContentInfo(0), Range="bytes=0-").status, 416)

    def assert_beyond(self, value: str) -> None:
        found = ask(Range=value)
        self.assertEqual(found.status, 416, value[:30])
        self.assertIn(("Content-Range", "bytes */1000"), found.headers)

    def test_what_is_no_range_is_passed_over(self) -> None:
        for value in ("lines=1-2", "bytes=", "bytes=a-b", "bytes=5", "bytes=9-5", "bytes=-"):
            self.assertEqual(ask(Range=value).status, 200, value)
        for value in ("bytes=1-2,x", "bytes=" + "9" * 9999, "bytes=--5", "bytes=٣-"):
            self.assertEqual(ask(Range=value).status, 200, value[:30])

    def test_head_has_no_ranges(self) -> None:
        self.assertEqual(ask(method="HEAD", Range="bytes=0-1").status, 200)

    def test_several_ranges(self) -> None:
        found = ask(Range="bytes=0-1, -2, 5000-")
        head, first, middle, last, end = found.body
        self.assertEqual((first, last), (Span(0, 2), Span(998, 1000)))
        self.assertEqual(
            head,
            b"\r\n--BOUNDARY\r\nContent-Type: application/efi\r\n"
            b"Content-Range: bytes 0-1/1000\r\n\r\n",
        )
        assert isinstance(middle, bytes)
        self.assertIn(b"Content-Range: bytes 998-999/1000\r\n", middle)
        self.assertEqual(end, b"\r\n--BOUNDARY--\r\n")
        length = 4 + sum(len(piece) for piece in found.body if isinstance(piece, bytes))
        self.assertEqual(found.headers[0], ("Content-Length", str(length)))
        kind = ("Content-Type", "multipart/byteranges; boundary=BOUNDARY")
        self.assertIn(kind, found.headers)

    def test_more_work_than_the_whole_is_not_done(self) -> None:
        self.assertEqual(ask(Range="bytes=" + ",".join(["0-1"] * 17)).status, 200)
        self.assertEqual(ask(Range="bytes=0-900,0-900").status, 200)

    def test_if_range(self) -> None:
        for condition, status in [
            ('"t1"', 206),
            ('"t2"', 200),
            ('W/"t1"', 200),
            (DATE, 206),
            (EARLIER, 200),
            (LATER, 200),
            *((text, 200) for text in NO_DATES),
        ]:
            found = ask(Range="bytes=0-1", If_Range=condition)
            self.assertEqual(found.status, status, condition)


class ConditionTests(SynchronousTestCase):
    def test_not_modified(self) -> None:
        for value, status in [('"t1"', 304), ('"x", W/"t1"', 304), ("*", 304), ('"t2"', 200)]:
            self.assertEqual(ask(If_None_Match=value).status, status, value)
        self.assertEqual(ask(If_None_Match='"t1"').body, ())
        for value, status in [(DATE, 304), (LATER, 304), (EARLIER, 200)]:
            self.assertEqual(ask(If_Modified_Since=value).status, status, value)
        for value in NO_DATES:
            self.assertEqual(ask(If_Modified_Since=value).status, 200, value)
            self.assertEqual(ask(If_Unmodified_Since=value).status, 200, value)
        self.assertEqual(ask(If_None_Match='"t2"', If_Modified_Since=LATER).status, 200)

    def test_resumed_downloads(self) -> None:
        for value, status in [('"t1"', 206), ("*", 206), ('"t2"', 412), ('W/"t1"', 412)]:
            self.assertEqual(ask(If_Match=value, Range="bytes=5-").status, status, value)
        for value, status in [(DATE, 206), (LATER, 206), (EARLIER, 412)]:
            found = ask(If_Unmodified_Since=value, Range="bytes=5-")
            self.assertEqual(found.status, status, value)


class LoginTests(SynchronousTestCase):
    def test_basic(self) -> None:
        """RFC 7617: the scheme in any case; a password may hold colons."""
        for header in ("Basic YTpiOmM=", "bAsIc  YTpiOmM="):
            self.assertEqual(basic_login(header), Login("a", "b:c"))

    def test_anything_else_is_no_login(self) -> None:
        """Other schemes, no base 64, no text, no colon."""
        for header in (None, "", "Basic", "Basic !", "Basic /////w==", "Basic YQ==", "Digest x"):
            self.assertIsNone(basic_login(header))
