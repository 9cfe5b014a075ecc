"""What decides, and what takes part in that."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from zope.interface import Interface

from pxetwist.model.boot import BootPlan, BootRequest, Login
from pxetwist.model.machine import Machine
from pxetwist.model.report import MachineReport


class IBootPolicy(Interface):
    """Decides what a machine boots."""

    async def plan_boot(request: BootRequest) -> BootPlan | None:
        """Return a plan, an ignored plan (stay silent), or `None`: no opinion, ask the next.

        :raises PolicyError: if it should decide but cannot.
        """


class ISteady(Interface):
    """May be provided by a directory and by a policy: it answers out of what it has read.

    Its answer depends on the identity, stage, protocol, endpoints and machine of a request alone,
    and is the same until its edition changes: then it need not be asked again.
    """

    def edition() -> int | None:
        """Return the number of the present edition; `None`: it must be asked each time."""


class IExplains(Interface):
    """May be provided by a policy as well: says how it decides."""

    def explain(request: BootRequest) -> Sequence[str]:
        """Return one line for each thing that it tried for this request, whose machine is set."""


class IAdvises(Interface):
    """May be provided by a policy as well: judges what it was told, for ``pxetwist check``.

    `machines` are all that the directories know; `None` if one of them cannot list its own.
    """

    def advice(
        machines: Collection[Machine] | None, architectures: Collection[str]
    ) -> Sequence[str]:
        """Return a sentence, with file and line, for each thing that looks wrong.

        `architectures` are the short names of those that machines or loaders here have.
        """

    def profiles_named(machines: Collection[Machine] | None) -> Collection[str] | None:
        """Return the names of all profiles that it may give; `None`: it cannot say."""


class IBegins(Interface):
    """May be provided by a policy as well: is asked once more before its plan takes effect."""

    async def begin(request: BootRequest) -> bool:
        """Return whether the plan of this request still holds, just before a loader is given the
        text for it or a machine its program. If not, everything is decided anew.

        :raises PolicyError: if it cannot tell now; nothing is given then.
        """


class IHears(Interface):
    """May be provided by a policy as well: is told what machines say of themselves."""

    async def hear(report: MachineReport) -> str | None:
        """Take note, and return a text for the machine; `None`: this is for others.

        :raises StateUnavailable: if it cannot be stored; the machine is told to try again.
        """


class IAuthenticator(Interface):
    """May be provided by a host directory as well: knows persons and their passwords."""

    async def authenticate(login: Login) -> Collection[str] | None:
        """Return the groups of the person, or `None`: unknown, or the password is wrong.

        :raises DirectoryUnavailable: if it cannot be asked now.
        """
