"""A session with an LDAP server that another thread closes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.hosts.ldap.faults import ServerFault
from pxetwist.hosts.ldap.session import Session
from pxetwist.hosts.ldap.settings import Uri


@attrs.define
class Connection:
    """One of ldap3's that is being closed: it does not know it yet, and reads what is no LDAP."""

    closed: bool = False
    socket: None = None

    @property
    def strategy(self) -> Any:
        return self

    def close(self) -> None:
        """Take some time."""

    def search(self, *what: object, **more: object) -> None:
        raise KeyError((0, 3))

    def open(self, **more: object) -> None:
        raise TypeError("'NoneType' object does not support item assignment")


class SessionTests(SynchronousTestCase):
    def test_what_is_read_while_it_is_closed_is_no_bug(self) -> None:
        session = Session(Uri("ldaps", "dc1", 636), Connection(), 1.0)  # type: ignore[arg-type]
        with self.assertRaises(KeyError):
            session.pages("dc=lab", "(cn=*)", ["cn"]).__next__()
        session.close()
        with self.assertRaisesRegex(ServerFault, "was closed"):
            session.pages("dc=lab", "(cn=*)", ["cn"]).__next__()

    def test_what_happens_while_it_is_opened_is_none_either(self) -> None:
        session = Session(Uri("ldaps", "dc1", 636), Connection(), 1.0)  # type: ignore[arg-type]
        settings: Any = SimpleNamespace(start_tls=True, bind="simple")
        with self.assertRaises(TypeError):
            session._bind(settings)
        session.close()
        with self.assertRaisesRegex(ServerFault, "was closed"):
            session._bind(settings)
