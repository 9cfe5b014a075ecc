"""Values as bytes: nothing else comes out of them."""

from __future__ import annotations

import os
import pickle
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from unittest import TestCase
from uuid import UUID

from pxetwist.config.fields import OptionText
from pxetwist.model.boot import BootPlan
from pxetwist.model.boots import Files, Menu, MenuEntry
from pxetwist.model.event import BootEvent, EventKind
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine
from pxetwist.model.packing import packed, unpacked
from pxetwist.wire.iana import Architecture

VALUES = (
    ClientIdentity(
        mac="52:54:00:00:00:01",
        uuid=UUID(int=7),
        architecture=Architecture.X64_UEFI,
        firmware=Firmware.UEFI,
        address=IPv4Address("10.0.0.9"),
    ),
    Machine("ws1", labels={"room": "b12"}, groups=("lab",)),
    BootPlan(Menu("Boot", (MenuEntry("deb", "Debian", Files("linux")),), "deb"), "menu"),
    BootEvent(1.0, EventKind.ENDED, "tftp", "ws1", details={"size": 3}),
)


class PackingTests(TestCase):
    def test_values_come_back(self) -> None:
        self.assertEqual(unpacked(packed(VALUES)), VALUES)

    def test_nothing_is_called(self) -> None:
        for content in (
            pickle.dumps(os.system),
            b"cos\nsystem\n(S'true'\ntR.",
            b"\x80\x04\x8c\x14pxetwist.model.event\x8c\x0eenum.sys.exit\x93.",
            pickle.dumps(packed),
            b"cpxetwist.model.boots\nnative_program\n.",
            packed(VALUES)[:-9],
            b"",
        ):
            self.assertRaises(ValueError, unpacked, content)

    def test_what_is_no_value(self) -> None:
        for strange in (lambda: None, object(), object, [range(3)]):
            self.assertRaises(ValueError, packed, strange)

    def test_texts_and_mappings_of_other_kinds(self) -> None:
        """Options of an INI know their line, and directories have mappings of their own."""
        text = OptionText("linux", Path(), ())
        machine = Machine("ws1", labels=MappingProxyType({"profile": text}))
        found = unpacked(packed(machine))
        self.assertEqual(found, Machine("ws1", labels={"profile": "linux"}))
