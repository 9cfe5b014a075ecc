"""The http directory and real servers: a NetBox, one with TLS, and many that misbehave."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from twisted.application.service import IService
from twisted.internet import reactor as real  # noqa: TID251  these tests turn it
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from bootlab.certificates import Authority
from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts import http
from pxetwist.hosts.json_fields import json_fields, json_path
from pxetwist.hosts.url_template import url_templates
from pxetwist.interfaces import IHealth, IHostDirectory
from pxetwist.model.health import HealthState
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site
from pxetwist.webclient import authorities

reactor: Any = real

MAC = "52:54:00:00:00:12"
TOKEN = "Token 0123456789abcdef0123456789abcdef01234567"
#: A device as NetBox 4 tells it (`/api/dcim/devices/`), without what nobody here looks at.
DEVICE = {
    "id": 88,
    "url": "https://netbox.example/api/dcim/devices/88/",
    "display": "ws12",
    "name": "ws12",
    "device_type": {
        "id": 11,
        "url": "https://netbox.example/api/dcim/device-types/11/",
        "display": "OptiPlex 7090",
        "manufacturer": {"id": 13, "display": "Dell", "name": "Dell", "slug": "dell"},
        "model": "OptiPlex 7090",
        "slug": "optiplex-7090",
    },
    "role": {"id": 6, "display": "Exam PC", "name": "Exam PC", "slug": "exam-pc"},
    "tenant": None,
    "platform": None,
    "serial": "4711",
    "asset_tag": "A-17",
    "site": {"id": 21, "display": "Lab", "name": "Lab", "slug": "lab"},
    "location": None,
    "rack": None,
    "status": {"value": "active", "label": "Active"},
    "primary_ip": {"id": 3, "display": "10.0.0.12/24", "address": "10.0.0.12/24"},
    "primary_ip4": {
        "id": 3,
        "url": "https://netbox.example/api/ipam/ip-addresses/3/",
        "display": "10.0.0.12/24",
        "family": {"value": 4, "label": "IPv4"},
        "address": "10.0.0.12/24",
    },
    "primary_ip6": None,
    "tags": [
        {"id": 1, "display": "Exam", "name": "Exam", "slug": "exam", "color": "ff0000"},
        {"id": 2, "display": "B12", "name": "B12", "slug": "b12", "color": "00ff00"},
    ],
    "custom_fields": {"boot_profile": "debian12"},
}
FIELDS = """
name = name
address = primary_ip4.address
serial = serial
asset = asset_tag
groups = tags.*.slug
label.role = role.slug
label.site = site.slug
label.status = status.value
label.rack = rack.name
label.profile = custom_fields.boot_profile
"""


class NetBox(Resource):
    """Answers as `/api/dcim/devices/` does."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        path, _, _ = request.uri.partition(b"?")
        request.setHeader(b"content-type", b"application/json")
        if path == b"/api/dcim/devices":  # Django appends the slash
            request.redirect(b"/api/dcim/devices/?" + request.uri.partition(b"?")[2])
            request.setResponseCode(301)
            return b""
        if path != b"/api/dcim/devices/":
            request.setResponseCode(404)
            return b'{"detail": "Not found."}'
        if request.getHeader("authorization") != TOKEN:
            request.setResponseCode(403)
            return b'{"detail": "Authentication credentials were not provided."}'
        wanted = [each.decode() for each in request.args.get(b"mac_address", [])]
        found = [DEVICE] if not any(wanted) or MAC in map(str.lower, wanted) else []
        document = {"count": len(found), "next": None, "previous": None, "results": found}
        return json.dumps(document).encode()


class Never(Resource):
    """Takes the question, and that is all."""

    isLeaf = True

    def render_GET(self, request: Request) -> int:
        return NOT_DONE_YET


class Raw(Protocol):
    """Sends pieces, with the pauses (seconds) between them, whatever is asked."""

    def __init__(self, pieces: list[bytes | float], sent: list[int]) -> None:
        self._pieces = pieces
        self._sent = sent
        self._asked = b""
        self._work: Deferred[Any] | None = None

    def dataReceived(self, data: bytes) -> None:
        self._asked += data
        if self._asked.endswith(b"\r\n\r\n"):
            self._asked = b""
            self._work = Deferred.fromCoroutine(self._answer())
            self._work.addErrback(lambda failure: failure.trap(CancelledError))

    async def _answer(self) -> None:
        for piece in self._pieces:
            assert self.transport is not None
            if isinstance(piece, bytes):
                self.transport.write(piece)
                self._sent[0] += len(piece)
            await deferLater(reactor, 0 if isinstance(piece, bytes) else piece)
        assert self.transport is not None
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._work is not None:
            self._work.cancel()


class HttpCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.gap = 0.0
        self._last = reactor.seconds()
        beat = LoopingCall(self._beat)
        beat.start(0.01)
        self.addCleanup(beat.stop)
        self.addCleanup(lambda: self.assertLess(self.gap, 1.5, "the reactor was blocked"))

    def _beat(self) -> None:
        now = reactor.seconds()
        self.gap, self._last = max(self.gap, now - self._last), now

    def listen(self, factory: Any, context: Any = None) -> int:
        """Serve at a free port; return it."""
        if context is None:
            port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def serve(self, resource: Resource, context: Any = None) -> int:
        return self.listen(Site(resource), context)

    def raw(self, *pieces: bytes | float) -> int:
        """Serve what is no resource."""
        self.sent = [0]
        factory: Any = Factory()
        factory.buildProtocol = lambda _: Raw(list(pieces), self.sent)
        return self.listen(factory)

    def build(self, url: str, fields: str = "name = name", **more: Any) -> IHostDirectory:
        chosen = http.Settings(
            url=url_templates(url), fields=json_fields(fields) if fields else None, **more
        )
        directory = http.build(chosen, make_site(reactor=reactor, name="netbox"))
        service = IService(directory)
        service.startService()
        self.addCleanup(service.stopService)
        return directory

    async def find(self, directory: IHostDirectory, mac: str = MAC) -> Machine | None:
        return await directory.find_machine(ClientIdentity(mac=mac))

    async def refusal(
        self, port: int, state: HealthState = HealthState.DEGRADED, **more: Any
    ) -> str:
        """Ask a server that misbehaves; return what is said of it."""
        directory = self.build(f"http://127.0.0.1:{port}/{{mac}}", **more)
        try:
            machine = await self.find(directory)
        except DirectoryUnavailable as error:
            health = IHealth(directory).health()
            self.assertIs(health.state, state)
            return str(error)
        raise AssertionError(f"it found {machine}")


class NetBoxTests(HttpCase):
    def netbox(self, port: int, path: str = "/api/dcim/devices/", **more: Any) -> IHostDirectory:
        more.setdefault("header_file", {"Authorization": http.Secret(TOKEN)})
        url = f"http://127.0.0.1:{port}{path}?mac_address={{mac}}&exclude=config_context"
        return self.build(url, FIELDS, machine=json_path("results"), **more)

    async def test_a_device(self) -> None:
        machine = await self.find(self.netbox(self.serve(NetBox())))
        assert machine is not None
        self.assertEqual(
            (machine.name, str(machine.address), machine.macs), ("ws12", "10.0.0.12", (MAC,))
        )
        self.assertEqual((machine.serial, machine.asset), ("4711", "A-17"))
        self.assertEqual(machine.groups, ("exam", "b12"))
        self.assertEqual(
            machine.labels,
            {"role": "exam-pc", "site": "lab", "status": "active", "profile": "debian12"},
        )
        self.assertRegex(machine.provenance, r"^http://127\.0\.0\.1:\d+ in \d+ ms, fresh$")

    async def test_a_stranger(self) -> None:
        directory = self.netbox(self.serve(NetBox()))
        self.assertIsNone(await self.find(directory, "52:54:00:00:00:99"))

    async def test_who_has_no_mac_is_nobody(self) -> None:
        """NetBox gives all devices for an empty filter."""
        directory = self.netbox(self.serve(NetBox()))
        self.assertIsNone(await directory.find_machine(ClientIdentity(serial="4711")))

    async def test_a_slash_too_few(self) -> None:
        machine = await self.find(self.netbox(self.serve(NetBox()), "/api/dcim/devices"))
        self.assertEqual(machine and machine.name, "ws12")

    async def test_a_wrong_token(self) -> None:
        directory = self.netbox(self.serve(NetBox()), header_file={})
        with self.assertRaisesRegex(DirectoryUnavailable, "the answer is 403 Forbidden"):
            await self.find(directory)

    async def test_stale_while_it_is_away(self) -> None:
        port = reactor.listenTCP(0, Site(NetBox()), interface="127.0.0.1")
        directory = self.netbox(port.getHost().port, fresh=0.0)
        await self.find(directory)
        await port.stopListening()
        await IService(directory).stopService()  # the kept connection
        machine = await self.find(directory)
        assert machine is not None
        self.assertRegex(machine.provenance, "stale, .* directory away .*refused")


