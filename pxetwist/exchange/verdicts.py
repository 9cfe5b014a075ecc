"""Whether another DHCP server and pxetwist get along, in words, and what would mend it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

import attrs

from pxetwist.exchange import remedies
from pxetwist.exchange.neighbours import Heard, Neighbour
from pxetwist.exchange.remedies import BootFileFor, Lines


@attrs.frozen
class Ours:
    """How we run on one interface: our address there, its network, and as what we answer.

    `files` are our boot files, `script` the URL for iPXE; `grub` says that some profile boots
    with GRUB.
    """

    address: IPv4Address
    network: IPv4Network
    dhcp: bool = False
    proxy: bool = False
    files: Sequence[BootFileFor] = ()
    script: str = ""
    grub: bool = False


@attrs.frozen
class Verdict:
    """One thing to know of a neighbour; a `clash` keeps machines from booting."""

    text: str
    clash: bool = False
    lines: Lines = attrs.field(factory=dict)


def judge(neighbour: Neighbour, ours: Ours) -> list[Verdict]:
    """Hold what a server does against how we run; empty if there is nothing to say."""
    if neighbour.is_proxy:
        return _rival(ours)
    verdicts = []
    if ours.dhcp:
        text = (
            f"both give addresses in {ours.network}: a machine takes either, and boots from"
            " here only with ours. Keep one: there, or here proxydhcp in the place of dhcp"
        )
        verdicts.append(Verdict(text, True, remedies.stop_addresses(ours.network)))
    if ours.proxy:
        verdicts += _beside(neighbour, ours)
    return verdicts


def _rival(ours: Ours) -> list[Verdict]:
    """Look at another ProxyDHCP server."""
    if ours.proxy:
        text = "two ProxyDHCP servers: each machine takes the first that answers. Keep one"
    elif ours.dhcp:
        text = "UEFI prefers the offer of a ProxyDHCP server to ours. Switch it off"
    else:
        return []
    return [Verdict(text, True, remedies.stop_proxy())]


def _beside(neighbour: Neighbour, ours: Ours) -> Iterator[Verdict]:
    """Look at a DHCP server that we add boot data to."""
    replies = list(neighbour.replies.values())
    marked = [reply for reply in replies if reply.vendor_class.startswith("PXEClient")]
    here = neighbour.server == ours.address
    if marked and marked[-1].vendor:
        text = "it says PXEClient and sends option 43: firmware takes its boot data, never ours"
        yield Verdict(text, True, remedies.remove_class())
    elif marked and not here:
        text = (
            f"it says PXEClient (option 60) without option 43: firmware asks port 4011 of"
            f" {_server(marked[-1])}, where nobody answers"
        )
        yield Verdict(text, True, remedies.remove_class())
    named = [reply for reply in replies if reply.boot_file]
    if any(_server(reply) != ours.address for reply in named):
        text = (
            f"it hands out a boot file itself ({named[-1].boot_file} of {_server(named[-1])}):"
            " machines that do not merge two offers start that one"
        )
        yield Verdict(text, True, remedies.remove_boot())
    elif named:
        yield Verdict("it points to us: machines that take no ProxyDHCP offer boot as well")
    elif ours.grub and all(reply.next_server != ours.address for reply in replies if reply.mac):
        text = "GRUB will look for its files there: it takes the next server of the DHCP server"
        yield Verdict(text, True, remedies.next_server(ours.address))


def _server(reply: Heard) -> IPv4Address:
    """Return the boot server that firmware takes from a reply (EDK2: siaddr, then option 54)."""
    return reply.next_server if int(reply.next_server) else reply.server


def absent(neighbours: Sequence[Neighbour], ours: Ours) -> Verdict | None:
    """Say what is missing: somebody who gives addresses."""
    if not ours.proxy or any(not each.is_proxy for each in neighbours):
        return None
    text = (
        "no DHCP server answered: machines get no address (PXE-E52), unless it knows its clients"
        " or sits behind a relay; else use dhcp in the place of proxydhcp"
    )
    return Verdict(text, clash=True)


def instead(ours: Ours) -> Lines:
    """Return what lets a DHCP server do without our ProxyDHCP."""
    return remedies.point_here(ours.address, ours.files, ours.script)
