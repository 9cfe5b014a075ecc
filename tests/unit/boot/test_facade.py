"""The one answer: who is it, what does it get, and what ends in silence."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pxetwist.boot.facade import BootFacade
from pxetwist.boot.neighbours import neighbour_mac
from pxetwist.errors import ContentDenied, ContentNotFound, DirectoryUnavailable, PolicyError
from pxetwist.interfaces import (
    IBegins,
    IBoot,
    IBootObserver,
    IBootPolicy,
    IHostDirectory,
    IRemembers,
    IReservations,
    ISteady,
)
from pxetwist.model.boot import (
    BootFile,
    BootPlan,
    BootRequest,
    BootStage,
    Endpoints,
    Protocol,
    Resolution,
    Verdict,
)
from pxetwist.model.boots import Boot, Files, Image, LocalDisk, Nbp, Script
from pxetwist.model.content import ContentInfo, ContentPath
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.installers import Esxi, Windows
from pxetwist.model.machine import Machine
from pxetwist.model.network6 import Network6
from pxetwist.model.report import MachineReport
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import FakeHosts, FakeObserver, FakePolicy, MemoryStore, result_of
from pxetwist.testing.content import MemoryContent
from pxetwist.wire.iana import Architecture

MAC = "52:54:00:12:34:56"
ADDRESS = IPv4Address("10.0.0.9")
UEFI = ClientIdentity(mac=MAC, architecture=Architecture.X64_UEFI, firmware=Firmware.UEFI)
IPXE = attrs.evolve(UEFI, firmware=Firmware.IPXE)
LINUX = BootPlan(Files("linux"), "debian", "said so")


class World:
    """A facade with fakes around it, and a clock."""

    def __init__(self, case: SynchronousTestCase, plan: BootPlan | None = LINUX) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        self.hosts = FakeHosts({MAC: Machine("ws1", (MAC,))})
        self.policy = FakePolicy(plan)
        self.store = MemoryStore({"a": b"a"})
        self.folder = Path(case.mktemp())
        self.boot = self.facade()

    def facade(self) -> BootFacade:
        """Make another server on the same state folder."""
        boot = BootFacade(self.clock, networks={}, state_folder=self.folder)
        self.attach(boot, [("rack", self.hosts)], [("main", self.policy)])
        return boot

    def attach(
        self,
        boot: BootFacade,
        hosts: list[tuple[str, IHostDirectory]],
        policies: list[tuple[str, IBootPolicy]],
        observers: list[tuple[str, IBootObserver]] | None = None,
    ) -> None:
        boot.attach(
            hosts=hosts,
            policies=policies,
            content=[("files", self.store)],
            observers=observers or [],
            leases=None,
        )

    def resolve(
        self, identity: ClientIdentity = UEFI, protocol: Protocol = Protocol.DHCP
    ) -> Resolution:
        stage = BootStage.LOADER if identity.firmware is Firmware.IPXE else BootStage.FIRMWARE
        by_dhcp = protocol is Protocol.DHCP
        boot_id = self.boot.see(identity, stage, self.clock.seconds()) if by_dhcp else ""
        request = BootRequest(
            identity, stage, protocol, endpoints=Endpoints("10.0.0.1"), boot_id=boot_id
        )
        return result_of(self.boot.resolve(request))

    def file(self, identity: ClientIdentity) -> BootFile:
        found = self.boot.boot_file(self.resolve(identity).request, self.clock.seconds())
        assert found is not None
        return found


class ResolveTests(SynchronousTestCase):
    """Directories, then policies; three kinds of no are told apart."""

    def test_provides_its_interface(self) -> None:
        """The facade is what plugins are promised."""
        verifyObject(IBoot, World(self).boot)

    def test_plan(self) -> None:
        """Machine and plan, and the steps that led there."""
        found = World(self).resolve()
        self.assertEqual(
            (found.machine, found.plan),
            (
                Machine("ws1", (MAC,)),
                LINUX.__class__(LINUX.boot, "debian", "said so", policy="main"),
            ),
        )
        self.assertEqual(
            [(step.who, step.answer) for step in found.steps],
            [("hosts rack", "machine ws1"), ("policy main", "profile debian (said so)")],
        )

    def test_no_opinion(self) -> None:
        """Every policy passed."""
        self.assertEqual(World(self, None).resolve().verdict, Verdict.NO_OPINION)

    def test_ignored(self) -> None:
        """A policy wants silence: there is no plan, and the reason is the policy's."""
        found = World(self, BootPlan.ignore("banned")).resolve()
        self.assertEqual(
            (found.verdict, found.reason, found.plan), (Verdict.IGNORED, "banned", None)
        )

    def test_machines_loader(self) -> None:
        """The machine's label `loader` wins; one that is none is a fault, not a guess."""
        world = World(self)
        for label, expected in (("grub", Verdict.PLANNED), ("gurb", Verdict.BROKEN)):
            world.hosts.machines = {MAC: Machine("ws1", (MAC,), labels={"loader": label})}
            found = world.resolve()
            self.assertEqual(found.verdict, expected)
        self.assertIn("machine ws1: unknown loader 'gurb'", found.reason)

    def test_directory_broken(self) -> None:
        """A machine that nobody else knows may be known to the broken directory: silence."""
        world = World(self)
        world.hosts.failure = DirectoryUnavailable("connection refused")
        found = world.resolve()
        self.assertEqual(found.verdict, Verdict.BROKEN)
        self.assertIn("connection refused", found.reason)
        self.assertEqual(world.policy.asked, [])

    def test_other_directory_knows(self) -> None:
        """A broken directory does not hide what the next one knows."""
        world = World(self)
        broken = FakeHosts(failure=DirectoryUnavailable("away"))
        world.attach(
            world.boot, [("ldap", broken), ("rack", world.hosts)], [("main", world.policy)]
        )
        self.assertEqual(world.resolve().verdict, Verdict.PLANNED)

    def test_policy_broken(self) -> None:
        """The next policy's opinion is not that of the one that failed."""
        world = World(self)
        failing = FakePolicy(failure=PolicyError("no kernel"))
        world.attach(world.boot, [("rack", world.hosts)], [("a", failing), ("main", world.policy)])
        self.assertEqual(world.resolve().verdict, Verdict.BROKEN)

    def test_exception(self) -> None:
        """A plugin's bug is logged with its traceback, and is silence for the machine."""
        world = World(self)
        world.policy.failure = ZeroDivisionError("bug")
        self.assertEqual(world.resolve().verdict, Verdict.BROKEN)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_deadline(self) -> None:
        """A directory that hangs costs two seconds, not the machine's patience."""
        world = World(self)
        hanging: Deferred[None] = Deferred()

        @implementer(IHostDirectory)
        class Hanging:
            async def find_machine(self, identity: ClientIdentity) -> Machine | None:
                await hanging
                return None

        world.attach(world.boot, [("slow", Hanging())], [("main", world.policy)])
        request = BootRequest(UEFI, BootStage.FIRMWARE, Protocol.DHCP)
        found: list[Resolution] = []
        Deferred.fromCoroutine(world.boot.resolve(request)).addCallback(found.append)
        world.clock.advance(1.9)
        self.assertEqual(found, [])
        world.clock.advance(0.2)
        self.assertEqual(found[0].verdict, Verdict.BROKEN)
        self.assertIn("2 s", found[0].reason)

    def test_one_plan_for_one_boot(self) -> None:
        """A change between DHCP and HTTP must not give a machine two halves; a reload may."""
        world = World(self)
        world.resolve()
        world.policy.plan = BootPlan(LocalDisk(), "local")
        kept = world.resolve(IPXE, Protocol.HTTP).plan
        self.assertEqual(kept and kept.profile, "debian")
        world.boot.reload()
        anew = world.resolve(IPXE, Protocol.HTTP).plan
        self.assertEqual(anew and anew.profile, "local")


