"""What servers answer: read as ldap3 reads it, in any pieces, and never more than an error."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from ldap3.protocol.rfc4511 import LDAPMessage
from pyasn1.codec.ber.decoder import decode
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts.ldap.response import Answer, Malformed, Responses, Result
from pxetwist.hosts.ldap.schema import Entry


def tlv(tag: int, *parts: bytes, wide: bool = False) -> bytes:
    """Encode a value; `wide` as domain controllers do, with four bytes of length."""
    content = b"".join(parts)
    if wide or len(content) > 0xFFFF:
        return bytes([tag, 0x84]) + len(content).to_bytes(4, "big") + content
    if len(content) > 0x7F:
        return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content
    return bytes([tag, len(content)]) + content


def message(number: int, operation: bytes, wide: bool = False) -> bytes:
    return tlv(0x30, tlv(2, number.to_bytes(4, "big")), operation, wide=wide)


def entry(dn: str, wide: bool = False, **values: list[bytes]) -> bytes:
    found = [
        tlv(0x30, tlv(4, name.encode()), tlv(0x31, *(tlv(4, v) for v in each)), wide=wide)
        for name, each in values.items()
    ]
    return tlv(0x64, tlv(4, dn.encode()), tlv(0x30, *found, wide=wide), wide=wide)


def done(code: int, said: str = "", tag: int = 0x65) -> bytes:
    return tlv(tag, tlv(10, bytes([code])), tlv(4), tlv(4, said.encode()))


REFERENCE = tlv(0x73, tlv(4, b"ldap://elsewhere/"))
VALUES = st.lists(st.binary(max_size=200), max_size=4)
ENTRIES = st.lists(st.tuples(st.text(max_size=60), VALUES, VALUES, st.booleans()), max_size=4)


class ResponseTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        made = b"".join(
            [
                message(7, entry("cn=a", CN=[b"a"], none=[])),
                message(9, REFERENCE),
                message(8, done(32, "no such base\0")),
                message(0, done(52, "going down", tag=0x78)),
            ]
        )
        expected: list[Answer] = [
            (7, Entry("cn=a", {"cn": (b"a",), "none": ()})),
            (8, Result(32, "no such base\0")),
            (0, Result(52, "going down")),
        ]
        found = Responses().feed(made)
        self.assertEqual(found, expected)
        self.assertEqual(str(found[1][1]), "noSuchObject, no such base")
        self.assertEqual(str(Result(4711, "")), "4711")

    @given(ENTRIES, st.data())
    def test_in_any_pieces(
        self, made: list[tuple[str, list[bytes], list[bytes], bool]], data: st.DataObject
    ) -> None:
        stream, expected = b"", []
        for number, (dn, one, two, wide) in enumerate(made, 1):
            written = message(number, entry(dn, wide, cn=one, member=two), wide)
            decode(written, asn1Spec=LDAPMessage())  # this is how servers write
            stream += written
            values = {"cn": tuple(one), "member": tuple(two)}
            expected.append((number, Entry(dn, values)))
        responses, found, at = Responses(), [], 0
        while at < len(stream):
            size = data.draw(st.integers(1, len(stream)))
            found += responses.feed(stream[at : at + size])
            at += size
        self.assertEqual(found, expected)

    @given(st.binary(max_size=60), st.integers(0, 60), st.booleans())
    def test_garbage(self, raw: bytes, at: int, whole: bool) -> None:
        """Bytes that are none of a directory's lead to one kind of error, or are waited for."""
        good = message(7, entry("cn=a,dc=lab", CN=[b"a"], mail=[b"b", b"c"]))
        for stream in (raw, tlv(0x30, raw) if whole else good[:at] + raw + good[at:]):
            with contextlib.suppress(Malformed):
                Responses().feed(stream)

    def test_too_long(self) -> None:
        for begins in (b"\x30\x84\x7f\xff\xff\xff", b"\x30\x85", b"\x30\x80", b"\x31\x00"):
            self.assertRaises(Malformed, Responses().feed, begins)
