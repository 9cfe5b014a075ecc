"""The http directory's options, and what it makes of answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from pxetwist.config.fields import Line, OptionText
from pxetwist.errors import ConfigError, DirectoryUnavailable, Location
from pxetwist.hosts import http
from pxetwist.hosts.http_client import JsonClient
from pxetwist.hosts.json_fields import json_fields, json_path
from pxetwist.hosts.parameters import parameters_of
from pxetwist.hosts.url_template import url_template, url_templates
from pxetwist.interfaces import IHostDirectory
from pxetwist.model.identity import ClientIdentity, Relay, swapped
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site, result_of
from pxetwist.testing.contracts import HostDirectoryContract
from pxetwist.webclient import authorities

MAC = "52:54:00:00:00:12"
CMDB = "https://cmdb.example/machines"


def option_text(text: str, first: int = 10) -> OptionText:
    """Return a text as it stands in an INI from a line on."""
    lines = [line.strip() for line in text.strip().splitlines()]
    places = tuple(Line(line, Location("pxe.ini", n)) for n, line in enumerate(lines, first))
    return OptionText("\n".join(lines), Path.cwd(), places)


@implementer(IResponse)
@attrs.define(eq=False)
class Response:
    """An answer in memory, whose body is there at once."""

    code: int
    body: bytes = b""
    headers: Headers = attrs.field(factory=Headers)
    version: Any = (b"HTTP", 1, 1)
    phrase: bytes = b"Said"
    length: int = 0
    request: Any = None
    previousResponse: Any = None

    def deliverBody(self, protocol: IProtocol) -> None:
        """Deliver all of it."""
        protocol.dataReceived(self.body)
        protocol.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: IResponse) -> None:
        """Nobody asks."""


@implementer(IAgent)
@attrs.define(eq=False)
class Server:
    """Answers by URL; all others are not found. `asked` collects URLs and headers."""

    answers: dict[str, Response]
    asked: list[tuple[str, Headers]] = attrs.field(factory=list)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Answer at once."""
        assert method == b"GET"
        self.asked.append((uri.decode("ascii"), headers or Headers()))
        return succeed(self.answers.get(uri.decode("ascii"), Response(404)))

    @property
    def urls(self) -> list[str]:
        """What was asked for."""
        return [url for url, _ in self.asked]


def answer(document: object) -> Response:
    return Response(200, json.dumps(document).encode())


def directory(
    server: Server, url: str, fields: str = "name = name", **more: Any
) -> IHostDirectory:
    chosen = http.Settings(
        url=url_templates(url), fields=json_fields(fields) if fields else None, **more
    )
    return http.HttpDirectory(server, lambda: succeed(None), chosen, make_site(name="cmdb"))


class ContractTests(HostDirectoryContract, SynchronousTestCase):
    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        documents = {}
        for machine in machines:
            document = {
                "name": machine.name,
                "nics": [{"mac": mac} for mac in machine.macs],
                "uuid": machine.uuid and str(machine.uuid),
                "ip": machine.address and str(machine.address),
                "place": {"room": machine.labels.get("room")},
                "boots": machine.labels.get("profile"),
            }
            for mac in machine.macs:
                documents[f"{CMDB}/by-mac/{mac.replace(':', '%3A')}"] = answer(document)
            if machine.uuid:
                for uuid in (machine.uuid, swapped(machine.uuid)):
                    documents[f"{CMDB}/by-uuid?is={uuid}"] = answer(document)
        return directory(
            Server(documents),
            f"{CMDB}/by-mac/{{mac}}\n{CMDB}/by-uuid?is={{uuid}}",
            """name = name
            mac = nics.*.mac
            uuid = uuid
            address = ip
            label.room = place.room
            label.profile = boots""",
        )


