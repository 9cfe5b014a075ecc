"""Search requests are, byte for byte, those that ldap3 makes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ldap3 import DEREF_NEVER, SUBTREE
from ldap3.core.exceptions import LDAPInvalidFilterError
from ldap3.operation.search import search_operation
from ldap3.protocol.rfc4511 import LDAPMessage, MessageID, ProtocolOp
from pyasn1.codec.ber.encoder import encode
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts.ldap.filters import MarkFilter, all_of, any_of, equal, escaped
from pxetwist.hosts.ldap.request import Search, search_request

BASE = "ou=Räume,dc=lab"


def theirs(message_id: int, search: Search, seconds: int) -> bytes:
    wanted = list(search.attributes)
    request = search_operation(
        search.base, search.filter, SUBTREE, DEREF_NEVER, wanted, 0, seconds, False, False, False
    )
    message = LDAPMessage()
    message["messageID"] = MessageID(message_id)
    message["protocolOp"] = ProtocolOp().setComponentByName("searchRequest", request)
    return bytes(encode(message))


class RequestTests(SynchronousTestCase):
    def same(self, filter_: str, message_id: int = 7) -> None:
        search = Search(BASE, filter_, ("cn", "macAddress"))
        made = search_request(message_id, search, 2)
        self.assertEqual(made, theirs(message_id, search, 2), filter_)

    def test_each_kind_of_filter(self) -> None:
        for filter_ in (
            "(cn=ws12)",
            "(cn=*)",
            "(cn=a*)",
            "(cn=*a*b*)",
            r"(cn=\2a*\28b*c)",
            "(n>=1)",
            "(n<=1)",
            "(cn~=a)",
            "(!(cn=a))",
            "(&(a=1)(|(b=2)(c=3))(!(d=4)))",
            r"( & (a= 1 ) (b=\5c2a) )",
            "(&(a=1)(!(|(b=2)(&(c=3)(d=*)))))",
            "(&(a=1)(|(b=2) (c=3)))",
            r"(a=\2A)",
            "(2.5.4.3;lang-de=Büro)",
        ):
            self.same(filter_)

    def test_matching_rules(self) -> None:
        rule = "1.2.840.113556.1.4.1941"
        encoded = search_request(1, Search("", f"(member:{rule}:=cn\\3da)", ()), 1)
        expected = b"\xa9" + bytes([2 + 23 + 2 + 6 + 2 + 4]) + b"\x81\x17" + rule.encode()
        self.assertIn(expected + b"\x82\x06member\x83\x04cn=a", encoded)
        self.assertIn(b"\x83\x01a\x84\x01\xff", search_request(1, Search("", "(ou:dn:=a)", ()), 1))

    def test_sizes(self) -> None:
        """Lengths and numbers of more than one byte."""
        for size in (100, 127, 128, 255, 256, 70_000):
            self.same(equal("cn", "x" * size))
        for message_id in (1, 127, 128, 255, 256, 32_767, 32_768, 2**31 - 1):
            self.same("(cn=a)", message_id)

    @given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.binary(min_size=1))
    def test_any_bytes(self, values: list[bytes], part: bytes) -> None:
        self.same(any_of(equal("cn", value) for value in values))
        self.same(all_of("(objectClass=device)", f"(cn=*{escaped(part)}*)"))

    @given(
        st.sampled_from(("", "(objectClass=device)", "(|(a=1)(b=*))")),
        st.lists(
            st.tuples(st.sampled_from(("cn", "netbootGUID")), st.text() | st.binary(max_size=200)),
            min_size=1,
            max_size=9,
        ),
    )
    def test_marks(self, condition: str, values: list[tuple[str, str | bytes]]) -> None:
        """They say the same whether they were text in between or not."""
        marks = MarkFilter(condition, tuple(values))
        made, spelled = (
            search_request(7, Search(BASE, each, ()), 2) for each in (marks, str(marks))
        )
        self.assertEqual(made, spelled)

    def test_no_filter(self) -> None:
        for wrong in ("", "cn=a", "(cn=a", "(cn)", "()"):
            with self.assertRaises(LDAPInvalidFilterError):
                search_request(1, Search(BASE, wrong, ()), 1)
