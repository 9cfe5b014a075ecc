"""Profiles of Windows and ESXi: what the INI may say, and what is missing on the disk."""

from __future__ import annotations

from pxetwist.config.advice import advice
from pxetwist.model.answer import Value
from pxetwist.model.boot import BootPlan
from pxetwist.model.families import Setting
from pxetwist.model.installers import Esxi, Windows
from pxetwist.wire.iana import Architecture
from tests.unit.config.inis import IniCase
from tests.unit.content.isos import iso

HEAD = """
[pxe]
services = tftp
policies = fixed
state = memory
content = scripts, files
[policy:fixed]
profile = x
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = content
[profile:x]
"""
#: Further stores beside the folder: images in it, and a mirror that nobody can look into.
STORES = """
[content:isos]
plugin = iso
root = content
[content:one]
plugin = iso
root = content/e.iso
prefix = esxi8
[content:debian]
plugin = upstream
url = http://mirror.example/debian
prefix = mirror
[profile:x]
"""
BOOT_CFG = "kernel=/b.b00\nkernelopt=runweasel cdromBoot\nmodules=/jumpstrt.gz --- /S.V00 arg\n"
WINDOWS = ("sources/boot.wim", "Boot/BCD", "Boot/boot.sdi", "bootmgr", "EFI/Boot/bootx64.efi")


