"""What the server says when it has started: to whom it answers, with what, and what to do next."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pxetwist.config.assemble import Assembly
from pxetwist.config.web import address6_served
from pxetwist.content.startable import startable
from pxetwist.errors import PolicyError
from pxetwist.interfaces import IListsMachines
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Protocol
from pxetwist.model.boots import Menu
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.services.dhcp.ports_service import DhcpPortsService
from pxetwist.services.dhcp6.service import Dhcp6Service
from pxetwist.services.interfaces import network_interfaces
from pxetwist.services.ports import ALL_IPV4, ALL_IPV6
from pxetwist.wire.iana import Architecture

_log = Logger(namespace="pxetwist")

#: Machines as they are everywhere; if they get different answers, both are told.
_STRANGERS = (
    ClientIdentity(architecture=Architecture.X64_UEFI, firmware=Firmware.UEFI),
    ClientIdentity(architecture=Architecture.X86_BIOS, firmware=Firmware.BIOS),
)
_DEFAULT_PORTS = {"http": 80, "https": 443, "tftp": 69, "ftp": 21}


def greet(assembly: Assembly) -> None:
    """Log the greeting of a server that has started."""
    Deferred.fromCoroutine(_greet(assembly))


async def _greet(assembly: Assembly) -> None:
    try:
        lines = await greeting(assembly, Path(sys.argv[0]))
    except Exception:  # the server runs well without it
        _log.failure("greeting")
        return
    for line in lines:
        _log.info("{line}", line=line)


async def greeting(assembly: Assembly, program: Path) -> list[str]:
    """Return its lines; `program` is what was started: the ``pxetwist`` command lies beside it."""
    ports = [each for _, each in assembly.built if isinstance(each, DhcpPortsService)]
    lines = [_answers(each) for each in ports]
    lines += [_answers6(each) for _, each in assembly.built if isinstance(each, Dhcp6Service)]
    chosen = [interface for each in ports for interface in each.interfaces()]
    ours = chosen or [each for each in network_interfaces() if each.usable]
    address = str(ours[0].local) if ours else "127.0.0.1"
    gets = await _what_others_get(assembly, address)
    return [
        *(lines or ["answers no DHCP: another server must send machines here"]),
        f"known machines: {_known(assembly)}; every other one gets {gets}",
        *_files(assembly, address, str(address6_served(assembly.configuration) or "")),
        *_next_steps(assembly, program),
    ]


def _answers6(service: Dhcp6Service) -> str:
    where = ", ".join(each.name for each in service.interfaces())
    return f"answers DHCPv6 on {where or 'no interface yet'}"


def _answers(service: DhcpPortsService) -> str:
    where = ", ".join(map(str, service.interfaces()))
    if not where:
        return f"answers nobody yet: waits for {service.waits_for()}"
    if service.protocol == "proxydhcp":
        return (
            f"answers machines that boot from the network on {where};"
            " addresses are left to the DHCP server that is there"
        )
    pools = [pool for network in service.site.networks.values() for pool in network.pools]
    count = sum(map(len, pools))
    near = ", ".join(str(each) for each in service.interfaces() if service.fits(each))
    far = ", ".join(str(each) for each in service.interfaces() if not service.fits(each))
    whom = [f"every DHCP client on {near}"] if near else []
    whom += [f"relay agents on {far}"] if far else []
    said = f"answers {' and '.join(whom)}; {count} addresses are in its pools"
    known = {each.name for each in service.interfaces()}
    left = [str(each) for each in network_interfaces() if each.usable and each.name not in known]
    return f"{said}; nobody on {', '.join(left)}" if left else said


def _known(assembly: Assembly) -> str:
    directories = [
        f"{len(each.machines())} in [hosts:{name}]"
        if IListsMachines.providedBy(each)
        else f"those in [hosts:{name}]"
        for name, each in assembly.of_kind("hosts")
    ]
    return ", ".join(directories) or "none"


async def _what_others_get(assembly: Assembly, address: str) -> str:
    """Ask the policies, but no directory: that may take its time, and knows no such machine."""
    answers = {}
    for identity in _STRANGERS:
        endpoints = Endpoints(address, assembly.boot.http_port)
        request = BootRequest(
            identity, BootStage.FIRMWARE, Protocol.PROXY_DHCP, endpoints=endpoints
        )
        answers[identity.firmware.name] = await _planned(assembly, request)
    if len(set(answers.values())) == 1:
        return next(iter(answers.values()))
    return ", ".join(f"{answer} ({firmware})" for firmware, answer in answers.items())


async def _planned(assembly: Assembly, request: BootRequest) -> str:
    for name, policy in assembly.of_kind("policy"):
        try:
            plan: BootPlan | None = await policy.plan_boot(request)
        except PolicyError as error:
            return f"no answer: [policy:{name}] {error}"
        if plan is not None and not plan.ignored:
            plan = await startable(plan, "ipxe", request, assembly.boot)
            return _described(plan)
        if plan is not None:
            break
    return "no answer"


def _described(plan: BootPlan) -> str:
    if not isinstance(plan.boot, Menu):
        return f"profile {plan.profile}"
    menu = plan.boot
    entries = ", ".join(entry.name for entry in menu.entries)
    waits = f"; {menu.default} starts after {menu.timeout} s" if menu.timeout else ""
    return f"the menu {plan.profile!r} ({entries}{waits})"


def _files(assembly: Assembly, address: str, address6: str) -> Iterator[str]:
    """Yield where files go, and the URLs under which machines see them: those of IPv6 if there
    is a network of it.
    """
    folders = _folders(assembly)
    if not folders:
        return
    urls = []
    for instance, service in assembly.built:
        scheme = instance.factory.name if instance.kind == "service" else ""
        for host in assembly.listening(instance, service) if scheme in _DEFAULT_PORTS else ():
            where = {ALL_IPV4: address, ALL_IPV6: address6}.get(host.host, host.host)
            port = "" if host.port == _DEFAULT_PORTS[scheme] else f":{host.port}"
            if where:
                urls.append(f"{scheme}://{Endpoints(where).host}{port}/")
    yield f"files below {', '.join(folders)} are served as {' and '.join(urls) or 'nothing'}"


def _folders(assembly: Assembly) -> list[str]:
    stores = assembly.configuration.of_kind("content")
    return [_short(each.settings.root) for each in stores if each.factory.name == "directory"]


def _next_steps(assembly: Assembly, program: Path) -> Iterator[str]:
    ini = _short(assembly.configuration.file)
    where = next(iter(_folders(assembly)), "a content store")
    yield f"to boot a system: its files into {where}, a [profile:NAME] into {ini}, start again"
    for instance in assembly.configuration.of_kind("hosts"):
        if instance.factory.name == "static":
            files = ", ".join(map(_short, instance.settings.file))
            yield f"to name machines: a line each into {files}, which is read when it changes"
    command = program.with_name("pxetwist")
    name = _short(command) if command.exists() else command.name
    yield f"to see what one would get, and why: {name} explain {ini} --mac 52:54:00:12:34:56"


def _short(path: Path) -> str:
    """Spell a path as seen from where the server was started, if it lies below."""
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative
