"""``pxetwist order FILE HOST PROFILE``: let a machine boot a profile once."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from twisted.python import usage

from pxetwist.cli.file_options import FileOptions
from pxetwist.cli.printing import printable, table
from pxetwist.config import fields
from pxetwist.config.assemble import Assembly
from pxetwist.config.bind import did_you_mean
from pxetwist.errors import PxeError
from pxetwist.interfaces import IListsMachines
from pxetwist.model.identity import parse_mac
from pxetwist.model.order import Order, OrderState
from pxetwist.policies.orders import OrdersPolicy
from pxetwist.state import orders
from pxetwist.state.database import Session, opened
from pxetwist.tap import assembled

T = TypeVar("T")

_NAME = re.compile(r"[\w.-]+", re.ASCII)


class Options(FileOptions):
    """Options of the command."""

    synopsis = "FILE HOST PROFILE [options] | FILE --list | FILE --cancel NUMBER"
    longdesc = (
        "HOST is a machine's name or a MAC address. The order is taken at the machine's next"
        " network boot, by one boot only, and is done when the installer calls back. FILE must"
        " have a policy of the plugin orders. A running server sees it within a second."
    )
    optParameters = [
        ["then", "t", "", "The profile that the machine boots when the order is done or failed."],
        ["expires", "e", None, "Void if not taken within 2h, 7d, …, or by 2031-12-24 18:00."],
        ["cancel", "c", None, "Take an order back, and what comes after it."],
        ["policy", "p", None, "The policy, if the INI has several of this kind."],
    ]
    optFlags = [["list", "l", "List all orders."]]

    def parseArgs(self, *args: str) -> None:
        """Take the INI, and what to order."""
        if self["list"] or self["cancel"]:
            super().parseArgs(*args)
        elif len(args) == 3:
            self["file"], self["host"], self["profile"] = args
        else:
            raise usage.UsageError(f"expected {self.synopsis}, got {' '.join(args) or 'nothing'}")

    def postOptions(self) -> None:
        """Check what was given."""
        if self["cancel"] and not self["cancel"].isdecimal():
            raise usage.UsageError(
                f"--cancel: expected a number of the list, got {self['cancel']}"
            )
        if self["expires"] is not None:
            self["expires"] = _moment(self["expires"], time.time())


def _moment(value: str, now: float) -> float:
    """Return when an order is void: 0 is never."""
    try:
        lasts = fields.seconds(value)
    except ValueError:
        pass
    else:
        if lasts and value.strip().isdecimal():
            raise usage.UsageError(f"--expires: expected a unit, like {value}h or {value}d")
        return now + lasts if lasts else 0.0
    try:
        moment = datetime.fromisoformat(value).timestamp()
    except ValueError:
        raise usage.UsageError(
            f"--expires: expected 2h, 7d or 2031-12-24 18:00, got {value!r}"
        ) from None
    if moment <= now:
        raise usage.UsageError(f"--expires: {value} is over")
    return moment


def run(options: Options) -> int:
    """Order, list or cancel."""
    assembly = assembled(Path(options["file"]))
    policy = policy_of(assembly, options["policy"])
    now = time.time()
    if options["list"]:
        with opened(policy.store.pool.database, orders.SCHEMA, change=False) as session:
            found = session.run(orders.everything, change=False) if session else []
        print("\n".join(_listed(found, now)))
        return 0
    work: Callable[[Session], Order]
    if options["cancel"]:
        work = partial(orders.cancel, int(options["cancel"]), now)
    else:
        order, names = _order(options, assembly, policy, now)
        work = partial(orders.add, order, names=names)
    with opened(policy.store.pool.database, orders.SCHEMA, change=True) as session:
        assert session is not None
        session.run(partial(orders.sweep, now), change=True)
        order = session.run(work, change=True)
    print(_said(order, now))
    return 0


def policy_of(assembly: Assembly, name: str | None) -> OrdersPolicy:
    """Return the policy that orders are for.

    :raises PxeError: if the INI has none, or several and none was named.
    """
    found = {
        known: policy
        for known, policy in assembly.of_kind("policy")
        if isinstance(policy, OrdersPolicy) and name in (None, known)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    file = assembly.configuration.file
    if found:
        raise PxeError(f"{file} has several policies of the plugin orders: --policy NAME")
    raise PxeError(
        f"{file}: no policy {name or 'orders'} of the plugin orders; name it first in policies"
    )


def _order(
    options: Options, assembly: Assembly, policy: OrdersPolicy, now: float
) -> tuple[Order, Collection[str]]:
    """Return the order, and what its machine is called by."""
    profiles = assembly.configuration.profiles
    for option in ("profile", "then"):
        name = options[option]
        if name and name not in profiles:
            hint = did_you_mean(name, profiles) or f" (known: {', '.join(sorted(profiles))})"
            raise PxeError(f"unknown profile {name!r}{hint}")
    lasts = policy.settings.expires
    expires = options["expires"]
    if expires is None:
        expires = now + lasts if lasts else 0.0
    names = _machine(options["host"], assembly)
    return Order(
        names[0], options["profile"], then=options["then"], created=now, expires=expires
    ), names


def _machine(host: str, assembly: Assembly) -> Sequence[str]:
    """Return what a machine is called by, the best first; a name that cannot be right is a
    mistake.
    """
    directories = [each for _, each in assembly.of_kind("hosts")]
    lists = [each for each in directories if IListsMachines.providedBy(each)]
    machines = [machine for each in lists for machine in each.machines()]
    try:
        mac = parse_mac(host)
    except ValueError:
        mac = ""
    found = [m for m in machines if (mac in m.macs if mac else host.lower() == m.name.lower())]
    if len(found) == 1 or (found and not mac):
        return found[0].name.lower(), *found[0].macs
    if mac:
        return (mac,)
    if len(lists) == len(directories):
        hint = did_you_mean(host.lower(), {machine.name.lower() for machine in machines})
        raise PxeError(f"no directory knows {host!r}{hint or '; a MAC address will do as well'}")
    if not _NAME.fullmatch(host):
        shown = printable(host)
        raise PxeError(f"expected a name, or a MAC address like 52:54:00:12:34:56, got {shown!r}")
    print(f"note: {printable(host)} is in no directory that can be listed", file=sys.stderr)
    return (host.lower(),)


def _said(order: Order, now: float) -> str:
    if order.state is OrderState.CANCELLED:
        return f"order {order.number} is cancelled"
    until = f", until {_time(order.expires)}" if order.expires else ""
    then = f", then {order.then}" if order.then else ""
    return f"order {order.number}: {order.machine} boots {order.profile} once{then}{until}"


def _listed(found: Sequence[Order], now: float) -> Iterator[str]:
    if not found:
        yield "no orders"
        return
    rows = [("NUMBER", "MACHINE", "PROFILE", "STATE", "SINCE", "BOOTS", "THEN", "NOTE")]
    for each in found:
        order = each.overdue(now)
        since = order.ended or order.taken or order.created
        note = order.note or (f"label {order.label}" if order.label else "")
        if order.state is OrderState.PENDING and order.expires:
            note = f"until {_time(order.expires)}"
        rows.append(
            (
                str(order.number),
                order.machine,
                order.profile,
                order.state.value,
                _time(since),
                " ".join(filter(None, (str(order.attempts), order.boot_id))),
                order.then,
                note,
            )
        )
    yield from table(rows)


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")