class AnswerTests(SynchronousTestCase):
    def find(
        self, document: object, fields: str, machine: str = "", **more: Any
    ) -> Machine | None:
        server = Server({f"{CMDB}/525400000012": answer(document)})
        where = json_path(machine) if machine else None
        asked = directory(server, f"{CMDB}/{{mac_bare}}", fields, machine=where, **more)
        return result_of(asked.find_machine(ClientIdentity(mac=MAC)))

    def test_what_it_says(self) -> None:
        document = {"results": [{"name": "ws12", "role": {"slug": "exam"}, "tags": ["a", "b"]}]}
        machine = self.find(
            document,
            "name = results.0.name\nlabel.Role = results.0.role.slug\ngroups = results.0.tags",
        )
        assert machine is not None
        self.assertEqual(
            machine, Machine("ws12", (MAC,), None, None, {"role": "exam"}, "cmdb", ("a", "b"))
        )
        self.assertEqual(machine.provenance, "https://cmdb.example in 0 ms")

    def test_nobody(self) -> None:
        for document, fields, where in (
            ({"results": []}, "name = results.0.name", ""),
            ({"results": []}, "name = name", "results"),
            ({"machine": None}, "name = name", "machine"),
            ([], "name = name", ""),
            (None, "name = name", ""),
        ):
            self.assertIsNone(self.find(document, fields, where), document)

    def test_what_cannot_be_understood(self) -> None:
        for document, fields, where, said in (
            ({}, "name = name", "", "https://cmdb.example: the answer has no 'name'"),
            ({"error": "x"}, "name = results.0.name", "", "no 'results.0.name'"),
            ({"error": "x"}, "name = name", "results", "no 'results'"),
            ([{"name": "a"}, {"name": "b"}], "name = name", "", "two machines: 'a' and 'b'"),
            ({"name": "a b"}, "name = name", "", "name: expected letters"),
            ({"name": "a", "ip": "x"}, "name = name\naddress = ip", "", "machine a: address"),
        ):
            with self.assertRaisesRegex(DirectoryUnavailable, said):
                self.find(document, fields, where)

    def test_statuses(self) -> None:
        for status in (204, 301, 400, 401, 403, 500, 503):
            server = Server({f"{CMDB}/525400000012": Response(status)})
            asked = directory(server, f"{CMDB}/{{mac_bare}}")
            with self.assertRaisesRegex(DirectoryUnavailable, f"the answer is {status} Said"):
                result_of(asked.find_machine(ClientIdentity(mac=MAC)))

    def test_who_has_nothing_to_ask_by(self) -> None:
        """An empty place in a URL would ask for every machine."""
        server = Server({})
        asked = directory(server, f"{CMDB}?serial={{serial}}\n{CMDB}/{{hostname}}/{{mac}}")
        result_of(asked.find_machine(ClientIdentity(mac=MAC, serial="To be filled by O.E.M.")))
        self.assertEqual(server.urls, [])

    def test_in_order_until_one_knows_it(self) -> None:
        server = Server({f"{CMDB}/b/4711": answer({"name": "ws12"})})
        urls = "\n".join(f"{CMDB}/{each}/{{serial}}" for each in "abc")
        asked = directory(server, urls)
        machine = result_of(asked.find_machine(ClientIdentity(mac=MAC, serial="4711")))
        self.assertEqual(machine and machine.name, "ws12")
        self.assertEqual(server.urls, [f"{CMDB}/a/4711", f"{CMDB}/b/4711"])

    def test_headers(self) -> None:
        server = Server({})
        asked = directory(
            server,
            f"{CMDB}/{{mac_bare}}",
            header={"X-Tenant": "lab"},
            header_file={"Authorization": http.Secret("Token 123")},
        )
        result_of(asked.find_machine(ClientIdentity(mac=MAC)))
        headers = server.asked[0][1]
        self.assertEqual(headers.getRawHeaders("authorization"), ["Token 123"])
        self.assertEqual(headers.getRawHeaders("x-tenant"), ["lab"])
        self.assertEqual(headers.getRawHeaders("accept"), ["application/json"])


