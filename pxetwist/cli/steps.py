"""One boot in words: the messages a machine would send, and what each would be answered."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import attrs

from pxetwist.boot.loaders import FAMILIES
from pxetwist.cli.asking import link_local, request_of, solicit_of
from pxetwist.cli.server6 import Server6
from pxetwist.config.assemble import Assembly
from pxetwist.config.bind import bug
from pxetwist.config.load import Configuration
from pxetwist.config.web import nfs_options, takes_logs
from pxetwist.errors import ContentDenied, ContentNotFound, PxeError
from pxetwist.exchange import dhcp4
from pxetwist.exchange.dhcp4 import Silence
from pxetwist.exchange.dhcp4_options import origin_of
from pxetwist.model.boot import (
    BootPlan,
    BootRequest,
    BootStage,
    Protocol,
    Resolution,
    Step,
    Verdict,
)
from pxetwist.model.boots import Files, Menu
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.model.nfs_root import by_nfs
from pxetwist.services.dhcp.addressing import AddressServer
from pxetwist.services.dhcp.client_options import ClientView
from pxetwist.services.dhcp.incoming import Answer, Incoming, no_loader
from pxetwist.services.dhcp.proxy import ProxyServer
from pxetwist.services.dhcp6.addressing import Answer6, Incoming6
from pxetwist.wire import dhcp6_text
from pxetwist.wire.dhcp4 import Dhcp4Message, decode
from pxetwist.wire.options import OptionCode, describe

_TEXTS = {
    "script": "boot.ipxe",
    "ipxe": "boot.ipxe",
    "grub": "grub/grub.cfg",
    "pxelinux": "pxelinux.cfg/default",
    "raspberry-pi": "cmdline.txt",
}


_CALLED = {"script": "iPXE", "ipxe": "iPXE", "raspberry-pi": "the board"}


class Explanation:
    """Collects `lines`; asks the same objects that answer on the wire.

    `server` and `server6` are the addresses that machines would know us by.
    """

    def __init__(
        self, assembly: Assembly, server: IPv4Address, server6: IPv6Address | None = None
    ) -> None:
        configuration = assembly.configuration
        self.boot = assembly.boot
        self.server = server
        self.lines: list[str] = []
        self._networks = configuration.networks.values()
        self._classes = configuration.classes
        self._nfs_options = nfs_options(configuration)
        services = configuration.of_kind("service")
        names = {each.factory.name: each.settings for each in services}
        offer = names["proxydhcp"].offer if "proxydhcp" in names else None
        self._servers = {
            name: made
            for name, made in (
                ("dhcp", self._addresses(configuration)),
                ("proxydhcp", ProxyServer(self.boot, self.boot.http_port, offer)),
            )
            if name in names
        }
        self.server6 = (
            Server6(self.boot, configuration.networks6, server6) if "dhcp6" in names else None
        )

    def _addresses(self, configuration: Configuration) -> AddressServer:
        return AddressServer(
            self.boot,
            configuration.networks,
            self.boot.http_port,
            configuration.classes,
            log_server=takes_logs(configuration),
        )

    def say(self, text: str, depth: int = 0) -> None:
        """Add one or more lines."""
        self.lines += ["  " * depth + line if line else "" for line in text.split("\n")]

    async def assume(self, identity: ClientIdentity, address: IPv4Address) -> None:
        """Take over what the server of a capture has given, so that its client is no stranger."""
        now = self.boot.now()
        self.boot.locate(address, identity, now)
        for network in self._networks:
            if address in network.network:
                await self.boot.leases.offer(identity, network, None, address, (), now)

    async def walk(self, identity: ClientIdentity, first: BootStage, only: bool) -> None:
        """Follow a machine from `first` on, as far as its loaders lead."""
        if first is BootStage.LOADER:
            identity = attrs.evolve(identity, firmware=Firmware.IPXE)
        elif first is BootStage.KERNEL:
            identity = attrs.evolve(identity, firmware=Firmware.SYSTEM)
        answer = await self._ask(identity)
        if answer is None or only:
            return
        if answer.boot_file is None:
            why = f" ({no_loader(identity)})" if identity.firmware.boots else ""
            self.say(f"no boot file: the machine starts nothing from the network{why}")
            return
        if answer.boot_file.family in FAMILIES and answer.resolution is not None:
            name = answer.boot_file.name
            if lacking := await self._lacking(name, answer.resolution.request):
                self.say(f"{name}{lacking}", 1)
        if answer.boot_file.family == "ipxe":
            self.say("")
            answer = await self._ask(attrs.evolve(identity, firmware=Firmware.IPXE))
        if answer is not None and answer.boot_file is not None:
            await self._explain_loader(answer)

    async def _ask(self, identity: ClientIdentity) -> Answer | Answer6 | None:
        """Let a machine ask each DHCP service; return the last answer, that over IPv6 if there
        is no other.
        """
        what = identity.architecture.short if identity.architecture is not None else "?"
        who = f"{identity.firmware.value} ({what}) of {identity}"
        found = None
        if self._servers:
            self.say(f"{who} asks: DHCP DISCOVER")
        for name, server in self._servers.items():
            incoming = Incoming.of(request_of(identity), self.server, self.boot.now())
            found = await self.explain_message(name, server, incoming) or found
        if self.server6 is not None:
            self.say(f"{who} asks: DHCPv6 SOLICIT")
            incoming6 = self.server6.incoming(solicit_of(identity), link_local(identity.mac))
            return await self.explain_message6(self.server6, incoming6) if found is None else found
        if not self._servers:
            self.say(f"{who} asks, but services names no DHCP of ours: nobody answers")
        return found

    async def explain_incoming(self, incoming: Incoming) -> None:
        """Explain one message of a capture, for each service that would see it."""
        for name, server in self._servers.items():
            if incoming.port == dhcp4.SERVER_PORT or name == "proxydhcp":
                await self.explain_message(name, server, incoming)

    async def explain_message(
        self, name: str, server: AddressServer | ProxyServer, incoming: Incoming
    ) -> Answer | None:
        """Explain what one service answers to one message."""
        try:
            answer = await server.answer(incoming)
        except PxeError as error:
            answer = Silence(str(error))
        if isinstance(answer, Silence):
            await self._explain_silence(name, dhcp4.identify(incoming.message), answer)
            return None
        self._explain_steps(answer.resolution)
        if answer.view:
            self._explain_classes(answer.resolution.request, answer.view)
        reply = decode(answer.payload)
        to = answer.destination
        where = f"{to.address}:{to.port}" + (" by MAC" if to.hardware else "")
        kind = reply.message_type.name if reply.message_type else "BOOTP reply"
        self.say(f"{name} answers {kind} to {where}", 1)
        self._explain_reply(reply, answer.view)
        lost = [OptionCode(code).label for code in answer.reply.options.keys() - reply.options]
        if lost:
            self.say(f"left out, for want of space: {', '.join(sorted(lost))}", 2)
        if answer.boot_file:
            self.say(f"boot file {answer.boot_file.name}: {answer.boot_file.reason}", 1)
        return answer

    async def explain_message6(self, server: Server6, incoming: Incoming6) -> Answer6 | None:
        """Explain what our DHCPv6 server answers to one message."""
        try:
            answer = await server.answer(incoming)
        except PxeError as error:
            answer = Silence(str(error))
        if isinstance(answer, Silence):
            await self._explain_silence("dhcp6", incoming.identity, answer)
            return None
        if answer.resolution is not None:
            self._explain_steps(answer.resolution)
        note = f": {answer.note}" if answer.note else ""
        self.say(f"dhcp6 answers {answer.reply.type.name}{note}", 1)
        for code, raw in answer.reply.options:
            self.say(dhcp6_text.describe(code, raw), 2)
        if answer.boot_file:
            self.say(f"boot file {answer.boot_file.name}: {answer.boot_file.reason}", 1)
        return answer

    async def _explain_silence(
        self, name: str, identity: ClientIdentity, silence: Silence
    ) -> None:
        """Tell who was asked, unless the plan has nothing to do with the silence."""
        request = BootRequest(identity, dhcp4.stage_of(identity), Protocol.DHCP)
        resolution = await self.boot.resolve(request)
        undecided = resolution.verdict is not Verdict.PLANNED
        if silence.in_vain or (undecided and silence.reason == resolution.reason):
            self._explain_steps(resolution)
        self.say(f"{name} stays silent: {silence.reason}", 1)

    def _explain_steps(self, resolution: Resolution) -> None:
        hosts = [step for step in resolution.steps if step.who.startswith("hosts ")]
        others = resolution.steps[len(hosts) :]
        self._say_steps(hosts)
        if resolution.machine is not None:
            self._explain_machine(resolution.machine)
        self._say_steps(others)
        if others:  # else nobody came to a policy
            for policy in self.boot.policies_that_explain():
                try:
                    lines = list(policy.explain(resolution.request))
                except Exception as error:
                    lines = [f"cannot explain: {bug(error, type(policy).__module__)}"]
                for line in lines:
                    self.say(line, 2)

    def _say_steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            took = f" [{step.elapsed * 1000:.0f} ms]" if step.elapsed >= 0.001 else ""
            self.say(f"{step.who}: {step.answer}{took}", 1)

    def _explain_machine(self, machine: Machine) -> None:
        """Print what directories said of it: what rules and templates can look at."""
        if machine.groups:
            self.say(f"groups {', '.join(machine.groups)}", 2)
        if machine.labels:
            self.say(f"labels {', '.join(f'{k}={v!r}' for k, v in machine.labels.items())}", 2)

    def _explain_reply(self, reply: Dhcp4Message, view: ClientView | None) -> None:
        """Print what a client reads in a reply, and where the site says so."""
        layers = view.layers if view else ()
        for field in ("yiaddr", "siaddr"):
            value = getattr(reply, field)
            if int(value):
                self.say(f"{field} {value}", 2)
        if reply.file:
            self.say(f"file {reply.file.decode('latin-1')}", 2)
        for code, raw in reply.options.items():
            origin = origin_of(code, raw, layers)
            said = describe(code, raw, pxe=OptionCode.VENDOR_CLASS in reply.options)
            self.say(f"{said} ({origin})" if origin else said, 2)
        for layer in layers:
            for mistake in layer.mistakes:
                self.say(f"left out, {layer.origin}: {mistake}", 2)

    def _explain_classes(self, request: BootRequest, view: ClientView) -> None:
        for each in self._classes:
            if each in view.classes:
                said = "matches"
            elif not each.holds_in(view.network):
                said = f"does not hold in [subnet:{view.network.name}]"
            else:
                said = f"no, {each.why(request, self.boot.now())}"
            self.say(f"class {each.name}: {said}", 1)

    async def _explain_loader(self, answer: Answer | Answer6) -> None:
        """Show what the loader reads, and what it starts."""
        assert answer.boot_file is not None
        assert answer.resolution is not None
        family = answer.boot_file.family
        plan = answer.resolution.plan
        if family in _TEXTS:
            path = ContentPath.parse(_TEXTS[family])
            loader = _CALLED.get(family, family)
            self.say(f"\n{loader} asks for its text ({path.name})")
            await self.explain_content(path, answer.resolution.request, whole=True)
        if plan is not None:
            await self._explain_plan(plan, answer.resolution.request)

    async def explain_content(self, path: ContentPath, request: BootRequest, whole: bool) -> None:
        """Say whether a path is served to this request; print it if `whole`."""
        try:
            content = await self.boot.open(path, request)
        except (ContentNotFound, ContentDenied) as error:
            self.say(f"not found: {error}", 1)
            return
        except PxeError as error:
            self.say(f"failed: {error}", 1)
            return
        try:
            if whole:
                text = await content.read(0, content.info.size)
                self.say(text.decode().rstrip(), 1)
            else:
                self.say(f"sent: {content.info.size} bytes, {content.info.media_type}", 1)
        finally:
            content.close()

    async def _lacking(self, file: str, request: BootRequest) -> str:
        """Return words for a file of ours that would not be given."""
        if "://" in file or by_nfs(file):
            return ""
        try:
            (await self.boot.open(ContentPath.parse(file), request)).close()
        except ContentNotFound:
            return ", NOT FOUND"
        except (PxeError, ValueError) as error:
            return f", NOT GIVEN: {error}"
        return ""

    async def _explain_plan(self, plan: BootPlan, request: BootRequest) -> None:
        self.say(f"\nprofile {plan.profile}, by policy {plan.policy}: {plan.reason}")
        entries = plan.boot.entries if isinstance(plan.boot, Menu) else ()
        for name, boot in [("", plan.boot), *((entry.name, entry.boot) for entry in entries)]:
            if isinstance(boot, Files):
                if name:
                    self.say(f"entry {name}", 1)
                for what, file in (
                    ("kernel", boot.kernel),
                    *(("initrd", i) for i in boot.initrds),
                ):
                    self.say(f"{what} {file}{await self._lacking(file, request)}", 1)
                self.say(f"arguments, as in the profile: {boot.arguments}", 1)
                if boot.root is not None:
                    place = f"{self.server}:{boot.root.mount_path}"
                    self.say(f"root {boot.root}: {place} with {self._nfs_options}", 1)
        if plan.settings:
            self.say("where that stands", 1)
        for setting in plan.settings:
            origin = f" ({setting.origin})" if setting.origin else ""
            self.say(f"{setting.name} = {setting.value}{origin}", 2)
        if plan.loader not in ("", *(s.value for s in plan.settings if s.name == "loader")):
            self.say(f"loader = {plan.loader} (label of the machine)", 2)