class TlsTests(HttpCase):
    def tls(self, authority: Authority, host: str, address: str) -> int:
        key, certificate = authority.issue(Path(), host, address)
        context = DefaultOpenSSLContextFactory(str(key), str(certificate))
        return self.serve(NetBox(), context)

    async def ask(self, port: int, ca: Path | None) -> Machine | None:
        directory = self.build(
            f"https://127.0.0.1:{port}/api/dcim/devices/?mac_address={{mac}}",
            FIELDS,
            machine=json_path("results"),
            header_file={"Authorization": http.Secret(TOKEN)},
            ca=authorities(str(ca)) if ca else (),
        )
        return await self.find(directory)

    async def test_the_right_authority(self) -> None:
        authority = Authority(Path("ca.pem"))
        machine = await self.ask(self.tls(authority, "localhost", "127.0.0.1"), authority.file)
        self.assertEqual(machine and machine.name, "ws12")

    async def test_another_authority(self) -> None:
        port = self.tls(Authority(Path("ca.pem")), "localhost", "127.0.0.1")
        for ca in (Authority(Path("other.pem")).file, None):
            with self.assertRaisesRegex(DirectoryUnavailable, "TLS: .*certificate verify failed"):
                await self.ask(port, ca)

    async def test_another_server(self) -> None:
        authority = Authority(Path("ca.pem"))
        port = self.tls(authority, "elsewhere", "127.0.0.9")
        with self.assertRaisesRegex(DirectoryUnavailable, "certificate is not for this name"):
            await self.ask(port, authority.file)


