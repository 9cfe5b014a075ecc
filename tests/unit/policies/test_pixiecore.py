from __future__ import annotations

import attrs
import jinja2
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.content import rendered
from pxetwist.errors import PolicyError
from pxetwist.interfaces import IBootPolicy
from pxetwist.model.boot import BootPlan, BootRequest, BootStage, Protocol
from pxetwist.model.boots import Files, Script
from pxetwist.model.content import ContentPath
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.policies import pixiecore
from pxetwist.testing import make_site, result_of
from pxetwist.testing.contracts import BootPolicyContract

IDENTITY = ClientIdentity(mac="52:54:00:00:00:12")


class PixiecoreTests(BootPolicyContract, SynchronousTestCase):
    def make_policy(self) -> IBootPolicy:
        return pixiecore.build(pixiecore.Settings(), make_site(name="answers"))

    def request(self, **labels: str) -> BootRequest:
        named = {f"pixiecore.{name}": value for name, value in labels.items()}
        machine = Machine("ws12", labels=named, directory="api")
        return BootRequest(IDENTITY, BootStage.LOADER, Protocol.HTTP, machine=machine)

    def plan(self, **labels: str) -> BootPlan | None:
        return result_of(self.make_policy().plan_boot(self.request(**labels)))

    def test_a_kernel(self) -> None:
        plan = self.plan(
            kernel="http://a/k", initrd="http://a/0 http://a/1", cmdline="a=1", message="Hi\nyou"
        )
        files = Files("http://a/k", ("http://a/0", "http://a/1"), "a=1")
        self.assertEqual(plan, BootPlan(files, "pixiecore", "api: Hi you"))

    def test_a_script(self) -> None:
        plan = self.plan(script="#!ipxe\nshell")
        expected = BootPlan(
            Script("#!ipxe\nshell"), "pixiecore", "api: as it answered", loader="ipxe"
        )
        self.assertEqual(plan, expected)

    def test_others_are_no_concern_of_it(self) -> None:
        self.assertIsNone(self.plan())
        request = attrs.evolve(self.request(), machine=None)
        self.assertIsNone(result_of(self.make_policy().plan_boot(request)))

    def test_files_of_pixiecores(self) -> None:
        for labels in ({"kernel": "file:///k"}, {"kernel": "http://k", "initrd": "file:///i"}):
            with self.assertRaisesRegex(PolicyError, "machine ws12: file:///"):
                self.plan(**labels)

    def test_no_answer_is_a_template(self) -> None:
        """What comes from elsewhere is text: the loader gets it as it is."""
        for text in (
            "{{ 7 * 7 }}",
            "{% raw %}x",
            "{# x #} {{{{%{#",
            "${net0/mac} {a} }}",
            "{{ ''.__class__ }}",
        ):
            plan = self.plan(script=f"echo {text}")
            assert plan is not None
            assert isinstance(plan.boot, Script)
            self.assertEqual(jinja2.Template(plan.boot.ipxe).render(), f"echo {text}")

    def test_what_ipxe_gets(self) -> None:
        request = self.request(kernel="http://a/k", initrd="http://a/i", cmdline="a=1 b={%x")
        plan = result_of(self.make_policy().plan_boot(request))
        store = rendered.build(rendered.Settings(), make_site())
        request = attrs.evolve(request, plan=plan)
        content = result_of(store.open(ContentPath.parse("boot.ipxe"), request))
        text = result_of(content.read(0, 10_000)).decode()
        self.assertIn("kernel http://a/k initrd=i a=1 b={%x", text)
        self.assertIn("initrd --name i http://a/i", text)
