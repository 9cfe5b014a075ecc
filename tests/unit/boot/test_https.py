"""Who is given https URLs: boot files, scripts and what they name."""

from __future__ import annotations

from pathlib import Path

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.boot.facade import BootFacade
from pxetwist.boot.https import Https
from pxetwist.model.boot import (
    BootFile,
    BootPlan,
    BootRequest,
    BootStage,
    Endpoints,
    Protocol,
    SecurePort,
)
from pxetwist.model.boots import Files
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.testing import FakeHosts, FakePolicy, result_of
from pxetwist.wire.iana import Architecture

MAC = "52:54:00:12:34:56"
FIRMWARE = ClientIdentity(
    mac=MAC, architecture=Architecture.X64_UEFI_HTTP, firmware=Firmware.UEFI_HTTP
)
#: As Debian's iPXE is, and as one that was built with HTTPS.
PLAIN_IPXE = attrs.evolve(FIRMWARE, firmware=Firmware.IPXE, features=frozenset({0x13, 0x15}))
IPXE = attrs.evolve(PLAIN_IPXE, features=frozenset({0x13, 0x14, 0x15}))
NAMED = SecurePort(443, "boot.example")
_HTTPS = Https(NAMED)
CERTIFIED = SecurePort(8443, "")


class Site:
    """A facade of a site with HTTPS and one machine."""

    def __init__(self, case: SynchronousTestCase, https: Https, machine: Machine) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        self.hosts = FakeHosts({MAC: machine})
        self.policy = FakePolicy(BootPlan(Files("linux"), "debian", "said so"))
        folder = Path(case.mktemp())
        self.boot = BootFacade(self.clock, networks={}, state_folder=folder, https=https)
        self.boot.attach(
            hosts=[("rack", self.hosts)],
            policies=[("main", self.policy)],
            content=[],
            observers=[],
            leases=None,
        )

    def resolved(self, identity: ClientIdentity, *, secure: bool = False) -> BootRequest:
        request = BootRequest(
            identity,
            BootStage.LOADER,
            Protocol.HTTP if secure else Protocol.DHCP,
            endpoints=Endpoints("10.0.0.1"),
            secure=secure,
        )
        resolved: BootRequest = result_of(self.boot.resolve(request)).request
        return resolved

    def file(self, identity: ClientIdentity) -> BootFile:
        found = self.boot.boot_file(self.resolved(identity), self.clock.seconds())
        assert found is not None
        return found


