"""Several files, and folders of them: formats, marks of machines, and reading when they change."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

from pxetwist.hosts import static
from pxetwist.hosts.formats.detection import format_of
from pxetwist.hosts.marks import octets, unpadded_mac
from pxetwist.interfaces import IHealth, IReloads
from pxetwist.model.health import HealthState
from pxetwist.model.identity import ClientIdentity, Relay, inventory_mark
from tests.unit.hosts.files import FilesCase

WS1 = ClientIdentity(mac="52:54:00:00:00:01")


class FolderTests(FilesCase):
    def test_any_mix(self) -> None:
        self.write("a.csv", "name,mac\nws1,525400000001\n")
        self.write("b.ini", "[ws2]\nmac = 525400000002\n")
        self.write("c.json", '{"ws3": {"mac": "525400000003"}}')
        self.write("d.yml", "ws4: {mac: 525400000004}\n")
        self.write("e.conf", "dhcp-host=52:54:00:00:00:05,ws5\n")
        self.write("f.conf", "host ws6 { hardware ethernet 52:54:00:00:00:06; }\n")
        self.write("ethers", "52:54:00:00:00:07 ws7\n")
        self.write("hosts", "10.0.0.7 ws7\n")
        found = self.machines()
        self.assertEqual(sorted(found), [f"ws{n}" for n in range(1, 8)])
        self.assertEqual(self.short(found["ws6"].provenance), "f.conf:1")
        self.assertEqual(self.warnings(), [])

    def test_what_lies_there_besides(self) -> None:
        """What editors leave is not read; all else that is not read is named."""
        self.write("a.csv", "name,mac\nws1,525400000001\n")
        for name in (".a.csv.swp", "a.csv~", "#a.csv#", "a.csv.bak", "x.dpkg-dist", "b.rpmsave"):
            self.write(name, "name,mac\nws9,bad\n")
        self.write("README", "Here are our machines.\n")
        self.write("empty", "# nothing\n\n")
        (self.folder / "old").mkdir()
        self.assertEqual(list(self.machines()), ["ws1"])
        self.assertEqual(
            self.warnings(),
            ["README: not read: its format is not known", "old: a folder in a folder is not read"],
        )

    def test_folders_without_files(self) -> None:
        """A file system that is not mounted looks like that: the machines are not gone."""
        self.assertEqual(
            self.short(self.mistakes()[0]), f"{self.folder}: no file of machines is in this folder"
        )
        self.write("a.csv~", "name,mac\n")
        self.assertIn("no file of machines", self.mistakes()[0])
        with patch.object(Path, "iterdir", side_effect=PermissionError(13, "Permission denied")):
            self.assertIn("cannot be read: Permission denied", self.mistakes()[0])

    def test_what_is_no_file(self) -> None:
        """To read a pipe is to wait for whoever writes into it."""
        os.mkfifo(self.folder / "hosts.csv")
        self.assertEqual(self.mistakes(), ["hosts.csv: is no plain file"])

    def test_twice_in_two_files(self) -> None:
        self.write("a.csv", "name,mac,address\nws1,525400000001,10.0.0.1\n")
        self.write("b.ini", "\n[WS1]\nmac = 52:54:00:00:00:01\n")
        self.write("c.conf", "dhcp-host=52:54:00:00:00:02,10.0.0.1\n")
        self.assertEqual(
            self.mistakes(),
            [
                "b.ini:2: name WS1 is already on a.csv:2",
                "b.ini:3: mac 52:54:00:00:00:01 is already on a.csv:2",
                "c.conf:1: address 10.0.0.1 is already on a.csv:2",
            ],
        )

    def test_formats_by_their_first_line(self) -> None:
        for text, form in (
            ("# x\nName,MAC\n", "csv"),
            ("; x\n[ws1]\n", "ini"),
            ('[{"name": "a"}]', "json"),
            ("{", "json"),
            ("ws1:\n  mac: x", "yaml"),
            ("- name: x", "yaml"),
            ("---\n", "yaml"),
            ("52:54:00:00:00:01,ws1,10.0.0.1", "dnsmasq"),
            ("id:01:02,ws1", "dnsmasq"),
            ("domain-needed", "dnsmasq"),
            ("dhcp-host = 52:54:00:00:00:01", "dnsmasq"),
            ("52:54:0:0:0:1  ws1 # x", "ethers"),
            ("127.0.0.1 localhost", "hosts"),
            ("::1 localhost", "hosts"),
            ("authoritative;", "isc"),
            ('option domain-name "x"; # y', "isc"),
            ("host a { hardware ethernet 1:2:3:4:5:6; }", "isc"),
            ("subnet 10.0.0.0 netmask 255.255.255.0\n{", "isc"),
            ("group\n{", "isc"),
            ("", ""),
            ("Dear reader, these are machines.", None),
        ):
            self.assertEqual(format_of(Path("x.txt"), text), form, text)

    def test_the_format_may_be_named(self) -> None:
        file = self.write("machines.txt", "Nothing, to go by\n")
        self.assertIn("format = csv, ini, json", self.mistakes(file)[0])
        self.assertIn("no column 'name'", self.mistakes(file, form="csv")[0])

    def test_no_file(self) -> None:
        self.assertEqual(
            self.mistakes(self.folder / "none.csv"),
            ["none.csv: cannot be read: No such file or directory"],
        )


class MarkTests(FilesCase):
    """By what machines are found, besides MAC and UUID."""

    def test_all_of_them(self) -> None:
        self.write(
            "a.csv",
            "name,serial,asset,client-id,circuit-id,groups\n"
            "s, SN-1 ,,,,\n"
            "a,Default string,Tag 7,,,\n"
            "c,,,ff:00:1,,exam; b12 exam\n"
            "t,,,kiosk,,\n"
            "p,,,,0x0004,\n",
        )
        directory = self.directory()
        for identity, name in (
            (ClientIdentity(serial="sn-1 "), "s"),
            (ClientIdentity(serial="tag 7"), None),
            (ClientIdentity(serial="Default string"), None),
            (ClientIdentity(serial="None", asset="TAG 7"), "a"),
            (ClientIdentity(client_id=b"\xff\0\1"), "c"),
            (ClientIdentity(client_id=b"kiosk"), "t"),
            (ClientIdentity(client_id=b"\0kiosk"), "t"),  # so RFC 2132 §9.14 types a text
            (ClientIdentity(relay=Relay(circuit_id=b"\0\4")), "p"),
            (ClientIdentity(relay=Relay(circuit_id=b"")), None),
            (ClientIdentity(mac="52:54:00:00:00:99", serial="SN-1"), "s"),
            (ClientIdentity(client_id=b"kiosk", serial="SN-1"), "t"),
        ):
            self.assertEqual(self.found(directory, identity), name, identity)
        self.assertEqual(self.machines()["c"].groups, ("exam", "b12"))
        self.assertEqual(self.machines()["a"].serial, "")

    def test_serial_numbers_that_many_boards_share(self) -> None:
        for text in (
            "To be filled by O.E.M.",
            "  default STRING",
            "None",
            "0",
            "0000000",
            "System Serial Number",
            "",
            "..............",
            "\0\0",
        ):
            self.assertEqual(inventory_mark(text), "", text)
        self.assertEqual(inventory_mark(" 7CZ0ABC\n"), "7cz0abc")
        [mistake] = self.mistakes(self.write("a.csv", "name,serial\nws1,None\nws2,SN\n"))
        self.assertIn("a.csv:2: 'ws1' needs a mac or a uuid", mistake)

    def test_the_same_twice(self) -> None:
        self.write("a.csv", "name,serial,circuit-id\na,SN1,eth7\nb,sn1,65:74:68:37\n")
        self.assertEqual(
            self.mistakes(),
            [
                "a.csv:3: circuit-id 65:74:68:37 is already on line 2",
                "a.csv:3: serial sn1 is already on line 2",
            ],
        )

    def test_ports(self) -> None:
        """A port of a switch: both ids count where a row has both."""
        self.write(
            "a.csv",
            "name,circuit-id,remote-id\n"
            "p1s1,eth1,sw1\np1s2,eth1,sw2\np2,eth2,\ns3,,sw3\np2s3,eth2,sw3\n",
        )
        directory = self.directory()
        for circuit, remote, name in (
            (b"eth1", b"sw1", "p1s1"),
            (b"eth1", b"sw2", "p1s2"),
            (b"eth1", b"", None),
            (b"eth2", b"sw9", "p2"),
            (b"eth2", b"sw3", "p2s3"),
            (b"eth9", b"sw3", "s3"),
        ):
            identity = ClientIdentity(relay=Relay(circuit_id=circuit, remote_id=remote))
            self.assertEqual(self.found(directory, identity), name, identity)

    def test_the_same_port_twice(self) -> None:
        self.write("a.csv", "name,circuit-id,remote-id\na,eth1,sw1\nb,eth1,0x737731\nc,,sw1\n")
        self.assertEqual(
            self.mistakes(),
            ["a.csv:3: circuit-id eth1 with remote-id 0x737731 is already on line 2"],
        )

    def test_a_uuid_given_as_client_id(self) -> None:
        """So DHCP servers are told of ROMs that send it as option 61."""
        uuid = UUID("4c4c4544-0051-3510-8052-b4c04f4d3232")
        text = f"dhcp-host=id:00:{uuid.bytes_le.hex(':')},ws1\n"
        directory = self.directory(self.write("d.conf", text))
        for identity in (
            ClientIdentity(uuid=uuid),
            ClientIdentity(uuid=UUID(bytes=uuid.bytes_le)),
            ClientIdentity(client_id=b"\0" + uuid.bytes),
        ):
            self.assertEqual(self.found(directory, identity), "ws1")

    def test_spellings(self) -> None:
        self.assertEqual(octets("1:A:ff"), b"\x01\x0a\xff")
        self.assertEqual(octets("0xFF00"), b"\xff\0")
        self.assertEqual(octets("ff"), b"ff")
        self.assertEqual(octets("Ärger"), "Ärger".encode())
        self.assertEqual(unpadded_mac("0:1:2:a:B:c"), "00:01:02:0a:0b:0c")
        self.assertRaises(ValueError, unpadded_mac, "0:1:2:3:4")


class WatchTests(FilesCase):
    """Files are looked at every two seconds, and read when they keep still."""

    def setUp(self) -> None:
        super().setUp()
        self.file = self.write("a.csv", "name,mac\nold,525400000001\n")
        self.watched = self.directory()
        self.watched.startService()
        self.addCleanup(self.watched.stopService)

    def look(self, times: int = 1) -> None:
        self.clock.pump([2.0] * times)

    def change(self, name: str, text: str) -> None:
        """Write a file, and wait until it is read."""
        self.write(name, text)
        self.look(2)
        self.until_read()

    def until_read(self) -> None:
        before = len(self.logged)
        self.clock.run_until(lambda: len(self.logged) > before)

    def test_a_changed_file(self) -> None:
        self.look(3)
        self.write("a.csv", "name,mac\nlonger,525400000001\n")
        self.look()
        self.assertIsNone(self.watched._reading)  # it may be half written
        self.look()
        self.until_read()
        self.assertEqual(self.found(self.watched, WS1), "longer")
        self.look(3)
        self.assertEqual(self.levels(), ["info"])

    def test_an_exchanged_file(self) -> None:
        """Another file in its place, as old and as large."""
        times = self.file.stat()
        other = self.write(".new", "name,mac\nnew,525400000001\n")
        os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
        other.replace(self.file)
        self.look(2)
        self.until_read()
        self.assertEqual(self.found(self.watched, WS1), "new")

    def test_files_that_come_and_go(self) -> None:
        self.change("b.yaml", "ws2: {mac: 525400000002}\n")
        ws2 = ClientIdentity(mac="52:54:00:00:00:02")
        self.assertEqual(self.found(self.watched, ws2), "ws2")
        (self.folder / "b.yaml").unlink()
        self.look(2)
        self.until_read()
        self.assertIsNone(self.found(self.watched, ws2))

    def test_mistakes_are_told_once_and_change_nothing(self) -> None:
        health = IHealth(self.watched)
        self.assertEqual(health.health().state, HealthState.UP)
        self.change("a.csv", "name,mac\nnew,525400000001\nx,bad\n")
        self.look(5)
        self.assertEqual(self.levels(), ["error", "error"])
        self.assertEqual(self.found(self.watched, WS1), "old")
        self.assertEqual(health.health().state, HealthState.DEGRADED)
        self.assertIn("a.csv:3: mac: expected a MAC", health.health().error)
        self.assertEqual(health.health().counters, {"machines": 1})
        self.change("a.csv", "name,mac\nmended,525400000001\n")
        self.assertEqual(self.found(self.watched, WS1), "mended")
        self.assertEqual(health.health().state, HealthState.UP)

    def test_a_file_that_is_gone(self) -> None:
        (self.folder / "a.csv").unlink()
        self.folder.rmdir()
        self.look(2)
        self.until_read()
        self.assertEqual(self.found(self.watched, WS1), "old")
        self.assertEqual(self.levels(), ["error", "error"])

    def test_a_file_that_is_emptied(self) -> None:
        """Its writer failed: its machines are not gone, not even after a signal."""
        self.change("b.yaml", "ws2: {mac: 525400000002}\nws3: {mac: 525400000003}\n")
        self.change("b.yaml", "")
        IReloads(self.watched).reload()
        ws2 = ClientIdentity(mac="52:54:00:00:00:02")
        self.assertEqual(self.found(self.watched, ws2), "ws2")
        self.assertEqual(self.levels(), ["info", *["error"] * 4])
        error = self.watched.health().error
        self.assertIn("b.yaml: has no machines any more, it had 2; if they", error)
        self.change("b.yaml", "ws4: {mac: 525400000002}\n")
        self.assertEqual(self.found(self.watched, ws2), "ws4")

    def test_new_warnings_only(self) -> None:
        self.change("b.conf", "dhcp-host=52:54:00:00:00:02,ws2,1h\n")
        self.change("b.conf", "dhcp-host=52:54:00:00:00:02,ws22,1h\n")
        self.assertEqual(self.levels(), ["warn", "info", "info"])

    def test_a_hang_up_overtakes(self) -> None:
        """What was read before the signal is not taken after it."""
        self.write("a.csv", "name,mac\nnewer,525400000001\n")
        self.look(2)
        IReloads(self.watched).reload()
        self.assertEqual(self.found(self.watched, WS1), "newer")
        taken: list[bool] = []
        self.clock.callFromThread(taken.append, True)
        self.clock.run_until(lambda: bool(taken))
        self.look(3)
        self.assertEqual(self.levels(), ["info"])

    def test_a_bug_of_ours_changes_nothing(self) -> None:
        def read(*arguments: object) -> None:
            raise KeyError("bug")

        self.patch(static, "read", read)
        self.change("a.csv", "name,mac\nnewer,525400000001\n")
        self.assertEqual(self.levels(), ["critical"])
        self.assertEqual(self.found(self.watched, WS1), "old")
        self.assertEqual(self.watched.health().state, HealthState.DEGRADED)

    def test_stopped(self) -> None:
        self.watched.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.watched.startService()
        self.change("a.csv", "name,mac\nnewer,525400000001\n")
        self.assertEqual(self.found(self.watched, WS1), "newer")
