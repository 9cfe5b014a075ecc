"""What serves, and what watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.application.service import IService
from twisted.internet.interfaces import IAddress
from zope.interface import Interface

from pxetwist.interfaces.plugins import Port
from pxetwist.model.event import BootEvent


class IBootObserver(Interface):
    """Is told of every event; can delay or change nothing."""

    def notice(event: BootEvent) -> None:
        """Take note, quickly; an exception is logged and does no harm to the boot."""


class IBootService(IService):
    """A listening part of the server."""

    def listening() -> Sequence[IAddress]:
        """Return what it listens on, once started."""


class ISharesPorts(Interface):
    """May be provided by a service as well: several processes may run it, on the same ports.

    All that such a service knows of machines it asks the boot for.
    """

    def ports() -> Sequence[Port]:
        """Return what it listens on."""


class ICounts(Interface):
    """May be provided by a service: what it has counted since the start."""

    def counts() -> Mapping[str, int]:
        """Return how often each thing happened, by its name."""
