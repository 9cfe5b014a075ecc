"""What is remembered of texts: the latest of each machine, and no more than there is room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content.rendered_texts import RenderedTexts
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Endpoints, Login, Protocol
from pxetwist.model.boots import LocalDisk
from pxetwist.model.content import ContentPath
from pxetwist.model.families import Setting
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine

MACHINE, PLAN = Machine("ws1"), BootPlan(LocalDisk(), "local")
REQUEST = BootRequest(
    ClientIdentity(mac="52:54:00:12:34:56"),
    BootStage.LOADER,
    Protocol.HTTP,
    endpoints=Endpoints("10.0.0.1"),
    machine=MACHINE,
    plan=PLAN,
)


class RenderedTextsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.texts = RenderedTexts()

    def make(self, request: BootRequest = REQUEST, text: str = "text") -> None:
        self.texts.make("boot", request, 1.0, lambda: text)

    def suits(self, **news: Any) -> bool:
        return self.texts.get("boot", attrs.evolve(REQUEST, **news)) is not None

    def test_the_same_question(self) -> None:
        self.assertFalse(self.suits())
        self.make()
        self.assertTrue(self.suits())
        self.assertTrue(self.suits(plan=attrs.evolve(PLAN), machine=attrs.evolve(MACHINE)))
        self.assertTrue(self.suits(boot_id="1a2b", wanted=ContentPath.parse("grub.cfg")))
        self.assertIsNone(self.texts.get("other", REQUEST))

    def test_what_templates_can_look_at(self) -> None:
        self.make()
        setting = Setting("kernel", "linux", "here")
        for news in (
            {"identity": attrs.evolve(REQUEST.identity, firmware=Firmware.IPXE)},
            {"identity": ClientIdentity(mac="52:54:00:00:00:01")},
            {"endpoints": Endpoints("10.0.0.1", 8080)},
            {"protocol": Protocol.TFTP},
            {"stage": BootStage.KERNEL},
            {"secure": True},
            {"machine": None},
            {"machine": Machine("ws1", labels={"room": "a"})},
            {"machine": Machine("ws1", provenance="ldap, 2 ms")},
            {"plan": None},
            {"plan": attrs.evolve(PLAN, reason="said so")},
            {"plan": attrs.evolve(PLAN, settings=(setting,))},
        ):
            self.assertFalse(self.suits(**news), news)

    def test_what_is_of_one_moment(self) -> None:
        chance: Callable[[], str] = lambda: "x"  # noqa: E731
        self.texts.make("boot", REQUEST, 1.0, lambda: str(self.texts.of_this_moment(chance)))
        self.assertFalse(self.suits())
        self.make()
        self.assertTrue(self.suits())

    def test_bounds(self) -> None:
        for number in range(5000):
            mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
            self.make(attrs.evolve(REQUEST, identity=ClientIdentity(mac=mac)))
        self.assertLessEqual(len(self.texts._texts), 2048)
        self.make(text="x" * 10_000)
        self.assertFalse(self.suits())

    def test_no_password_is_kept(self) -> None:
        self.make(attrs.evolve(REQUEST, login=Login("ann", "secret")))
        self.assertNotIn("ann", repr(self.texts._texts._young))
