"""From power-on to a Linux userland beside a DHCP server that knows nothing of network boot."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address

import attrs

from bootlab import neighbours
from bootlab.captures import Datagram
from bootlab.machines import Firmware
from tests.e2e.case import PATIENCE, BootCase

SERVER = IPv4Address("10.77.0.1")
FIRST, LAST = IPv4Address(neighbours.FIRST), IPv4Address(neighbours.LAST)


@attrs.frozen
class Exchange:
    """A question to port 4011: from which port, its transaction id, and how many answers."""

    port: int
    xid: int
    answers: int


class ProxyDhcpTests(BootCase):
    def assert_booted_beside(self, name: str, firmware: Firmware) -> None:
        """The machine has the foreign server's address and boots what our server says."""
        told = self.booted(self.boot(name, firmware))
        self.assertEqual(told["name"], name)
        self.assertTrue(FIRST <= IPv4Address(told["address"]) <= LAST, told["address"])

    def exchanges(self) -> list[Exchange]:
        """Return what went over port 4011, in order."""
        datagrams = [each for frame in self.lab.capture.frames() if (each := frame.udp)]
        return [
            Exchange(each.source_port, _xid(each), _answers(datagrams, each))
            for each in datagrams
            if (each.destination, each.destination_port) == (SERVER, 4011)
        ]

    def test_bios_beside_dnsmasq(self) -> None:
        """The iPXE ROM boots from the offer alone: nothing on port 4011."""
        self.lab.keep(neighbours.dnsmasq(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini")
        self.assert_booted_beside("bios-ipxe", Firmware.BIOS)
        self.assertEqual(self.exchanges(), [])

    def test_bios_menu(self) -> None:
        """A PXE menu makes the iPXE ROM discover its boot server: port 68, transaction id 0."""
        self.lab.keep(neighbours.dnsmasq(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini", ("interfaces = br0", "interfaces = br0\noffer = menu"))
        self.assert_booted_beside("bios-pxelinux", Firmware.BIOS)
        self.assertEqual(self.exchanges(), [Exchange(68, 0, 1)])

    def test_bios_redirect(self) -> None:
        """An offer without a boot file makes the iPXE ROM send a request: port 68, its own id."""
        self.lab.keep(neighbours.dnsmasq(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini", ("interfaces = br0", "interfaces = br0\noffer = redirect"))
        self.assert_booted_beside("bios-ipxe", Firmware.BIOS)
        (exchange,) = self.exchanges()
        self.assertEqual((exchange.port, exchange.answers), (68, 1))
        self.assertNotEqual(exchange.xid, 0)

    def test_uefi_beside_kea(self) -> None:
        """OVMF is redirected and asks from port 4011; the iPXE that it loads needs no more."""
        self.lab.keep(neighbours.kea(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini")
        self.assert_booted_beside("uefi-ipxe", Firmware.UEFI)
        (exchange,) = self.exchanges()
        self.assertEqual((exchange.port, exchange.answers), (4011, 1))

    def test_uefi_takes_the_next_offer(self) -> None:
        """Port 4011 is deaf: a program that a former boot server left behind has it. OVMF gives
        up and begins anew; then the boot file is in the offer.
        """
        self.lab.keep(neighbours.kea(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini")
        script = [sys.executable, "-c", _DEAF_PORT]
        self.lab.keep(self.lab.lan.server.start(script, self.lab.folder / "deaf.log"))
        self.assert_booted_beside("uefi-ipxe", Firmware.UEFI)
        self.assertRegex(
            self.server.text, "answered (once|twice) as 'redirect' without effect, now 'full'"
        )
        self.assertIn("offered as 'full' it boots", self.server.text)
        self.assertEqual({each.answers for each in self.exchanges()}, {0})

    def test_uefi_shows_a_menu(self) -> None:
        """A PXE menu of two profiles: its default starts after the timeout, by port 4011."""
        self.lab.keep(neighbours.dnsmasq(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini", ("interfaces = br0", "interfaces = br0\noffer.uefi = menu"))
        machine = self.boot("uefi-menu", Firmware.UEFI)
        machine.wait_for("What the firmware offers", PATIENCE)
        self.assertEqual(self.booted(machine)["name"], "uefi-menu")
        (exchange,) = self.exchanges()
        self.assertEqual((exchange.port, exchange.answers), (4011, 1))

    def test_uefi_http_beside_dnsmasq(self) -> None:
        """HTTP Boot, PXE switched off: the URL is in our offer, the address in the other one."""
        self.lab.keep(neighbours.dnsmasq(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini")
        self.assert_booted_beside("uefi-ipxe", Firmware.UEFI_HTTP)
        self.assertIn("loaders/snponly.efi", self.asked("http"))
        self.assertEqual(self.exchanges(), [])

    def test_uefi_full(self) -> None:
        """OVMF takes the boot file from the offer, too, and asks port 4011 nothing."""
        self.lab.keep(neighbours.dnsmasq(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini", ("interfaces = br0", "interfaces = br0\noffer.uefi = full"))
        self.assert_booted_beside("uefi-ipxe", Firmware.UEFI)
        self.assertEqual(self.exchanges(), [])

    def test_names_in_the_header_alone(self) -> None:
        """Both firmwares and their iPXE read them there; none asks port 4011."""
        self.lab.keep(neighbours.dnsmasq(self.lab.lan, self.lab.folder))
        self.serve("proxy.ini", ("interfaces = br0", "interfaces = br0\noffer = header"))
        machines = {
            "bios-ipxe": self.boot("bios-ipxe", Firmware.BIOS),
            "uefi-ipxe": self.boot("uefi-ipxe", Firmware.UEFI),
        }
        for name, machine in machines.items():
            self.assertEqual(self.booted(machine)["name"], name)
        self.assertEqual(self.exchanges(), [])


#: Takes what comes to port 4011 of the server's address, more closely bound than the server is.
_DEAF_PORT = """
import signal, socket
deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
    deaf.setsockopt(socket.SOL_SOCKET, option, 1)
deaf.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"br0")
deaf.bind(("10.77.0.1", 4011))
signal.pause()
"""


def _xid(message: Datagram) -> int:
    return int.from_bytes(message.payload[4:8], "big")


def _answers(datagrams: list[Datagram], question: Datagram) -> int:
    """Count the answers from port 4011 to where a question came from, with its id."""
    back = (4011, question.source, question.source_port, _xid(question))
    return sum(
        (each.source_port, each.destination, each.destination_port, _xid(each)) == back
        for each in datagrams
    )
