"""``pxetwist neighbours FILE``: the other DHCP servers on the wire, and whether they fit.

It asks as nobody for a few seconds; no lease is completed and no port is needed, so that it runs
beside the server, and beside another one on this host.
"""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

from twisted.python import usage

from pxetwist.boot.loaders import BUILT_IN
from pxetwist.cli.file_options import FileOptions
from pxetwist.config.load import Configuration, load
from pxetwist.config.web import http_port
from pxetwist.errors import StartError
from pxetwist.exchange import remedies
from pxetwist.exchange.neighbours import PROBE_MAC, Asker, Neighbour, Neighbours
from pxetwist.exchange.remedies import BootFileFor
from pxetwist.exchange.verdicts import Ours, Verdict, absent, instead, judge
from pxetwist.services.dhcp.neighbour_watch import probe_packet, read
from pxetwist.services.dhcp.wiretap import Overheard, open_tap, read_tap
from pxetwist.services.interfaces import NetworkInterface, network_interfaces
from pxetwist.wire.iana import Architecture

_ASKERS = (Asker.PLAIN, Asker.BIOS, Asker.UEFI, Asker.HTTP)
#: Asked again after so many seconds: servers that ping first need 3 s, and a probe may be lost.
_AGAIN = 1.5


class Options(FileOptions):
    """Options of the command."""

    synopsis = "FILE [options]"
    longdesc = "Needs root (CAP_NET_RAW). Exits with 1 if something clashes."
    optParameters = [
        ["seconds", "s", "5", "How long to listen."],
        ["interface", "i", None, "Only this interface."],
    ]
    optFlags = [["lines", "l", "Also the lines that let each DHCP server do without ProxyDHCP."]]

    def postOptions(self) -> None:
        """Insist on a number."""
        try:
            self["seconds"] = float(self["seconds"])
        except ValueError:
            raise usage.UsageError(f"--seconds {self['seconds']!r} is no number") from None


def run(options: Options) -> int:
    """Probe, listen, print."""
    configuration = load(Path(options["file"]))
    interfaces = _interfaces(configuration, options["interface"])
    neighbours = _heard(interfaces, options["seconds"])
    own = _programs_on(67)
    lines = [*_report(configuration, interfaces, neighbours, own, all_lines=options["lines"])]
    print("\n".join(text for text, _ in lines))
    return 1 if any(clash for _, clash in lines) else 0


def _interfaces(configuration: Configuration, only: str | None) -> list[NetworkInterface]:
    """Return those that the services listen on.

    :raises StartError: if there is none.
    """
    present = [each for each in network_interfaces() if each.ready]
    names = [only] if only else _named(configuration)
    chosen = [each for each in present if (each.name in names if names else each.usable)]
    if not chosen:
        there = ", ".join(map(str, present)) or "none"
        wanted = ", ".join(names) or "a network interface"
        raise StartError(f"{wanted}: not up, or without IPv4 address (there are: {there})")
    return chosen


def _named(configuration: Configuration) -> list[str]:
    services = configuration.of_kind("service")
    dhcp = [each for each in services if each.factory.name in ("dhcp", "proxydhcp")]
    named = [each.settings.interfaces for each in dhcp]
    return [name for names in named for name in names] if all(named) else []


def _heard(interfaces: Sequence[NetworkInterface], seconds: float) -> Neighbours:
    """Send the probes and listen.

    :raises StartError: without the right to.
    """
    neighbours = Neighbours()
    mac = PROBE_MAC + random.randbytes(2)
    askers: dict[int, Asker] = {}
    try:
        tap = open_tap(outgoing=True)
    except OSError as error:
        raise StartError(f"cannot listen (run it as root): {error.strerror}") from error
    with closing(tap):
        end, again = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            if now >= again:
                again = now + _AGAIN
                _ask(interfaces, mac, askers)
            if not select.select([tap], [], [], min(end, again) - now)[0]:
                continue
            try:
                overheard = read_tap(tap)
            except OSError:  # an interface went down
                continue
            if overheard and overheard.interface in [each.name for each in interfaces]:
                _note(neighbours, overheard, askers)
    return neighbours


def _note(neighbours: Neighbours, overheard: Overheard, askers: dict[int, Asker]) -> None:
    found = read(overheard, askers)
    if found is not None:
        neighbours.hear(*found, time.monotonic())


