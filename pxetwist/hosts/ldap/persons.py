"""Persons and their passwords: who may start a locked entry of a menu."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.ldap.faults import BindRefused
from pxetwist.hosts.ldap.filters import any_of, equal
from pxetwist.hosts.ldap.groups import groups_of
from pxetwist.hosts.ldap.request import Search
from pxetwist.hosts.ldap.session import Session
from pxetwist.hosts.ldap.settings import Settings, Uri
from pxetwist.model.boot import Login


def check_login(
    session: Session,
    login: Login,
    settings: Settings,
    connect: Callable[[Uri, Settings], Session],
) -> tuple[str, ...] | None:
    """Find the person, bind with the password on a connection of its own, and ask for groups.

    `None` if nobody, or more than one, has that name, or the password is wrong. An empty
    password is never tried: servers take it for nobody, and say success (RFC 4513 §5.1.2).

    :raises DirectoryUnavailable: if the server cannot be asked, or there is no TLS to it.
    """
    if not login.username or not login.password:
        return None
    filter_ = any_of(equal(name, login.username) for name in settings.person_attributes)
    found = session.search(Search(session.base, filter_, ("objectSid", "primaryGroupID")))
    if len(found) != 1:
        return None
    try:
        person = attrs.evolve(
            settings,
            bind="simple",
            bind_dn=found[0].dn,
            bind_password_file=login.password,
            keytab=None,
        )
    except ValueError as error:  # without TLS
        raise DirectoryUnavailable(str(error)) from None
    try:
        connect(session.uri, person).close()
    except BindRefused:
        return None
    base = settings.group_base or session.base
    asking = groups_of(found[0], base, nested=True, active_directory=session.active_directory)
    return session.talk(asking)
