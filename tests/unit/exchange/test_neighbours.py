"""What replies of other DHCP servers tell, and whether they get along with ours."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange import remedies
from pxetwist.exchange.neighbours import (
    PROBE_MAC,
    Asker,
    Heard,
    Neighbour,
    Neighbours,
    probe,
    read_reply,
    read_request,
)
from pxetwist.exchange.verdicts import Ours, Verdict, absent, instead, judge
from pxetwist.wire.dhcp4 import decode, encode
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.exchange.captured import first, packets

US, THEM = IPv4Address("10.77.0.1"), IPv4Address("10.77.0.2")
MAC = "52:54:00:00:00:02"
BESIDE = Ours(US, IPv4Network("10.77.0.0/24"), proxy=True)
ALONE = attrs.evolve(BESIDE, proxy=False, dhcp=True)
PLAIN = Heard(THEM, MAC, "eth0", THEM, IPv4Address("10.77.0.50"), THEM)


def replies(capture: str) -> list[Heard]:
    """Read all replies of servers in a capture."""
    found = (
        read_reply(decode(packet.payload), IPv4Address(packet.source), packet.source_mac, "eth0")
        for packet in packets(capture, 68)
    )
    return [each for each in found if each is not None]


def neighbour(*replies: Heard) -> Neighbour:
    table = Neighbours()
    for asker, reply in zip(Asker, replies, strict=False):
        table.hear(asker, reply, 0.0)
    (found,) = table
    return found


class ReadingTests(SynchronousTestCase):
    def test_capture(self) -> None:
        """A plain dnsmasq and one that is a proxy, as they answered a ROM."""
        plain, proxy, *_ = sorted(
            replies("proxydhcp_bios-ipxe-rom_4011"), key=lambda each: each.is_proxy
        )[:: len(replies("proxydhcp_bios-ipxe-rom_4011")) - 1]
        self.assertEqual((plain.server, plain.is_proxy), (THEM, False))
        self.assertEqual((proxy.server, proxy.is_proxy), (US, True))
        self.assertIn("ProxyDHCP", str(proxy))
        self.assertIn("option 60 PXEClient", str(proxy))

    def test_requests_name_servers(self) -> None:
        """Whose OFFER could not be heard is known from who took it."""
        request = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.REQUEST)
        heard = read_request(request, "eth0")
        assert heard is not None
        self.assertEqual((heard.server, heard.mac), (THEM, ""))
        self.assertIsNone(read_request(first("ovmf-pxe4_shim_grub", Dhcp4Type.DISCOVER), "eth0"))

    def test_what_others_write_is_shown_safely(self) -> None:
        """No control characters, no endless names."""
        request = first("proxydhcp_bios-ipxe-rom_4011", Dhcp4Type.DISCOVER)
        options = {53: b"\2", 60: b"PXE\x1b[2J\n", 67: b"x" * 200}
        reply = attrs.evolve(request, op=2, yiaddr=THEM, options=options)  # type: ignore[arg-type]
        heard = read_reply(reply, THEM, MAC, "eth0")
        assert heard is not None
        self.assertTrue(str(heard).isprintable())
        self.assertEqual(len(heard.boot_file), 128)

    def test_probe(self) -> None:
        """Nobody, who wants the answer by broadcast, and is not mistaken for a machine."""
        for asker in (Asker.PLAIN, Asker.BIOS, Asker.UEFI, Asker.HTTP):
            message = decode(encode(probe(asker, PROBE_MAC + b"\1\2", 7)))
            self.assertTrue(message.broadcast and message.mac.startswith("02:70:78:65:"))
            self.assertEqual(message.message_type, Dhcp4Type.DISCOVER)
            self.assertNotIn(O.REQUESTED_ADDRESS, message.options)
            self.assertEqual(O.VENDOR_CLASS in message.options, asker is not Asker.PLAIN)


class TableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = Neighbours()

    def hear(self, heard: Heard, asker: Asker = Asker.PLAIN, now: float = 0.0) -> str:
        news = self.table.hear(asker, heard, now)
        return news[1] if news else ""

    def test_news(self) -> None:
        """New once; changed if the same probe is answered otherwise; another address is none."""
        other = attrs.evolve(PLAIN, address=IPv4Address("10.77.0.51"))
        booting = attrs.evolve(PLAIN, boot_file="x.0")
        self.assertEqual([self.hear(each) for each in (PLAIN, other, PLAIN)], ["new", "", ""])
        self.assertEqual([self.hear(booting), self.hear(booting)], ["changed", ""])
        self.assertEqual(self.hear(attrs.evolve(booting, mac="52:54:00:00:00:03")), "changed")

    def test_others_are_answered_in_many_ways(self) -> None:
        """Files of single machines are no news; that it begins to say PXEClient is."""
        files = [attrs.evolve(PLAIN, boot_file=f"{n}.0") for n in range(5)]
        self.assertEqual([self.hear(each, Asker.OTHERS) for each in files], ["new"] + [""] * 4)
        marked = attrs.evolve(PLAIN, vendor_class="PXEClient")
        self.assertEqual(self.hear(marked, Asker.OTHERS), "changed")
        named = Heard(THEM, "", "eth0")
        self.assertEqual(self.hear(named, Asker.OTHERS), "")
        (known,) = self.table
        self.assertEqual(known.replies[Asker.OTHERS], marked)

    def test_two_roles_of_one_host(self) -> None:
        """A DHCP server and a ProxyDHCP server, dnsmasq and we for instance, stay apart."""
        proxy = attrs.evolve(PLAIN, address=None, vendor_class="PXEClient")
        self.assertEqual([self.hear(PLAIN, Asker.UEFI), self.hear(proxy, Asker.UEFI)], ["new"] * 2)
        self.assertEqual([each.is_proxy for each in self.table], [False, True])

    def test_gone(self) -> None:
        """After silence; then it is new again."""
        self.hear(PLAIN, now=10.0)
        self.assertEqual(self.table.sweep(10.0), [])
        self.assertEqual([each.server for each in self.table.sweep(11.0)], [THEM])
        self.assertEqual(self.hear(PLAIN), "new")

    def test_bounded(self) -> None:
        """Inventions do not push out who is known."""
        self.hear(PLAIN)
        for number in range(1000):
            self.hear(attrs.evolve(PLAIN, server=IPv4Address(number)))
        self.assertEqual(len(list(self.table)), 64)
        self.assertEqual(self.hear(PLAIN), "")


class VerdictTests(SynchronousTestCase):
    def texts(self, ours: Ours, *replies: Heard) -> list[str]:
        return [("! " if v.clash else "") + v.text for v in judge(neighbour(*replies), ours)]

    def assert_says(self, words: str, ours: Ours, *replies: Heard) -> Verdict:
        found = [v for v in judge(neighbour(*replies), ours) if words in v.text]
        self.assertEqual(len(found), 1, self.texts(ours, *replies))
        return found[0]

    def test_plain_server(self) -> None:
        """It is what ProxyDHCP needs, and one too many for a DHCP server."""
        self.assertEqual(self.texts(BESIDE, PLAIN), [])
        verdict = self.assert_says("both give addresses in 10.77.0.0/24", ALONE, PLAIN)
        self.assertTrue(verdict.clash)
        self.assertIn(
            "Set-DhcpServerv4Scope -ScopeId 10.77.0.0 -State InActive",
            verdict.lines[remedies.WINDOWS],
        )

    def test_option_60(self) -> None:
        """Without 43 firmware asks its port 4011, with it it never asks us (EDK2's classes)."""
        marked = attrs.evolve(PLAIN, vendor_class="PXEClient")
        verdict = self.assert_says("asks port 4011 of 10.77.0.2", BESIDE, PLAIN, marked)
        self.assertIn("netsh dhcp server delete optionvalue 60", verdict.lines[remedies.WINDOWS])
        whole = attrs.evolve(marked, vendor=b"\6\1\x08\xff")
        self.assertTrue(self.assert_says("takes its boot data", BESIDE, PLAIN, whole).clash)
        here = attrs.evolve(marked, server=US, source=US, next_server=US)
        self.assertEqual(self.texts(BESIDE, here), [])  # the way to share one host

    def test_boot_file(self) -> None:
        """Its own is a clash; one that points to us is a help."""
        own = attrs.evolve(PLAIN, boot_file="pxelinux.0")
        verdict = self.assert_says("pxelinux.0 of 10.77.0.2", BESIDE, own)
        self.assertTrue(verdict.clash)
        ours = attrs.evolve(own, next_server=US)
        self.assertFalse(self.assert_says("points to us", BESIDE, ours).clash)
        unnamed = attrs.evolve(own, next_server=IPv4Address(0))
        self.assert_says("pxelinux.0 of 10.77.0.2", BESIDE, unnamed)  # EDK2 takes option 54

    def test_grub(self) -> None:
        """GRUB takes the next server of the ACK, also if there is none."""
        nowhere = attrs.evolve(PLAIN, next_server=IPv4Address(0))
        grub = attrs.evolve(BESIDE, grub=True)
        verdict = self.assert_says("GRUB", grub, nowhere)
        self.assertEqual(verdict.lines[remedies.DNSMASQ], ["dhcp-boot=,,10.77.0.1"])
        self.assertEqual(self.texts(grub, attrs.evolve(PLAIN, next_server=US)), [])

    def test_second_proxy(self) -> None:
        """One too many, beside either service of ours."""
        proxy = attrs.evolve(PLAIN, address=None, vendor_class="PXEClient")
        self.assert_says("two ProxyDHCP servers", BESIDE, proxy)
        self.assert_says("UEFI prefers", ALONE, proxy)

    def test_nobody_gives_addresses(self) -> None:
        """Needed beside ProxyDHCP only."""
        missing = absent([], BESIDE)
        assert missing is not None
        self.assertIn("PXE-E52", missing.text)
        self.assertIsNone(absent([neighbour(PLAIN)], BESIDE))
        self.assertIsNone(absent([], ALONE))

    def test_lines_for_each_server(self) -> None:
        """Every architecture has its file in each of the four languages, iPXE its script."""
        files = (
            remedies.BootFileFor(0, "bios", "loaders/undionly.kpxe"),
            remedies.BootFileFor(7, "x64", "loaders/snponly.efi"),
        )
        script = "http://10.77.0.1/boot.ipxe"
        lines = instead(attrs.evolve(BESIDE, files=files, script=script))
        for name, words in {
            remedies.ISC: ("arch = 00:07", "next-server 10.77.0.1;", script),
            remedies.KEA: ("option[93].hex == 0x0007", '"next-server": "10.77.0.1"', script),
            remedies.DNSMASQ: ("set:x64,option:client-arch,7", ",,10.77.0.1", script),
            remedies.WINDOWS: ("PXEClient:Arch:00007", '-OptionId 66 -Value "10.77.0.1"'),
        }.items():
            text = "\n".join(lines[name])
            for word in (*words, "undionly.kpxe", "snponly.efi"):
                self.assertIn(word, text)
