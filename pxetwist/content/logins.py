"""Passwords at locked menu entries: who may pass, and how often anybody may try."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection
from contextlib import suppress
from fnmatch import fnmatch

from pxetwist.errors import DirectoryUnavailable, LoginNeeded
from pxetwist.interfaces import Site
from pxetwist.model.boot import BootRequest
from pxetwist.model.boots import Menu
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity

#: After this many wrong passwords within PAUSE seconds a machine must wait.
TRIES = 5
PAUSE = 60.0
#: So many may come from one address: behind it are several machines, or one that takes the MACs of
#: others.
TRIES_OF_ADDRESS = 20
_REMEMBERED = 4096


class Logins:
    """Checks logins of people at machines; every wrong one is an event."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    async def check(self, request: BootRequest, menu: Menu) -> None:
        """Return if the login of the request may pass.

        :raises LoginNeeded: if there is none, if it is wrong, or after too many wrong ones.
        """
        login = request.login
        if login is None or not login.username or not login.password:
            raise LoginNeeded("no login")  # an empty password would be an anonymous bind
        now = self._site.reactor.seconds()
        tries = self._tries(request.identity, now)
        if any(len(wrong) >= most for wrong, most in tries):
            self._tell(request, f"{login.username} must wait: too many wrong passwords")
            raise LoginNeeded("too many wrong passwords")
        for wrong, _ in tries:  # until it turns out to be right: others may be asked meanwhile
            wrong.append(now)
        try:
            groups = await self._site.boot.authenticate(menu.guard, login)
        except DirectoryUnavailable as error:
            _take_back(tries, now)
            self._tell(request, f"the password of {login.username} cannot be checked: {error}")
            raise LoginNeeded(str(error)) from error
        if groups is None:
            self._tell(request, f"wrong password for {login.username}")
            raise LoginNeeded("wrong password")
        _take_back(tries, now)
        if menu.admitted and not _any_of(groups, menu.admitted):
            self._tell(request, f"{login.username} is in none of {', '.join(menu.admitted)}")
            raise LoginNeeded("not admitted")
        self._tell(request, f"{login.username} may pass", EventKind.ANSWERED)

    def _tries(self, identity: ClientIdentity, now: float) -> list[tuple[deque[float], int]]:
        """Return when passwords of this machine and of its address were wrong lately, each with
        how often that may be.
        """
        limits = {identity.key: TRIES}
        if identity.address is not None:
            limits[str(identity.address)] = TRIES_OF_ADDRESS
        return [(self._recent(who, now), most) for who, most in limits.items()]

    def _recent(self, who: str, now: float) -> deque[float]:
        found = self._wrong.setdefault(who, deque())
        self._wrong.move_to_end(who)
        if len(self._wrong) > _REMEMBERED:
            self._wrong.popitem(last=False)
        while found and now - found[0] > PAUSE:
            found.popleft()
        return found

    def _tell(self, request: BootRequest, text: str, kind: EventKind = EventKind.FAILED) -> None:
        machine = request.machine.name if request.machine else str(request.identity)
        now = self._site.reactor.seconds()
        protocol, stage = request.protocol.value, request.stage.value
        event = BootEvent(now, kind, protocol, machine, request.boot_id, stage, f"menu: {text}")
        self._site.boot.tell(event)


def _take_back(tries: list[tuple[deque[float], int]], when: float) -> None:
    for wrong, _ in tries:
        with suppress(ValueError):  # it is over by now
            wrong.remove(when)


def _any_of(groups: Collection[str], patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(group.lower(), p.lower()) for group in groups for p in patterns)
