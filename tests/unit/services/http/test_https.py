"""The HTTPS service over a transport in memory, with a client that really speaks TLS."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.address import IPv4Address as TcpAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pxetwist.errors import ConfigError
from pxetwist.interfaces import IBootService, IContent, IReloads
from pxetwist.pki.authority import pem
from pxetwist.services.http.certificates import KeyFiles, common_name
from pxetwist.services.http.https import HttpsService, Settings, host_name
from pxetwist.testing import FakeBoot, MemoryStore, make_site
from tests.unit import certificates

#: What OVMF of 2022 offers: RSA and DHE, no ECDHE, no TLS 1.3 (IANA names in OpenSSL's spelling).
OVMF = (
    "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-GCM-SHA256:"
    "DHE-RSA-AES256-SHA256:DHE-RSA-AES128-SHA256:AES256-SHA256:AES128-SHA256:"
    "DHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA"
)


class Wire(StringTransport):
    """A TCP connection in memory."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Know that small pieces must not wait."""


class TlsClient:
    """One client and its connection; `ask` sends, and returns what was answered since."""

    def __init__(self, service: HttpsService, *, offers: str = "", name: str = "") -> None:
        theirs = TcpAddress("TCP", "10.0.0.50", 40000)
        self.transport = Wire(TcpAddress("TCP", "10.0.0.1", 443), theirs)
        self.protocol: Any = service.accepts.buildProtocol(theirs)
        assert self.protocol is not None
        self.protocol.makeConnection(self.transport)
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if offers:
            self.context.set_max_proto_version(SSL.TLS1_2_VERSION)
            self.context.set_cipher_list(f"{offers}:@SECLEVEL=0".encode())
        self.name = name
        self.lost = False
        self.clock: Any = service.factory.reactor

    def shake(self, show: KeyFiles | None = None) -> SSL.Connection:
        """Agree on TLS, showing a certificate if it has one."""
        if show is not None:
            self.context.use_certificate_file(str(show.certificate))
            self.context.use_privatekey_file(str(show.key))
        self.connection = SSL.Connection(self.context, None)
        self.connection.set_connect_state()
        if self.name:
            self.connection.set_tlsext_host_name(self.name.encode())
        for _ in range(4):
            try:
                self.connection.do_handshake()
            except SSL.WantReadError:
                self._exchange()
        self._exchange()
        return self.connection

    def _exchange(self) -> None:
        """Carry what each side has for the other."""
        try:
            while data := self.connection.bio_read(1 << 16):
                self.protocol.dataReceived(data)
        except SSL.WantReadError:
            pass
        self.clock.advance(0)
        if self.transport.value():
            self.connection.bio_write(self.transport.value())
            self.transport.clear()

    def ask(self, raw: str) -> str:
        """Send a request, and return what came back."""
        self.connection.send(raw.encode())
        answer = b""
        for _ in range(3):
            self._exchange()
            try:
                while piece := self.connection.recv(1 << 16):
                    answer += piece
            except SSL.WantReadError:
                pass
        return answer.decode("latin-1")

    def get(self, target: str) -> str:
        """Send a GET."""
        return self.ask(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")

    def lose(self) -> None:
        """Go away, once."""
        if self.lost:
            return
        self.lost = True
        self.protocol.connectionLost(Failure(ConnectionDone()))


class HttpsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.server = certificates.write_server(self.folder, "boot.example", "10.0.0.1")
        content: dict[str, bytes | IContent | Exception] = {"nbp.efi": b"0123456789"}
        self.store = MemoryStore(content)
        self.boot = FakeBoot([self.store])

    def service(self, **options: Any) -> HttpsService:
        options.setdefault("certificate", {"": self.server.certificate})
        options.setdefault("key", {"": self.server.key})
        return HttpsService(Settings(**options), make_site(self.boot, reactor=self.clock))

    def client(self, service: HttpsService, offers: str = "", name: str = "") -> TlsClient:
        made = TlsClient(service, offers=offers, name=name)
        self.addCleanup(made.lose)
        return made


class AnswerTests(HttpsCase):
    def test_it_is_http_over_tls(self) -> None:
        client = self.client(self.service())
        client.shake()
        whole = client.get("/nbp.efi")
        self.assertTrue(whole.startswith("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"))
        self.assertTrue(whole.endswith("\r\n\r\n0123456789"))
        head = client.ask("HEAD /nbp.efi HTTP/1.1\r\nHost: h\r\n\r\n")  # on the same connection
        self.assertEqual(head, whole.removesuffix("0123456789"))
        part = client.ask("GET /nbp.efi HTTP/1.1\r\nHost: h\r\nRange: bytes=2-4\r\n\r\n")
        self.assertTrue(part.startswith("HTTP/1.1 206 ") and part.endswith("\r\n\r\n234"))
        self.assertTrue(self.store.asked[-1].secure)
        self.assertEqual(self.boot.events[-1].protocol, "https")

    def test_interfaces(self) -> None:
        service = self.service()
        verifyObject(IBootService, service)
        verifyObject(IReloads, service)

    def test_every_suite_of_old_firmware(self) -> None:
        service = self.service()
        for suite in OVMF.split(":"):
            client = self.client(service, suite)
            self.assertEqual(client.shake().get_cipher_name(), suite)
        chosen = self.client(service, OVMF).shake().get_cipher_name()
        self.assertEqual(chosen, "DHE-RSA-AES256-GCM-SHA384")

    def test_modern_clients_get_forward_secrecy(self) -> None:
        for profile in ("firmware", "modern"):
            service = self.service(profile=profile)
            self.assertEqual(self.client(service).shake().get_protocol_version_name(), "TLSv1.3")
            old = self.client(service, f"{OVMF}:ECDHE-RSA-AES128-GCM-SHA256").shake()
            self.assertEqual(old.get_cipher_name(), "ECDHE-RSA-AES128-GCM-SHA256")

    def test_the_modern_profile_refuses_the_rest(self) -> None:
        service = self.service(profile="modern")
        client = self.client(service, OVMF)
        with self.assertRaises(SSL.Error):
            client.shake()
        client.lose()
        self.assertEqual(service.counts(), {"handshakes failed": 1})

    def test_no_tls_of_yesterday(self) -> None:
        client = self.client(self.service())
        client.context.set_cipher_list(b"ALL:@SECLEVEL=0")
        client.context.set_max_proto_version(SSL.TLS1_1_VERSION)
        with self.assertRaises(SSL.Error):
            client.shake()

    def test_http_1_1_is_agreed_upon(self) -> None:
        client = self.client(self.service())
        client.context.set_alpn_protos([b"h2", b"http/1.1"])
        self.assertEqual(client.shake().get_alpn_proto_negotiated(), b"http/1.1")


class CertificateTests(HttpsCase):
    def shown(self, service: HttpsService, name: str = "") -> str:
        shown = self.client(service, name=name).shake().get_peer_certificate()
        assert shown is not None
        return common_name(shown.to_cryptography())

    def test_one_per_name(self) -> None:
        other = certificates.write_server(self.folder, "alt.example")
        service = self.service(
            certificate={"": self.server.certificate, "alt.example": other.certificate},
            key={"": self.server.key, "alt.example": other.key},
        )
        for name in ("", "boot.example", "else.example"):
            self.assertEqual(self.shown(service, name), "boot.example")
        self.assertEqual(self.shown(service, "ALT.example"), "alt.example")

    def test_a_changed_file_is_taken_when_it_is_whole(self) -> None:
        """Nobody needs to connect for that: the first one after it gets the new certificate."""
        service = self.service()
        self.patch(service, "ports", list)
        service.startService()
        certificates.write_server(self.folder, "new.example", name="boot.example")
        os.utime(self.server.certificate, (5, 5))
        self.clock.advance(2)
        self.assertEqual(self.shown(service), "boot.example")  # it changes, maybe still
        self.clock.advance(2)
        self.assertEqual(self.shown(service), "new.example")
        self.server.certificate.write_text("half of")
        with capturedLogs() as logs:
            for _ in range(3):
                self.clock.advance(2)
        errors = [each for each in logs if each["log_level"] is LogLevel.error]
        self.assertEqual(len(errors), 2)  # the mistake, and what holds now; once
        self.assertFalse(self.flushLoggedErrors())
        service.stopService()

    def test_reload(self) -> None:
        service = self.service()
        certificates.write_server(self.folder, "new.example", name="boot.example")
        service.reload()
        self.assertEqual(self.shown(service), "new.example")

    def test_one_that_is_over_is_told_of_every_day(self) -> None:
        """A server may run for longer than its certificate lasts."""
        over = certificates.server("boot.example", days=-1)
        self.server.certificate.write_bytes(over.public_bytes(Encoding.PEM))
        service = self.service()
        with capturedLogs() as logs:
            service.connections.look()
            self.assertEqual(logs, [])  # the start has said it
            for _ in range(2):
                service.connections._warn_at -= timedelta(days=1)
                for _ in range(2):
                    service.connections.look()
        self.assertEqual([each["log_level"] for each in logs], [LogLevel.warn] * 2)
        self.assertIn("is over since", logs[0]["fault"])
        with capturedLogs() as logs:
            service.reload()
        self.assertEqual(logs[-1]["log_level"], LogLevel.warn)

    def test_a_broken_file_changes_nothing(self) -> None:
        service = self.service()
        self.server.certificate.write_text("half of")
        with capturedLogs() as logs:
            service.reload()
        errors = [each for each in logs if each["log_level"] is LogLevel.error]
        self.assertIn("no certificate in it", str(errors[0]["error"]))
        self.assertEqual(self.shown(service), "boot.example")
        self.assertFalse(self.flushLoggedErrors())

    def test_mistakes(self) -> None:
        def mistake(**options: Any) -> str:
            return str(self.assertRaises(ConfigError, self.service, **options))

        missing = self.folder / "none.pem"
        self.assertIn("pxetwist pki issue", mistake(certificate={"": missing}))
        self.server.key.chmod(0o644)
        self.assertIn(f"mend: chmod o-rwx {self.server.key}", mistake())
        certificates.write_key(self.folder / "other.key", 2049)
        other = self.folder / "other.key"
        self.assertIn("not that of the certificate", mistake(key={"": other}))
        both = self.folder / "both.pem"
        both.touch(mode=0o600)
        authority = pem(certificates.authority().certificate)
        own = self.server.certificate.read_bytes()
        both.write_bytes(authority + own + pem(certificates.key(certificates.BITS)))
        self.assertIn("must be the first", mistake(certificate={"": both}, key={}))
        both.write_bytes(own + authority + pem(certificates.key(certificates.BITS)))
        self.assertEqual(self.shown(self.service(certificate={"": both}, key={})), "boot.example")

    def test_settings(self) -> None:
        some = Path("x.pem")
        with self.assertRaisesRegex(ValueError, "certificate is missing"):
            Settings(certificate={"alt.example": some})
        with self.assertRaisesRegex(ValueError, "has no certificate.alt"):
            Settings(certificate={"": some}, key={"alt": some})
        for wrong in ("10.0.0.1", "a b", "*.example", "-a", "a..b"):
            self.assertRaises(ValueError, host_name, wrong)
        self.assertEqual(host_name("Boot.Example."), "boot.example")


class ClientCertificateTests(HttpsCase):
    def setUp(self) -> None:
        super().setUp()
        self.ca = certificates.write_authority(self.folder / "ca.pem")

    def test_it_names_the_client(self) -> None:
        client = self.client(self.service(client_ca=self.ca))
        client.shake(certificates.write_client(self.folder, "pc01"))
        self.assertIn(" 200 OK", client.get("/nbp.efi"))
        self.assertEqual(self.store.asked[-1].identity.certificate, "pc01")

    def test_none_and_one_of_others_are_refused(self) -> None:
        service = self.service(client_ca=self.ca)
        stranger = certificates.write_client(self.folder, "pc02", by="Others")
        for shown in (None, stranger):
            client = TlsClient(service, offers=OVMF)
            with self.assertRaises(SSL.Error):
                client.shake(shown)
            client.lose()
        self.assertEqual(service.counts(), {"handshakes failed": 2})

    def test_a_servers_certificate_is_no_clients(self) -> None:
        with self.assertRaises(SSL.Error):
            self.client(self.service(client_ca=self.ca), OVMF).shake(self.server)

    def test_nobody_is_asked_without_need(self) -> None:
        """iPXE without a certificate gives up when it is asked for one."""
        client = self.client(self.service())
        asked: list[object] = []
        client.context.set_info_callback(lambda connection, where, ret: asked.append(where))
        self.assertEqual(client.shake().get_client_ca_list(), [])
        client.get("/nbp.efi")
        self.assertEqual(self.store.asked[-1].identity.certificate, "")


class HandshakeTests(HttpsCase):
    def test_one_that_says_nothing_is_dropped(self) -> None:
        service = self.service(handshake_timeout=10.0)
        client = TlsClient(service)
        self.clock.advance(9)
        self.assertFalse(client.transport.disconnected)
        self.clock.advance(1)
        self.assertTrue(client.transport.disconnected)
        client.lose()
        self.assertEqual(service.counts(), {"handshakes too slow": 1})

    def test_one_that_has_agreed_is_not(self) -> None:
        client = self.client(self.service(handshake_timeout=10.0))
        client.shake()
        self.clock.advance(20)
        self.assertIn(" 200 OK", client.get("/nbp.efi"))

    def test_there_are_not_too_many(self) -> None:
        service = self.service(handshakes=3)
        crowd = [TlsClient(service) for _ in range(5)]
        self.assertEqual([each.transport.disconnected for each in crowd], [True] * 2 + [False] * 3)
        self.assertEqual(service.counts()["handshakes crowded out"], 2)
        for each in crowd:
            each.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_went_wrong_is_told_for_people(self) -> None:
        service = self.service()
        with capturedLogs() as logs:
            for _ in range(2):  # within a second: told once
                client = TlsClient(service)
                client.protocol.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
                client.lose()
        told = [each["why"] for each in logs if each["log_level"] is LogLevel.warn]
        self.assertEqual(told, ["it speaks HTTP without TLS to this port (http request)"])

    def test_garbage_is_no_traceback(self) -> None:
        service = self.service()
        client = TlsClient(service)
        client.protocol.dataReceived(b"\x16\x03\x01\xff\xff" + bytes(70000))
        client.lose()
        self.assertFalse(self.flushLoggedErrors())
