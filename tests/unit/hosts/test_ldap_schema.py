"""How machines are looked for, and what is read from entries."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts.ldap.conversations import Talk
from pxetwist.hosts.ldap.filters import Template
from pxetwist.hosts.ldap.groups import DEPTH, groups_of
from pxetwist.hosts.ldap.schema import AD, FREE, RFC2307, Entry, rdns
from pxetwist.model.identity import ClientIdentity

BASE = "dc=lab"
MAC = "52:54:00:00:00:ab"
UUID1 = UUID("00112233-4455-6677-8899-aabbccddeeff")


def entry(dn: str, **values: str | bytes | list[str]) -> Entry:
    """Make an entry; text is one value."""
    found = {}
    for name, value in values.items():
        each = value if isinstance(value, list) else [value]
        found[name.lower()] = tuple(v if isinstance(v, bytes) else v.encode() for v in each)
    return Entry(dn, found)


class FilterTests(SynchronousTestCase):
    def test_rfc2307(self) -> None:
        identity = ClientIdentity(mac=MAC, uuid=UUID1, serial="S(1)", hostname="ws12")
        mac, serial = map(str, RFC2307.filters(identity))
        self.assertIn(f"(macAddress={MAC})", mac)
        self.assertIn("(macAddress=52-54-00-00-00-AB)", mac)
        self.assertIn("(objectClass=ieee802Device)", mac)
        self.assertIn(r"(serialNumber=S\281\29)", serial)

    def test_ad(self) -> None:
        identity = ClientIdentity(mac=MAC, uuid=UUID1, hostname="ws12")
        mac, uuid, name = map(str, AD.filters(identity))
        self.assertIn(f"(macAddress={MAC})", mac)
        self.assertIn(r"(netbootGUID=" + r"\00" * 10 + r"RT\00\00\00\ab)", mac)
        self.assertIn(r"(netbootGUID=3\22\11\00UDwf\88\99\aa\bb\cc\dd\ee\ff)", uuid)
        self.assertIn(r"(netbootGUID=\00\11\223DUfw\88\99\aa\bb\cc\dd\ee\ff)", uuid)
        self.assertEqual(name, r"(&(objectClass=computer)(|(cn=ws12)(sAMAccountName=ws12\24)))")
        [name] = map(str, AD.filters(ClientIdentity(hostname="ws12.lab.example")))
        self.assertIn("(dNSHostName=ws12.lab.example)", name)
        self.assertNotIn("sAMAccountName", name)

    def test_only_what_the_site_wants(self) -> None:
        schema = attrs.evolve(AD, marks=("uuid",))
        self.assertEqual(list(schema.filters(ClientIdentity(mac=MAC, hostname="ws12"))), [])

    def test_free(self) -> None:
        templates = tuple(map(Template.parse, ("(s={serial})", "(m={mac})", "(cn={hostname})")))
        schema = attrs.evolve(FREE, templates=templates)
        identity = ClientIdentity(mac=MAC, hostname="ws12")
        self.assertEqual(list(schema.filters(identity)), [f"(m={MAC})", "(cn=ws12)"])

    def test_dhcp_hardware_address(self) -> None:
        schema = attrs.evolve(FREE, fields={"mac": ("dhcpHWAddress",)}, marks=("mac",))
        [filter_] = map(str, schema.filters(ClientIdentity(mac=MAC)))
        self.assertIn(rf"(dhcpHWAddress=ethernet\20{MAC})", filter_)
        machine = schema.machine(entry("cn=a", dhcpHWAddress=f"ethernet {MAC}"), "lab")
        self.assertEqual(machine.macs, (MAC,))


class EntryTests(SynchronousTestCase):
    def test_computer(self) -> None:
        found = entry(
            r"CN=ws12,OU=B\, 12,OU=Rooms,DC=lab,DC=example",
            cn="ws12",
            sAMAccountName="WS12$",
            dNSHostName="ws12.lab.example",
            macAddress=["52-54-00-00-00-AB", "none"],
            netbootGUID=UUID1.bytes_le,
            netbootMachineFilePath="boot.efi",
            userAccountControl="4096",
        )
        machine = AD.machine(found, "lab")
        self.assertEqual((machine.name, machine.macs, machine.uuid), ("ws12", (MAC,), UUID1))
        self.assertEqual(machine.labels["ou"], "B, 12")
        self.assertEqual(machine.labels["ou-path"], "Rooms/B, 12")
        self.assertEqual(machine.labels["boot-file"], "boot.efi")
        self.assertEqual(machine.labels["dn"], found.dn)

    def test_prestaged_by_mac(self) -> None:
        raw = bytes(10) + bytes.fromhex(MAC.replace(":", ""))
        machine = AD.machine(entry("CN=ws12", netbootGUID=raw), "lab")
        self.assertEqual((machine.macs, machine.uuid), ((MAC,), None))

    def test_disabled(self) -> None:
        found = entry("CN=ws12", userAccountControl="4098")
        self.assertFalse(attrs.evolve(AD, disabled=False).knows(found))
        self.assertTrue(AD.knows(found))

    def test_names(self) -> None:
        """The entry's own one of several; never one that is no name of a host."""
        for dn, cn, name in (
            ("cn=b,ou=x", ["a", "b"], "b"),
            ("uid=7,ou=x", ["a", "b"], "a"),
            ("cn=ws 12\\0a,ou=x", ["ws 12\n"], "ws-12"),
            ("uid=7,ou=x", [], "7"),
            ("no dn", [], "no-dn"),
        ):
            machine = RFC2307.machine(entry(dn, cn=cn), "lab")
            self.assertEqual(machine.name.rstrip("-"), name)

    def test_wrong_values_are_left_out(self) -> None:
        found = entry(
            "cn=a", macAddress="x", ipHostNumber=["fd00::1", "10.0.0.7"], description=b"\xff"
        )
        machine = RFC2307.machine(found, "lab")
        self.assertEqual((machine.macs, machine.address), ((), IPv4Address("10.0.0.7")))
        self.assertEqual(machine.address6, IPv6Address("fd00::1"))
        self.assertNotIn("description", machine.labels)

    def test_rdns(self) -> None:
        self.assertEqual(
            rdns(r"CN=a\,b\2bc,OU=\C4\8D,DC=lab"), [("cn", "a,b+c"), ("ou", "č"), ("dc", "lab")]
        )


