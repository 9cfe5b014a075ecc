"""DHCPv4 messages: fields, options, long and overloaded ones, and no surprise from any bytes."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.dhcp4 import COOKIE, Dhcp4Message, decode, encode
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type

MAC = bytes.fromhex("525400123401")

HEAD = (
    bytes.fromhex("02 01 06 03 deadbeef 0007 8000 0a000001 0a000002 0a000003 0a000004")
    + MAC.ljust(16, b"\0")
    + b"server".ljust(64, b"\0")
    + b"boot/file".ljust(128, b"\0")
)


def message(**changes: Any) -> Dhcp4Message:
    plain = Dhcp4Message(op=Dhcp4Op.REQUEST, htype=1, hlen=6, xid=1, chaddr=MAC.ljust(16, b"\0"))
    return attrs.evolve(plain, **changes)


def options_of(data: bytes) -> bytes:
    return data[240:].rstrip(b"\0")


class DecodeTests(SynchronousTestCase):
    def test_every_field_of_the_head(self) -> None:
        seen = decode(HEAD + COOKIE + bytes.fromhex("350102 ff"))
        self.assertEqual(
            seen,
            Dhcp4Message(
                op=Dhcp4Op.REPLY,
                htype=1,
                hlen=6,
                hops=3,
                xid=0xDEADBEEF,
                secs=7,
                flags=0x8000,
                ciaddr=IPv4Address("10.0.0.1"),
                yiaddr=IPv4Address("10.0.0.2"),
                siaddr=IPv4Address("10.0.0.3"),
                giaddr=IPv4Address("10.0.0.4"),
                chaddr=MAC.ljust(16, b"\0"),
                sname=b"server",
                file=b"boot/file",
                options={53: b"\2"},
                is_dhcp=True,
            ),
        )
        self.assertIs(seen.message_type, Dhcp4Type.OFFER)
        self.assertTrue(seen.broadcast)
        self.assertEqual(seen.hardware_address, MAC)
        self.assertEqual(seen.mac, "52:54:00:12:34:01")

    def test_order_of_options_is_kept_and_pads_are_dropped(self) -> None:
        seen = decode(HEAD + COOKIE + bytes.fromhex("0000 3d0101 00 350101 0c026162 ff 010199"))
        self.assertEqual(list(seen.options.items()), [(61, b"\1"), (53, b"\1"), (12, b"ab")])

    def test_a_missing_end_is_tolerated(self) -> None:
        self.assertEqual(decode(HEAD + COOKIE + b"\x35\1\1").options, {53: b"\1"})
        self.assertEqual(decode(HEAD + COOKIE).options, {})

    def test_without_the_cookie_it_is_plain_bootp(self) -> None:
        for data in (HEAD, HEAD + b"\x63\x82", HEAD + bytes(64), HEAD + b"CMU\0\x35\1\1"):
            seen = decode(data)
            self.assertFalse(seen.is_dhcp)
            self.assertEqual(seen.options, {})
            self.assertIsNone(seen.message_type)

    def test_broken_messages(self) -> None:
        long_address = HEAD[:2] + b"\x11" + HEAD[3:]
        for data, offset in (
            (b"", 0),
            (HEAD[:-1], 235),
            (long_address, 2),
            (HEAD + COOKIE + b"\x35", 240),
            (HEAD + COOKIE + b"\x35\1\1\x0c\5abcd", 243),
            (HEAD + COOKIE + b"\x34\1\4\xff", 240),
            (HEAD + COOKIE + b"\x34\2\1\1\xff", 240),
        ):
            error = self.assertRaises(WireError, decode, data)
            self.assertEqual(error.offset, offset)

    def test_text_ends_at_its_first_nul(self) -> None:
        data = HEAD[:44] + b"name\0garbage".ljust(64, b"x") + b"f" * 128 + COOKIE
        self.assertEqual(decode(data).sname, b"name")
        self.assertEqual(decode(data).file, b"f" * 128)

    def test_hardware_that_is_no_ethernet_has_no_mac(self) -> None:
        self.assertEqual(message(htype=32, hlen=0).mac, "")
        self.assertEqual(message(htype=32, hlen=0).hardware_address, b"")
        self.assertEqual(message(htype=1, hlen=8).mac, "")
        self.assertEqual(message(htype=6).mac, "52:54:00:12:34:01")
        self.assertEqual(len(message(hlen=200).hardware_address), 16)

    def test_a_message_type_of_two_bytes_is_none(self) -> None:
        self.assertIsNone(message(options={53: b"\1\1"}).message_type)


class LongOptionTests(SynchronousTestCase):
    """RFC 3396: one value in several places."""

    def test_instances_are_concatenated_in_order(self) -> None:
        data = HEAD + COOKIE + b"\x43\3abc" + b"\x35\1\1" + b"\x43\3def" + b"\xff"
        self.assertEqual(decode(data).options, {67: b"abcdef", 53: b"\1"})

    def test_aggregate_is_options_then_file_then_sname(self) -> None:
        file = b"\x43\2cd\x0c\2hn\xff".ljust(128, b"\0")
        sname = b"\x43\2ef\xff".ljust(64, b"\0")
        data = HEAD[:44] + sname + file + COOKIE + b"\x34\1\3\x43\2ab\xff"
        seen = decode(data)
        self.assertEqual(seen.options, {67: b"abcdef", 12: b"hn"})
        self.assertEqual((seen.file, seen.sname), (b"", b""))

    def test_only_the_overloaded_field_holds_options(self) -> None:
        sname = b"\x0c\2hn\xff".ljust(64, b"\0")
        seen = decode(HEAD[:44] + sname + HEAD[108:] + COOKIE + b"\x34\1\2\xff")
        self.assertEqual((seen.file, seen.sname), (b"boot/file", b""))
        self.assertEqual(seen.options, {12: b"hn"})

    def test_overload_means_nothing_in_an_overloaded_field(self) -> None:
        file = b"\x34\1\2\x0c\2hn\xff".ljust(128, b"\0")
        seen = decode(HEAD[:108] + file + COOKIE + b"\x34\1\1\xff")
        self.assertEqual((seen.options, seen.sname), ({12: b"hn"}, b"server"))

    def test_an_option_may_not_leave_its_field(self) -> None:
        file = bytes(126) + b"\x0c\2"
        data = HEAD[:108] + file + COOKIE + b"\x34\1\1\xff"
        self.assertRaises(WireError, decode, data)

    def test_long_values_are_split(self) -> None:
        value = bytes(range(256)) * 2 + b"end"
        data = encode(message(options={53: b"\1", 125: value}), max_size=1472)
        expected = b"\x35\1\1" + b"\x7d\xff" + value[:255] + b"\x7d\xff" + value[255:510]
        self.assertEqual(options_of(data), expected + b"\x7d\5" + value[510:] + b"\xff")
        self.assertEqual(decode(data).options[125], value)


class EncodeTests(SynchronousTestCase):
    def test_type_first_relay_last_then_the_end(self) -> None:
        options = {82: b"\1\1x", 3: b"abcd", 53: b"\2", 1: b"efgh"}
        data = encode(message(options=options))
        self.assertEqual(
            options_of(data), b"\x35\1\2\3\4abcd\1\4efgh\x52\3\1\1x\xff", "52 is 82 in hex"
        )

    def test_padded_to_the_least_bootp_size(self) -> None:
        self.assertEqual(len(encode(message())), 300)
        self.assertEqual(len(encode(message(), minimum=0)), 241)
        self.assertEqual(len(encode(message(is_dhcp=False))), 300)

    def test_padding_respects_the_limit(self) -> None:
        self.assertEqual(len(encode(message(), max_size=280)), 280)

    def test_empty_values_are_left_out_but_rapid_commit(self) -> None:
        data = encode(message(options={12: b"", 80: b"", 53: b"\1"}))
        self.assertEqual(options_of(data), b"\x35\1\1\x50\0\xff")

    def test_plain_bootp_has_no_cookie(self) -> None:
        data = encode(message(is_dhcp=False, file=b"x"))
        self.assertEqual(data[236:], bytes(64))
        self.assertEqual(decode(data), message(is_dhcp=False, file=b"x"))

    def test_texts_keep_their_nul(self) -> None:
        self.assertEqual(decode(encode(message(file=b"f" * 127))).file, b"f" * 127)
        self.assertRaises(WireError, encode, message(file=b"f" * 128))
        self.assertRaises(WireError, encode, message(sname=b"s" * 64))
        self.assertRaises(WireError, encode, message(chaddr=bytes(17)))

    def test_marks_are_no_options(self) -> None:
        for code in (0, 255, 256, -1):
            self.assertRaises(WireError, encode, message(options={code: b"x"}))

    def test_exactly_full_is_not_overloaded(self) -> None:
        options = {53: b"\1", **dict.fromkeys((100, 101, 102), b"v" * 98)}  # 3 + 300 + end
        data = encode(message(options=options), max_size=544)
        self.assertEqual(len(data), 544)
        self.assertNotIn(b"\x34\1", data[240:247])
        self.assertIn(b"\x34\1\1", encode(message(options=options), max_size=543)[240:])


class OverloadTests(SynchronousTestCase):
    """Options that do not fit go into `file`, then `sname`, if those are empty."""

    def setUp(self) -> None:
        self.options = {53: b"\2", 82: b"\1\1x", **{code: bytes(50) for code in range(100, 108)}}

    def test_file_first(self) -> None:
        seen = encode(message(options=self.options), max_size=600)
        self.assertEqual(seen[240:246], b"\x35\1\2\x34\1\1")
        self.assertEqual(seen[44:108], bytes(64))
        self.assertEqual(decode(seen).options, self.options)
        self.assertTrue(options_of(seen).endswith(b"\x52\3\1\1x\xff"), "82 stays in the options")

    def test_then_sname(self) -> None:
        seen = encode(message(options=self.options), max_size=548)
        self.assertEqual(seen[243:246], b"\x34\1\3")
        self.assertEqual(decode(seen).options, self.options)

    def test_each_field_is_used_to_its_last_byte(self) -> None:
        options = {100: bytes(48), 101: bytes(125), 102: bytes(61)}
        data = encode(message(options=options), max_size=294)  # 240 + 3 for 52 + 50 + an end
        self.assertEqual(len(data), 294)
        self.assertEqual(decode(data).options, options)
        self.assertEqual((data[235], data[107], data[293]), (255, 255, 255))
        self.assertRaises(WireError, encode, message(options=options), 293)
        for code in (101, 102):
            longer = options | {code: options[code] + b"x"}
            self.assertRaises(WireError, encode, message(options=longer), 294)

    def test_what_is_a_byte_too_long_moves_on(self) -> None:
        options = {100: bytes(49), 101: b"x"}
        data = encode(message(options=options), max_size=294)
        self.assertEqual(options_of(data), b"\x34\1\1\x65\1x\xff")
        self.assertEqual(decode(data).options, options)

    def test_a_text_is_never_overwritten(self) -> None:
        options = {code: value for code, value in self.options.items() if code < 106}
        seen = encode(message(options=options, file=b"name"), max_size=540)
        self.assertEqual(seen[243:246], b"\x34\1\2")
        self.assertEqual(decode(seen).file, b"name")
        self.assertEqual(decode(seen).options, options)
        full = message(options=options, file=b"name", sname=b"server")
        self.assertIn("does not fit", self.assertRaises(WireError, encode, full, 540).reason)

    def test_too_much_is_an_error(self) -> None:
        for options in (self.options, {82: bytes(60)}, {53: b"\1"}):
            full = message(options=options)
            self.assertIn("does not fit", self.assertRaises(WireError, encode, full, 243).reason)
        self.assertRaises(WireError, encode, message(is_dhcp=False), 235)

    def test_given_overload_is_not_believed(self) -> None:
        seen = encode(message(options={52: b"\3", 53: b"\1"}))
        self.assertEqual(options_of(seen), b"\x35\1\1\xff")


addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
texts = st.binary(max_size=63).filter(lambda text: b"\0" not in text)
codes = st.integers(1, 254).filter(lambda code: code != 52)
values = st.one_of(st.binary(min_size=1, max_size=40), st.binary(min_size=200, max_size=600))
messages = st.builds(
    Dhcp4Message,
    op=st.integers(0, 255).map(Dhcp4Op),
    htype=st.integers(0, 255),
    hlen=st.integers(0, 16),
    hops=st.integers(0, 255),
    xid=st.integers(0, 2**32 - 1),
    secs=st.integers(0, 65535),
    flags=st.integers(0, 65535),
    ciaddr=addresses,
    yiaddr=addresses,
    siaddr=addresses,
    giaddr=addresses,
    chaddr=st.binary(min_size=16, max_size=16),
    sname=texts,
    file=texts,
    options=st.dictionaries(codes, values, max_size=12),
)


class PropertyTests(SynchronousTestCase):
    @given(messages)
    def test_round_trip(self, message: Dhcp4Message) -> None:
        self.assertEqual(decode(encode(message, max_size=65507)), message)

    @given(messages, st.integers(200, 1500))
    def test_what_fits_is_whole_and_in_bounds(self, message: Dhcp4Message, size: int) -> None:
        try:
            data = encode(message, max_size=size)
        except WireError:
            return
        self.assertTrue(len(data) <= size)
        self.assertEqual(decode(data), message)

    @given(st.binary(max_size=700))
    def test_any_bytes(self, data: bytes) -> None:
        for tried in (data, HEAD + data, HEAD + COOKIE + data, HEAD + COOKIE + b"\x34\1\3" + data):
            self.decodes_or_wire_error(tried)

    @settings(max_examples=50)
    @given(st.binary(min_size=192, max_size=192), st.integers(1, 3))
    def test_any_bytes_in_overloaded_fields(self, fields: bytes, where: int) -> None:
        self.decodes_or_wire_error(HEAD[:44] + fields + COOKIE + bytes((0x34, 1, where, 0xFF)))

    @given(messages, st.data())
    def test_any_cut(self, message: Dhcp4Message, choice: st.DataObject) -> None:
        whole = encode(message, max_size=65507)
        self.decodes_or_wire_error(whole[: choice.draw(st.integers(0, len(whole)))])

    def decodes_or_wire_error(self, data: bytes) -> None:
        try:
            seen = decode(data)
        except WireError:
            return
        self.assertIsInstance(seen.mac, str)
        self.assertTrue(seen.message_type is None or seen.message_type >= 0)
        self.assertNotIn(52, seen.options)
