"""Which attributes hold what: the schemas, how a machine is looked for, how an entry is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import chain
from typing import TypeVar
from uuid import UUID

import attrs
from ldap3.core.exceptions import LDAPInvalidDnError
from ldap3.utils.dn import parse_dn

from pxetwist.hosts.ldap.filters import Filter, MarkFilter, Template, mac_spellings, uuid_spellings
from pxetwist.model.identity import ClientIdentity, machine_uuid, parse_mac
from pxetwist.model.machine import Machine

T = TypeVar("T")

#: The fields of a machine that attributes may be mapped to; any other name is a label.
FIELDS = ("name", "mac", "uuid", "address", "address6", "serial", "asset")
#: What a machine may be looked for by; a host name is but what a client calls itself.
MARKS = ("mac", "uuid", "serial", "asset", "name")
#: Attributes of 16 octets that hold a UUID as SMBIOS does; or 10 zeros and a MAC (MS-WDSC).
_OCTETS = frozenset({"netbootguid"})
_NO_UUID = bytes(10)
#: How the values of dhcpHWAddress begin (schema of ISC dhcpd).
_MAC_WORD = "ethernet "
#: Of userAccountControl: the account is disabled.
_DISABLED = 2
#: What is in no name of a host.
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
#: A DN without escapes, as nearly all are: ldap3 takes its time for each.
_PLAIN_DN = re.compile(r"[A-Za-z0-9-]+=[\w.:@/()-]+(?:,[A-Za-z0-9-]+=[\w.:@/()-]+)*")


@attrs.frozen
class Entry:
    """One object of the directory; the names of `values` are in lower case."""

    dn: str
    values: Mapping[str, tuple[bytes, ...]] = attrs.field(factory=dict)

    def texts(self, attribute: str) -> list[str]:
        """Return the values of an attribute, stripped; those that are no text are left out."""
        found: list[str] = []
        raws = self.values.get(attribute.lower())
        if raws is None:
            return found
        for raw in raws:
            try:
                found.append(raw.decode().strip())
            except UnicodeDecodeError:
                continue
        return [text for text in found if text]

    def number(self, attribute: str) -> int | None:
        """Return the value of an attribute as a number, if it is one."""
        for text in self.texts(attribute):
            if re.fullmatch(r"-?\d{1,19}", text):
                return int(text)
        return None


@attrs.frozen
class Schema:
    """Where the facts of a machine are: `fields` (of `FIELDS`) and `labels`, to attributes.

    Entries are asked for by `marks`, one after the other, and by `templates` after them;
    `condition` is a filter that holds for machines alone.
    """

    condition: str = ""
    fields: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    marks: tuple[str, ...] = ()
    templates: tuple[Template, ...] = ()
    disabled: bool = True  # whether machines with a disabled account are known

    @property
    def attributes(self) -> list[str]:
        """All attributes that an answer is made of."""
        fields = (name for names in self.fields.values() for name in names)
        more = ("userAccountControl", "primaryGroupID", "objectSid")
        return list(dict.fromkeys([*fields, *self.labels.values(), *more]))

    @property
    def promising(self) -> tuple[str, ...]:
        """The attributes that reserve addresses."""
        names = (self.fields.get(field, ()) for field in ("address", "address6"))
        return tuple(dict.fromkeys(chain.from_iterable(names)))

    def filters(self, identity: ClientIdentity) -> Iterator[Filter]:
        """Yield the filters to try for a machine, the surest mark first."""
        for mark in self.marks:
            values = [
                (attribute, value)
                for attribute in self.fields.get(mark, ())
                for value in _values(mark, attribute, identity)
            ]
            if values:
                yield MarkFilter(self.condition, tuple(values))
        for template in self.templates:
            if found := template.fill(identity):
                yield found

    def knows(self, entry: Entry) -> bool:
        """Whether this machine is known: not if its account is disabled and such are not."""
        account = None if self.disabled else entry.number("userAccountControl")
        return account is None or not account & _DISABLED

    def machine(
        self, entry: Entry, directory: str, groups: tuple[str, ...] = (), provenance: str = ""
    ) -> Machine:
        """Read an entry."""
        addresses = self._values("address", entry, IPv4Address)
        six = self._values("address6", entry, IPv6Address)
        uuids = self._uuids(entry)
        return Machine(
            name=self._name(entry),
            macs=tuple(self._macs(entry)),
            uuid=uuids[0] if uuids else None,
            address=addresses[0] if addresses else None,
            address6=six[0] if six else None,
            labels=self._labels(entry),
            directory=directory,
            groups=groups,
            provenance=provenance,
            serial=self._text("serial", entry),
            asset=self._text("asset", entry),
        )

    def addresses(self, entry: Entry) -> list[IPv4Address | IPv6Address]:
        """Return the addresses that an entry promises to its machine."""
        four = self._values("address", entry, IPv4Address)
        return [*four, *self._values("address6", entry, IPv6Address)]

    def _values(self, field: str, entry: Entry, convert: Callable[[str], T]) -> list[T]:
        """Convert all values of a field; leave those out that are wrong in the directory."""
        found = []
        for attribute in self.fields.get(field, ()):
            for text in entry.texts(attribute):
                try:
                    found.append(convert(text))
                except ValueError:
                    continue
        return found

    def _text(self, field: str, entry: Entry) -> str:
        return next(iter(self._values(field, entry, str)), "")

    def _name(self, entry: Entry) -> str:
        """Return the entry's own name if it is among the names, else the first of them."""
        names = [name.removesuffix("$") for name in self._values("name", entry, str)]
        own = rdns(entry.dn)[0][1] if rdns(entry.dn) else entry.dn
        name = own if own in names or not names else names[0]
        return _NO_NAME.sub("-", name)

    def _macs(self, entry: Entry) -> list[str]:
        found = self._values("mac", entry, lambda text: parse_mac(text.removeprefix(_MAC_WORD)))
        for raw in self._octets(entry):
            if raw.startswith(_NO_UUID) and any(raw):
                found.append(parse_mac(raw[10:].hex()))
        return list(dict.fromkeys(found))

    def _uuids(self, entry: Entry) -> list[UUID]:
        octets = [machine_uuid(raw) for raw in self._octets(entry) if raw[:10] != _NO_UUID]
        return [uuid for uuid in octets if uuid] + self._values("uuid", entry, UUID)

    def _octets(self, entry: Entry) -> Iterator[bytes]:
        for attribute in self.fields.get("uuid", ()):
            if attribute.lower() in _OCTETS:
                for raw in entry.values.get(attribute.lower(), ()):
                    if len(raw) == 16:
                        yield raw

    def _labels(self, entry: Entry) -> dict[str, str]:
        units = [value for name, value in rdns(entry.dn) if name == "ou"]
        labels = {"dn": entry.dn}
        if units:
            labels |= {"ou": units[0], "ou-path": "/".join(reversed(units))}
        for label, attribute in self.labels.items():
            if values := entry.texts(attribute):
                labels[label] = " ".join(values)
        return labels


