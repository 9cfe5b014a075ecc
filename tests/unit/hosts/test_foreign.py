"""Files of dnsmasq, ISC dhcpd, ethers and hosts: what is taken over, and what else is said."""

from __future__ import annotations

from ipaddress import IPv4Address

from pxetwist.hosts.formats.isc import HOST_OPTIONS
from pxetwist.model.machine import Machine
from pxetwist.wire.option_text import parse_code
from tests.unit.hosts.files import SAMPLES, FilesCase


def mac(end: str) -> str:
    return f"52:54:00:00:{end}"


class ForeignCase(FilesCase):
    def assert_warned(self, warnings: list[str], *expected: str) -> None:
        """Each expected beginning of a warning is there."""
        for line in expected:
            self.assertTrue(any(each.startswith(line) for each in warnings), (line, warnings))


class DnsmasqTests(ForeignCase):
    def test_the_sample(self) -> None:
        found = self.machines(SAMPLES / "dnsmasq.conf")
        self.assertEqual(
            found["ws12"],
            Machine(
                "ws12",
                (mac("00:12"), mac("01:12")),
                address=IPv4Address("10.0.0.12"),
                groups=("exam", "b12"),
                directory="rack",
            ),
        )
        self.assertEqual(found["ws13"].macs, (mac("00:13"),))
        self.assertEqual(found["52-54-00-00-00-14"].address, IPv4Address("10.0.0.14"))
        self.assertEqual(found["ws15"].client_id, bytes.fromhex("01525400000015"))
        self.assertEqual(found["kiosk"].client_id, b"kiosk in the hall")
        self.assertEqual((found["ws17"].groups, found["ws17"].client_id), (("exam",), b""))
        self.assertEqual(found["lap18"].macs, (mac("00:18"), mac("02:18")))
        self.assertEqual(found["lap18"].address, IPv4Address("10.0.0.18"))
        self.assertEqual(found["52-54-00-00-00-19"].labels, {"ignore": "yes"})
        self.assertEqual(found["ws22"].address, IPv4Address("10.0.0.22"))
        self.assertEqual(len(found), 9)

    def test_what_the_sample_says_besides(self) -> None:
        """Each line of it is taken over, or is named."""
        file = SAMPLES / "dnsmasq.conf"
        warnings = self.warnings(file)
        self.assert_warned(
            warnings,
            "dnsmasq.conf:2: domain-needed is not taken over",
            "dnsmasq.conf:10: dhcp-range is not taken over; instead: 'pool' of [subnet:NAME]"
            " (also on line 11)",
            "dnsmasq.conf:17: the lease time of a single machine is not taken over; instead:"
            " 'lease-time' of [subnet:NAME] (also on lines 18, 22)",
            "dnsmasq.conf:27: address 10.0.9.18 is not taken over: it is the machine on line 24",
            "dnsmasq.conf:29: 'ignore' is not taken over: the machine has the label ignore=yes",
            "dnsmasq.conf:30: a MAC with wildcards is not taken over",
            "dnsmasq.conf:31: a hardware address other than Ethernet",
            "dnsmasq.conf:32: a machine known by nothing but a name",
            "dnsmasq.conf:33: IPv6 addresses",
            "dnsmasq.conf:33: tag: ",
        )
        named = {int(each.split(":")[1]) for each in warnings}
        named |= {11, 13, 18, 22, 40}  # with another of their kind
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line and line[0] != "#" and not line.startswith("dhcp-host"):
                self.assertIn(number, named, line)

    def test_lines_of_a_hostsfile(self) -> None:
        found = self.machines(SAMPLES / "dhcp-hostsfile")
        self.assertEqual(list(found), ["ws31", "ws32", "ws33"])
        self.assertEqual(found["ws32"].macs, (mac("00:32"), mac("01:32")))
        self.assertEqual(found["ws33"].client_id, bytes.fromhex("ff00000033"))

    def test_mistakes(self) -> None:
        file = self.write(
            "d.conf",
            "dhcp-host=52:54:00:00:00:0x,a\n"
            "dhcp-host=52:54:00:00:00:01,two words\n"
            'dhcp-host="52:54:00:00:00:02,b\n'
            "dhcp-host=52:54:00:00:00:03:04:05,infiniband\n",
        )
        mistakes = self.mistakes(file)
        self.assertEqual([each.split(":")[1] for each in mistakes], ["1", "2", "3"])
        self.assertIn("expected a MAC", mistakes[0])
        self.assertIn("expected a name", mistakes[1])
        self.assertIn('missing "', mistakes[2])

    def test_the_last_word_counts_and_the_others_are_named(self) -> None:
        file = self.write(
            "d", "dhcp-host=52:54:00:00:00:01,52-54-00-00-00-02,b,10.0.0.1,10.0.0.2\n"
        )
        [machine] = self.read(file).machines
        self.assertEqual((machine.name, machine.address), ("b", IPv4Address("10.0.0.2")))
        self.assertEqual(
            self.warnings(file),
            [
                "d:1: name 52-54-00-00-00-02 is not taken over: b comes after it",
                "d:1: address 10.0.0.1 is not taken over: 10.0.0.2 comes after it",
            ],
        )

    def test_a_name_for_two_machines(self) -> None:
        """In two networks, each with its own card: both keep their addresses."""
        file = self.write("d", "52:54:00:00:00:01,lap,10.0.0.1\n52:54:00:00:00:02,LAP,10.0.9.1\n")
        self.assertEqual(list(self.machines(file)), ["lap", "52-54-00-00-00-02"])
        self.assertEqual(
            self.warnings(file),
            [
                "d:2: the name 'LAP' has 10.0.0.1 on line 1: with 10.0.9.1 it is named"
                " '52-54-00-00-00-02'"
            ],
        )

    def test_many_warnings_are_one(self) -> None:
        lines = "".join(f"52:54:00:00:00:{n:02x},ws{n},infinite\n" for n in range(1, 21))
        [warning] = self.warnings(self.write("d", lines))
        self.assertTrue(warning.endswith("(also on lines 2, 3, 4, 5, 6 and 14 more)"), warning)