class ClientTests(SynchronousTestCase):
    def get(self, server: Server, url: str = CMDB, limit: int = 100) -> object:
        return result_of(JsonClient(server, {}, limit).get(url)).document

    def redirection(self, target: str) -> Response:
        return Response(301, headers=Headers({"Location": [target]}))

    def test_redirections_to_the_same_server(self) -> None:
        server = Server({CMDB: self.redirection("/machines/"), f"{CMDB}/": answer([1])})
        self.assertEqual(self.get(server), [1])

    def test_redirections_elsewhere(self) -> None:
        for target in (
            "https://evil.example/machines",
            "http://cmdb.example/machines",
            "https://cmdb.example:444/",
            "https://u@cmdb.example/",
            "//evil.example/",
        ):
            server = Server({CMDB: self.redirection(target)})
            with self.assertRaisesRegex(DirectoryUnavailable, "redirects to .* not asked"):
                self.get(server)
            self.assertEqual(server.urls, [CMDB])

    def test_redirections_without_end(self) -> None:
        server = Server({CMDB: self.redirection(CMDB)})
        with self.assertRaisesRegex(DirectoryUnavailable, "redirects more than 3 times"):
            self.get(server)
        self.assertEqual(len(server.asked), 4)

    def test_what_is_no_json(self) -> None:
        for body in (b"", b"<html>Log in</html>", b'{"a": 1', b"[" * 200_000, b"\xff\xfe\0\xd8"):
            with self.assertRaisesRegex(DirectoryUnavailable, "no JSON"):
                self.get(Server({CMDB: Response(200, body)}), limit=1 << 20)

    def test_too_much(self) -> None:
        server = Server({CMDB: Response(200, b'"%s"' % (b"a" * 98))})
        self.assertEqual(self.get(server, limit=100), "a" * 98)
        with self.assertRaisesRegex(DirectoryUnavailable, "more than 99 bytes"):
            self.get(server, limit=99)


class UrlTests(SynchronousTestCase):
    def test_percent_encoding(self) -> None:
        template = url_template("https://cmdb.example/a/{mac}/{hostname}?s={serial}&f=x")
        values = {"mac": MAC, "hostname": "a/b?c#d&é %41", "serial": "1+2=3&f=y"}
        self.assertEqual(
            template.filled(values),
            "https://cmdb.example/a/52%3A54%3A00%3A00%3A00%3A12/a%2Fb%3Fc%23d%26%C3%A9%20%2541"
            "?s=1%2B2%3D3%26f%3Dy&f=x",
        )

    def test_steps_in_paths(self) -> None:
        for text, value in (("{hostname}", ".."), ("{hostname}", "."), (".{hostname}/x", ".")):
            template = url_template(f"https://cmdb.example/a/{text}")
            self.assertIsNone(template.filled({"hostname": value}), text)
        template = url_template("https://cmdb.example/a/{hostname}.json?{hostname}")
        self.assertEqual(template.filled({"hostname": ".."}), "https://cmdb.example/a/...json?..")

    @given(st.text(st.characters() | st.sampled_from("/?#&=%.:@\0\r\n{}\\")), st.binary())
    def test_no_identity_changes_the_url(self, text: str, raw: bytes) -> None:
        template = url_template(
            "https://cmdb.example/a/{hostname}/{circuit_id}/b?serial={serial}&id={client_id}&c=d"
        )
        identity = ClientIdentity(
            hostname=text, serial=text, client_id=raw, relay=Relay(circuit_id=raw)
        )
        values = parameters_of(identity)
        filled = template.filled(values)
        if filled is None:
            return
        self.assertRegex(filled, r"\A[!-~]+\Z")
        url = urlsplit(filled)
        self.assertEqual((url.scheme, url.netloc, url.fragment), ("https", "cmdb.example", ""))
        steps = [unquote(step) for step in url.path.split("/")]
        self.assertEqual(steps, ["", "a", values["hostname"], values["circuit_id"], "b"])
        query = parse_qs(url.query, strict_parsing=True, keep_blank_values=True)
        serial, client = values["serial"], values["client_id"]
        self.assertEqual(query, {"serial": [serial], "id": [client], "c": ["d"]})

    def test_mistakes(self) -> None:
        for text, said in {
            "": "expected a URL",
            "cmdb.example/{mac}": "expected a URL",
            "ftp://cmdb.example/{mac}": "expected a URL",
            "https://{hostname}/x": "expected a URL",
            "https://cmdb.example:x/{mac}": "expected a URL",
            "https://cmdb.example/../{mac}": "without . and ..",
            "https://cmdb.example/{mac}#x": "other characters",
            "https://cmdb.example/{mac!r}": "other characters",
            "https://cmdb.example/{mac.x}": "other characters",
            "https://cmdb.example/{mcc}": r"unknown parameter {mcc} \(known: {mac}",
            "https://cmdb.example/{}": "unknown parameter {}",
        }.items():
            with self.assertRaisesRegex(ValueError, said):
                url_template(text)

    def test_a_password_is_not_shown(self) -> None:
        with self.assertRaisesRegex(ValueError, "header-file") as caught:
            url_template("https://reader:hunter2@cmdb.example/{mac}")
        self.assertNotIn("hunter2", str(caught.exception))

    def test_the_line_of_a_mistake(self) -> None:
        with self.assertRaisesRegex(ConfigError, "^pxe.ini:11: url: unknown parameter"):
            url_templates(option_text("http://a/{mac}\nhttp://a/{x}"))


