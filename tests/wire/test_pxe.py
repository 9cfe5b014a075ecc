"""What PXE clients and iPXE say in options 43, 60, 77, 93, 97 and 175."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.wire import pxe
from pxetwist.wire.iana import Architecture


class UserClassTests(SynchronousTestCase):
    def test_plain_text_of_ipxe(self) -> None:
        self.assertEqual(pxe.user_classes(b"iPXE"), ("iPXE",))
        self.assertEqual(pxe.user_classes(b"gPXE\0"), ("gPXE",))

    def test_length_before_each(self) -> None:
        self.assertEqual(pxe.user_classes(b"\4iPXE"), ("iPXE",))
        self.assertEqual(pxe.user_classes(b"\4iPXE\3lab\0"), ("iPXE", "lab"))

    def test_nothing(self) -> None:
        self.assertEqual(pxe.user_classes(b""), ())

    def test_what_is_no_text_can_still_be_stored(self) -> None:
        self.assertEqual(pxe.user_classes(b"\2\xffa"), ("\\xffa",))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, raw: bytes) -> None:
        for name in pxe.user_classes(raw):
            self.assertNotIn("\0", name)
            name.encode()


class ArchitectureTests(SynchronousTestCase):
    def test_list(self) -> None:
        seen = pxe.architectures(bytes.fromhex("0007 0010 1234"))
        self.assertEqual(seen, (Architecture.X64_UEFI, Architecture.X64_UEFI_HTTP, 0x1234))

    def test_broken(self) -> None:
        for raw in (b"", b"\0", b"\0\7\0"):
            self.assertRaises(WireError, pxe.architectures, raw)

    def test_vendor_class_is_decimal(self) -> None:
        for text, architecture in (
            ("PXEClient:Arch:00011:UNDI:003000", Architecture.ARM64_UEFI),
            ("PXEClient:Arch:65536:UNDI:003000", None),
            ("HTTPClient:Arch:00016:UNDI:003001", Architecture.X64_UEFI_HTTP),
            ("PXEClient:Arch:00000", Architecture.X86_BIOS),
            ("PXEClient", None),
            ("PXEClient:Arch:0000B:UNDI:003000", None),
            ("PXEClient:Arch:123456", None),
            ("MSFT 5.0", None),
            ("a PXEClient:Arch:00007", None),
        ):
            self.assertEqual(pxe.vendor_architecture(text), architecture, text)


class MachineIdTests(SynchronousTestCase):
    def test_only_type_zero_with_sixteen_bytes(self) -> None:
        uuid = bytes(range(16))
        self.assertEqual(pxe.machine_id(b"\0" + uuid), uuid)
        for raw in (b"", b"\0", b"\1" + uuid, uuid, b"\0" + uuid + b"\0"):
            self.assertIsNone(pxe.machine_id(raw))


class VendorOptionTests(SynchronousTestCase):
    def test_the_least_block_of_a_server(self) -> None:
        self.assertEqual(pxe.encode_vendor({pxe.DISCOVERY_CONTROL: b"\x08"}), b"\6\1\x08\xff")

    def test_decode_ends_at_255_or_without(self) -> None:
        block = {pxe.DISCOVERY_CONTROL: b"\x08", pxe.MENU_PROMPT: b"\0PXE"}
        raw = b"\6\1\x08\0\x0a\4\0PXE"
        for end in (b"", b"\xff", b"\xff\0garbage"):
            self.assertEqual(pxe.decode_vendor(raw + end), block)

    def test_broken(self) -> None:
        self.assertRaises(WireError, pxe.decode_vendor, b"\6\2\1")
        self.assertRaises(WireError, pxe.encode_vendor, {9: bytes(256)})
        for mark in (0, 255):
            self.assertRaises(WireError, pxe.encode_vendor, {mark: b""})

    def test_boot_item(self) -> None:
        self.assertEqual(pxe.boot_item(bytes.fromhex("4704 8001 0002 ff")), (0x8001, 2))
        self.assertIsNone(pxe.boot_item(b"\6\1\x08\xff"))
        self.assertIsNone(pxe.boot_item(b""))
        self.assertRaises(WireError, pxe.boot_item, bytes.fromhex("4702 8001 ff"))

    def test_described_on_one_line(self) -> None:
        block = {
            pxe.DISCOVERY_CONTROL: b"\x03",
            7: bytes((224, 0, 1, 2)),
            pxe.BOOT_SERVERS: bytes.fromhex("8000 01 0a4d0001 0001 00"),
            pxe.BOOT_MENU: b"\x80\0\4Boot\0\0\5Local",
            pxe.MENU_PROMPT: b"\x05Press\n",
            pxe.BOOT_ITEM: bytes(4),
            2: b"\1\0",
            4: b"\1",
            200: b"ab",
        }
        self.assertEqual(
            pxe.describe_vendor(pxe.encode_vendor(block)),
            "discovery-control 3, discovery-address 224.0.1.2, "
            "boot-servers [32768: 10.77.0.1, 1: any], "
            "boot-menu [32768: 'Boot', 0: 'Local'], menu-prompt 5 s 'Press\\n', "
            "boot-item type 0 layer 0, mtftp-client-port 256, mtftp-timeout 1, 200 6162",
        )

    @given(st.binary(max_size=80))
    def test_any_bytes(self, raw: bytes) -> None:
        for decode in (
            pxe.decode_vendor,
            pxe.boot_item,
            pxe.ipxe_features,
            pxe.architectures,
            pxe.machine_id,
            pxe.describe_vendor,
        ):
            with contextlib.suppress(WireError):
                decode(raw)

    @given(st.dictionaries(st.integers(1, 254), st.binary(max_size=255), max_size=8))
    def test_round_trip(self, block: dict[int, bytes]) -> None:
        self.assertEqual(pxe.decode_vendor(pxe.encode_vendor(block)), block)


class IpxeFeatureTests(SynchronousTestCase):
    def test_a_request_of_a_rom(self) -> None:
        raw = bytes.fromhex(
            "b105 018086100e eb03 010000 170101 150101 130101 110100 2502 0101 290101300101 0f0101"
        )
        self.assertEqual(pxe.ipxe_features(raw), frozenset({0x17, 0x15, 0x13, 0x29}))

    def test_settings_of_a_server_are_no_features(self) -> None:
        self.assertEqual(pxe.ipxe_features(b"\xb0\1\1\x08\1\1"), frozenset())
