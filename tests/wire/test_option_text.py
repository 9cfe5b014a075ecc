"""DHCP options as people write them, all of them, and what is said of mistakes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.wire.option_text import Place, assembled, parse_code, parse_option
from pxetwist.wire.options import OPTIONS, describe

LONG = frozenset({43, 121})


class ReadingTests(SynchronousTestCase):
    def test_names_and_types(self) -> None:
        for key, text, place, raw in (
            ("domain-search", "lab.example, example", (119,), "036c6162076578616d706c6500c004"),
            ("search-list", "a.b", (119,), "0161016200"),
            ("dns-servers", "10.0.0.1", (6,), "0a000001"),
            ("wins-servers", "10.0.0.1", (44,), "0a000001"),
            ("netbios-node-type", "h-node", (46,), "08"),
            ("netbios-node-type", "8", (46,), "08"),
            ("wpad", "http://wpad.lab/", (252,), b"http://wpad.lab/".hex()),
            ("sip-servers", "10.0.0.1, 10.0.0.2", (120,), "010a0000010a000002"),
            ("sip-servers", "a.b, c.b", (120,), "000161016200" + "0163016200"),
            ("121", "10.1.0.0/16 via 10.0.0.1", (121,), "100a010a000001"),
            ("time-offset", "-3600", (2,), "fffff1f0"),
            ("ip-forwarding", "no", (19,), "00"),
            ("224", "hex:0a0b", (224,), "0a0b"),
            ("224", "0a:0b", (224,), "0a0b"),
            ("224", "text:blue", (224,), b"blue".hex()),
            ("224", "address: 10.0.0.1 10.0.0.2", (224,), "0a0000010a000002"),
            ("224", "u8:1, 2", (224,), "0102"),
            ("224", "u16:258", (224,), "0102"),
            ("224", "u32:1", (224,), "00000001"),
            ("224", "names:a.b", (224,), "0161016200"),
            ("224", "routes:0.0.0.0/0 via 10.0.0.1", (224,), "000a000001"),
            ("host-name", "text:none", (12,), b"none".hex()),
            ("routers", "none", (3,), ""),
            ("vendor-specific.1", "address:10.0.0.5", (43, 1), "0a000005"),
            ("43.241", "text:a:b", (43, 241), b"a:b".hex()),
            ("125.4491.2", "u16:7", (125, 4491, 2), "0007"),
            ("124.4491", "text:modem", (124, 4491), b"modem".hex()),
            ("ipxe.190", "text:u", (175, 190), b"u".hex()),
        ):
            self.assertEqual(parse_option(key, text), (place, bytes.fromhex(raw)), (key, text))

    def test_mistakes(self) -> None:
        for key, text, said in (
            ("domain-nam", "x", "'domain-nam' is no DHCP option; did you mean 'domain-name'?"),
            ("", "x", "'' is no DHCP option"),
            ("0", "x", "'0' is no DHCP option"),
            ("255", "hex:00", "'255' is no DHCP option"),
            ("mtu.x", "1", "'mtu.x' is no DHCP option"),
            ("lease-time", "9", "lease-time (51) is up to the server; see lease-time"),
            ("82", "hex:00", "relay-agent (82) is up to the server"),
            ("interface-mtu", "big", "expected a number from 0 to 65535, got 'big'"),
            ("interface-mtu.1", "1", "'interface-mtu.1': option 26 has no sub-options"),
            ("netbios-node-type", "3", "expected b-node or p-node or m-node or h-node, got '3'"),
            ("sip-servers", "a.b, 10.0.0.1", "expected names, or addresses, but not both"),
            ("43.1", "10.0.0.1", "a sub-option needs its type before the value (hex:, text:,"),
            ("43.255", "u8:1", "'43.255': expected a number from 1 to 254, got '255'"),
            ("43.x", "u8:1", "expected a number from 1 to 254, got 'x'"),
            ("43.1.2", "u8:1", "'43.1.2': option 43 has no such sub-options"),
            ("125.0.2", "u8:1", "expected a number from 1 to 4294967295, got '0'"),
            ("224", "u8:256", "expected a number from 0 to 255, got '256'"),
            ("224", "names:" + "a" * 64, "expected domain names"),
            ("host-name", "", "expected some text on one line, got ''"),
        ):
            error = self.assertRaises(ValueError, parse_option, key, text)
            self.assertIn(said, str(error), key)

    def test_every_option_has_its_name(self) -> None:
        for code, (name, _) in OPTIONS.items():
            self.assertEqual(parse_code(name), code)
            self.assertEqual(parse_code(str(code)), code)

    @given(st.text(), st.text())
    def test_any_text(self, key: str, text: str) -> None:
        try:
            place, raw = parse_option(key, text)
        except ValueError:
            return
        self.assertIsInstance(describe(place[0], raw), str)


class AssemblingTests(SynchronousTestCase):
    def test_sub_options(self) -> None:
        said: dict[Place, bytes] = {
            (12,): b"a",
            (43, 2): b"xy",
            (43, 1): b"z",
            (125, 9, 1): b"p",
            (125, 4491, 2): b"q",
            (125, 9, 3): b"r",
            (124, 9): b"s",
        }
        self.assertEqual(
            assembled(said, LONG),
            {
                12: b"a",
                43: b"\2\2xy\1\1z",
                125: b"\0\0\0\x09\6\1\1p\3\1r" + b"\0\0\x11\x8b\3\2\1q",
                124: b"\0\0\0\x09\1s",
            },
        )

    def test_mistakes(self) -> None:
        cases: tuple[tuple[dict[Place, bytes], str], ...] = (
            ({(43,): b"a", (43, 1): b"b"}, "option 43 is given as a whole and in parts"),
            ({(125, 9): b"a", (125, 9, 1): b"b"}, "option 125.9 is given as a whole and in parts"),
            ({(12,): b"a" * 256}, "option 12 is longer than 255 bytes"),
            ({(175, 1): b"a" * 256}, "option 175 cannot be written"),
            ({(125, 9, 1): b"a" * 255}, "option 125 cannot be written"),
        )
        for parts, said in cases:
            error = self.assertRaises(ValueError, assembled, parts, LONG)
            self.assertIn(said, str(error))
        self.assertEqual(len(assembled({(121,): b"a" * 300}, LONG)[121]), 300)