def _ask(interfaces: Sequence[NetworkInterface], mac: bytes, askers: dict[int, Asker]) -> None:
    """Send each kind of probe; by a raw IP socket, so that servers on this host hear it, too.

    The kernel does not let it come from 0.0.0.0 then; the broadcast flag makes that no matter.
    """
    for interface in interfaces:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            name = interface.name.encode()
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            for asker in _ASKERS:
                xid = random.getrandbits(32)
                askers[xid] = asker
                try:
                    packet = probe_packet(asker, mac, xid, interface.local)
                    sender.sendto(packet, ("255.255.255.255", 0))
                except OSError as error:
                    raise StartError(f"{interface.name}: {error.strerror}") from error


def _programs_on(port: int) -> list[str]:
    """Name the programs of this host that listen on a UDP port, as far as /proc shows."""
    sockets = set()
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[1].rpartition(":")[2], 16) == port:
            sockets.add(f"socket:[{words[9]}]")
    return sorted(set(_owners(sockets))) if sockets else []


def _owners(sockets: set[str]) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            held = any(str(each.readlink()) in sockets for each in (process / "fd").iterdir())
            if held:
                yield f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:  # it ended, or is not ours to look into
            continue


Line = tuple[str, bool]


def _report(
    configuration: Configuration,
    interfaces: Sequence[NetworkInterface],
    neighbours: Neighbours,
    own: Sequence[str],
    *,
    all_lines: bool,
) -> Iterator[Line]:
    for interface in interfaces:
        ours = _ours(configuration, interface)
        yield f"{interface}: we run {_role(ours)} there", False
        here = [each for each in neighbours if each.interface == interface.name]
        for neighbour in here:
            yield from _neighbour(neighbour, ours, own, all_lines=all_lines)
        others = [each for each in here if each.server != ours.address or not ours.dhcp]
        missing = absent(here, ours)
        if missing:
            yield from _verdict(missing)
        elif not others:
            yield "  no other DHCP server answered", False


def _role(ours: Ours) -> str:
    roles = [name for name, is_so in (("dhcp", ours.dhcp), ("proxydhcp", ours.proxy)) if is_so]
    return " and ".join(roles) or "no DHCP service"


def _neighbour(
    neighbour: Neighbour, ours: Ours, own: Sequence[str], *, all_lines: bool
) -> Iterator[Line]:
    here = neighbour.server == ours.address
    where = f", on this host: {', '.join(own) or 'a program that we cannot see'}" if here else ""
    yield f"  {neighbour}{where}", False
    for asker, reply in neighbour.replies.items():
        yield (
            f"    to a {asker.value}: {reply}"
            if asker is not Asker.OTHERS
            else (f"    to other machines: {reply}"),
            False,
        )
    if here and (ours.dhcp or neighbour.is_proxy):
        yield "    this is pxetwist, or has its address", False
        return
    verdicts = judge(neighbour, ours)
    for verdict in verdicts:
        yield from _verdict(verdict, "    ")
    if not verdicts:
        yield "    no clash", False
    if all_lines and ours.proxy and not neighbour.is_proxy:
        yield "    for machines that take no ProxyDHCP offer it needs:", False
        for text in remedies.spelled(instead(ours)):
            yield f"      {text}", False


def _verdict(verdict: Verdict, indent: str = "  ") -> Iterator[Line]:
    yield f"{indent}{'CLASH: ' if verdict.clash else ''}{verdict.text}", verdict.clash
    for text in remedies.spelled(verdict.lines):
        yield f"{indent}  {text}", False


def _ours(configuration: Configuration, interface: NetworkInterface) -> Ours:
    services = configuration.of_kind("service")
    roles = {
        each.factory.name
        for each in services
        if interface.name in (getattr(each.settings, "interfaces", ()) or (interface.name,))
    }
    networks = [each.network for each in configuration.networks.values()]
    assert interface.address is not None
    ours = interface.address
    dhcp = "dhcp" in roles and any(ours.ip in network for network in networks)
    port = http_port(configuration)
    base = f"http://{ours.ip}" + ("" if port == 80 else f":{port}")
    return Ours(
        IPv4Address(ours.ip),
        ours.network,
        dhcp=dhcp,
        proxy="proxydhcp" in roles,
        files=_files(configuration),
        script=f"{base}/boot.ipxe",
        grub=any(profile.loader == "grub" for profile in configuration.profiles.values()),
    )


def _files(configuration: Configuration) -> list[BootFileFor]:
    """Return the first loader of each architecture that has PXE firmware."""
    files: dict[str, str] = {}
    for loader in (*configuration.loaders, *BUILT_IN):
        files.setdefault(loader.architecture, loader.file)
    firmware = (Architecture.X86_BIOS, Architecture.X86_UEFI, Architecture.X64_UEFI)
    known = (*firmware, Architecture.ARM32_UEFI, Architecture.ARM64_UEFI)
    return [
        BootFileFor(int(each), each.short, files[each.short])
        for each in known
        if each.short in files
    ]