class MisbehavingTests(HttpCase):
    OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

    async def test_slow(self) -> None:
        """It is waited for, within the deadline."""
        body = b'{"name": "ws12"}'
        port = self.raw(0.2, self.OK + b"Content-Length: 16\r\n\r\n", 0.2, body[:8], 0.2, body[8:])
        machine = await self.find(self.build(f"http://127.0.0.1:{port}/{{mac}}"))
        self.assertEqual(machine and machine.name, "ws12")

    async def test_too_slow(self) -> None:
        """The late answer is there for the next attempt."""
        port = self.raw(0.5, self.OK + b'Content-Length: 16\r\n\r\n{"name": "ws12"}')
        directory = self.build(f"http://127.0.0.1:{port}/{{mac}}", deadline=0.3)
        with self.assertRaisesRegex(DirectoryUnavailable, r"no answer within 0\.3 s"):
            await self.find(directory)
        await deferLater(reactor, 0.4)
        machine = await self.find(directory)
        self.assertRegex(str(machine and machine.provenance), ", fresh, 0 s old$")

    async def test_hangs(self) -> None:
        said = await self.refusal(self.serve(Never()), deadline=0.2)
        self.assertEqual(said, "no answer within 0.2 s")

    async def test_hangs_in_the_body(self) -> None:
        port = self.raw(self.OK + b"Content-Length: 16\r\n\r\n{", 15.0)
        self.assertEqual(await self.refusal(port, deadline=0.2), "no answer within 0.2 s")
        await deferLater(reactor, 1.0)  # by then it is given up; an open connection would show

    async def test_nobody_listens(self) -> None:
        port = reactor.listenTCP(0, Site(NetBox()), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        self.assertRegex(await self.refusal(number), "refused")

    async def test_500(self) -> None:
        port = self.raw(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno")
        self.assertRegex(await self.refusal(port), "the answer is 500 Internal Server Error$")

    async def test_half_a_body(self) -> None:
        port = self.raw(self.OK + b'Content-Length: 1000\r\n\r\n{"name": "ws12"}')
        self.assertRegex(
            await self.refusal(port), "^http://127.0.0.1:\\d+: .*(lost|closed|receiv)"
        )

    async def test_half_a_body_of_unknown_length(self) -> None:
        port = self.raw(self.OK + b'\r\n{"name": "ws1')
        self.assertRegex(await self.refusal(port), 'no JSON, it begins \'{"name": "ws1\'')

    async def test_half_a_chunk(self) -> None:
        port = self.raw(self.OK + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"n')
        self.assertRegex(await self.refusal(port), "^http://127.0.0.1:\\d+: ")

    async def test_100_megabytes(self) -> None:
        """It is left as soon as it is too much."""
        piece = b"x" * 1_000_000
        port = self.raw(self.OK + b"Content-Length: 100000000\r\n\r\n", *[piece] * 100)
        self.assertRegex(await self.refusal(port), "more than 1048576 bytes")
        await deferLater(reactor, 0.2)
        self.assertLess(self.sent[0], 50_000_000)

    async def test_wrong_json(self) -> None:
        for body in (b"<html>Please log in</html>", b"[" * 500_000, b"{'name': 'ws12'}"):
            length = b"Content-Length: %d\r\n\r\n" % len(body)
            port = self.raw(self.OK + length + body)
            self.assertRegex(await self.refusal(port), "no JSON")

    async def test_another_form(self) -> None:
        port = self.raw(self.OK + b'Content-Length: 15\r\n\r\n{"title": "ws"}')
        said = await self.refusal(port, HealthState.UP)  # it answers, if nothing of use
        self.assertRegex(said, "the answer has no 'name'")

    async def test_no_http(self) -> None:
        port = self.raw(b"220 mail.example ESMTP\r\n")
        self.assertRegex(await self.refusal(port), "^http://127.0.0.1:\\d+: ")

    async def test_closes_at_once(self) -> None:
        self.assertRegex(await self.refusal(self.raw()), "^http://127.0.0.1:\\d+: ")

    async def test_redirects_elsewhere(self) -> None:
        port = self.raw(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\nContent-Length: 0\r\n\r\n"
        )
        self.assertRegex(await self.refusal(port), "redirects to http://127.0.0.2, which is not")


class PixiecoreTests(HttpCase):
    """A back end of pixiecore's, asked by the product."""

    INI = """
[pxe]
services = proxydhcp, http
hosts = api
policies = pixiecore
content = scripts
state = memory

[hosts:api]
plugin = http
api = pixiecore
url = http://127.0.0.1:{port}/prefix

[content:scripts]
plugin = rendered
"""

    async def explain(self, document: object, mac: str = MAC) -> str:
        class Api(Resource):
            isLeaf = True

            def render_GET(self, request: Request) -> bytes:
                if unquote(request.path.decode()) != f"/prefix/v1/boot/{MAC}":
                    request.setResponseCode(404)
                return json.dumps(document).encode()

        file = Path("pxe.ini").absolute()
        file.write_text(self.INI.format(port=self.serve(Api())))
        pxetwist = str(Path(sys.executable).parent / "pxetwist")
        words = ("explain", str(file), "--mac", mac, "--server", "192.0.2.1")
        out, err, code = await getProcessOutputAndValue(pxetwist, words)
        self.assertEqual((code, err), (0, b""))
        return bytes(out).decode()

    async def test_a_kernel(self) -> None:
        said = await self.explain(
            {
                "kernel": "/kernel",
                "initrd": ["http://files.example/initrd.0"],
                "cmdline": 'console=ttyS0 config={{ URL "/config" }} x={%y',
                "message": "Installing",
            }
        )
        base = re.escape(re.search(r"http://127\.0\.0\.1:\d+", said)[0])  # type: ignore[index]  # it is there
        self.assertRegex(
            said,
            rf"kernel {base}/kernel initrd=initrd\.0 console=ttyS0"
            rf" config={base}/config x={{%y",
        )
        self.assertIn("initrd --name initrd.0 http://files.example/initrd.0", said)
        self.assertIn("policy pixiecore: profile pixiecore (api: Installing)", said)

    async def test_a_script(self) -> None:
        said = await self.explain({"ipxe-script": "#!ipxe\necho ${net0/mac} {{ 7 * 7 }}\n"})
        self.assertIn("echo ${net0/mac} {{ 7 * 7 }}\n", said)

    async def test_a_stranger(self) -> None:
        said = await self.explain({}, "52:54:00:00:00:99")
        self.assertIn("hosts api: no answer", said)
        self.assertIn("policy pixiecore: no answer", said)
