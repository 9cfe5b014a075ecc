from __future__ import annotations

from pxetwist.config.advice import advice
from tests.unit.config.inis import IniCase

HEAD = """
[pxe]
services = tftp
policies = fixed
state = memory
content = files, rendered
[policy:fixed]
profile = x
[content:files]
plugin = directory
root = content
"""


class Advice(IniCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("content/linux", "")
        self.write("content/loaders/snponly.efi", "")
        self.write("content/loaders/shimx64.efi", "")

    def advice(self, content: str) -> list[str]:
        return advice(self.load(content))

    def test_nothing_to_say(self) -> None:
        self.assertEqual(
            self.advice(
                HEAD
                + "[profile:x]\nkind = linux\nkernel = /linux\ninitrds = http://10.0.0.1/initrd\n"
            ),
            [],
        )

    def test_no_policy(self) -> None:
        self.assertEqual(
            self.advice("[pxe]\nservices = tftp\n"),
            ["policies is empty: nothing tells machines what to boot"],
        )

    def test_no_subnet(self) -> None:
        content = HEAD.replace("tftp", "dhcp")
        self.assertEqual(
            self.advice(content),
            ["there is no [subnet:NAME]: the dhcp service will answer nobody"],
        )
        self.assertEqual(self.advice(content + "[subnet:a]\nnetwork = 10.0.0.0/24\n"), [])

    def test_no_scripts(self) -> None:
        content = HEAD.replace("files, rendered", "files")
        content += "[profile:x]\nkind = linux\nkernel = linux\n"
        self.assertEqual(
            self.advice(content), ["content names no rendered: no loader gets the script of x"]
        )

    def test_grub_does_not_know_proxydhcp(self) -> None:
        content = HEAD + "[profile:x]\nkind = linux\nkernel = linux\nloader = grub\n"
        self.assertEqual(self.advice(content), [])
        self.assertEqual(
            self.advice(content.replace("tftp", "tftp, proxydhcp")),
            [
                "profile 'x' needs GRUB, which does not know ProxyDHCP: it asks the other DHCP"
                " server for its files"
            ],
        )

    def test_files_that_are_not_there(self) -> None:
        content = HEAD + (
            "[profile:x]\nkind = linux\nkernel = linux\nkernel.arm64 = arm/linux\ninitrds = a b\n"
            "[profile:y]\nkind = nbp\nnbp = y.efi\n"
            "[loader:z]\narchitecture = x64\nfamily = ipxe\nfile = z.efi\n"
        )
        missing = "which no content folder has"
        self.assertEqual(
            self.advice(content),
            [
                f"profile 'x' names a, {missing}",
                f"profile 'x' names b, {missing}",
                f"profile 'x' names arm/linux, {missing}",
                f"profile 'y' names y.efi, {missing}",
                f"the ipxe loader for x64 names z.efi, {missing}",
            ],
        )

    def test_menus_leave_out_what_is_not_there(self) -> None:
        content = HEAD + (
            "[profile:x]\nkind = menu\nentries = disk here there gone\n"
            "[profile:disk]\nkind = local\n"
            "[profile:here]\nkind = linux\nkernel = gone\nkernel.x64 = linux\n"
            "[profile:there]\nkind = nbp\nnbp = http://10.0.0.1/boot.efi\n"
            "[profile:gone]\nkind = linux\nkernel = linux\ninitrds = a\n"
        )
        self.assertEqual(
            self.advice(content), ["menu 'x' leaves out gone: no folder has their files"]
        )

    def test_no_loader(self) -> None:
        (self.folder / "content/loaders/snponly.efi").unlink()
        install = f"pxetwist loaders {self.folder / 'pxe.ini'} --install"
        line = f"no content folder has the boot loader ipxe; run: {install}"
        content = HEAD + "[profile:x]\nkind = linux\nkernel = linux\n"
        self.assertEqual(self.advice(content), [line])
        self.assertEqual(self.advice(content + "loader = grub\n"), [])
        own = "[loader:z]\narchitecture = x64\nfamily = ipxe\nfile = linux\n"
        self.assertEqual(self.advice(content + own), [])
        alone = HEAD + "[profile:x]\nkind = nbp\nnbp = linux\n"
        self.assertEqual(self.advice(alone), [])