class IscTests(ForeignCase):
    def test_the_sample(self) -> None:
        found = self.machines(SAMPLES / "dhcpd.conf")
        self.assertEqual(
            list(found),
            [
                "in-the-subnet",
                "ws12.lab.example",
                "ws13",
                "ws14",
                "ws15",
                "ws16",
                "kiosk",
                "by-id",
                "port7",
                "lap",
                "roam-a",
                "stranger",
            ],
        )
        self.assertEqual(found["in-the-subnet"].address, IPv4Address("10.0.0.11"))
        self.assertEqual(found["ws12.lab.example"].macs, (mac("00:12"),))
        self.assertEqual(found["ws13"].address, IPv4Address("10.0.0.13"))
        self.assertEqual(found["ws15"].labels, {"filename": "exam.efi"})
        self.assertEqual(found["ws15"].groups, ("exam",))
        self.assertEqual(found["ws16"].labels, {"filename": 'own "special".efi'})
        self.assertEqual(found["kiosk"].client_id, b"kiosk")
        self.assertEqual(found["by-id"].client_id, bytes.fromhex("01525400000018"))
        self.assertEqual(found["port7"].circuit_id, b"slot1/7")
        self.assertEqual(found["lap"].macs, (mac("00:20"), mac("01:20")))
        self.assertEqual(found["stranger"].labels, {"ignore": "yes"})

    def test_what_the_sample_says_besides(self) -> None:
        warnings = self.warnings(SAMPLES / "dhcpd.conf")
        self.assert_warned(
            warnings,
            "dhcpd.conf:4: max-lease-time is not taken over; instead: 'max-lease-time' of",
            "dhcpd.conf:8: class is not taken over; instead: [class:NAME], or rules",
            "dhcpd.conf:19: subnet is not taken over; instead: [subnet:NAME] (also on line 24)",
            "dhcpd.conf:33: a machine has one address",
            "dhcpd.conf:41: the address of ws15.lab.example is not known",
            "dhcpd.conf:44: next-server of a single host",
            "dhcpd.conf:56: address 10.0.9.21 is not taken over: it is the machine on line 55",
            "dhcpd.conf:58: deny booting is not taken over: the machine has the label ignore=yes",
            "dhcpd.conf:59: host ring has nothing to be known by",
        )

    def test_addresses_by_name(self) -> None:
        files = SAMPLES / "dhcpd.conf", SAMPLES / "hosts"
        self.assertEqual(self.machines(*files)["ws15"].address, IPv4Address("10.0.0.15"))
        self.assertFalse([line for line in self.warnings(*files) if "is not known" in line])

    def test_options_of_a_host(self) -> None:
        file = self.write(
            "dhcpd.conf",
            "host a { hardware ethernet 1:2:3:4:5:6; option domain-name-servers 10.0.0.1,"
            ' 10.0.0.2; Option bootfile-name "x.0"; option nis-domain "y"; }',
        )
        self.assertEqual(
            self.machines(file)["a"].labels,
            {"option.domain-name-servers": "10.0.0.1, 10.0.0.2", "option.boot-file": "x.0"},
        )
        self.assert_warned(self.warnings(file), "dhcpd.conf:1: option nis-domain of a single")
        for name in HOST_OPTIONS.values():
            parse_code(name)  # the server knows it

    def test_quotes_and_ids(self) -> None:
        """In quotes it is a text, even if it looks like bytes."""
        file = self.write(
            "dhcpd.conf",
            'host a { host-identifier option agent.circuit-id "1:2:3"; uid 01:02; uid 01:03; }'
            'host b { host-identifier option agent.remote-id "sw1"; }'
            ' /etc "x"; option y "#{";',
        )
        machine = self.machines(file)["a"]
        self.assertEqual((machine.circuit_id, machine.client_id), (b"1:2:3", b"\1\3"))
        self.assertEqual(self.machines(file)["b"].remote_id, b"sw1")
        self.assert_warned(self.warnings(file), "dhcpd.conf:1: client-id is not taken over")

    def test_mistakes_of_syntax(self) -> None:
        for text, mistake in (
            ("host a {\n hardware ethernet 1:2:3:4:5:6;\n", "1: expected } at the end"),
            ("host a {\n hardware ethernet 1:2:3:4:5:6 }", "2: expected ; before }"),
            ("authoritative;\n}", "2: not expected: }"),
            ("{ }", "1: not expected: {"),
            ("authoritative;\ndeny x", "2: expected ; at the end"),
            ('authoritative;\noption x "abc;\n', '2: missing "'),
            ("host a {\n hardware ethernet 1:2:3:4:5;\n}", "2: expected a MAC"),
            (
                "host a {\n hardware ethernet 1:2:3:4:5:6; fixed-address 10.0.0.1;\n}\n"
                "host a-b- { uid x; }",
                "4: expected a name",
            ),
        ):
            [found] = self.mistakes(self.write("dhcpd.conf", text))
            self.assertTrue(found.startswith(f"dhcpd.conf:{mistake}"), (found, mistake))


