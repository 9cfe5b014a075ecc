"""The groups of a machine, nested ones included."""

from __future__ import annotations

from collections.abc import Sequence

from pxetwist.hosts.ldap.conversations import Conversation
from pxetwist.hosts.ldap.filters import any_of, equal, escaped
from pxetwist.hosts.ldap.request import Search
from pxetwist.hosts.ldap.schema import Entry, rdns

#: How deep groups may be nested; what is deeper is not looked at.
DEPTH = 16
#: Active Directory follows ``member`` by itself (MS-ADTS 3.1.1.3.4.4.3); others know no such rule.
_IN_CHAIN = "1.2.840.113556.1.4.1941"
#: Members in one filter.
_AT_ONCE = 50
_WANTED = ("cn",)


def groups_of(
    entry: Entry, base: str, *, nested: bool, active_directory: bool
) -> Conversation[tuple[str, ...]]:
    """Ask for the groups that an entry belongs to; their names, sorted, come of it."""
    if active_directory:
        found = yield Search(base, _domain_filter(entry, nested), _WANTED)
    else:
        found = yield from _walk(entry.dn, base, DEPTH if nested else 1)
    return tuple(sorted({name for group in found if (name := _name(group))}))


def _domain_filter(entry: Entry, nested: bool) -> str:
    rule = f":{_IN_CHAIN}:" if nested else ""
    filters = [f"(member{rule}={escaped(entry.dn)})"]
    sid, primary = entry.values.get("objectsid", ()), entry.number("primaryGroupID")
    if sid and primary is not None:
        # no member of its primary group (Domain Computers) says so; the last 4 bytes differ
        filters.append(equal("objectSid", sid[0][:-4] + primary.to_bytes(4, "little")))
    return any_of(filters)


def _walk(dn: str, base: str, depth: int) -> Conversation[Sequence[Entry]]:
    """Ask level by level for groups that have members of the last one, each group once."""
    found: dict[str, Entry] = {}
    level = [dn]
    for _ in range(depth):
        above: dict[str, Entry] = {}
        for start in range(0, len(level), _AT_ONCE):
            members = level[start : start + _AT_ONCE]
            kinds = ("member", "uniqueMember")
            filter_ = any_of(equal(kind, member) for member in members for kind in kinds)
            for group in (yield Search(base, filter_, _WANTED)):
                if group.dn not in found:
                    above[group.dn] = group
        if not above:
            break
        found |= above
        level = sorted(above)  # machines of the same groups go on with the same question
    return list(found.values())


def _name(group: Entry) -> str:
    names = group.texts("cn")
    own = rdns(group.dn)
    return own[0][1] if own and own[0][1] in names else (names or [group.dn])[0]
