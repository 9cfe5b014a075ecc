"""What real boot clients and servers sent: everything decodes, and encodes to the same bytes.

The golden texts beside the captures are written anew with ``PXETWIST_GOLDEN=write``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.wire.dhcp4 import Dhcp4Message, decode, encode
from pxetwist.wire.iana import Dhcp4Op
from pxetwist.wire.options import OptionCode, describe
from pxetwist.wire.pcap import Packet, read_packets

FOLDER = Path(__file__).parent.parent / "captures"
CAPTURES = sorted(path.stem for path in FOLDER.glob("*.pcap"))

#: The only messages that our encoder writes otherwise: short replies of Kea, which it does not
#: pad to the 300 bytes of BOOTP (RFC 1542 §2.1). Captures that hold such, and how many.
UNPADDED = {
    "proxydhcp_bios-ipxe_http-url": 4,
    "proxydhcp_ovmf_kea-siaddr0": 2,
    "proxydhcp_ovmf_snponly_ipxe": 6,
}


def packets_of(capture: str) -> Iterator[Packet]:
    return read_packets((FOLDER / f"{capture}.pcap").read_bytes())


def dhcp_of(capture: str) -> Iterator[tuple[Packet, Dhcp4Message]]:
    for packet in packets_of(capture):
        ports = {packet.source_port, packet.destination_port}
        if packet.protocol == "udp" and ":" not in packet.source and ports & {67, 68, 4011}:
            yield packet, decode(packet.payload)


def golden_lines(capture: str) -> Iterator[str]:
    for packet, message in dhcp_of(capture):
        kind = message.message_type
        name = kind.name if kind is not None else "BOOTP"
        yield (
            f"{packet.source}:{packet.source_port} > "
            f"{packet.destination}:{packet.destination_port} {name} {message.mac} "
            f"xid {message.xid:08x} secs {message.secs} flags {message.flags:04x} "
            f"ciaddr {message.ciaddr} yiaddr {message.yiaddr} siaddr {message.siaddr} "
            f"giaddr {message.giaddr} sname {message.sname!r} file {message.file!r}"
        )
        vendor_class = message.options.get(OptionCode.VENDOR_CLASS, b"")
        for code, raw in message.options.items():
            yield "    " + describe(code, raw, pxe=vendor_class.startswith(b"PXEClient"))


class CaptureTests(SynchronousTestCase):
    def test_all_captures_are_here_and_hold_dhcp(self) -> None:
        self.assertEqual(len(CAPTURES), 26)
        for capture in CAPTURES:
            self.assertTrue(sum(1 for _ in dhcp_of(capture)) >= 4, capture)

    def test_dhcp_encodes_to_the_same_bytes(self) -> None:
        unpadded: dict[str, int] = {}
        for capture in CAPTURES:
            for packet, message in dhcp_of(capture):
                self.assertFalse(packet.truncated)
                written = encode(message, max_size=1472)
                if written != packet.payload and message.op == Dhcp4Op.REPLY:
                    unpadded[capture] = unpadded.get(capture, 0) + 1
                    written = encode(message, max_size=1472, minimum=0)
                self.assertEqual(written, packet.payload, capture)
        self.assertEqual(unpadded, UNPADDED)

    def test_golden_texts(self) -> None:
        for capture in CAPTURES:
            seen = "".join(line + "\n" for line in golden_lines(capture))
            golden = FOLDER / f"{capture}.golden"
            if os.environ.get("PXETWIST_GOLDEN") == "write":
                golden.write_text(seen)
            self.assertEqual(seen, golden.read_text(), capture)
