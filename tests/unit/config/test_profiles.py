from __future__ import annotations

from pxetwist.config.ini import Ini
from pxetwist.config.profiles import read_profiles
from pxetwist.errors import ConfigError
from pxetwist.model.boot import Script
from pxetwist.model.profile import BootProfile, ProfileKind
from tests.unit.config.inis import IniCase


class Profiles(IniCase):
    def read(self, content: str) -> tuple[dict[str, BootProfile], list[str]]:
        errors: list[ConfigError] = []
        ini = Ini(self.write("pxe.ini", content), errors)
        profiles = read_profiles(ini.sections.values(), errors)
        return profiles, [str(error).replace(f"{self.folder}/", "") for error in errors]

    def test_every_kind(self) -> None:
        self.write("own.ipxe", "#!ipxe\n")
        profiles, errors = self.read(
            """
            [profile:menu]
            kind = menu
            title = What now?
            entries = debian, disk
            default = disk
            timeout = 1m
            loader = grub
            [profile:debian]
            kind = linux
            title = Debian
            kernel = debian/linux
            kernel.arm64 = debian/linux-arm64
            initrds = a.gz
                b.gz
            arguments =
                console=ttyS0
                quiet
            [profile:disk]
            kind = local
            [profile:own]
            kind = script
            ipxe = own.ipxe
            [profile:wim]
            kind = nbp
            nbp.x64 = bootmgfw.efi
            [profile:none]
            kind = silence
            """
        )
        self.assertEqual(errors, [])
        debian = BootProfile(
            "debian",
            ProfileKind.LINUX,
            "Debian",
            kernel={"": "debian/linux", "arm64": "debian/linux-arm64"},
            initrds={"": "a.gz b.gz"},
            arguments={"": "console=ttyS0 quiet"},
        )
        disk = BootProfile("disk", ProfileKind.LOCAL)
        expected = [
            debian,
            disk,
            BootProfile("own", ProfileKind.SCRIPT, script=Script(ipxe="#!ipxe\n")),
            BootProfile("wim", ProfileKind.NBP, nbp={"x64": "bootmgfw.efi"}),
            BootProfile("none", ProfileKind.SILENCE),
            BootProfile(
                "menu",
                ProfileKind.MENU,
                "What now?",
                "grub",
                entries=(debian, disk),
                default="disk",
                timeout=60,
            ),
        ]
        self.assertEqual(list(profiles.values()), expected)

    def test_mistakes(self) -> None:
        profiles, errors = self.read(
            """
            [profile:a]
            kind = local
            kernel.x64 = linux
            loader = ipxe
            [profile:b]
            kind = linux
            arguments = quiet
            [profile:c]
            kind = script
            [profile:d]
            kind = script
            grub = nix.cfg
            [profile:e]
            kind = linux
            kernel.x86 = linux
            [profile:menu]
            kind = menu
            entries = debain, debian, broken, other, b
            default = debiann
            [profile:other]
            kind = menu
            entries = debian
            [profile:debian]
            kind = local
            """
        )
        self.assertEqual(
            errors,
            [
                "pxe.ini:3: [profile:a] kernel.x64: only a profile of kind linux has one",
                "pxe.ini:4: [profile:a] loader: only a profile of kind linux or script or menu"
                " has one",
                "pxe.ini:5: [profile:b] a profile of kind linux needs kernel",
                "pxe.ini:8: [profile:c] a profile of kind script needs ipxe or grub or pxelinux",
                "pxe.ini:12: [profile:d] grub: cannot read nix.cfg: No such file or directory",
                "pxe.ini:15: [profile:e] kernel.x86: 'x86' is no architecture (known: arm32,"
                " arm64, bios, ia32, ia64, loongarch64, opal, riscv32, riscv64, rpi, x64)",
                "pxe.ini:18: [profile:menu] entries: there is no [profile:debain]; did you mean"
                " 'debian'?",
                "pxe.ini:18: [profile:menu] entries: there is no [profile:broken]",
                "pxe.ini:18: [profile:menu] entries: other is a menu; menus hold no menus",
                "pxe.ini:19: [profile:menu] default: 'debiann' is not among the entries; did you"
                " mean 'debian'?",
            ],
        )
        self.assertEqual(list(profiles), ["d", "debian", "other"])
