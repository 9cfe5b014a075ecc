"""Which variant is offered next, on a clock of numbers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.exchange.proxy_trials import Choice, Fingerprint, Trials, order_for
from pxetwist.exchange.proxydhcp import Variant
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.wire.iana import Architecture

MAC = "52:54:00:00:00:01"
UEFI = ClientIdentity(
    mac=MAC,
    firmware=Firmware.UEFI,
    architecture=Architecture.X64_UEFI,
    vendor_class="PXEClient:Arch:00007:UNDI:003000",
)
MAKE = Fingerprint.of(UEFI, None)


class TrialTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.trials = Trials()

    def ask(self, now: float, mac: str = MAC, make: Fingerprint = MAKE) -> Choice:
        return self.trials.choose(mac, make, order_for(make.firmware), now)

    def variants(self, *times: float) -> list[str]:
        return [self.ask(now).variant.value for now in times]

    def test_orders(self) -> None:
        """UEFI is sent to port 4011 first, the others are not; menus are never tried on iPXE and
        UEFI by themselves.
        """
        self.assertEqual(order_for(Firmware.UEFI)[0], Variant.REDIRECT)
        for firmware in (Firmware.BIOS, Firmware.IPXE, Firmware.UEFI_HTTP):
            self.assertEqual(order_for(firmware)[0], Variant.FULL)
        for firmware in (Firmware.UEFI, Firmware.IPXE, Firmware.UEFI_HTTP):
            self.assertNotIn(Variant.MENU, order_for(firmware))
        self.assertEqual(order_for(Firmware.RASPBERRY_PI), (Variant.RASPBERRY_PI,))

    def test_deaf_firmware(self) -> None:
        """DISCOVER at 0, 4, 12 and 28 s and nothing else (quirk D5), over two boots."""
        self.assertEqual(self.variants(0, 4, 12, 28), ["redirect", "redirect", "full", "full"])
        choice = self.ask(100)
        self.assertEqual(choice.variant, Variant.HEADER)
        self.assertEqual(choice.news, "answered twice as 'full' without effect, now 'header'")
        self.ask(104)
        last = self.ask(112)
        self.assertEqual((last.variant, last.exhausted), (Variant.REDIRECT, True))

    def test_impatient_clients_wait_for_their_address(self) -> None:
        """iPXE asks at 0, 1 and 3 s when the DHCP server is slow: no failure of ours."""
        self.assertEqual(self.variants(0, 1, 3), ["redirect"] * 3)

    def test_took_an_address_and_began_anew(self) -> None:
        """One answer is enough then; but a machine on its way is left in peace."""
        self.ask(0)
        self.trials.went_on(MAC, Firmware.UEFI)
        choice = self.ask(20)
        self.assertEqual(choice.news, "answered once as 'redirect' without effect, now 'full'")

    def test_success_is_remembered(self) -> None:
        """By the machine, and by its like; not by those of another make."""
        self.ask(0)
        self.assertEqual(self.trials.worked(MAC), "")  # the first variant: no news
        self.variants(50, 54)
        self.assertEqual(self.ask(62).variant, Variant.FULL)
        self.assertIn("as 'full' it boots", self.trials.worked(MAC))
        self.assertEqual(self.trials.worked(MAC), "")
        self.assertEqual(self.variants(1000, 1004), ["full", "full"])
        self.assertEqual(self.ask(0, "52:54:00:00:00:02").variant, Variant.FULL)
        other = Fingerprint.of(UEFI, Machine("x", labels={"model": "ThinkPad"}))
        self.assertEqual(self.ask(0, "52:54:00:00:00:03", other).variant, Variant.REDIRECT)

    def test_a_loader_proves_its_firmware(self) -> None:
        """Only firmware's trials end; that of the iPXE itself goes on."""
        ipxe = Fingerprint(Firmware.IPXE, "PXEClient", Architecture.X64_UEFI, "")
        self.variants(0, 4)
        self.ask(5, make=ipxe)
        self.trials.worked(MAC, Firmware.UEFI)
        self.assertEqual(self.variants(20), ["redirect"])
        self.ask(8, make=ipxe)
        self.assertEqual(self.ask(11, make=ipxe).variant, Variant.REDIRECT)

    def test_one_variant_is_never_changed(self) -> None:
        """What somebody fixed is fixed."""
        only = (Variant.FULL,)
        choices = {self.trials.choose(MAC, MAKE, only, now) for now in (0, 10, 20, 30, 40)}
        self.assertEqual(choices, {Choice(Variant.FULL)})

    def test_changed_options_begin_anew(self) -> None:
        """Another order in the INI or label counts at once."""
        self.variants(0, 4, 12)
        wanted = (Variant.MENU, Variant.FULL)
        self.assertEqual(self.trials.choose(MAC, MAKE, wanted, 13).variant, Variant.MENU)

    def test_memory_is_bounded(self) -> None:
        """The oldest are forgotten."""
        trials = Trials(machines=3, fingerprints=2)
        for number in range(10):
            mac = f"52:54:00:00:01:{number:02x}"
            make = Fingerprint(Firmware.UEFI, "x" * number, None, "")
            for now in (0, 4, 12):
                trials.choose(mac, make, order_for(Firmware.UEFI), now)
            trials.worked(mac)
        kept = [len(trials._trials), *(len(each) for each in trials._learned.values())]
        self.assertEqual(kept, [3, 3, 2])

    def test_lessons_are_taught_again(self) -> None:
        """A machine's own goes before its make's; what is known by now before both."""
        for now in (0, 4, 12):
            self.ask(now)
        self.trials.worked(MAC)
        lessons = self.trials.unsaved()
        self.assertEqual(list(lessons.values()), ["full", "full"])
        self.assertIn(MAC, next(iter(lessons)))
        self.trials.saved(lessons)
        self.assertEqual(self.trials.unsaved(), {})
        machine, make = lessons
        taught = {machine: "header", make: "full", "make x": "nonsense", "nonsense": "full"}
        self.trials = Trials()
        self.assertEqual(self.ask(0).variant, Variant.REDIRECT)  # too early
        self.trials.recall(taught)
        self.assertEqual(self.ask(0).variant, Variant.HEADER)
        self.assertEqual(self.ask(0, "52:54:00:00:00:02").variant, Variant.FULL)
        self.variants(4, 12)
        self.trials.worked(MAC)
        learned = self.trials.unsaved()[machine]
        self.trials.recall({machine: "header"})
        self.assertEqual(self.trials._learned["machine"][machine].value, learned)
        self.assertEqual(self.trials.unsaved(), {machine: learned, make: learned})