class EthersTests(ForeignCase):
    def test_the_samples(self) -> None:
        found = self.machines(SAMPLES / "ethers", SAMPLES / "hosts")
        self.assertEqual(
            {name: str(machine.address) for name, machine in found.items()},
            {"ws41": "10.0.0.41", "ws42": "10.0.0.42", "52-54-00-00-00-43": "10.0.0.43"},
        )
        self.assertEqual(found["ws42"].macs, (mac("00:42"),))

    def test_mistakes(self) -> None:
        self.write("ethers", "52:54:00:00:00:01 a b\n# none\nxx a\n")
        self.write("hosts", "10.0.0.1\n10.0.0.256 a\n")
        self.assertEqual(
            [each.partition(", got")[0] for each in self.mistakes()],
            [
                "ethers:1: expected a MAC and a name or address",
                "ethers:3: expected a MAC address like 52:54:00:12:34:56",
                "hosts:1: expected names after 10.0.0.1",
                "hosts:2: expected an address and its names",
            ],
        )

    def test_several_files_about_one_machine(self) -> None:
        """A name in one file, the address in the next, as dnsmasq puts them together."""
        self.write("ethers", "52:54:00:00:00:01 a\n52:54:00:00:00:02 10.0.0.2\n")
        self.write("more.conf", "dhcp-host=a,10.0.0.1\ndhcp-host=52:54:00:00:00:02,b,set:x\n")
        found = self.machines()
        self.assertEqual(sorted(found), ["a", "b"])
        self.assertEqual(str(found["a"].address), "10.0.0.1")
        self.assertEqual((str(found["b"].address), found["b"].groups), ("10.0.0.2", ("x",)))
        self.assertEqual(self.warnings(), [])

    def test_an_address_has_one_machine(self) -> None:
        self.write("ethers", "52:54:00:00:00:01 a\n52:54:00:00:00:02 b\n")
        self.write("hosts", "10.0.0.1 a b\n")
        self.assertIsNone(self.machines()["b"].address)
        [warning] = self.warnings()
        self.assertIn("ethers:2: address 10.0.0.1 is not taken over", warning)

    def test_addresses_for_files_of_our_own(self) -> None:
        self.write("a.csv", "name,mac\nWS1,52:54:00:00:00:01\n")
        self.write("hosts", "10.0.0.1 ws1.lab.example ws1\n10.0.0.9 other\n")
        self.assertEqual(str(self.machines()["WS1"].address), "10.0.0.1")