class MarksTests(SynchronousTestCase):
    """Serial and asset tag come with the loader's first request, after DHCP."""

    KNOWN = Machine("ws7", serial="PF0")

    def world(self) -> World:
        """Return a world that knows the machine by its serial only, and another one."""
        world = World(self)
        case = self

        @implementer(IHostDirectory)
        class BySerial:
            asked = 0

            async def find_machine(self, identity: ClientIdentity) -> Machine | None:
                self.asked += 1
                return case.KNOWN if identity.serial == "PF0" else None

        @implementer(IBootPolicy)
        class ForStrangers:
            async def plan_boot(self, request: BootRequest) -> BootPlan | None:
                return BootPlan(LocalDisk(), "own" if request.machine else "strangers")

        self.hosts = BySerial()
        world.attach(world.boot, [("ldap", self.hosts)], [("main", ForStrangers())])
        return world

    def names(self, found: Resolution) -> tuple[str, str]:
        """Return the names of machine and profile."""
        machine, plan = found.machine, found.plan
        return machine.name if machine else "", plan.profile if plan else ""

    def test_a_stranger_tells_its_serial(self) -> None:
        """It is decided anew, and the whole boot keeps to that, down to the kernel's DHCP."""
        world = self.world()
        self.assertEqual(self.names(world.resolve()), ("", "strangers"))
        self.assertEqual(self.names(world.resolve(IPXE)), ("", "strangers"))
        told = attrs.evolve(IPXE, serial="PF0")
        self.assertEqual(self.names(world.resolve(told, Protocol.HTTP)), ("ws7", "own"))
        asked = self.hosts.asked
        self.assertEqual(self.names(world.resolve(told, Protocol.HTTP)), ("ws7", "own"))
        self.assertEqual(self.names(world.resolve(IPXE, Protocol.TFTP)), ("ws7", "own"))
        self.assertEqual(self.hosts.asked, asked)
        self.assertEqual(self.names(world.resolve(IPXE)), ("ws7", "own"))

    def test_other_serials(self) -> None:
        world = self.world()
        world.resolve(IPXE)
        told = attrs.evolve(IPXE, serial="PF1", asset="4711")
        self.assertEqual(self.names(world.resolve(told, Protocol.HTTP)), ("", "strangers"))

    def test_who_is_known_keeps_its_plan(self) -> None:
        world = World(self)
        world.resolve(IPXE)
        asked = len(world.hosts.asked)
        told = attrs.evolve(IPXE, serial="PF0")
        self.assertEqual(self.names(world.resolve(told, Protocol.HTTP)), ("ws1", "debian"))
        self.assertEqual(len(world.hosts.asked), asked)

    def test_the_next_boot(self) -> None:
        """A dock stays, the machine behind it changes."""
        world = self.world()
        world.resolve(IPXE)
        world.resolve(attrs.evolve(IPXE, serial="PF0"), Protocol.HTTP)
        self.assertEqual(self.names(world.resolve()), ("", "strangers"))

    def test_the_directory_is_away_then(self) -> None:
        """The plan of strangers is not that of a machine that may be known."""
        world = self.world()
        world.resolve(IPXE)
        broken = FakeHosts(failure=DirectoryUnavailable("away"))
        world.attach(world.boot, [("ldap", broken)], [])
        told = attrs.evolve(IPXE, serial="PF0")
        self.assertEqual(world.resolve(told, Protocol.HTTP).verdict, Verdict.BROKEN)