class FieldTests(SynchronousTestCase):
    def test_paths(self) -> None:
        document = {"a": [{"b": 1, "0": "x"}, {"b": 2}, {}], "0": {"c": None}}
        for path, found in {
            "a.0.b": 1,
            "a.1.b": 2,
            "a.*.b": [1, 2],
            "0.c": None,
            "a.0.0": "x",
        }.items():
            self.assertEqual(json_path(path).find(document), found, path)

    def test_mistakes(self) -> None:
        for text, said in {
            "name = a\nnmae = b": "^pxe.ini:11: fields: unknown field 'nmae'",
            "name = a\nlabel.mac = b": "^pxe.ini:11: fields: 'mac' is a field",
            "name = a\nname = b": "^pxe.ini:11: fields: name is given twice",
            "name =": "^pxe.ini:10: fields: expected a path",
            "name = a..b": "^pxe.ini:10: fields: expected a path",
        }.items():
            with self.assertRaisesRegex(ConfigError, said):
                json_fields(option_text(text))
        with self.assertRaisesRegex(ValueError, "where the machine's name is"):
            json_fields("mac = a")


class OptionTests(SynchronousTestCase):
    def test_what_does_not_suit(self) -> None:
        fields = json_fields("name = name")
        for url, more, said in (
            ("http://a/", {"fields": fields}, "expected a URL with parameters"),
            ("http://a/{mac}", {}, "fields is missing"),
            ("http://a/{mac}", {"api": "pixiecore"}, "expected a prefix without parameters"),
            ("http://a/", {"api": "pixiecore", "fields": fields}, "no fields"),
        ):
            with self.assertRaisesRegex(ValueError, said):
                http.Settings(url=url_templates(url), **more)

    def test_headers(self) -> None:
        header = attrs.fields_dict(http.Settings)["header"].metadata["convert"].entry
        self.assertEqual(header("X-Tenant", "lab"), ("X-Tenant", "lab"))
        for name in ("Authorization", "authorization", "Cookie", "X-API-Key"):
            with self.assertRaisesRegex(ValueError, f"header-file.{name}") as caught:
                header(name, "hunter2")
            self.assertNotIn("hunter2", str(caught.exception))
        for name, value in (("X Y", "z"), ("X", "a\nb"), ("X", ""), ("X", "é")):
            with self.assertRaisesRegex(ValueError, "expected header.NAME"):
                header(name, value)

    def test_secret_headers(self) -> None:
        field = attrs.fields_dict(http.Settings)["header_file"].metadata["convert"]
        self.assertEqual(field.prefix, "header-file")
        file = Path("token")
        file.write_text("Token 123\n")
        file.chmod(0o600)
        name, secret = field.entry("Authorization", "token")
        self.assertEqual((name, secret.text), ("Authorization", "Token 123"))
        self.assertNotIn("123", repr(secret))
        file.chmod(0o644)
        with self.assertRaisesRegex(ValueError, "read by everyone"):
            field.entry("Authorization", "token")

    def test_authorities(self) -> None:
        file = Path("ca.pem")
        with self.assertRaisesRegex(ValueError, "cannot read"):
            authorities("ca.pem")
        file.write_text("nothing")
        with self.assertRaisesRegex(ValueError, "no certificate"):
            authorities("ca.pem")
        file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        with self.assertRaisesRegex(ValueError, "malformed"):
            authorities("ca.pem")


