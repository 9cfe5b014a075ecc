"""Reports of machines over HTTP: which URLs are theirs, and what comes of them."""

from __future__ import annotations

from pxetwist.errors import StateUnavailable
from pxetwist.model.boot import Endpoints
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.order import NOTE
from tests.unit.services.http.test_service import ServiceCase

TOKEN = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456-_"
MACHINE = ClientIdentity(mac="52:54:00:12:34:56")


class ReportTests(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.boot.tokens = {
            f"callback:{TOKEN}": (MACHINE, "1a2b"),
            "discover:D": (MACHINE, "1a2b"),
            "S": (MACHINE, "1a2b"),
        }
        self.boot.answer = ""

    def post(self, target: str, body: str = "", *headers: str) -> int:
        raw = f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body.encode())}\r\n"
        raw += "".join(f"{line}\r\n" for line in headers)
        answer = self.connection.ask(raw + "\r\n" + body.encode().decode("latin-1"))
        self.answer = answer
        return int(answer.split(" ")[1])

    def test_call_back(self) -> None:
        for word in ("progress", "done", "failed"):
            self.assertEqual(self.post(f"/callback/{TOKEN}/{word}", "half  way\n50 %"), 200)
            report = self.boot.reports[-1]
            self.assertEqual((report.topic, report.word), ("callback", word))
            self.assertEqual((report.identity, report.boot_id), (MACHINE, "1a2b"))
            self.assertEqual((report.text, report.time), ("half way 50 %", 1000))
            self.assertEqual(report.endpoints, Endpoints("10.0.0.1"))
        self.assertEqual(self.post(f"//callback//{TOKEN}/done"), 200)

    def test_any_body(self) -> None:
        """It is bounded, of one line, and shows what is no text."""
        self.post(f"/callback/{TOKEN}/done", "x" * 100_000)
        self.assertEqual(len(self.boot.reports[-1].text), NOTE)
        self.post(f"/callback/{TOKEN}/done", "a\x1b[2J\r\n\x00b ☃")
        self.assertEqual(self.boot.reports[-1].text, "a\ufffd[2J \ufffdb ☃")

    def test_a_chunked_body(self) -> None:
        raw = f"POST /callback/{TOKEN}/done HTTP/1.1\r\nHost: h\r\n"
        raw += "Transfer-Encoding: chunked\r\n\r\n2\r\nha\r\n3\r\nllo\r\n0\r\n\r\n"
        self.assertIn(" 200 ", self.connection.ask(raw))
        self.assertEqual(self.boot.reports[-1].text, "hallo")

    def test_other_tokens(self) -> None:
        """Wrong, too old, or made for something else: as any path that is not there."""
        answers = set()
        for token in ("S", "D", "none", TOKEN[:-1], "%2e%2e", "x" * 3000):
            self.assertEqual(self.post(f"/callback/{token}/done"), 404, token)
            answers.add(self.answer)
        missing = self.get("/none")
        self.assertEqual({*answers}, {missing})
        self.assertEqual(self.boot.reports, [])

    def test_other_paths_and_methods(self) -> None:
        for path in ("/callback", f"/callback/{TOKEN}", f"/callback/{TOKEN}/zonk", "/x"):
            self.assertEqual(self.post(path), 405)
        for method in ("HEAD", "PUT"):
            self.assertEqual(self.status(f"/callback/{TOKEN}/done", method=method), 405)
        answer = self.get(f"/callback/{TOKEN}/order?text=wipe")
        self.assertIn(" 405 ", answer)
        self.assertIn("\r\nAllow: POST\r\n", answer)
        self.assertEqual(self.boot.reports, [])

    def test_by_get(self) -> None:
        """For iPXE's imgfetch, and wget that cannot post."""
        for word in ("progress", "done", "failed"):
            self.assertEqual(self.status(f"/callback/{TOKEN}/{word}?text=half%20way%1b[2J+"), 200)
            report = self.boot.reports[-1]
            self.assertEqual((report.word, report.text), (word, "half way\ufffd[2J+"))
            self.assertEqual(report.identity, MACHINE)
        self.assertEqual(self.status(f"/callback/{TOKEN}/done"), 200)
        self.assertEqual(self.boot.reports[-1].text, "")
        self.assertEqual(self.status("/callback/D/done?text=x"), 404)
        self.assertEqual(len(self.boot.reports), 4)

    def test_what_cannot_be_stored(self) -> None:
        self.boot.answer = StateUnavailable("full")
        self.assertEqual(self.post(f"/callback/{TOKEN}/done"), 503)
        self.assertIn("Retry-After: 5\r\n", self.answer)

    def test_discovery(self) -> None:
        self.boot.answer = "#!ipxe\necho hello"
        answer = self.body("/discover/D?mac=52%3A54%3A00%3A12%3A34%3A56&serial=a%26b+c&x")
        self.assertEqual(answer, "#!ipxe\necho hello\n")
        report = self.boot.reports[-1]
        self.assertEqual((report.topic, report.word), ("discover", ""))
        self.assertEqual(report.facts, {"mac": MACHINE.mac, "serial": "a&b+c"})
        self.assertEqual(self.status("/discover/none"), 404)
        self.boot.answer = None
        self.assertEqual(self.status("/discover/D"), 404)
