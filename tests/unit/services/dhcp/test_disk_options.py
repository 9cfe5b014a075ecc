"""What systems are told by DHCP of their iSCSI disk."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content.rendered import Settings, build
from pxetwist.interfaces import INamesDisks
from pxetwist.model.answer import Answer
from pxetwist.model.boot import BootPlan
from pxetwist.model.boots import Iscsi
from pxetwist.model.machine import Machine
from pxetwist.state.memory import MemoryLeases
from pxetwist.testing import make_site
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode as O
from tests.unit.services.dhcp.world import FIRST, MAC, NETWORK, UEFI, World

DISK = Iscsi("{{ endpoints.address }}", "iqn.2026-01.lab:{{ machine.name }}", lun=10)
NAMED = attrs.evolve(DISK, initiator="iqn.2026-01.lab.client:{{ machine.name }}")
PATH, NAME = b"iscsi:10.0.0.1::3260:a:iqn.2026-01.lab:ws1", b"iqn.2026-01.lab.client:ws1"


class DiskOptionsTests(SynchronousTestCase):
    def world(self, disk: Iscsi, said: dict[int, bytes] | None = None) -> World:
        world = World(self, networks=[attrs.evolve(NETWORK, options=said or {})])
        world.hosts.machines = {MAC: Machine("ws1", (MAC,))}
        world.policy.plan = BootPlan(disk, "san")
        store = build(Settings(), make_site(world.boot))
        self.assertTrue(INamesDisks.providedBy(store))
        world.boot.attach(
            hosts=[("rack", world.hosts)],
            policies=[("main", world.policy)],
            content=[("scripts", store)],
            observers=[],
            leases=MemoryLeases(),
        )
        return world

    def told(
        self, world: World, vendor: bytes = b"", more: dict[int, bytes] | None = None
    ) -> tuple[bytes | None, bytes | None]:
        options = {O.PARAMETER_REQUEST_LIST: bytes([O.ROOT_PATH, O.IPXE_INITIATOR])}
        options |= {O.VENDOR_CLASS: vendor} if vendor else {}
        reply = world.answered(Dhcp4Type.DISCOVER, options=options | (more or {})).reply
        return reply.options.get(O.ROOT_PATH), reply.options.get(O.IPXE_INITIATOR)

    def test_a_system(self) -> None:
        self.assertEqual(self.told(self.world(DISK)), (PATH, None))
        world = self.world(NAMED)
        self.assertEqual(self.told(world), (PATH, NAME))
        options = {O.PARAMETER_REQUEST_LIST: bytes([O.ROOT_PATH])}
        inform = world.answered(Dhcp4Type.INFORM, options=options, ciaddr=FIRST).reply
        self.assertEqual(inform.options[O.ROOT_PATH], PATH)
        world.policy.plan = BootPlan(attrs.evolve(NAMED, lun=1), "san")
        self.assertEqual(self.told(world)[0], PATH.replace(b":a:", b":1:"))

    def test_loaders_and_firmware(self) -> None:
        """Their script tells them, and a disk that DHCP told them is in its way."""
        world = self.world(NAMED)
        self.assertEqual(self.told(world, UEFI), (None, None))
        ipxe: dict[int, bytes] = {O.USER_CLASS: b"iPXE", O.IPXE: b"\x13\x01\x01"}
        self.assertEqual(self.told(world, UEFI, ipxe), (None, None))

    def test_a_login(self) -> None:
        """Who reads a root path has no secret to log in with."""
        disk = attrs.evolve(NAMED, answer=Answer("san", "credentials.ipxe"))
        self.assertEqual(self.told(self.world(disk)), (None, None))

    def test_the_site_says_something_else(self) -> None:
        cases: tuple[tuple[dict[int, bytes], tuple[bytes | None, bytes | None]], ...] = (
            ({O.ROOT_PATH: b"/srv"}, (b"/srv", None)),
            ({O.ROOT_PATH: b""}, (None, None)),
            ({O.IPXE_INITIATOR: b"iqn.x"}, (PATH, b"iqn.x")),
        )
        for said, expected in cases:
            self.assertEqual(self.told(self.world(NAMED, said)), expected)

    def test_no_name(self) -> None:
        disk = attrs.evolve(DISK, target="{{ machine.labels.none }}")
        self.assertEqual(self.told(self.world(disk)), (None, None))