def _values(mark: str, attribute: str, identity: ClientIdentity) -> Iterable[str | bytes]:
    """Return what an attribute may have for this mark of a machine."""
    octets = attribute.lower() in _OCTETS
    match mark:
        case "mac" if identity.mac and octets:
            return [_NO_UUID + bytes.fromhex(identity.mac.replace(":", ""))]
        case "mac" if identity.mac:
            word = _MAC_WORD if attribute.lower() == "dhcphwaddress" else ""
            return [word + each for each in mac_spellings(identity.mac)]
        case "uuid" if octets:
            return [uuid.bytes_le for uuid in identity.uuids]
        case "uuid" if identity.uuid:
            return uuid_spellings(identity.uuid)
        case "serial" if identity.serial:
            return [identity.serial]
        case "asset" if identity.asset:
            return [identity.asset]
        case "name" if identity.hostname:
            return _names(attribute, identity.hostname)
    return []


def _names(attribute: str, name: str) -> list[str]:
    qualified = "." in name
    match attribute.lower():
        case "samaccountname":
            return [] if qualified else [f"{name}$"]
        case "dnshostname":
            return [name] if qualified else []
    return [name]


@lru_cache(maxsize=256)
def rdns(dn: str) -> Sequence[tuple[str, str]]:
    """Return the parts of a DN, the entry's own first, attribute names in lower case."""
    if _PLAIN_DN.fullmatch(dn):
        pairs = (part.split("=") for part in dn.split(","))
        return [(name.lower(), value) for name, value in pairs]
    try:
        parts = parse_dn(dn)
    except LDAPInvalidDnError:
        return []
    return [(name.lower(), _unescaped(value)) for name, value, _ in parts]


def _unescaped(value: str) -> str:
    """Take the escapes of RFC 4514 away."""
    raw = re.sub(
        rb"\\([0-9A-Fa-f]{2}|.)",
        lambda found: bytes.fromhex(found[1].decode()) if len(found[1]) == 2 else found[1],
        value.encode(),
        flags=re.DOTALL,
    )
    return raw.decode("utf-8", "replace")


RFC2307 = Schema(
    condition="(|(objectClass=ieee802Device)(objectClass=bootableDevice)(objectClass=ipHost))",
    fields={
        "name": ("cn",),
        "mac": ("macAddress",),
        "address": ("ipHostNumber",),
        "address6": ("ipHostNumber",),
        "serial": ("serialNumber",),
    },
    labels={
        "boot-file": "bootFile",
        "boot-parameter": "bootParameter",
        "description": "description",
        "location": "l",
    },
    marks=("mac", "uuid", "serial", "asset"),
)
AD = Schema(
    condition="(objectClass=computer)",
    fields={
        "name": ("cn", "sAMAccountName", "dNSHostName"),
        "mac": ("macAddress", "netbootGUID"),
        "uuid": ("netbootGUID",),
    },
    labels={
        "boot-file": "netbootMachineFilePath",
        "description": "description",
        "dns-name": "dNSHostName",
        "location": "location",
        "os": "operatingSystem",
    },
    marks=MARKS,
)
FREE = Schema(fields={"name": ("cn",)})
SCHEMAS = {"rfc2307": RFC2307, "ad": AD, "free": FREE}
