"""``[hosts:NAME]`` with ``plugin = ldap``: which servers, how to bind, what to look for."""

from __future__ import annotations

import re
import ssl
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.operation.search import parse_filter

from pxetwist.config.fields import (
    Converter,
    Line,
    boolean,
    check_private,
    choice,
    integer,
    lines,
    list_of,
    option,
    path,
    seconds,
    secret_file,
    text,
)
from pxetwist.hosts.cache import CacheSettings
from pxetwist.hosts.ldap.filters import Template
from pxetwist.hosts.ldap.schema import FIELDS, MARKS, SCHEMAS, Schema

_PORTS = {"ldap": 389, "ldaps": 636}


@attrs.frozen
class Uri:
    """One server: ``ldaps://dc1.lab.example``, ``ldap://10.0.0.5:1389``."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def _uri(value: str) -> Uri:
    parts = urlsplit(value)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError("no URI of a server")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("more than a server")
    return Uri(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])


uri: Converter[Uri] = Converter("a URI like ldaps://dc1.lab.example", _uri)


def _attribute(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*|\d+(\.\d+)+", value):
        raise ValueError("no name")
    return str(value)


#: The name of an attribute, with options if it has some, or its number (RFC 4512 2.5).
attribute: Converter[str] = Converter("the name of an attribute like macAddress", _attribute)


def attribute_map(value: str) -> dict[str, str]:
    """Expect one ``label = attribute`` per line."""
    found: dict[str, str] = {}
    for line in lines(value):
        label, equals, name = (part.strip() for part in line.text.partition("="))
        if not equals or not label:
            raise ValueError(f"expected label = attribute, got {line.text!r}")
        if label.lower() in found:
            raise ValueError(f"{label} is given twice")
        found[label.lower()] = attribute(name)
    return found


def templates(value: str) -> tuple[Template, ...]:
    """Expect one filter per line, with placeholders like {mac}."""
    return tuple(_template(line) for line in lines(value))


def _template(line: Line) -> Template:
    template = Template.parse(line.text)
    filled = template.text.replace("{", "").replace("}", "")
    try:
        parse_filter(filled, None, False, False, None, False)
    except LDAPExceptionError as error:
        raise ValueError(f"{line.text!r} is no filter (RFC 4515): {error}") from None
    return template


def certificate_file(value: str) -> Path:
    """Expect the path of a PEM file of certificates."""
    file = path(value)
    try:
        ssl.create_default_context(cafile=str(file))
    except OSError as error:  # SSLError is one as well
        raise ValueError(f"cannot read certificates from {file}: {error.strerror}") from None
    return file


def keytab_file(value: str) -> Path:
    """Expect the path of a file of keys, not readable by everyone."""
    file = path(value)
    try:
        check_private(file)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    return file


@attrs.frozen
class Settings(CacheSettings):
    """Which servers, how to bind, what to look for."""

    uri: tuple[Uri, ...] = option(
        list_of(uri), doc="The servers; the first that answers is asked, the others stand by."
    )
    start_tls: bool = option(
        boolean, default=False, doc="Whether ldap:// connections are encrypted by StartTLS."
    )
    ca_file: Path | None = option(
        certificate_file,
        default=None,
        doc="Who vouches for the servers' certificates; the system's authorities if not given.",
    )
    verify: bool = option(
        boolean,
        default=True,
        doc="Whether certificates and host names of the servers are verified. Without, anybody"
        " in between can read the password and answer in their place.",
    )
    bind: str = option(
        choice("simple", "external", "kerberos", "anonymous"),
        default="simple",
        doc="How to log in: bind-dn and password, the client certificate, a Kerberos ticket,"
        " or not at all.",
    )
    bind_dn: str = option(
        text,
        default="",
        doc="Who logs in: a DN; with Active Directory also pxe@lab.example. With kerberos the"
        " principal, if it is not that of the ticket.",
    )
    bind_password_file: str = option(
        secret_file, default="", doc="The file that holds the password."
    )
    plain_password: bool = option(
        boolean, default=False, doc="Whether the password may be sent without TLS."
    )
    certificate: Path | None = option(path, default=None, doc="The client certificate, as PEM.")
    key: Path | None = option(
        path, default=None, doc="The key of the client certificate, if it is a file of its own."
    )
    keytab: Path | None = option(
        keytab_file,
        default=None,
        doc="Keys for kerberos, from which tickets are made and renewed; the ticket of the"
        " environment if not given.",
    )
    pool: int = option(
        integer(1, 100),
        default=8,
        doc="So many connections are open at the same time.",
    )
    ahead: int = option(
        # OpenLDAP ends connections on which 100 questions of nobody's wait (conn_max_pending)
        integer(1, 90),
        default=50,
        doc="So many machines are asked for on one connection at the same time, if that many wait"
        " and the server is quick; with 1 one after the other.",
    )
    timeout: float = option(
        seconds,
        default=1.0,
        doc="How long a server may take for a connection and for each answer before the next"
        " one is asked.",
    )
    back_off: float = option(
        seconds,
        default=30.0,
        doc="How long a server that failed is asked only if all others fail.",
    )
    base: str = option(
        text,
        default="",
        doc="Below which DN machines are looked for; if not given the server's only or default"
        " naming context.",
    )
    schema: str = option(
        choice(*SCHEMAS),
        default="rfc2307",
        doc="Which attributes are looked at: those of RFC 2307, of Active Directory, or only"
        " those of filter and attributes.",
    )
    filter: tuple[Template, ...] = option(
        templates,
        default=(),
        doc="Filters of your own, tried one after the other: (cn={hostname}). Those with a"
        " placeholder that the machine has no value for are left out.",
    )
    attributes: dict[str, str] = option(
        attribute_map,
        default=attrs.Factory(dict),
        doc="Lines label = attribute. The names name, mac, uuid, address, address6, serial and"
        " asset are the machine's own facts, all others become labels.",
    )
    find_by: tuple[str, ...] | None = option(
        list_of(choice(*MARKS)),
        default=None,
        doc="By what machines are looked for, in this order; if not given by all that the"
        " schema has.",
    )
    groups: str = option(
        choice("nested", "direct", "none"),
        default="nested",
        doc="Which groups of a machine are asked for: also those of its groups, only its own,"
        " or none.",
    )
    group_base: str = option(
        text, default="", doc="Below which DN groups are looked for; base if not given."
    )
    person: tuple[str, ...] | None = option(
        list_of(attribute),
        default=None,
        doc="Where the names are that persons log in with at menus; if not given uid, with"
        " schema = ad sAMAccountName and userPrincipalName.",
    )
    disabled_accounts: bool = option(
        boolean,
        default=False,
        doc="Whether machines are known whose account in Active Directory is disabled.",
    )

    def __attrs_post_init__(self) -> None:
        """Check what belongs together."""
        if not self.uri:
            raise ValueError("uri is empty: nobody would be asked")
        if self.schema == "free" and not self.filter and not self.find_by:
            raise ValueError("schema = free needs a filter like (macAddress={mac})")
        if self.timeout <= 0:
            raise ValueError("timeout: expected more than 0")
        self._check_tls()
        self._check_bind()

    def _check_tls(self) -> None:
        plain = [each for each in self.uri if each.scheme == "ldap" and not self.start_tls]
        if self.start_tls and any(each.scheme == "ldaps" for each in self.uri):
            raise ValueError("start-tls is for ldap://, ldaps:// is encrypted from the start")
        if plain and self.bind == "simple" and not self.plain_password:
            raise ValueError(
                f"the password would go to {plain[0]} for everyone to read; use ldaps:// or"
                " start-tls = yes (or plain-password = yes)"
            )
        if plain and self.bind == "external":
            raise ValueError(f"{plain[0]} never sees the client certificate; use ldaps://")
        if self.key and not self.certificate:
            raise ValueError("key needs a certificate")
        if self.certificate:
            try:
                ssl.create_default_context().load_cert_chain(self.certificate, self.key)
            except OSError as error:
                raise ValueError(f"certificate: {self.certificate}: {error.strerror}") from None

    def _check_bind(self) -> None:
        if self.bind == "simple":
            if not self.bind_dn or not self.bind_password_file:
                # a name without a password is nobody, but a success (RFC 4513 5.1.2)
                raise ValueError(
                    "bind = simple needs bind-dn and a bind-password-file that is not empty"
                )
        elif self.bind_password_file:
            raise ValueError(f"bind-password-file is not for bind = {self.bind}")
        if self.bind == "external" and not self.certificate:
            raise ValueError("bind = external needs a certificate")
        if self.keytab and self.bind != "kerberos":
            raise ValueError(f"keytab is not for bind = {self.bind}")
        if self.bind == "kerberos" and find_spec("gssapi") is None:
            raise ValueError(
                "bind = kerberos needs the Python package gssapi: pip install 'pxetwist[gssapi]'"
            )

    @property
    def person_attributes(self) -> tuple[str, ...]:
        """Where the names of persons are."""
        ours = ("sAMAccountName", "userPrincipalName") if self.schema == "ad" else ("uid",)
        return self.person or ours

    def described(self) -> Schema:
        """Return the schema with what the site has changed of it."""
        made = SCHEMAS[self.schema]
        fields = {name: (each,) for name, each in self.attributes.items() if name in FIELDS}
        labels = {name: each for name, each in self.attributes.items() if name not in FIELDS}
        marks = made.marks if self.find_by is None else self.find_by
        return attrs.evolve(
            made,
            fields={**made.fields, **fields},
            labels={**made.labels, **labels},
            marks=marks,
            templates=self.filter,
            disabled=self.disabled_accounts,
        )
