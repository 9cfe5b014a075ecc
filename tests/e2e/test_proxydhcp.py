"""From power-on to a Linux userland beside a DHCP server that knows nothing of network boot."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs

from bootlab import neighbours
from bootlab.captures import Datagram
from bootlab.machines import Firmware
from tests.e2e.case import BootCase

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


def _xid(message: Datagram) -> int:
    return int.from_bytes(message.payload[4:8], "big")


def _answers(datagrams: list[Datagram], question: Datagram) -> int:
    """Count the answers from port 4011 to where a question came from, with its id."""
    back = (4011, question.source, question.source_port, _xid(question))
    return sum(
        (each.source_port, each.destination, each.destination_port, _xid(each)) == back
        for each in datagrams
    )
