# ruff: noqa: D102  # the names of tests are sentences
"""What every plugin of a kind must do, as test cases to mix into your own.

::

    class MyLeasesTests(contracts.LeaseStoreContract, SynchronousTestCase):
        def make_store(self) -> ILeaseStore:
            return MyLeases()

Any kind of TestCase will do. Leases have modules of their own: :mod:`pxetwist.testing.leases`, and
:mod:`pxetwist.testing.lease_properties`, which needs hypothesis.
"""

from __future__ import annotations

import os
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from ipaddress import IPv4Address
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import TestCase
from uuid import UUID

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from pxetwist.errors import ContentNotFound, PolicyError
from pxetwist.interfaces import (
    IBootObserver,
    IBootPolicy,
    IContentStore,
    IHostDirectory,
    IReservations,
)
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol
from pxetwist.model.content import ContentPath
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity, Firmware, swapped
from pxetwist.model.machine import Machine
from pxetwist.wire.iana import Architecture

T = TypeVar("T")

if TYPE_CHECKING:
    _Mixin = TestCase
else:
    _Mixin = object  # else the contracts themselves would be collected as tests


class ThreadClock(Clock):
    """A clock that is also the reactor of plugins with threads: it runs what they hand over."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., object], *args: object) -> None:
        """Queue a call."""
        self._calls.put(lambda: call(*args))

    def run_until(self, done: Callable[[], bool]) -> None:
        """Run what threads hand over until something is done, at most half a minute."""
        while not done():
            try:
                call = self._calls.get(timeout=30)
            except Empty:
                raise AssertionError("no thread has anything to say") from None
            call()


class Contract(_Mixin, metaclass=ABCMeta):
    """What the contracts share."""

    def settle(self, done: Callable[[], bool]) -> None:
        """Let time pass until something is done; override it for a plugin that uses threads."""
        self.assertTrue(done(), "it waits for something")

    def result(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """Run a coroutine to its end and return, or raise, what comes of it."""
        outcome: list[T | Failure] = []
        Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
        self.settle(lambda: bool(outcome))
        [result] = outcome
        if isinstance(result, Failure):
            result.raiseException()
        return result


class HostDirectoryContract(Contract):
    """What every host directory must do."""

    MACHINES = (
        Machine(
            "ws12",
            ("52:54:00:00:00:12", "52:54:00:00:01:12"),
            UUID("4c4c4544-0051-3510-8052-b4c04f4d3232"),
            IPv4Address("10.0.0.12"),
            {"room": "b12", "profile": "debian12"},
        ),
        Machine("ws13", ("52:54:00:00:00:13",)),
    )

    @abstractmethod
    def make_directory(self, machines: Sequence[Machine]) -> IHostDirectory:
        """Return a directory that knows these machines."""

    def _find(self, identity: ClientIdentity) -> str | None:
        directory = self.make_directory(self.MACHINES)
        machine = self.result(directory.find_machine(identity))
        return None if machine is None else machine.name

    def test_provides_the_interface(self) -> None:
        verifyObject(IHostDirectory, self.make_directory(self.MACHINES))

    def test_by_every_mac(self) -> None:
        for machine in self.MACHINES:
            for mac in machine.macs:
                self.assertEqual(self._find(ClientIdentity(mac=mac)), machine.name)

    def test_by_uuid_in_both_byte_orders(self) -> None:
        uuid = self.MACHINES[0].uuid
        assert uuid is not None
        for spelled in (uuid, swapped(uuid)):
            self.assertEqual(self._find(ClientIdentity(uuid=spelled)), "ws12")

    def test_mac_before_uuid(self) -> None:
        """A dock's or a swapped board's UUID does not outvote the network card."""
        identity = ClientIdentity(mac="52:54:00:00:00:13", uuid=self.MACHINES[0].uuid)
        self.assertEqual(self._find(identity), "ws13")

    def test_strangers(self) -> None:
        self.assertIsNone(self._find(ClientIdentity(mac="52:54:00:99:99:99", uuid=UUID(int=77))))
        self.assertIsNone(self._find(ClientIdentity()))

    def test_what_it_says(self) -> None:
        directory = self.make_directory(self.MACHINES)
        machine = self.result(directory.find_machine(ClientIdentity(mac="52:54:00:00:00:12")))
        assert machine is not None
        self.assertTrue(machine.directory)
        self.assertEqual(attrs.evolve(machine, directory=""), self.MACHINES[0])

    def test_reservations(self) -> None:
        directory = self.make_directory(self.MACHINES)
        if IReservations.providedBy(directory):
            verifyObject(IReservations, directory)
            self.assertEqual(
                list(IReservations(directory).reserved_addresses()), [self.MACHINES[0].address]
            )


class BootPolicyContract(Contract):
    """What every boot policy must do, whatever it decides."""

    @abstractmethod
    def make_policy(self) -> IBootPolicy:
        """Return a policy."""

    def requests(self) -> list[BootRequest]:
        """Return questions of many kinds: known and unknown machines, hardly any facts."""
        machines = (None, Machine("bare"), *HostDirectoryContract.MACHINES)
        identities = (
            ClientIdentity(),
            ClientIdentity(mac="52:54:00:00:00:12", architecture=Architecture.X64_UEFI),
            ClientIdentity(mac="52:54:00:00:00:13", architecture=Architecture(4711)),
            ClientIdentity(uuid=UUID(int=5), firmware=Firmware.IPXE, vendor_class="PXEClient"),
            ClientIdentity(address=IPv4Address("10.0.0.99")),
        )
        return [
            BootRequest(identity, stage, Protocol.DHCP, machine=machine)
            for identity in identities
            for machine in machines
            for stage in BootStage
        ]

    def test_provides_the_interface(self) -> None:
        verifyObject(IBootPolicy, self.make_policy())

    def test_plan_silence_no_opinion_or_error(self) -> None:
        """A plan gives its reason; nothing but PolicyError is raised."""
        policy = self.make_policy()
        for request in self.requests():
            try:
                plan = self.result(policy.plan_boot(request))
            except PolicyError as error:
                self.assertTrue(str(error))
                continue
            if plan is not None:
                self.assertIsInstance(plan, BootPlan)
                self.assertTrue(plan.reason)


class ContentStoreContract(Contract):
    """What every content store must do."""

    CONTENT: Mapping[str, bytes] = {
        "boot/empty": b"",
        "boot/kernel": bytes(range(256)) * 300,
        "name with blanks": b"x",
    }
    REQUEST = BootRequest(ClientIdentity(), BootStage.LOADER, Protocol.HTTP)

    @abstractmethod
    def make_content(self, content: Mapping[str, bytes]) -> IContentStore:
        """Return a store in which these bytes lie under these paths."""

    def _open(self, store: IContentStore, path: str) -> Any:
        return self.result(store.open(ContentPath.parse(path), self.REQUEST))

    def test_provides_the_interface(self) -> None:
        verifyObject(IContentStore, self.make_content(self.CONTENT))

    def test_bytes_and_exact_size(self) -> None:
        store = self.make_content(self.CONTENT)
        for path, expected in self.CONTENT.items():
            content = self._open(store, path)
            self.assertEqual(content.info.size, len(expected))
            self.assertEqual(self.result(content.read(0, len(expected) + 1)), expected)
            content.close()

    def test_ranges_are_short_only_at_the_end(self) -> None:
        content = self._open(self.make_content(self.CONTENT), "boot/kernel")
        expected = self.CONTENT["boot/kernel"]
        for offset, length in ((0, 1), (511, 1024), (76_000, 4096), (76_800, 10), (90_000, 10)):
            self.assertEqual(
                self.result(content.read(offset, length)), expected[offset : offset + length]
            )
        content.close()

    def test_two_readers_do_not_disturb_each_other(self) -> None:
        store = self.make_content(self.CONTENT)
        first, second = self._open(store, "boot/kernel"), self._open(store, "boot/kernel")
        self.result(first.read(0, 4096))
        first.close()
        self.assertEqual(self.result(second.read(1, 2)), b"\x01\x02")
        second.close()

    def test_what_is_not_there(self) -> None:
        store = self.make_content(self.CONTENT)
        for path in ("boot", "boot/kernel/x", "Boot/none", "x" * 300, "a\x01\udcff"):
            with self.assertRaises(ContentNotFound):
                self._open(store, path)

    def test_closing_twice_does_no_harm(self) -> None:
        content = self._open(self.make_content(self.CONTENT), "boot/kernel")
        content.close()
        content.close()

    def test_a_descriptor_has_the_same_bytes(self) -> None:
        content = self._open(self.make_content(self.CONTENT), "boot/kernel")
        descriptor = content.fileno()
        if descriptor is not None:
            expected = self.CONTENT["boot/kernel"]
            found = os.pread(descriptor, len(expected), content.info.offset)
            self.assertEqual(found, expected)
        content.close()

    def test_other_bytes_have_another_tag(self) -> None:
        tags = set()
        for data in (b"one", b"three"):
            content = self._open(self.make_content({"file": data}), "file")
            tags.add(content.info.tag or data)
            content.close()
        self.assertEqual(len(tags), 2)


class BootObserverContract(Contract):
    """What every observer must do."""

    @abstractmethod
    def make_observer(self) -> IBootObserver:
        """Return an observer."""

    def test_provides_the_interface(self) -> None:
        verifyObject(IBootObserver, self.make_observer())

    def test_takes_every_event(self) -> None:
        """Also one with hardly any facts, and one with the worst that a client can choose."""
        observer = self.make_observer()
        worst = "{x} %s \x1b[2J\n\udcff"
        for kind in EventKind:
            observer.notice(BootEvent(0.0, kind, "tftp", ""))
            observer.notice(BootEvent(1.0, kind, "dhcp", worst, worst, "", worst, {"x": worst}))
            observer.notice(BootEvent(0.5, kind, "dhcp", "ws12", details={"object": object()}))
