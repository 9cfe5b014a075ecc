"""Machines from files: what a person may write, every mistake, and reading again."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import cast
from uuid import UUID

import attrs
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config.fields import OptionText
from pxetwist.errors import ConfigErrors
from pxetwist.hosts import static
from pxetwist.interfaces import IReloads
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.testing import make_site, result_of

UUID1 = "4c4c4544-0051-3510-8052-b4c04f4d3232"


class FileTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.logged: list[LogEvent] = []

    def directory(self, text: str | bytes, suffix: str = ".csv") -> static.StaticDirectory:
        self.file = Path(self.mktemp() + suffix)
        self.file.write_bytes(text.encode() if isinstance(text, str) else text)
        log = Logger("rack", observer=cast(ILogObserver, self.logged.append))
        site = attrs.evolve(make_site(name="rack"), log=log)
        return static.build(static.Settings(file=(self.file,)), site)

    def machines(self, text: str | bytes, suffix: str = ".csv") -> list[Machine]:
        return list(self.directory(text, suffix).machines())

    def mistakes(self, text: str | bytes, suffix: str = ".csv") -> list[str]:
        """Return the mistakes without the name of the file: ``3: …``."""
        errors = self.assertRaises(ConfigErrors, self.directory, text, suffix).errors
        name = f"{self.file}:"
        self.assertTrue(all(str(error).startswith(name) for error in errors))
        return [str(error).removeprefix(name).strip() for error in errors]


class CsvTests(FileTestCase):
    def test_all_columns(self) -> None:
        [machine, other] = self.machines(
            "# the lab\n\n"
            "Name, MAC, uuid, address, Room, profile, address6\n"
            f"ws12, 52-54-00-00-00-12; 525400000112, {UUID1.upper()}, 10.0.0.12, "
            '"b, 12", debian12, FD77:0::12\n'
            "  # gone: ws13,it's \"here\n"
            "ws14,5254.0000.0014,,,,,\n"
        )
        self.assertEqual(
            machine,
            Machine(
                "ws12",
                ("52:54:00:00:00:12", "52:54:00:00:01:12"),
                UUID(UUID1),
                IPv4Address("10.0.0.12"),
                {"room": "b, 12", "profile": "debian12"},
                "rack",
                address6=IPv6Address("fd77::12"),
            ),
        )
        self.assertEqual(other, Machine("ws14", ("52:54:00:00:00:14",), directory="rack"))

    def test_from_a_spreadsheet(self) -> None:
        """A byte order mark and carriage returns do no harm."""
        [machine] = self.machines(b"\xef\xbb\xbfname,mac\r\nws12,52:54:00:00:00:12\r\n")
        self.assertEqual((machine.name, machine.macs), ("ws12", ("52:54:00:00:00:12",)))

    def test_what_stands_between_columns(self) -> None:
        """Spreadsheets write semicolons where the comma is in numbers, and some write tabs."""
        for mark in (";", "\t"):
            rows = ("name", "mac", "groups"), ("ws1", '"525400000001; 525400000002"', '"a, b;c"')
            [machine] = self.machines("\n".join(map(mark.join, rows)))
            self.assertEqual(machine.macs, ("52:54:00:00:00:01", "52:54:00:00:00:02"))
            self.assertEqual(machine.groups, ("a", "b", "c"))

    def test_marks_that_are_none(self) -> None:
        """What inventories have where nobody knew, and what was meant as an address."""
        mistakes = self.mistakes(
            "name,mac,serial\n"
            "ws1,00:00:00:00:00:00,\n"
            "ws2,FF-FF-FF-FF-FF-FF,\n"
            "ws3,,Default string\n"
            "10.0.0.300,52:54:00:00:00:04,\n"
            "10.0.0.30,52:54:00:00:00:05,\n"
            f"{'a' * 64}.b,52:54:00:00:00:06,\n"
            f"{'.'.join(['a' * 50] * 6)},52:54:00:00:00:07,\n"
        )
        self.assertEqual(
            [mistake.partition(", got ")[0] for mistake in mistakes],
            [
                "2: mac: 00:00:00:00:00:00 is no network card's",
                "3: mac: FF-FF-FF-FF-FF-FF is no network card's",
                "4: 'ws3' needs a mac or a uuid to be found by: serial 'Default string' is on many"
                " boards",
                "5: expected a name, or an IPv4 address like 10.0.0.17",
                "7: expected a name of 63 characters at most",
                "8: expected a name of 63 characters at most",
            ],
        )

    def test_all_mistakes_at_once(self) -> None:
        mistakes = self.mistakes(
            "name,mac,uuid,address\n"
            "ws1,52:54:00:00:00:01,,10.0.0.1\n"
            "ws2,52:54:00:00:00:0x,,10.0.0.256\n"
            "# a comment\n"
            "ws3,52:54:00:00:00:03,4c4c,\n"
            "WS1,52-54-00-00-00-01,,10.0.0.1\n"
            "ws 4,52:54:00:00:00:04,,\n"
            "ws5,52:54:00:00:00:05\n"
            "ws6,,,10.0.0.6\n"
            "ws7,,03000200-0400-0500-0006-000700080009,\n"
        )
        expected = [
            ("3: ", "got '52:54:00:00:00:0x'"),
            ("3: ", "expected an IPv4 address"),
            ("5: ", "expected a UUID"),
            ("6: ", "name WS1 is already on line 2"),
            ("6: ", "mac 52:54:00:00:00:01 is already on line 2"),
            ("6: ", "address 10.0.0.1 is already on line 2"),
            ("7: ", "expected a name"),
            ("8: ", "expected 4 fields (name, mac, uuid, address), got 2"),
            ("9: ", "'ws6' needs a mac or a uuid"),
            ("10: ", "shared by many boards"),
        ]
        self.assertEqual(len(mistakes), len(expected), mistakes)
        for mistake, (line, text) in zip(mistakes, expected, strict=True):
            self.assertTrue(mistake.startswith(line), (mistake, line))
            self.assertIn(text, mistake)

    def test_wrong_ipv6_addresses(self) -> None:
        mistakes = self.mistakes(
            "name,mac,address6\n"
            "ws1,52:54:00:00:00:01,10.0.0.1\n"
            "ws2,52:54:00:00:00:02,fd77::2\n"
            "ws3,52:54:00:00:00:03,fd77:0::2\n"
        )
        self.assertEqual(len(mistakes), 2)
        self.assertIn("expected an IPv6 address", mistakes[0])
        self.assertIn("address6 fd77::2 is already on line 3", mistakes[1])

    def test_the_same_uuid_in_the_other_byte_order(self) -> None:
        swapped = UUID(bytes=UUID(UUID1).bytes_le)
        [mistake] = self.mistakes(f"name,uuid\nws1,{UUID1}\nws2,{swapped}\n")
        self.assertIn("is already on line 2", mistake)

    def test_one_certificate_has_one_machine(self) -> None:
        """They are compared without case."""
        [mistake] = self.mistakes("name,mac,certificate\nws1,,PC01\nws2,,pc02\nws3,,pc01\n")
        self.assertEqual(mistake, "4: certificate pc01 is already on line 2")

    def test_headers(self) -> None:
        for text, line, message in (
            ("", 1, "expected a header line"),
            ("# nothing\n\n", 1, "expected a header line"),
            ("# hosts\nmac,address\n", 2, "no column 'name'"),
            ("name,address\n", 1, "no column 'mac' or 'uuid'"),
            ("name|mac\nws1|52:54:00:00:00:01\n", 1, "no column 'name'"),
            ("name,mac,mac\n", 1, "column 'mac' appears 2 times"),
            ("name,mac,\n", 1, "got ''"),
        ):
            mistakes = self.mistakes(text)
            self.assertTrue(mistakes[0].startswith(f"{line}: "), mistakes)
            self.assertIn(message, mistakes[0])

    def test_no_csv_at_all(self) -> None:
        [mistake] = self.mistakes('name,mac\nws1,52:54:00:00:00:01\nws2,"52:54:00:00:00:02\n')
        self.assertTrue(mistake.startswith("3: malformed CSV"), mistake)
        self.assertIn("2: expected UTF-8", self.mistakes(b"name,mac\n\xff\n")[0])

    def test_no_file(self) -> None:
        settings = static.Settings(file=(Path("none.csv"),))
        [error] = self.assertRaises(ConfigErrors, static.build, settings, make_site()).errors
        self.assertIn("none.csv: cannot be read: No such file", str(error))

    def test_no_such_format(self) -> None:
        [mistake] = self.mistakes("PK\x03\x04 is no text", ".xls")
        self.assertIn("its format is not known; mend: format = csv, ini,", mistake)

    def test_paths(self) -> None:
        """One or several, each on a line of its own, since they may have blanks."""
        self.assertEqual(
            [
                file.name
                for file in static.host_files(OptionText.of("the hosts.csv\n  /etc/ethers"))
            ],
            ["the hosts.csv", "ethers"],
        )
        self.assertRaises(ValueError, static.host_files, OptionText.of(" "))


class IniTests(FileTestCase):
    def test_all_keys(self) -> None:
        [machine, other] = self.machines(
            "# the lab\n[ws12]\nmac = 52-54-00-00-00-12 525400000112\n"
            f"uuid={UUID1}\naddress = 10.0.0.12\n; old\nRoom = b = 12\nempty =\n\n"
            "[ws13]\nmac = 52:54:00:00:00:13\n",
            ".ini",
        )
        self.assertEqual(machine.labels, {"room": "b = 12"})
        self.assertEqual(len(machine.macs), 2)
        self.assertEqual(machine.uuid, UUID(UUID1))
        self.assertEqual(other, Machine("ws13", ("52:54:00:00:00:13",), directory="rack"))

    def test_all_mistakes_at_once(self) -> None:
        mistakes = self.mistakes(
            "mac = 52:54:00:00:00:01\n"
            "[ws1]\nmac = 52:54:00:00:00:01\nmac = 52:54:00:00:00:02\n"
            "[ws2]\nmac = 52:54:00:00:00:01\naddress = none\n"
            "[ws1]\nuuid = x\nfree text\nname = ws9\n"
            "[]\n",
            ".ini",
        )
        expected = [
            ("1: ", "expected a section [name] before"),
            ("4: ", "'mac' given twice (first on line 3)"),
            ("6: ", "already on line 3"),
            ("7: ", "address: expected an IPv4 address"),
            ("8: ", "name ws1 is already on line 2"),
            ("9: ", "uuid: expected a UUID"),
            ("10: ", "expected [name] or key = value, got 'free text'"),
            ("11: ", "'name' given twice"),
            ("12: ", "expected a name"),
            ("12: ", "needs a mac or a uuid"),
        ]
        self.assertEqual(len(mistakes), len(expected), mistakes)
        for mistake, (line, text) in zip(mistakes, expected, strict=True):
            self.assertTrue(mistake.startswith(line), (mistake, line))
            self.assertIn(text, mistake)


class FindTests(FileTestCase):
    def test_uuid_in_the_client_identifier(self) -> None:
        """PXE ROMs without their MAC at hand send option 61 as 00 and the UUID."""
        directory = self.directory(f"name,uuid\nws12,{UUID1}\n")
        raw = UUID(UUID1).bytes
        for client_id, name in (
            (b"\0" + raw, "ws12"),
            (b"\0" + UUID(UUID1).bytes_le, "ws12"),
            (b"\1" + raw, None),
            (b"\0" + raw[:15], None),
            (b"\0" * 17, None),
        ):
            found = result_of(directory.find_machine(ClientIdentity(client_id=client_id)))
            self.assertEqual(found and found.name, name)

    def test_reload(self) -> None:
        directory = self.directory("name,mac,address\nws1,52:54:00:00:00:01,10.0.0.1\n")
        identity = ClientIdentity(mac="52:54:00:00:00:01")
        IReloads(directory).reload()
        self.assertEqual([e["log_level"].name for e in self.logged], ["info"])
        self.file.write_text("name,mac,address,address6\nws2,52:54:00:00:00:01,10.0.0.2,fd77::2\n")
        directory.reload()
        found = result_of(directory.find_machine(identity))
        self.assertEqual(found and found.name, "ws2")
        promised = {IPv4Address("10.0.0.2"), IPv6Address("fd77::2")}
        self.assertEqual(set(directory.reserved_addresses()), promised)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_bad_file_changes_nothing(self) -> None:
        directory = self.directory("name,mac\nws1,52:54:00:00:00:01\n")
        for text in ("name,mac\nws2,52:54:00:00:00:01\nws3,bad\nws4,bad\n", None):
            self.logged.clear()
            if text is None:
                self.file.unlink()
            else:
                self.file.write_text(text)
            directory.reload()
            identity = ClientIdentity(mac="52:54:00:00:00:01")
            found = result_of(directory.find_machine(identity))
            self.assertEqual(found and found.name, "ws1")
            self.assertEqual({e["log_level"].name for e in self.logged}, {"error"})
            self.assertEqual(len(self.logged), 3 if text else 2)  # each mistake, and the outcome
