"""How the requests of an operator end: answered, refused by a code, told to observers."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import attrs
from twisted.conch.ssh import filetransfer
from twisted.conch.ssh.filetransfer import SFTPError
from twisted.internet.defer import Deferred

from pxetwist.errors import ContentDenied, ContentNotFound, PxeError
from pxetwist.interfaces import Site
from pxetwist.model.content import ContentPath
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity

T = TypeVar("T")


@attrs.frozen
class Operator:
    """Who uploads and reads: a name, and the address that it comes from."""

    name: str
    identity: ClientIdentity
    local: str


class IOpened(Protocol):
    """What is open, and may be left behind."""

    def abandon(self) -> None:
        """Let go of it: the operator has left."""


class OperatorWork:
    """What one operator's session is about; `opened` are the files that are not closed yet."""

    def __init__(self, site: Site, operator: Operator) -> None:
        self.opened: set[IOpened] = set()
        self._site = site
        self._operator = operator

    def guarded(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """Do something, and answer mistakes by their codes; those of ours are logged."""
        return Deferred.fromCoroutine(self._guard(work))

    async def _guard(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        try:
            return await work
        except (SFTPError, EOFError):
            raise
        except PxeError as error:
            raise SFTPError(_code(error), str(error)) from None
        except OSError as error:
            text = error.strerror or str(error)
            raise SFTPError(filetransfer.FX_FAILURE, text) from None
        except Exception:
            self._site.log.failure("a request of an operator failed")
            raise SFTPError(filetransfer.FX_FAILURE, "internal trouble") from None

    def tell(self, path: ContentPath, summary: str, octets: int, *, whole: bool) -> None:
        """Tell observers what became of a file."""
        operator = self._operator
        details = {"path": str(path), "bytes": octets, "address": str(operator.identity.address)}
        kind = EventKind.ENDED if whole else EventKind.FAILED
        who = f"operator {operator.name}"
        event = BootEvent(self.now(), kind, "sftp", who, summary=summary, details=details)
        self._site.boot.tell(event)

    def now(self) -> float:
        """Return the time."""
        return float(self._site.reactor.seconds())


def _code(error: PxeError) -> int:
    if isinstance(error, ContentDenied):
        return int(filetransfer.FX_PERMISSION_DENIED)
    if isinstance(error, ContentNotFound):
        return int(filetransfer.FX_NO_SUCH_FILE)
    return int(filetransfer.FX_FAILURE)
