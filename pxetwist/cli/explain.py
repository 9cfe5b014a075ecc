"""``pxetwist explain FILE``: what a machine would get, step by step, and why; no server runs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import attrs
from twisted.application.service import IService
from twisted.internet.defer import maybeDeferred
from twisted.python import usage

from pxetwist.cli.file_options import FileOptions
from pxetwist.cli.replay import replay
from pxetwist.cli.steps import Explanation
from pxetwist.config.assemble import Assembly
from pxetwist.config.load import Configuration
from pxetwist.config.web import address6_served
from pxetwist.model.boot import BootStage
from pxetwist.model.identity import (
    IPXE_HTTP,
    IPXE_HTTPS,
    ClientIdentity,
    Firmware,
    machine_uuid,
    parse_mac,
)
from pxetwist.services.interfaces import network_interfaces
from pxetwist.state.memory import MemoryLeases
from pxetwist.tap import assembled, completed
from pxetwist.wire.iana import ARCHITECTURE_NAMES, Architecture

T = TypeVar("T")

#: Documentation addresses (RFC 5737): printed when this host has no address in the network.
_NOWHERE = IPv4Address("192.0.2.1")
#: Who speaks on machines of an architecture that have no UEFI.
_SPEAKERS = {"bios": "bios", "rpi": "raspberry-pi"}
_FIRMWARE = {each.value: each for each in Firmware if each is not Firmware.UNKNOWN}
_STAGES = ("firmware", "loader", "kernel")


class Options(FileOptions):
    """Options of the command."""

    synopsis = "FILE --mac MAC [options] | FILE --pcap CAPTURE"
    longdesc = (
        "Asks the directories and policies of the INI as a running server would, and prints each"
        " step of the boot: who answered, which rule matched, the reply, the loader, its script."
    )
    optParameters = [
        ["mac", "m", None, "The machine's MAC address."],
        ["uuid", "u", None, "Its UUID, as Linux prints it."],
        ["arch", "a", "x64", f"Its architecture: {', '.join(ARCHITECTURE_NAMES)}."],
        ["firmware", "f", None, f"Who asks first: {', '.join(_FIRMWARE)}."],
        ["stage", "s", None, f"Only this stage: {', '.join(_STAGES)}."],
        ["server", None, None, "The address of the server, if not this host's; also of IPv6."],
        ["pcap", "p", None, "Explain each request of this capture instead."],
    ]
    optFlags = [["https", None, "Its iPXE tells that it has HTTPS (option 175.20)."]]

    def postOptions(self) -> None:
        """Check what was given."""
        if bool(self["mac"]) == bool(self["pcap"]):
            raise usage.UsageError("explain needs either --mac or --pcap")
        if self["https"] and self["pcap"]:
            raise usage.UsageError("--https: a capture tells itself what its iPXE has")
        if self["stage"] and self["stage"] not in _STAGES:
            raise usage.UsageError(f"--stage: expected one of {', '.join(_STAGES)}")
        self["identity"] = None if self["pcap"] else self._identity()
        self["server"] = self._given("server", ip_address)

    def _given(self, name: str, convert: Callable[[str], T]) -> T | None:
        try:
            return convert(self[name]) if self[name] else None
        except ValueError as error:
            raise usage.UsageError(f"--{name}: {error}") from None

    def _identity(self) -> ClientIdentity:
        uuid = self._given("uuid", UUID)
        firmware = self["firmware"] or _SPEAKERS.get(self["arch"], "uefi")
        if firmware not in _FIRMWARE:
            raise usage.UsageError(f"--firmware: expected one of {', '.join(_FIRMWARE)}")
        return ClientIdentity(
            mac=self._given("mac", parse_mac) or "",
            uuid=machine_uuid(uuid.bytes_le) if uuid else None,
            architecture=self._architecture(firmware == "uefi-http"),
            firmware=_FIRMWARE[firmware],
            features=frozenset((IPXE_HTTP, IPXE_HTTPS)) if self["https"] else frozenset(),
        )

    def _architecture(self, http: bool) -> Architecture:
        if self["firmware"] == Firmware.RASPBERRY_PI.value:
            return Architecture.RPIBOOT  # also of those that call themselves a BIOS
        for architecture in Architecture:
            if architecture.short == self["arch"] and architecture.is_http == http:
                return architecture
        raise usage.UsageError(f"--arch: expected one of {', '.join(ARCHITECTURE_NAMES)}")


def run(options: Options) -> int:
    """Explain, and print."""
    assembly = assembled(Path(options["file"]))
    # Nothing that is explained may be stored: leases and tokens live and die with this run.
    assembly.boot.leases = MemoryLeases()
    assembly.boot.tokens.key = secrets.token_bytes(32)
    assembly.boot.policies = attrs.evolve(assembly.boot.policies, rehearsal=True)
    given: IPv4Address | IPv6Address | None = options["server"]
    explanation = Explanation(
        assembly,
        given if isinstance(given, IPv4Address) else server_address(assembly.configuration),
        given if isinstance(given, IPv6Address) else address6_served(assembly.configuration),
    )
    work: Coroutine[Any, Any, Any]
    if options["pcap"]:
        work = replay(explanation, Path(options["pcap"]))
    else:
        stage = options["stage"]
        first = BootStage(stage) if stage else BootStage.FIRMWARE
        work = explanation.walk(options["identity"], first, only=bool(stage))
    completed(with_plugins(assembly, work))
    print("\n".join(explanation.lines))
    return 0


async def with_plugins(assembly: Assembly, work: Coroutine[Any, Any, T]) -> T:
    """Do work while directories and policies run; nothing else of the server is started."""
    asked = (*assembly.of_kind("hosts"), *assembly.of_kind("policy"))
    services: list[Any] = [each for _, each in asked if IService.providedBy(each)]
    for service in services:
        service.startService()
    try:
        return await work
    finally:
        for service in reversed(services):
            await maybeDeferred(service.stopService)


def server_address(configuration: Configuration) -> IPv4Address:
    """Return the address of ours that machines would see."""
    ours = [each for each in network_interfaces() if each.usable]
    for interface in ours:
        if any(interface.local in each.network for each in configuration.networks.values()):
            return interface.local
    if configuration.networks:
        network = next(iter(configuration.networks.values()))
        return IPv4Address(network.routers[0] if network.routers else network.network[1])
    return ours[0].local if ours else _NOWHERE