class InstallerProfiles(IniCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("undionly.kpxe", "snponly.efi", "wimboot"):
            self.write(f"content/loaders/{name}", "")

    def plan(self, profile: str, architecture: Architecture) -> BootPlan:
        return self.load(HEAD + profile).profiles["x"].plan(architecture)

    def advice(self, profile: str) -> list[str]:
        lines = advice(self.load(HEAD + profile))
        return [line.replace(f"{self.folder}/", "") for line in lines]

    def test_windows(self) -> None:
        self.write("own.xml", "<own/>")
        profile = (
            "kind = windows\nmedia = win11/\narguments = gui\nshare = \\\\10.0.0.2\\win11\n"
            "initrds = drivers/install.cmd\nwim.arm64 = win11/arm.wim\nnbp.x64 = b.efi\n"
            "files.unattend.xml = own.xml\nfiles.extra.txt = own.xml\n"
        )
        plan = self.plan(profile, Architecture.X64_UEFI)
        expected = Windows(
            media="win11",
            wimboot="loaders/wimboot",
            files=(
                ("bootx64.efi", "win11/efi/boot/bootx64.efi"),
                ("BCD", "win11/boot/bcd"),
                ("boot.sdi", "win11/boot/boot.sdi"),
                ("install.cmd", "drivers/install.cmd"),
                ("boot.wim", "win11/sources/boot.wim"),
            ),
            arguments="gui",
            texts=(
                ("unattend.xml", "<own/>"),
                ("winpeshl.ini", ""),
                ("startnet.cmd", ""),
                ("extra.txt", "<own/>"),
            ),
            share=r"\\10.0.0.2\win11",
            program="b.efi",
        )
        self.assertEqual((plan.boot, plan.loader), (expected, "ipxe"))
        bios = self.plan(profile, Architecture.X86_BIOS).boot
        arm = self.plan(profile, Architecture.ARM64_UEFI).boot
        assert isinstance(bios, Windows)
        assert isinstance(arm, Windows)
        self.assertEqual(bios.files[0], ("bootmgr", "win11/bootmgr"))
        self.assertEqual((bios.wimboot, bios.program), ("loaders/wimboot", ""))
        self.assertEqual((arm.wimboot, arm.wim), ("loaders/wimboot.arm64", "win11/arm.wim"))

    def test_esxi(self) -> None:
        profile = "kind = esxi\nmedia = esxi8\narguments = allowLegacyCPU=true\n"
        boot = self.plan(profile, Architecture.X64_UEFI).boot
        expected = Esxi(
            media="esxi8",
            mboot="esxi8/efi/boot/bootx64.efi",
            arguments="allowLegacyCPU=true",
            texts=(("ks.cfg", ""),),
            architecture="x64",
        )
        self.assertEqual(boot, expected)
        self.assertEqual(expected.configurations, ("esxi8/efi/boot/boot.cfg", "esxi8/boot.cfg"))
        bios = self.plan(profile, Architecture.X86_BIOS).boot
        assert isinstance(bios, Esxi)
        self.assertEqual(bios.mboot, "esxi8/mboot.c32")
        self.assertEqual(bios.configurations, ("esxi8/boot.cfg",))

    def test_mistakes(self) -> None:
        mistakes = self.mistakes(
            HEAD + "kind = windows\nloader = grub\nfiles.a/b = x\n[profile:y]\nkind = esxi\n"
            "share = x\n[profile:z]\nkind = linux\nkernel = k\nmedia = m\n"
            "[profile:w]\nkind = windows\nmedia = m\nfiles.unattend.xml = none.xml\n"
        )
        self.assertEqual(
            mistakes,
            [
                "pxe.ini:16: [profile:x] files.a/b: 'a/b' is no name of a file, such as"
                " unattend.xml",
                "pxe.ini:17: [profile:y] a profile of kind esxi needs media",
                "pxe.ini:19: [profile:y] share: only a profile of kind windows has one",
                "pxe.ini:23: [profile:z] media: only a profile of kind windows or esxi has one",
                "pxe.ini:27: [profile:w] files.unattend.xml: cannot read none.xml: No such file"
                " or directory",
            ],
        )

    def test_needed_but_empty(self) -> None:
        self.assertEqual(
            self.mistakes(HEAD + "kind = esxi\nmedia =\n"),
            ["pxe.ini:13: [profile:x] a profile of kind esxi needs media"],
        )

    def test_a_digest_that_is_none(self) -> None:
        head = HEAD.replace("scripts, files", "scripts, files, isos, one, debian")
        head = head.replace("\n[profile:x]\n", STORES).replace("\n[profile:x]\n", "\n")
        head = head.replace("plugin = upstream", "plugin = upstream\nsha256 =\n    0a2f linux")
        line = head.splitlines().index("    0a2f linux")
        mistake = "sha256: expected SHA256 PATH, got '0a2f linux'"
        self.write("content/e.iso", "")
        self.assertEqual(self.mistakes(head), [f"pxe.ini:{line}: [content:debian] {mistake}"])

    def test_values(self) -> None:
        self.write("pw", "secret").chmod(0o600)
        profile = "kind = windows\nmedia = m\nanswer.root-password = file:pw\nsecret-life = 5m\n"
        boot = self.plan(profile, Architecture.X64_UEFI).boot
        assert isinstance(boot, Windows)
        assert boot.answer is not None
        self.assertEqual(boot.answer.names, ("unattend.xml", "winpeshl.ini", "startnet.cmd"))
        self.assertEqual(boot.answer.values, {"root_password": Value("secret", "pw")})
        self.assertEqual((boot.answer.secret, boot.answer.life), (True, 300))
        self.assertNotIn("secret'", repr(boot))
        self.assertEqual(
            self.mistakes(HEAD + "kind = esxi\nmedia = m\nanswer = ks.cfg\n"),
            [
                "pxe.ini:16: [profile:x] answer: what machines are given is files.NAME here, and"
                " answer.NAME a value for it"
            ],
        )

    def test_changed_by_a_rule(self) -> None:
        profile = self.load(HEAD + "kind = windows\nmedia = m\narguments = gui\n").profiles["x"]
        self.assertEqual(profile.misfit("arguments-add"), "")
        changed = profile.changed([Setting("arguments-add", "index=2", "rule")])
        boot = changed.plan(Architecture.X64_UEFI).boot
        assert isinstance(boot, Windows)
        self.assertEqual(boot.arguments, "gui index=2")
        for name in ("console", "loader"):
            self.assertEqual(
                profile.misfit(name), f"profile 'x' is of kind windows, which has no {name}"
            )

    def test_nothing_is_missing(self) -> None:
        """Media have their names in any case."""
        for name in WINDOWS:
            self.write(f"content/Win11/{name}", "")
        self.assertEqual(
            self.advice("kind = windows\nmedia = win11\nnbp.x64 = win11/bootmgr\n"), []
        )
        for name in ("MBOOT.C32", "EFI/BOOT/BOOTX64.EFI", "B.B00", "JUMPSTRT.GZ", "S.V00"):
            self.write(f"content/esxi8/{name}", "")
        self.write("content/esxi8/BOOT.CFG", BOOT_CFG)
        self.assertEqual(self.advice("kind = esxi\nmedia = esxi8\n"), [])

    def test_windows_is_missing(self) -> None:
        (self.folder / "content/loaders/wimboot").unlink()
        medium = "on Windows' installation medium, and copype of the Windows ADK makes one"
        self.assertEqual(
            self.advice("kind = windows\nmedia = win11\nnbp.bios = win11/boot/pxeboot.n12\n"),
            [
                "profile 'x' needs loaders/wimboot; there is no content/loaders/wimboot: it is"
                " among the releases of https://github.com/ipxe/wimboot",
                f"profile 'x' needs win11/sources/boot.wim; there is no"
                f" content/win11/sources/boot.wim: it is {medium}",
                f"profile 'x' needs win11/boot/pxeboot.n12; there is no"
                f" content/win11/boot/pxeboot.n12: it is {medium}",
                f"profile 'x' needs win11/boot/bcd; there is no content/win11/boot/bcd: it is"
                f" {medium}",
                f"profile 'x' needs win11/boot/boot.sdi; there is no content/win11/boot/boot.sdi:"
                f" it is {medium}",
            ],
        )

    def test_esxi_is_missing(self) -> None:
        profile = "kind = esxi\nmedia.x64 = esxi8\n"
        end = "it is on ESXi's installation medium, all of which belongs there"
        self.assertEqual(
            self.advice(profile),
            [
                f"profile 'x' needs esxi8/{name}; there is no content/esxi8/{name}: {end}"
                for name in ("efi/boot/bootx64.efi", "boot.cfg")
            ],
        )
        self.write("content/esxi8/efi/boot/bootx64.efi", "")
        self.write("content/esxi8/boot.cfg", "kernel=/b.b00\n")
        self.assertEqual(
            self.advice(profile),
            ["profile 'x': content/esxi8/boot.cfg: a boot.cfg without modules="],
        )
        self.write("content/esxi8/boot.cfg", BOOT_CFG)
        self.write("content/esxi8/b.b00", "")
        self.write("content/esxi8/s.v00", "")
        self.assertEqual(
            self.advice(profile),
            [f"profile 'x' needs esxi8/jumpstrt.gz; there is no content/esxi8/jumpstrt.gz: {end}"],
        )

    def test_media_in_images(self) -> None:
        """Images are looked into; only what a mirror may have is taken to be there."""
        head = HEAD.replace("scripts, files", "scripts, files, isos, one, debian")
        head = head.replace("\n[profile:x]\n", STORES)
        files = dict.fromkeys(("boot/bcd", "sources/boot.wim"), b"")
        (self.folder / "content/w.iso").write_bytes(iso(files))
        esxi = {"mboot.c32": b"", "boot.cfg": BOOT_CFG.encode(), "b.b00": b"", "s.v00": b""}
        (self.folder / "content/e.iso").write_bytes(iso(esxi))
        windows = "kind = windows\nmedia.x64 = w.iso\nnbp.x64 = w.iso/boot/wdsmgfw.efi\n"
        content = (
            head + windows + "[profile:y]\nkind = esxi\nmedia.bios = esxi8\n"
            "[profile:z]\nkind = linux\nkernel = mirror/linux\ninitrds = w.iso/none v.iso/none\n"
        )
        medium = "it is on Windows' installation medium, and copype of the Windows ADK makes one"
        lines = [line.replace(f"{self.folder}/", "") for line in advice(self.load(content))]
        self.assertEqual(
            lines,
            [
                "profile 'z' names w.iso/none, which no content folder has",
                "profile 'z' names v.iso/none, which no content folder has",
                *(
                    f"profile 'x' needs w.iso/{name}; there is no {name} in"
                    f" content/w.iso: {medium}"
                    for name in ("boot/wdsmgfw.efi", "boot/boot.sdi")
                ),
                "profile 'y' needs esxi8/jumpstrt.gz; there is no content/esxi8/jumpstrt.gz and no"
                " jumpstrt.gz in content/e.iso: it is on ESXi's installation medium, all of which"
                " belongs there",
            ],
        )
        (self.folder / "content/w.iso").unlink()
        lines = advice(self.load(content))
        self.assertIn(f" and no {self.folder}/content/w.iso: ", "".join(lines))

    def test_hashes_that_esxi_refuses(self) -> None:
        profile = "kind = esxi\nmedia = http://10.0.0.9/esxi8\nanswer.root-password = "
        said = "[profile:x] answer.root-password: ESXi's installer wants a hash by SHA-512; mend:"
        good = (f"$6$salt${'a' * 86}", f"$1$salt${'a' * 22}", "{{ machine.labels.hash }}")
        for text in good:
            self.assertNotIn(said, "\n".join(self.advice(profile + text)))
        for text in ("$y$j9T$salt$hash", f"$6$rounds=9999$salt${'a' * 86}", "secret"):
            self.assertIn(said, "\n".join(self.advice(profile + text)))

    def test_hidden_configuration(self) -> None:
        """Only mboot that firmware starts asks by a name that the medium has as well."""
        head = HEAD.replace("content = scripts, files", "content = files, scripts")
        profile = "kind = esxi\nmedia = http://10.0.0.9/esxi8\n"
        said = "firmware gets the boot.cfg of the medium"
        for text, expected in (
            (head + profile + "nbp = mboot.efi\n", 1),
            (head + profile, 0),
            (HEAD + profile + "nbp = mboot.efi\n", 0),
        ):
            lines = [line for line in advice(self.load(text)) if said in line]
            self.assertEqual(len(lines), expected, text)
