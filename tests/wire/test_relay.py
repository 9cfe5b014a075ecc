"""Sub-options of relay agents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire.relay import (
    CIRCUIT_ID,
    LINK_SELECTION,
    REMOTE_ID,
    SERVER_ID_OVERRIDE,
    decode_relay,
    describe_relay,
    encode_relay,
)


class RelayTests(SynchronousTestCase):
    def test_sub_options_by_their_numbers(self) -> None:
        raw = bytes.fromhex("0104 65746831 0206 525400123401 0504 0a4e0001 0b04 0a4e0002")
        options = {
            CIRCUIT_ID: b"eth1",
            REMOTE_ID: bytes.fromhex("525400123401"),
            LINK_SELECTION: bytes((10, 78, 0, 1)),
            SERVER_ID_OVERRIDE: bytes((10, 78, 0, 2)),
        }
        self.assertEqual(decode_relay(raw), options)
        self.assertEqual(encode_relay(options), raw)

    def test_there_are_no_pads_and_no_end(self) -> None:
        raw = bytes.fromhex("0001 61 ff01 62 1300")
        self.assertEqual(decode_relay(raw), {0: b"a", 255: b"b", 19: b""})
        self.assertEqual(encode_relay(decode_relay(raw)), raw)

    def test_too_long_or_cut_off(self) -> None:
        self.assertRaises(WireError, decode_relay, b"\1")
        self.assertRaises(WireError, decode_relay, b"\1\3ab")
        self.assertRaises(WireError, encode_relay, {1: bytes(256)})
        self.assertRaises(WireError, encode_relay, {256: b""})

    def test_described_on_one_line(self) -> None:
        raw = bytes.fromhex("0104 65746831 0206 525400123401 0504 0a4e0001 0a0180 1300")
        self.assertEqual(
            describe_relay(raw),
            "circuit-id 'eth1', remote-id 52:54:00:12:34:01, link-selection 10.78.0.1, "
            "flags 80, source-port ",
        )

    @given(st.binary(max_size=80))
    def test_any_bytes(self, raw: bytes) -> None:
        try:
            options = decode_relay(raw)
        except WireError:
            return
        self.assertEqual(decode_relay(encode_relay(options)), options)