class PixiecoreTests(SynchronousTestCase):
    API = "http://api.example/baz"

    def find(self, response: Response) -> Machine | None:
        self.server = Server({f"{self.API}/v1/boot/52%3A54%3A00%3A00%3A00%3A12": response})
        asked = directory(self.server, f"{self.API}/", fields="", api="pixiecore")
        return result_of(asked.find_machine(ClientIdentity(mac=MAC)))

    def labels(self, document: object) -> dict[str, str]:
        machine = self.find(answer(document))
        assert machine is not None
        self.assertEqual((machine.name, machine.macs), ("52-54-00-00-00-12", (MAC,)))
        return {name.removeprefix("pixiecore."): value for name, value in machine.labels.items()}

    def test_urls_are_resolved(self) -> None:
        self.assertEqual(
            self.labels(
                {
                    "kernel": "/kernel",
                    "initrd": ["initrd.0", "https://files.local/initrd"],
                    "message": "Hello",
                }
            ),
            {
                "kernel": "http://api.example/kernel",
                "initrd": "http://api.example/baz/initrd.0 https://files.local/initrd",
                "message": "Hello",
            },
        )

    def test_command_lines(self) -> None:
        for cmdline, expected in (
            ("selinux=1 autologin", "selinux=1 autologin"),
            ('u={{ URL "https://f/c" }} v={{URL `/x`}}', "u=https://f/c v=http://api.example/x"),
            (
                {"b": "x y", "a": True, "c": {"url": "/c"}},
                'a b="x y" c=http://api.example/c',
            ),
        ):
            labels = self.labels({"kernel": "/k", "cmdline": cmdline})
            self.assertEqual(labels["cmdline"], expected)

    def test_a_script(self) -> None:
        script = "#!ipxe\nchain http://x/"
        self.assertEqual(self.labels({"ipxe-script": script, "kernel": "/k"}), {"script": script})

    def test_statuses(self) -> None:
        for status in (204, 301, 400, 401, 403, 404, 410):
            self.assertIsNone(self.find(Response(status)))
        with self.assertRaisesRegex(DirectoryUnavailable, "500"):
            self.find(Response(500))

    def test_malformed_answers(self) -> None:
        for document, said in (
            ([], "expected an object"),
            ({}, "kernel: expected a text, got None"),
            ({"kernel": "a b"}, "kernel: expected a URL"),
            ({"kernel": "/k", "initrd": "/i"}, "initrd: expected a list"),
            ({"kernel": "/k", "initrd": [1]}, "initrd: expected a text"),
            ({"kernel": "/k", "cmdline": 1}, "cmdline: expected a text or an object"),
            ({"kernel": "/k", "cmdline": {"a": 1}}, "cmdline: a: expected"),
            ({"kernel": "/k", "cmdline": "{{ ID 1 }}"}, "only {{ URL"),
            ({"kernel": "/k", "message": ["x"]}, "message: expected a text"),
        ):
            with self.assertRaisesRegex(DirectoryUnavailable, said):
                self.find(answer(document))
