"""Machines from a web service: a JSON document for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate
from twisted.web.iweb import IAgent
from zope.interface import implementer

from pxetwist.config.fields import Keyed, choice, option, secret_file, size
from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts import pixiecore
from pxetwist.hosts.cache import CacheSettings, cached
from pxetwist.hosts.facts import AnswerUnusable, machine_of
from pxetwist.hosts.http_client import Answer, JsonClient
from pxetwist.hosts.json_fields import JsonFields, JsonPath, json_fields, json_path
from pxetwist.hosts.parameters import parameters_of
from pxetwist.hosts.url_template import UrlTemplate, url_template, url_templates
from pxetwist.interfaces import IHostDirectory, Site
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.webclient import authorities, make_agent

_HEADER = re.compile(r"[A-Za-z0-9-]+")
#: What the server has against one question, not against all: a strange name, a long one.
_OF_THIS_QUESTION = (400, 406, 409, 410, 414, 422, 431)
#: Headers by which a client proves who it is.
_SECRET = ("authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token")


@attrs.frozen
class Secret:
    """A text that is not shown."""

    text: str = attrs.field(repr=False)


def _header(name: str, value: str) -> tuple[str, str]:
    if not _HEADER.fullmatch(name) or not (value.isascii() and value.isprintable() and value):
        raise ValueError(f"expected header.NAME = plain text, got {name!r}")
    return name, value


def _plain_header(name: str, value: str) -> tuple[str, str]:
    if name.lower() in _SECRET:
        raise ValueError(
            f"a secret has no place in the INI: write the value to a file of its own, and name"
            f" that by header-file.{name}"
        )
    return _header(name, str(value))


def _secret_header(name: str, value: str) -> tuple[str, Secret]:
    name, text = _header(name, secret_file(value))
    return name, Secret(text)


@attrs.frozen
class Settings(CacheSettings):
    """Whom to ask, and what its answers mean."""

    url: tuple[UrlTemplate, ...] = option(
        url_templates,
        doc="Where a machine's document is, with parameters like {mac}. Of several, one a line,"
        " those are asked whose parameters are known, until one knows the machine.",
    )
    api: str = option(
        choice("json", "pixiecore"),
        default="json",
        doc="With pixiecore the url is the prefix of its API, and there are no fields.",
    )
    fields: JsonFields | None = option(
        json_fields,
        default=None,
        doc="Where in the document what is, one a line: name = results.0.name, or"
        " label.role = results.0.role.slug. Fields are name, mac, uuid, address, address6, groups,"
        " serial, asset, client-id, circuit-id and remote-id.",
    )
    machine: JsonPath | None = option(
        json_path,
        default=None,
        doc="Where in the document the machine is; if that is a list, it must have no more than"
        " one. The fields' paths start there.",
    )
    header: Mapping[str, str] = option(
        Keyed("a header to send: header.NAME = value", _plain_header),
        default=attrs.Factory(dict),
        doc="Sent with every question.",
    )
    header_file: Mapping[str, Secret] = option(
        Keyed("a file: header-file.NAME = path", _secret_header, "header-file"),
        default=attrs.Factory(dict),
        doc="A header whose value is secret, and is in a file: header-file.Authorization.",
    )
    ca: tuple[Certificate, ...] = option(
        authorities,
        default=(),
        doc="A file with the authorities that may sign the server's certificate; without it"
        " those of the system.",
    )
    limit: int = option(size, default=1 << 20, doc="So large may a document be.")

    def __attrs_post_init__(self) -> None:
        """Look whether the options suit each other.

        :raises ValueError: if they do not.
        """
        for template in self.url:
            if bool(template.names) == (self.api == "pixiecore"):
                wanted = "a prefix without" if self.api == "pixiecore" else "a URL with"
                raise ValueError(f"url: expected {wanted} parameters, got {template.text!r}")
        if self.api == "json" and self.fields is None:
            raise ValueError("fields is missing: where in the document the machine's name is")
        if self.api == "pixiecore" and (self.fields or self.machine):
            raise ValueError(
                "api = pixiecore says itself what an answer means: no fields, machine"
            )


@implementer(IHostDirectory)
class HttpDirectory(Service):
    """Asks for a document about each machine.

    :param close: lets go of the connections that the agent keeps.
    """

    def __init__(
        self, agent: IAgent, close: Callable[[], Deferred[object]], settings: Settings, site: Site
    ) -> None:
        headers = {name: secret.text for name, secret in settings.header_file.items()}
        self._client = JsonClient(agent, {**settings.header, **headers}, settings.limit)
        self._close = close
        self._settings = settings
        self._site = site
        self._templates = settings.url
        if settings.api == "pixiecore":
            prefixes = (template.text.rstrip("/") for template in settings.url)
            self._templates = tuple(url_template(f"{each}/v1/boot/{{mac}}") for each in prefixes)

    def stopService(self) -> Deferred[object]:
        """Fire when the connections are closed."""
        super().stopService()
        return self._close()

    async def find_machine(self, identity: ClientIdentity) -> Machine | None:
        """Ask by each URL that this machine says enough for.

        :raises DirectoryUnavailable: if there is no answer, or none that can be understood.
        """
        values = parameters_of(identity)
        for template in self._templates:
            url = template.filled(values)
            if url is None:
                continue
            began = self._site.reactor.seconds()
            answer = await self._client.get(url)
            elapsed = (self._site.reactor.seconds() - began) * 1000
            try:
                facts = self._facts(answer, template, values)
                if facts is not None:
                    provenance = f"{template.origin} in {elapsed:.0f} ms"
                    return machine_of(facts, self._site.name, provenance)
            except ValueError as error:
                raise AnswerUnusable(f"{template.origin}: {error}") from error
        return None

    def _facts(
        self, answer: Answer, template: UrlTemplate, values: Mapping[str, str | None]
    ) -> dict[str, Any] | None:
        """Return what an answer says of the machine; `None`: it is unknown."""
        mac = values["mac"] or ""
        if self._unknown(answer):
            return None
        if answer.status != 200:
            said = f"the answer is {answer.status} {answer.phrase}".rstrip()
            if answer.status in _OF_THIS_QUESTION:
                raise ValueError(said)
            raise DirectoryUnavailable(f"{template.origin}: {said}")
        fields, machine = self._settings.fields, self._settings.machine
        if fields is None:
            api = template.text.removesuffix("/v1/boot/{mac}")
            return pixiecore.facts_of(answer.document, api, mac)
        found = fields.machines(answer.document, machine or JsonPath())
        if len(found) > 1:
            names = " and ".join(repr(str(each["name"])) for each in found[:2])
            raise ValueError(f"the answer has two machines: {names}")
        if not found:
            return None
        if "mac" not in found[0] and any(name.startswith("mac") for name in template.names):
            found[0]["mac"] = mac  # by which it was found
        return found[0]

    def _unknown(self, answer: Answer) -> bool:
        if self._settings.api == "pixiecore":  # whatever its back end refuses, it ignores
            return answer.status < 500 and answer.status != 200
        return answer.status == 404


def build(settings: Settings, site: Site) -> IHostDirectory:
    """Make the directory; nobody is asked before a machine wants to know."""
    agent, pool = make_agent(
        site.reactor, settings.ca, patience=settings.deadline, connections=settings.pool
    )
    directory = HttpDirectory(agent, pool.closeCachedConnections, settings, site)
    return cached(directory, settings, site)