class SchemeTests(SynchronousTestCase):
    def site(
        self, https: Https = _HTTPS, labels: dict[str, str] | None = None, owns: str = ""
    ) -> Site:
        return Site(self, https, Machine("ws1", (MAC,), labels=labels or {}, certificate=owns))

    def test_firmware_that_boots_by_http(self) -> None:
        file = self.site().file(FIRMWARE)
        self.assertEqual(file.name, "https://boot.example/loaders/snponly.efi")
        self.assertTrue(file.reason.endswith(", by https"))

    def test_other_firmware_loads_by_tftp(self) -> None:
        firmware = attrs.evolve(
            FIRMWARE, firmware=Firmware.UEFI, architecture=Architecture.X64_UEFI
        )
        file = self.site().file(firmware)
        self.assertEqual(file.name, "loaders/snponly.efi")
        self.assertNotIn("http", file.reason)

    def test_ipxe_that_tells_https(self) -> None:
        site = self.site()
        self.assertTrue(site.file(IPXE).name.startswith("https://boot.example/boot/"))
        request = site.resolved(IPXE)
        self.assertEqual(request.endpoints.web, "https://boot.example")
        self.assertEqual(request.endpoints.http, "http://10.0.0.1")  # for systems
        discover = site.boot.report_url(request, "discover", 0)
        callback = site.boot.report_url(request, "callback", 0)
        self.assertTrue(discover.startswith("https://boot.example/discover/"))
        self.assertTrue(callback.startswith("http://10.0.0.1/callback/"))

    def test_ipxe_that_does_not(self) -> None:
        for identity in (PLAIN_IPXE, attrs.evolve(PLAIN_IPXE, features=frozenset())):
            file = self.site().file(identity)
            self.assertTrue(file.name.startswith("http://10.0.0.1/boot/"))
            self.assertIn("by http: this iPXE does not tell", file.reason)

    def test_what_came_by_https_goes_on_so(self) -> None:
        """As GRUB with TLS, or an iPXE of which nobody remembers the features."""
        stranger = ClientIdentity(firmware=Firmware.IPXE)
        self.assertEqual(
            self.site().resolved(stranger, secure=True).endpoints.web, "https://boot.example"
        )

    def test_the_label_of_the_machine(self) -> None:
        no_ca_yet = self.site(labels={"scheme": "http"})
        self.assertTrue(no_ca_yet.file(FIRMWARE).name.startswith("http://10.0.0.1/"))
        self.assertIn("by http: its label `scheme`", no_ca_yet.file(FIRMWARE).reason)
        silent_ipxe = self.site(labels={"scheme": "https"})
        self.assertTrue(silent_ipxe.file(PLAIN_IPXE).name.startswith("https://"))

    def test_only_https(self) -> None:
        """Nothing goes back to http: whoever cannot fails, and everybody is told why."""
        site = self.site(Https(NAMED, only=True), labels={"scheme": "http"})
        file = site.file(PLAIN_IPXE)
        self.assertTrue(file.name.startswith("https://boot.example/boot/"))
        self.assertIn("by https, though this iPXE does not tell", file.reason)
        deaf = attrs.evolve(PLAIN_IPXE, features=frozenset({0x15}))  # not even HTTP
        self.assertTrue(site.file(deaf).name.startswith("https://boot.example/"))
        self.assertEqual(site.resolved(PLAIN_IPXE).endpoints.http, "https://boot.example")

    def test_an_address_and_another_port(self) -> None:
        site = self.site(Https(SecurePort(8443)))
        self.assertEqual(site.file(FIRMWARE).name, "https://10.0.0.1:8443/loaders/snponly.efi")
        six = Endpoints("fd00::1", secure=SecurePort(443))
        self.assertEqual(six.web, "https://[fd00::1]")

    def test_without_https_nothing_changes(self) -> None:
        file = self.site(Https()).file(FIRMWARE)
        self.assertEqual(file.name, "http://10.0.0.1/loaders/snponly.efi")
        self.assertNotIn("by http", file.reason)

    def test_the_port_for_machines_with_a_certificate(self) -> None:
        both = Https(NAMED, CERTIFIED)
        self.assertTrue(self.site(both).file(IPXE).name.startswith("https://boot.example/"))
        owner = self.site(both, owns="ws1")
        self.assertTrue(owner.file(IPXE).name.startswith("https://10.0.0.1:8443/boot/"))
        self.assertTrue(owner.file(FIRMWARE).name.startswith("https://boot.example/"))


class CertificateTests(SynchronousTestCase):
    """What a certificate proves is decided upon, and is nobody else's."""

    def test_the_plan_of_a_certificate(self) -> None:
        site = Site(self, Https(NAMED, CERTIFIED), Machine("ws1", (MAC,)))
        site.boot.see(IPXE, BootStage.LOADER, site.clock.seconds())
        site.resolved(IPXE)  # by DHCP
        site.policy.plan = BootPlan(Files("secret"), "secret", "for pc01")
        shown = attrs.evolve(IPXE, certificate="pc01")
        path = ContentPath.parse("boot.ipxe")

        def asked(identity: ClientIdentity) -> str:
            request = BootRequest(
                identity, BootStage.LOADER, Protocol.HTTP, path, Endpoints("10.0.0.1")
            )
            plan = result_of(site.boot.resolve(request)).plan
            return plan.profile if plan else ""

        self.assertEqual(asked(IPXE), "debian")  # as DHCP announced
        self.assertEqual(asked(shown), "secret")
        site.policy.plan = BootPlan(Files("linux"), "debian", "said so")
        self.assertEqual(asked(shown), "secret")  # it holds for this boot
        self.assertEqual(asked(IPXE), "debian")  # and only for who shows it
        self.assertEqual(asked(attrs.evolve(IPXE, certificate="pc02")), "debian")
