"""The table of options: names, shapes, vectors of the RFCs, texts of people."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.options import (
    OPTIONS,
    OptionCode,
    decode_value,
    describe,
    encode_value,
    option_by_name,
    parse_value,
)

_labels = st.text("abc", min_size=1, max_size=3)
_names = st.lists(_labels, min_size=1, max_size=5).map(".".join)
#: One value of every shape: option, value, bytes, and how a person writes it.
EXAMPLES: list[tuple[int, object, str, str]] = [
    (1, IPv4Address("255.255.255.0"), "ffffff00", "255.255.255.0"),
    (
        6,
        (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")),
        "0a0000010a000002",
        "10.0.0.1, 10.0.0.2",
    ),
    (
        33,
        (IPv4Address("10.1.0.0"), IPv4Address("10.0.0.1")),
        "0a0100000a000001",
        "10.1.0.0, 10.0.0.1",
    ),
    (23, 64, "40", "64"),
    (26, 1500, "05dc", "1500"),
    (51, 3600, "00000e10", "3600"),
    (211, 30, "0000001e", "30"),
    (2, -3600, "fffff1f0", "-3600"),
    (55, (1, 3, 6), "010306", "1, 3, 6"),
    (117, (6, 41), "00060029", "6, 41"),
    (12, "node-7", "6e6f64652d37", "node-7"),
    (19, True, "01", "yes"),
    (80, True, "", "yes"),
    (61, b"\1RT\0", "01525400", "01:52:54:00"),
    (224, b"\xab", "ab", "ab"),
    (119, ("lab.example",), "036c6162076578616d706c6500", "lab.example"),
    (
        121,
        ((IPv4Network("10.1.0.0/16"), IPv4Address("10.0.0.1")),),
        "100a010a000001",
        "10.1.0.0/16 via 10.0.0.1",
    ),
]


class NameTests(SynchronousTestCase):
    def test_names_are_hyphenated(self) -> None:
        for name, code in (
            ("subnet-mask", 1),
            ("routers", 3),
            ("domain-name-servers", 6),
            ("classless-routes", 121),
            ("pxelinux-config", 209),
            ("option-224", 224),
        ):
            self.assertEqual(option_by_name(name), code)
            self.assertEqual(OptionCode(code).label, name)

    def test_unknown_names(self) -> None:
        names = "subnet_mask", "SUBNET-MASK", "option-0", "option-255", "option-²", "option-", "x"
        for name in names:
            self.assertIsNone(option_by_name(name), name)

    def test_every_name_finds_its_number(self) -> None:
        for code, (name, _) in OPTIONS.items():
            self.assertEqual(option_by_name(name), code)


class ShapeTests(SynchronousTestCase):
    def test_examples_in_all_four_forms(self) -> None:
        for code, value, raw, text in EXAMPLES:
            data = bytes.fromhex(raw)
            self.assertEqual(decode_value(code, data), value)
            self.assertEqual(encode_value(code, value), data)
            self.assertEqual(parse_value(code, text), data)
            self.assertTrue(describe(code, data).endswith(f"({code}): {text}"), text)

    def test_lengths_are_checked(self) -> None:
        for code, raw in (
            (1, "ffffff"),
            (3, ""),
            (3, "0a0000"),
            (33, "0a000001"),
            (26, "05"),
            (51, "0000000000"),
            (19, "02"),
            (19, ""),
            (80, "01"),
            (93, "00"),
            (55, ""),
            (119, ""),
            (121, ""),
            (124, "0000000904"),
            (82, "0105"),
        ):
            self.assertRaises(WireError, decode_value, code, bytes.fromhex(raw))

    def test_values_that_cannot_be_written(self) -> None:
        for code, value in (
            (26, 65536),
            (23, -1),
            (3, ()),
            (33, (IPv4Address(1),)),
            (93, (65536,)),
            (119, ()),
            (119, ("a" * 64,)),
            (119, ("a..b",)),
            (119, ("bücher.example",)),
            (119, (".".join(["a" * 49] * 6),)),
            (121, ()),
            (80, False),
            (12, "\udcff"),
            (124, ((9, bytes(256)),)),
            (82, {1: bytes(256)}),
        ):
            self.assertRaises(WireError, encode_value, code, value)

    def test_text_of_clients_can_be_stored(self) -> None:
        for raw, text in ((b"node\0\0", "node"), (b"a\0b", "a"), (b"M\xfcller", "M\\xfcller")):
            self.assertEqual(decode_value(12, raw), text)
        self.assertEqual(decode_value(12, "Müller".encode()), "Müller")

    def test_enterprises(self) -> None:
        raw = bytes.fromhex("00000009 04 01020304 0000a67f 00")
        self.assertEqual(decode_value(124, raw), ((9, b"\1\2\3\4"), (42623, b"")))
        self.assertEqual(encode_value(124, decode_value(124, raw)), raw)
        self.assertEqual(parse_value(124, raw.hex()), raw)

    def test_sub_options(self) -> None:
        self.assertEqual(decode_value(82, b"\1\1a\xff\1b"), {1: b"a", 255: b"b"})
        self.assertEqual(decode_value(175, b"\xb0\1\1\xff\1b"), {0xB0: b"\1"})
        self.assertEqual(encode_value(175, {0xB0: b"\1"}), b"\xb0\1\1")
        self.assertEqual(parse_value(175, "b0:01:01"), b"\xb0\1\1")


class RouteTests(SynchronousTestCase):
    def test_descriptors_of_rfc_3442(self) -> None:
        for network, descriptor in (
            ("0.0.0.0/0", "00"),
            ("10.0.0.0/8", "08 0a"),
            ("10.0.0.0/24", "18 0a0000"),
            ("10.17.0.0/16", "10 0a11"),
            ("10.27.129.0/24", "18 0a1b81"),
            ("10.229.0.128/25", "19 0ae50080"),
            ("10.198.122.47/32", "20 0ac67a2f"),
        ):
            raw = bytes.fromhex(descriptor) + bytes((10, 0, 0, 1))
            routes = ((IPv4Network(network), IPv4Address("10.0.0.1")),)
            for code in (121, 249):
                self.assertEqual(decode_value(code, raw), routes)
                self.assertEqual(encode_value(code, routes), raw)

    def test_bits_beyond_the_prefix_are_dropped(self) -> None:
        routes = decode_value(121, bytes.fromhex("14 0a1bff 0a000001"))
        self.assertEqual(routes[0][0], IPv4Network("10.27.240.0/20"))

    def test_broken(self) -> None:
        for raw in ("21 0a000000 0a000001 00", "18 0a00", "08 0a 0a0000"):
            self.assertRaises(WireError, decode_value, 121, bytes.fromhex(raw))


class DomainSearchTests(SynchronousTestCase):
    VECTOR = b"\3eng\5apple\3com\0\x09marketing\xc0\x04"  # RFC 3397 §2, both parts joined
    NAMES = ("eng.apple.com", "marketing.apple.com")

    def test_vector_of_rfc_3397(self) -> None:
        self.assertEqual(decode_value(119, self.VECTOR), self.NAMES)
        self.assertEqual(encode_value(119, self.NAMES), self.VECTOR)

    def test_without_compression_and_with_a_last_dot(self) -> None:
        raw = b"\3eng\5apple\3com\0\x09marketing\5apple\3com\0"
        self.assertEqual(decode_value(119, raw), self.NAMES)
        self.assertEqual(parse_value(119, "eng.apple.com., marketing.apple.com"), self.VECTOR)

    def test_a_pointer_alone_repeats_a_name(self) -> None:
        self.assertEqual(decode_value(119, b"\1a\0\xc0\0\1b\0"), ("a", "a", "b"))

    def test_hostile_names_end(self) -> None:
        for raw in (
            b"\xc0\0",  # to itself
            b"\1a\xc0\0",  # into itself
            b"\xc0\2\1a\0",  # forward
            b"\1a\0\xc0",  # half a pointer
            b"\x40a\0",  # a label of unknown kind
            b"\3ab",
            b"\1a",
            b"\0",
            b"\1.\0",
            b"\1\x1b\0",
            b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0",
        ):
            self.assertRaises(WireError, decode_value, 119, raw)

    def test_names_beyond_the_reach_of_pointers(self) -> None:
        names = tuple(f"{'n' * 60}{number:03}.{'x' * 63}" for number in range(300))
        names += ("late.example", "later.late.example")
        self.assertEqual(decode_value(119, encode_value(119, names)), names)

    def test_the_longest_name_has_255_bytes(self) -> None:
        head = ".".join(["a" * 63] * 3)
        for last, fits in ((61, True), (62, False)):
            name = f"{head}.{'b' * last}"
            raw = (b"\x3f" + b"a" * 63) * 3 + bytes((last,)) + b"b" * last + b"\0"
            if fits:
                self.assertEqual(encode_value(119, (name,)), raw)
                self.assertEqual(decode_value(119, raw), (name,))
            else:
                self.assertRaises(WireError, encode_value, 119, (name,))
                self.assertRaises(WireError, decode_value, 119, raw)

    @given(st.lists(_names, min_size=1))
    def test_round_trip(self, names: list[str]) -> None:
        raw = encode_value(119, tuple(names))
        self.assertEqual(decode_value(119, raw), tuple(names))
        self.assertTrue(len(raw) <= sum(len(name) + 2 for name in names))


class ParseTests(SynchronousTestCase):
    def test_mistakes_say_what_is_expected(self) -> None:
        for code, text, expected in (
            (1, "255.255.255", "an address like 10.0.0.1"),
            (3, " , ", "addresses"),
            (3, "10.0.0.1 router", "got 'router'"),
            (33, "10.0.0.0", "pairs"),
            (26, "70000", "a number from 0 to 65535"),
            (2, "x", "from -2147483648 to 2147483647"),
            (12, "", "some text"),
            (12, "two\nlines", "one line"),
            (19, "maybe", "yes or no"),
            (80, "no", "leave the option out"),
            (61, "0g", "hexadecimal bytes like"),
            (61, "", "hexadecimal bytes like"),
            (119, "a..b", "domain names"),
            (121, "10.0.0.1/8 via 10.0.0.1", "routes like"),
            (121, "10.0.0.0/8", "routes like"),
            (175, "b0 02 01", "number, length, value"),
            (124, "00", "number, length, value"),
        ):
            error = self.assertRaises(ValueError, parse_value, code, text)
            self.assertIn(expected, str(error))

    def test_lists_by_commas_or_spaces_or_lines(self) -> None:
        for text in ("10.0.0.1,10.0.0.2", "10.0.0.1 10.0.0.2", "\n10.0.0.1\n10.0.0.2\n"):
            self.assertEqual(parse_value(6, text), b"\x0a\0\0\1\x0a\0\0\2")
        routes = parse_value(121, "0.0.0.0/0 via 10.0.0.1\n10.0.0.0/8 via 10.0.0.2")
        self.assertEqual(routes, bytes.fromhex("00 0a000001 080a 0a000002"))


class DescribeTests(SynchronousTestCase):
    def test_lines(self) -> None:
        for code, raw, line in (
            (53, "01", "message-type (53): 1 DISCOVER"),
            (93, "00070010", "client-architecture (93): 7 X64_UEFI, 16 X64_UEFI_HTTP"),
            (94, "010310", "network-interface (94): 1, 3, 16"),
            (77, "0469505845036c6162", "user-class (77): iPXE, lab"),
            (12, "6e1b5b306d", "host-name (12): 'n\\x1b[0m'"),
            (51, "0e10", "lease-time (51): malformed 0e:10"),
            (82, "010865746830 2f312f33", "relay-agent (82): circuit-id 'eth0/1/3'"),
            (82, "0502 0a00", "relay-agent (82): malformed 05:02:0a:00"),
            (175, "b00101 080101", "ipxe (175): 176=01, 8=01"),
            (150, "0a000001", "tftp-server-addresses (150): 10.0.0.1"),
            (254, "0102", "option-254 (254): 01:02"),
            (
                97,
                "00 33221100554477668899aabbccddeeff",
                "client-machine-id (97): 00112233-4455-6677-8899-aabbccddeeff",
            ),
            (97, "0102", "client-machine-id (97): 01:02"),
        ):
            self.assertEqual(describe(code, bytes.fromhex(raw)), line)

    def test_option_43_is_opened_only_for_pxe(self) -> None:
        raw = b"\6\1\x08\xff"
        self.assertEqual(describe(43, raw), "vendor-specific (43): 06:01:08:ff")
        self.assertEqual(describe(43, raw, pxe=True), "vendor-specific (43): discovery-control 8")
        self.assertIn("malformed", describe(43, b"\6\2", pxe=True))

    @given(st.integers(0, 255), st.binary(max_size=300), st.booleans())
    def test_anything_is_one_printable_line(self, code: int, raw: bytes, pxe: bool) -> None:
        self.assertTrue(describe(code, raw, pxe).isprintable())


class PropertyTests(SynchronousTestCase):
    @given(st.sampled_from(sorted(OPTIONS)), st.binary(max_size=64))
    def test_what_can_be_read_can_be_written(self, code: int, raw: bytes) -> None:
        try:
            value = decode_value(code, raw)
        except WireError:
            return
        self.assertEqual(decode_value(code, encode_value(code, value)), value)

    @given(st.sampled_from(sorted(OPTIONS)), st.text(max_size=40))
    def test_any_text_of_a_person(self, code: int, text: str) -> None:
        try:
            raw = parse_value(code, text)
        except ValueError:
            return
        decode_value(code, raw)

    @given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 2**32 - 1))
    def test_routes(self, network: int, width: int, router: int) -> None:
        routes = ((IPv4Network((network, width), strict=False), IPv4Address(router)),)
        self.assertEqual(decode_value(121, encode_value(121, routes)), routes)

    @given(st.text())
    def test_text(self, text: str) -> None:
        assume("\0" not in text)
        try:
            raw = encode_value(12, text)
        except WireError:
            return
        self.assertEqual(decode_value(12, raw), text)
