"""A boot menu per group of machines, some of its entries behind a person's password."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch

import attrs
from zope.interface import implementer

from pxetwist.config.fields import boolean, list_of, option, seconds, text
from pxetwist.errors import ConfigError, Location
from pxetwist.interfaces import IBootPolicy, IExplains, ISteady, Site
from pxetwist.model.boot import BootPlan, BootRequest
from pxetwist.model.boots import Menu
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.policies import suggestion


@attrs.frozen
class Settings:
    """Who gets which menu."""

    entries: tuple[str, ...] = option(list_of(text), doc="The profiles to choose from, in order.")
    groups: tuple[str, ...] = option(
        list_of(text),
        default=(),
        doc="The menu is for machines in one of these groups, `*` and `?` stand for anything;"
        " left out, for every machine.",
    )
    title: str = option(text, default="Network boot", doc="What stands above the menu.")
    timeout: float = option(seconds, default=0.0, doc="When the default starts; 0: never.")
    default: str = option(text, default="", doc="The entry that starts by itself; else the first.")
    locked: tuple[str, ...] = option(
        list_of(text), default=(), doc="Entries that need a person's password."
    )
    password: str = option(
        text, default="", doc="The [hosts:NAME] that checks passwords, a plugin like ldap."
    )
    admit: tuple[str, ...] = option(
        list_of(text),
        default=(),
        doc="Groups of persons that may start locked entries; left out, everybody whose password"
        " is right.",
    )
    plain_password: bool = option(
        boolean,
        default=False,
        doc="Accept that passwords cross the boot network in the clear, by HTTP. With `no`, locked"
        " entries are for machines that are given https URLs; others are not shown them.",
    )


@implementer(IBootPolicy, IExplains, ISteady)
@attrs.frozen
class MenuPolicy:
    """Gives its menu to the machines of its groups, and has no opinion on others."""

    groups: Sequence[str]
    profile: BootProfile
    locked: frozenset[str]
    guard: str
    admitted: tuple[str, ...]
    plain: bool = False

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        """Return the menu of what this architecture can start.

        :raises PolicyError: if that is nothing.
        """
        group = self._group(request)
        if group is None:
            return None
        reason = f"machines in {group}" if group else "every machine"
        plan = self.profile.plan(request.identity.architecture, reason)
        assert isinstance(plan.boot, Menu)
        entries = tuple(
            attrs.evolve(entry, locked=entry.name in self.locked) for entry in plan.boot.entries
        )
        menu = attrs.evolve(
            plan.boot,
            entries=entries,
            guard=self.guard,
            admitted=self.admitted,
            plain=self.plain,
        )
        return attrs.evolve(plan, boot=menu)

    def edition(self) -> int:
        """It says the same for ever."""
        return 0

    def explain(self, request: BootRequest) -> list[str]:
        """Say whom the menu is for."""
        group = self._group(request)
        if group is None:
            return [f"menu {self.profile.title!r}: no, in none of {', '.join(self.groups)}"]
        return [f"menu {self.profile.title!r}: for {group or 'every machine'}"]

    def _group(self, request: BootRequest) -> str | None:
        """Return the group that entitles the machine, empty if none is needed."""
        if not self.groups:
            return ""
        groups = request.machine.groups if request.machine else ()
        for pattern in self.groups:
            for group in groups:
                if fnmatch(group.lower(), pattern.lower()):
                    return group
        return None


def build(settings: Settings, site: Site) -> MenuPolicy:
    """Make the policy.

    :raises ConfigError: if an entry is no profile, or a lock has no key.
    """

    def wrong(message: str) -> ConfigError:
        return ConfigError(Location(""), message)

    profiles = []
    for name in settings.entries:
        profile = site.profiles.get(name)
        if profile is None or profile.kind is ProfileKind.MENU:
            hint = suggestion(name, site.profiles)
            raise wrong(f"entries: {name!r} is no profile that a menu can hold{hint}")
        profiles.append(profile)
    for name in (*settings.locked, *filter(None, [settings.default])):
        if name not in settings.entries:
            raise wrong(f"{name!r} is none of the entries ({', '.join(settings.entries)})")
    if settings.locked and not settings.password:
        raise wrong("locked entries need `password`, the directory that checks it")
    if settings.locked and site.directories and settings.password not in site.directories:
        hint = suggestion(settings.password, site.directories)
        raise wrong(f"password: 'hosts' in [pxe] names no directory {settings.password!r}{hint}")
    if settings.locked and not settings.plain_password and not site.https:
        raise wrong(
            "passwords would cross the boot network in the clear, by HTTP: a [service:https]"
            " mends it, `plain-password = yes` accepts it"
        )
    if settings.default in settings.locked and settings.timeout:
        raise wrong(f"the default {settings.default!r} is locked: it cannot start by itself")
    menu = BootProfile(
        site.name,
        ProfileKind.MENU,
        title=settings.title,
        entries=tuple(profiles),
        default=settings.default,
        timeout=int(settings.timeout),
    )
    return MenuPolicy(
        settings.groups,
        menu,
        frozenset(settings.locked),
        settings.password,
        settings.admit,
        settings.plain_password,
    )