@attrs.define
class FakeServer:
    """Knows groups by their members' DNs; `asked` are the filters."""

    groups: dict[str, list[str]]
    active_directory: bool = False
    asked: list[str] = attrs.field(factory=list)

    def groups_of(self, machine: Entry, nested: bool) -> tuple[str, ...]:
        talk = Talk(
            groups_of(machine, BASE, nested=nested, active_directory=self.active_directory)
        )
        search = talk.hear(None)
        while search is not None:
            self.asked.append(str(search.filter))
            search = talk.hear(self.found(str(search.filter)))
        assert isinstance(talk.outcome, tuple), talk.outcome
        return talk.outcome

    def found(self, filter_: str) -> list[Entry]:
        return [
            entry(f"cn={name}", cn=name)
            for name, members in self.groups.items()
            if any(rf"(member=cn\3d{member})" in filter_ for member in members)
        ]


class GroupTests(SynchronousTestCase):
    def test_walk(self) -> None:
        server = FakeServer({"a": ["pc"], "b": ["a"], "c": ["b", "c"], "d": ["x"], "loop": ["c"]})
        server.groups["b"].append("loop")
        found = server.groups_of(entry("cn=pc"), nested=True)
        self.assertEqual(found, ("a", "b", "c", "loop"))
        self.assertEqual(server.groups_of(entry("cn=pc"), nested=False), ("a",))

    def test_depth(self) -> None:
        server = FakeServer({f"g{n}": [f"g{n - 1}"] for n in range(1, 99)})
        self.assertEqual(len(server.groups_of(entry("cn=g0"), nested=True)), DEPTH)
        self.assertEqual(len(server.asked), DEPTH)

    def test_active_directory_walks_by_itself(self) -> None:
        server = FakeServer({}, active_directory=True)
        sid = b"\1\5" + bytes(22) + (1104).to_bytes(4, "little")
        computer = entry("cn=pc,dc=lab", objectSid=sid, primaryGroupID="515")
        server.groups_of(computer, nested=True)
        [asked] = server.asked
        self.assertIn(r"(member:1.2.840.113556.1.4.1941:=cn\3dpc\2cdc\3dlab)", asked)
        self.assertIn(r"\00\03\02\00\00)", asked)  # the domain's group 515
        server.groups_of(entry("cn=pc"), nested=False)
        self.assertEqual(server.asked[-1], r"(member=cn\3dpc)")