class IdentifyTests(SynchronousTestCase):
    """From an address to a machine."""

    def test_located(self) -> None:
        """What DHCP saw at an address is who speaks from it, with the boot id."""
        world = World(self)
        boot_id = world.boot.see(UEFI, BootStage.FIRMWARE, world.clock.seconds())
        world.boot.locate(ADDRESS, UEFI, world.clock.seconds())
        found = result_of(world.boot.identify(str(ADDRESS), world.clock.seconds()))
        self.assertEqual(found, (attrs.evolve(UEFI, address=ADDRESS), boot_id))

    def test_the_same_object(self) -> None:
        """Who is seen again in the same way is compared in no time, and who is not is another."""
        world = World(self)
        now = world.clock.seconds()

        def identified() -> ClientIdentity:
            return result_of(world.boot.identify(str(ADDRESS), now))[0]

        for seen in (UEFI, attrs.evolve(UEFI, mac="52:54:00:00:00:99"), IPXE):
            world.boot.see(seen, BootStage.FIRMWARE, now)
            world.boot.locate(ADDRESS, seen, now)
            first = identified()
            self.assertEqual(first.mac, seen.mac)
            self.assertEqual(first.firmware, seen.firmware)
            self.assertIs(identified(), first)

    def test_stranger(self) -> None:
        """Of a stranger nothing is known but the address."""
        world = World(self)
        found = result_of(world.boot.identify("203.0.113.9", world.clock.seconds()))
        self.assertEqual(found, (ClientIdentity(address=IPv4Address("203.0.113.9")), ""))

    def test_lease_of_ipv6(self) -> None:
        """After a restart the lease still tells whose the address is; of another nobody knows."""
        world = World(self)
        now = world.clock.seconds()
        world.boot.leases = MemoryLeases()
        network = Network6("lab", IPv6Network("fd77::/64")).leases
        six = IPv6Address("fd77::11")
        lease = result_of(world.boot.leases.offer(UEFI, network, None, six, (), now))
        result_of(world.boot.leases.commit(lease, now))
        found, boot_id = result_of(world.boot.identify(str(six), now))
        self.assertEqual((found, boot_id), (ClientIdentity(mac=UEFI.mac, address=six), ""))
        stranger = IPv6Address("fd77::12")
        found, _ = result_of(world.boot.identify(str(stranger), now))
        self.assertEqual(found, ClientIdentity(address=stranger))

    def test_neighbour_table(self) -> None:
        """The kernel's table names a neighbour; incomplete entries do not."""
        table = Path(self.mktemp())
        table.write_text(
            "IP address       HW type     Flags       HW address            Mask     Device\n"
            f"10.0.0.9         0x1         0x2         {MAC}     *        eth0\n"
            "10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        eth0\n"
        )
        self.assertEqual(neighbour_mac(ADDRESS, table), MAC)
        self.assertEqual(neighbour_mac(IPv4Address("10.0.0.8"), table), "")

    def test_boot_ids(self) -> None:
        """One boot, one id: a step back or a long pause begins another."""
        world = World(self)
        now = world.clock.seconds()
        first = world.boot.see(UEFI, BootStage.FIRMWARE, now)
        self.assertEqual(world.boot.see(IPXE, BootStage.LOADER, now + 5), first)
        self.assertNotEqual(world.boot.see(UEFI, BootStage.FIRMWARE, now + 9), first)
        third = world.boot.see(UEFI, BootStage.FIRMWARE, now + 10)
        self.assertNotEqual(world.boot.see(UEFI, BootStage.FIRMWARE, now + 900), third)

    def test_flood(self) -> None:
        """Invented machines push each other out, not the memory up."""
        world = World(self)
        world.boot.sightings._limit = 10
        for number in range(1000):
            identity = ClientIdentity(mac=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")
            world.boot.see(identity, BootStage.FIRMWARE, 1.0)
            world.boot.locate(IPv4Address(number + 1), identity, 1.0)
        self.assertEqual(len(world.boot.sightings._by_key), 10)
        self.assertEqual(len(world.boot.sightings._by_address), 10)


class TokenTests(SynchronousTestCase):
    """Script URLs are for one machine, for an hour."""

    def token(self, world: World) -> str:
        url = world.file(IPXE).name
        self.assertRegex(url, r"^http://10\.0\.0\.1/boot/[\w-]+/boot\.ipxe\?serial\.hex=")
        self.assertLess(len(url), 127)
        return url.split("/")[4]

    def test_redeemed(self) -> None:
        """The token stands for machine, architecture and boot, also after a restart."""
        world = World(self)
        token = self.token(world)
        boot_id = world.boot.see(IPXE, BootStage.LOADER, world.clock.seconds())
        for boot in (world.boot, world.facade()):
            self.assertEqual(boot.redeem(token, world.clock.seconds()), (IPXE, boot_id))

    def test_refused(self) -> None:
        """Expired, changed, cut and invented tokens are all the same: none."""
        world = World(self)
        token = self.token(world)
        now = world.clock.seconds()
        self.assertIsNone(world.boot.redeem(token, now + 3601))
        for wrong in (token[:-1], "A" + token[1:], "", "x", "é", token + "AAAA", "=" * 9):
            if wrong != token:
                self.assertIsNone(world.boot.redeem(wrong, now), wrong)

    def test_key_is_secret(self) -> None:
        """Nobody else may read the key."""
        world = World(self)
        self.token(world)
        self.assertEqual((world.folder / "token.key").stat().st_mode & 0o777, 0o600)


class BootFileTests(SynchronousTestCase):
    """Architecture, firmware and family choose the first file."""

    def chosen(self, identity: ClientIdentity, boot: Boot, loader: str = "") -> str:
        return World(self, BootPlan(boot, "p", loader=loader)).file(identity).name

    def test_table(self) -> None:
        """Each firmware gets a program that it can start; a family that is named wins."""
        bios = attrs.evolve(UEFI, firmware=Firmware.BIOS, architecture=Architecture.X86_BIOS)
        bios_ipxe = attrs.evolve(bios, firmware=Firmware.IPXE)
        http = attrs.evolve(
            UEFI, firmware=Firmware.UEFI_HTTP, architecture=Architecture.X64_UEFI_HTTP
        )
        linux, own = Files("linux"), Script(grub="normal")
        windows = Windows("win", "wimboot", (), program="win/bootmgfw.efi")
        esxi = Esxi("esxi", "esxi/mboot.c32", program="esxi/mboot.efi")
        cases: list[tuple[ClientIdentity, Boot, str, str]] = [
            (UEFI, linux, "", "loaders/snponly.efi"),
            (bios, linux, "", "loaders/undionly.kpxe"),
            (http, linux, "", "http://10.0.0.1/loaders/snponly.efi"),
            (UEFI, linux, "grub", "loaders/shimx64.efi"),
            (UEFI, own, "", "loaders/shimx64.efi"),
            (IPXE, linux, "grub", "loaders/shimx64.efi"),
            (bios_ipxe, linux, "pxelinux", "loaders/pxelinux.0"),
            (bios_ipxe, Nbp("memtest.0"), "", "memtest.0"),
            (UEFI, Nbp("memtest.efi"), "", "memtest.efi"),
            (http, Nbp("memtest.efi"), "", "http://10.0.0.1/memtest.efi"),
            (http, Nbp("http://x/y.efi"), "", "http://x/y.efi"),
            (UEFI, Image("cd.iso"), "grub", "loaders/snponly.efi"),  # nothing else can
            (UEFI, windows, "ipxe", "win/bootmgfw.efi"),
            (UEFI, attrs.evolve(windows, program=""), "ipxe", "loaders/snponly.efi"),
            # Boot managers of Windows speak TFTP only.
            (http, windows, "ipxe", "http://10.0.0.1/loaders/snponly.efi"),
            (http, esxi, "ipxe", "http://10.0.0.1/esxi/mboot.efi"),
        ]
        for identity, boot, loader, expected in cases:
            self.assertEqual(self.chosen(identity, boot, loader), expected)
        for boot in (linux, Image("cd.iso"), LocalDisk(), windows, esxi):
            self.assertIn("/boot.ipxe", self.chosen(IPXE, boot))

    def test_ipxe_without_http(self) -> None:
        """An iPXE that tells its features and lacks HTTP gets its script by TFTP (quirk C3)."""
        self.assertEqual(
            self.chosen(attrs.evolve(IPXE, features=frozenset({0x15})), Files("linux")),
            "tftp://10.0.0.1/boot.ipxe",
        )

    def test_systems_start_nothing(self) -> None:
        """A system that only wants an address is given no boot file."""
        world = World(self)
        request = world.resolve(attrs.evolve(UEFI, firmware=Firmware.SYSTEM)).request
        self.assertIsNone(world.boot.boot_file(request, 0.0))


class LoopTests(SynchronousTestCase):
    """iPXE that loads iPXE for ever is impossible."""

    def test_known_names(self) -> None:
        """Whatever the plan says, an iPXE is never given an iPXE."""
        for boot in (Nbp("x/snponly.efi"), Nbp("ipxe.efi"), Nbp("UNDIONLY.KPXE"), Files("k")):
            for loader in ("", "ipxe"):
                name = World(self, BootPlan(boot, "p", loader=loader)).file(IPXE).name
                self.assertIn("/boot.ipxe", name)

    def test_other_names(self) -> None:
        """An iPXE under another name comes back a few times, then its script stops it."""
        world = World(self, BootPlan(Nbp("harmless.efi"), "p"))
        names = [world.file(IPXE).name for _ in range(6)]
        self.assertEqual(names[:4], ["harmless.efi"] * 4)
        self.assertIn("/boot.ipxe", names[5])
        self.assertTrue(world.boot.looping(IPXE, world.clock.seconds()))

    def test_new_boot(self) -> None:
        """A boot that came to its kernel counts anew: rebooting often is no loop."""
        world = World(self, BootPlan(Nbp("harmless.efi"), "p"))
        for _ in range(20):
            self.assertEqual(world.file(IPXE).name, "harmless.efi")
            world.boot.see(IPXE, BootStage.KERNEL, world.clock.seconds())


class ReservationTests(SynchronousTestCase):
    """What directories have promised is promised by all of them together."""

    def test_several_directories(self) -> None:
        """Those that promise nothing are passed over."""

        @implementer(IHostDirectory, IReservations)
        class Promising(FakeHosts):
            def __init__(self, *promised: str) -> None:
                super().__init__({})
                self.promised = {IPv4Address(each) for each in promised}

            def reserved_addresses(self) -> set[IPv4Address]:
                return self.promised

        world = World(self)
        hosts: list[tuple[str, IHostDirectory]] = [
            ("a", Promising("10.0.0.2")),
            ("b", world.hosts),
            ("c", Promising("10.0.0.3", "10.0.0.4")),
        ]
        world.attach(world.boot, hosts, [])
        reserved = world.boot.reserved_addresses()
        self.assertEqual(
            [str(each) for each in sorted(reserved)], ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
        )
        self.assertEqual(len(reserved), 3)
        self.assertIn(IPv4Address("10.0.0.3"), reserved)
        self.assertNotIn(IPv4Address("10.0.0.5"), reserved)

    def test_a_directory_with_a_bug(self) -> None:
        """It takes nothing from others, and what it promised before still counts."""
        address = IPv4Address("10.0.0.2")

        @implementer(IHostDirectory, IReservations, IRemembers, ISteady)
        class Buggy(FakeHosts):
            promised: Any = (address,)

            def reserved_addresses(self) -> Any:
                if not self.promised:
                    raise KeyError
                return self.promised

            def remembers(self, mac: str) -> bool:
                raise ZeroDivisionError

            def edition(self) -> int:
                raise ZeroDivisionError

        world, buggy = World(self), Buggy({})
        world.attach(world.boot, [("bad", buggy), ("rack", world.hosts)], [])
        self.assertIn(address, world.boot.reserved_addresses())
        for promised in ((), ("10.0.0.3",)):
            buggy.promised = promised
            self.assertEqual(list(world.boot.reserved_addresses()), [address])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        world.attach(world.boot, [("bad", buggy)], [])
        for _ in range(3):
            self.assertFalse(world.boot.remembers(MAC))
            self.assertIsNone(world.boot.edition())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


@implementer(IBootPolicy, IBegins)
class _Once:
    """A policy that lets the first boot have its plan."""

    def __init__(self, plan: BootPlan) -> None:
        self.plan, self.begun = plan, 0

    async def plan_boot(self, request: BootRequest) -> BootPlan | None:
        return self.plan

    async def begin(self, request: BootRequest) -> bool:
        self.begun += 1
        return self.plan is not LINUX or (
            request.plan is not None and request.plan.boot == LINUX.boot
        )


class ContentAndEventTests(SynchronousTestCase):
    """Stores in order; observers that break."""

    def test_open(self) -> None:
        """The first store that has a content opens it; none: not found."""
        world = World(self)
        request = world.resolve().request
        content = result_of(world.boot.open(ContentPath.parse("a"), request))
        self.assertEqual(result_of(content.read(0, 9)), b"a")
        with self.assertRaises(ContentNotFound):
            result_of(world.boot.open(ContentPath.parse("b"), request))

    def test_a_store_with_a_bug(self) -> None:
        """It is named; what it returns is looked at before it is sent."""
        world = World(self)
        request = world.resolve().request
        sizeless = MemoryContent(b"x", info=ContentInfo(None))  # type: ignore[arg-type]
        world.store = MemoryStore(
            {
                "raising": KeyError("x"),
                "unreadable": PermissionError("no"),
                "text": "text",  # type: ignore[dict-item]
                "sizeless": sizeless,
            }
        )
        world.attach(world.boot, [], [])
        for path, fault in (
            ("raising", "KeyError: 'x'"),
            ("raising", "KeyError: 'x'"),
            ("unreadable", "PermissionError: no"),
            ("text", "open returns a str, which provides no IContent"),
            ("sizeless", "open returns a content of the size None"),
        ):
            with self.assertRaises(PolicyError) as caught:
                result_of(world.boot.open(ContentPath.parse(path), request))
            self.assertEqual(str(caught.exception), f"content files failed: {fault}")
        self.assertTrue(sizeless.closed)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_call_back_when_the_boot_is_over(self) -> None:
        """Installers take their time: the event has the machine's name nevertheless."""
        world = World(self)
        keeping = FakeObserver()

        hosts: list[tuple[str, IHostDirectory]] = [("rack", world.hosts)]
        world.attach(world.boot, hosts, [], [("good", keeping)])
        report = MachineReport("callback", ClientIdentity(mac=MAC), "1a2b", 0.0, "done", "yes")
        self.assertEqual(result_of(world.boot.hear(report)), "")
        self.assertEqual(
            (keeping.events[0].machine, keeping.events[0].summary), ("ws1", "says done: yes")
        )

    def test_windows_root(self) -> None:
        """A boot manager asks as if its medium were all; whole paths go on as they are."""
        windows = Windows("Win/11", "wimboot", (), program="Win/11/bootmgfw.efi")
        world = World(self, BootPlan(windows, "win"))
        world.store = MemoryStore({"Win/11/Boot/BCD": b"its", "Boot/BCD": b"other", "a": b"a"})
        world.attach(world.boot, [], [("main", world.policy)])
        request = world.resolve().request
        for name, expected in (
            ("\\Boot\\BCD", b"its"),
            ("win\\11\\Boot\\BCD", None),
            ("/Win/11/Boot/BCD", b"its"),
            ("a", b"a"),
        ):
            path = ContentPath.parse(name)
            if expected is None:  # this store minds the case
                with self.assertRaises(ContentNotFound):
                    result_of(world.boot.open(path, request))
                continue
            content = result_of(world.boot.open(path, request))
            self.assertEqual(result_of(content.read(0, 9)), expected)
        other = attrs.evolve(request, plan=LINUX)
        content = result_of(world.boot.open(ContentPath.parse("Boot/BCD"), other))
        self.assertEqual(result_of(content.read(0, 9)), b"other")

    def test_native_program_begins(self) -> None:
        """It is given to a boot that may have it, as any program is."""
        windows = Windows("win", "wimboot", (), program="win/bootmgfw.efi")
        world = World(self)
        world.store = MemoryStore({windows.program: b"MZ"})
        policy = _Once(BootPlan(windows, "win"))
        world.attach(world.boot, [], [("once", policy)])
        request = world.resolve().request
        result_of(world.boot.open(ContentPath.parse(windows.program), request)).close()
        self.assertEqual(policy.begun, 1)
        policy.plan = LINUX
        request = attrs.evolve(request, boot_id="other")
        with self.assertRaises(ContentDenied):
            result_of(world.boot.open(ContentPath.parse(windows.program), request))

    def test_observers(self) -> None:
        """One that raises hinders nobody."""
        world = World(self)
        keeping = FakeObserver()

        @implementer(IBootObserver)
        class Broken:
            def notice(self, event: BootEvent) -> None:
                raise ZeroDivisionError

        @implementer(IBootObserver)
        class Async:
            async def notice(self, event: BootEvent) -> None:  # type: ignore[override]
                raise AssertionError("never run")

        bad: list[tuple[str, IBootObserver]] = [("bad", Broken()), ("async", Async())]
        world.attach(world.boot, [], [], [*bad, ("good", keeping)])
        event = BootEvent(0.0, EventKind.ANSWERED, "dhcp", "ws1")
        for _ in range(3):
            world.boot.tell(event)
        self.assertEqual(keeping.events, [event] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
