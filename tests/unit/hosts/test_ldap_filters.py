"""Search filters: escapes, spellings, templates."""

from __future__ import annotations

import re
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts.ldap.filters import (
    Template,
    all_of,
    any_of,
    equal,
    escaped,
    mac_spellings,
    uuid_spellings,
)
from pxetwist.model.identity import ClientIdentity, Relay


def unescaped(text: str) -> bytes:
    """Read a value as a server does (RFC 4515 section 3)."""
    return re.sub(
        rb"\\([0-9a-f]{2})",
        lambda m: bytes([int(m[1], 16)]),
        text.encode("ascii"),
        flags=re.DOTALL,
    )


class EscapeTests(SynchronousTestCase):
    @given(st.binary())
    def test_bytes_survive(self, raw: bytes) -> None:
        self.assertEqual(unescaped(escaped(raw)), raw)
        self.assertRegex(escaped(raw), r"\A([A-Za-z0-9._:-]|\\[0-9a-f]{2})*\Z")

    @given(st.binary())
    def test_bytes_of_the_wire_survive_as_text(self, raw: bytes) -> None:
        self.assertEqual(unescaped(escaped(raw.decode("utf-8", "surrogateescape"))), raw)

    def test_each_of_the_rfc(self) -> None:
        for raw, expected in (
            ("*)(objectClass=*", r"\2a\29\28objectClass\3d\2a"),
            ("\0\\", r"\00\5c"),
            ("Lučić", r"Lu\c4\8di\c4\87"),
            (" ", r"\20"),
            ("\ud800", r"\ed\a0\80"),
            ("", ""),
        ):
            self.assertEqual(escaped(raw), expected)


class FilterTests(SynchronousTestCase):
    def test_terms(self) -> None:
        one, two = equal("cn", "a"), equal("cn", "b")
        self.assertEqual(any_of([one, two, one]), "(|(cn=a)(cn=b))")
        self.assertEqual(any_of([one]), one)
        self.assertEqual(any_of([]), "")
        self.assertEqual(all_of("", one), one)
        self.assertEqual(all_of(one, two), "(&(cn=a)(cn=b))")

    def test_mac_spellings(self) -> None:
        self.assertEqual(
            set(mac_spellings("52:54:00:00:00:ab")),
            {
                *("52:54:00:00:00:ab", "52-54-00-00-00-ab", "5254000000ab", "5254.0000.00ab"),
                *("52:54:00:00:00:AB", "52-54-00-00-00-AB", "5254000000AB", "5254.0000.00AB"),
            },
        )
        self.assertEqual(len(mac_spellings("52:54:00:00:00:12")), 4)

    def test_uuid_spellings(self) -> None:
        uuid = UUID("00112233-4455-6677-8899-aabbccddeeff")
        self.assertEqual(
            set(uuid_spellings(uuid)),
            {
                *("00112233-4455-6677-8899-aabbccddeeff", "33221100-5544-7766-8899-aabbccddeeff"),
                *("00112233-4455-6677-8899-AABBCCDDEEFF", "33221100-5544-7766-8899-AABBCCDDEEFF"),
            },
        )


class TemplateTests(SynchronousTestCase):
    IDENTITY = ClientIdentity(
        mac="52:54:00:00:00:ab",
        uuid=UUID("00112233-4455-6677-8899-aabbccddeeff"),
        hostname="ws*12",
        relay=Relay(circuit_id=b"\x00\x04(1)", remote_id=b"sw*"),
    )

    def test_filled(self) -> None:
        for text, expected in (
            ("(m={mac})", "(m=52:54:00:00:00:ab)"),
            ("(m={mac-dashes})", "(m=52-54-00-00-00-ab)"),
            ("(m={mac-plain})", "(m=5254000000ab)"),
            ("(u={uuid-swapped})", "(u=33221100-5544-7766-8899-aabbccddeeff)"),
            ("(c={circuit-id})", r"(c=\00\04\281\29)"),
            ("(c={remote-id})", r"(c=sw\2a)"),
            ("(|(cn={hostname})(cn={hostname}.lab))", r"(|(cn=ws\2a12)(cn=ws\2a12.lab))"),
            ("(s={serial})", ""),
            ("(|(m={mac})(s={serial}))", ""),
        ):
            self.assertEqual(Template.parse(text).fill(self.IDENTITY), expected)
        octets = Template.parse("(g={uuid-bytes})").fill(self.IDENTITY)
        self.assertEqual(unescaped(octets[3:-1]), self.IDENTITY.uuid.bytes_le)  # type: ignore[union-attr]  # it has one

    def test_a_value_is_no_template(self) -> None:
        identity = ClientIdentity(hostname="{mac}", mac="52:54:00:00:00:ab")
        self.assertEqual(Template.parse("(cn={hostname})").fill(identity), r"(cn=\7bmac\7d)")

    def test_mistakes(self) -> None:
        for text, message in (
            ("(cn={name})", "{name} is no placeholder"),
            ("(cn=ws12)", "has no placeholder"),
            ("(cn={})", "{} is no placeholder"),
        ):
            with self.assertRaises(ValueError) as caught:
                Template.parse(text)
            self.assertIn(message, str(caught.exception))
