from __future__ import annotations

from pxetwist.config.ini import Ini
from pxetwist.config.profiles import read_profiles
from pxetwist.errors import ConfigError, PolicyError
from pxetwist.model.boots import Files, RaspberryPi, Script
from pxetwist.model.families import Setting
from pxetwist.model.nfs_root import NfsRoot
from pxetwist.model.profile import BootProfile, ProfileKind
from pxetwist.wire.iana import Architecture
from tests.unit.config.inis import IniCase


class Profiles(IniCase):
    def read(self, content: str) -> tuple[dict[str, BootProfile], list[str]]:
        errors: list[ConfigError] = []
        ini = Ini(self.write("pxe.ini", content), errors)
        profiles = read_profiles(ini.sections.values(), errors)
        errors.sort(key=lambda error: error.location.line)
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
            [profile:rescue]
            kind = image
            image = images/rescue.iso
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
            BootProfile("rescue", ProfileKind.IMAGE, image={"": "images/rescue.iso"}),
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
                "pxe.ini:3: [profile:a] kernel.x64: only a profile of kind linux or windows or"
                " esxi or image or iscsi has one",
                "pxe.ini:4: [profile:a] loader: only a profile of kind linux or script or image"
                " or menu has one",
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

    def test_values_that_are_no_templates(self) -> None:
        """No machine could be given them; they are told once, where they stand."""
        _, mistakes = self.read(
            """
            [profile:x]
            kind = linux
            family = debian-installer
            kernel = k
            arguments = a={{ machine.name }} {{ broken
            arguments.x64 = {% if machine %}
            answer = preseed.cfg
            answer.packages = {{ }}
            answer.post = echo ${HOME} {
            [profile:y]
            extends = x
            """
        )
        wrong = "a template that is wrong: "
        self.assertEqual(
            [line.partition(wrong)[0] for line in mistakes],
            [
                f"pxe.ini:{n}: [profile:x] {name}: "
                for n, name in ((5, "arguments"), (6, "arguments.x64"), (8, "answer.packages"))
            ],
        )

    def test_what_a_family_wants_to_be_told(self) -> None:
        for family, root, expected in (
            ("generic", "/dev/sda1", "root=/dev/sda1 console=tty0 console=ttyS0,115200n8"),
            (
                "dracut",
                "nfs:10.0.0.1:/srv",
                "root=nfs:10.0.0.1:/srv console=tty0 console=ttyS0,115200n8"
                " rd.locale.LANG=de_DE.UTF-8 locale.LANG=de_DE.UTF-8"
                " rd.vconsole.keymap=de vconsole.keymap=de",
            ),
            (
                "debian-live",
                "nfs:10.0.0.1:/srv",
                "netboot=nfs nfsroot=10.0.0.1:/srv console=tty0 console=ttyS0,115200n8"
                " locales=de_DE.UTF-8 keyboard-layouts=de timezone=Europe/Berlin",
            ),
            (
                "debian-live",
                "http://{{ endpoints.address }}/live.squashfs",
                "fetch=http://{{ endpoints.address }}/live.squashfs",
            ),
            (
                "debian-installer",
                "",
                "console=tty0 console=ttyS0,115200n8 locale=de_DE.UTF-8"
                " keyboard-configuration/xkb-keymap=de time/zone=Europe/Berlin",
            ),
        ):
            text = f"[profile:x]\nkind = linux\nkernel = linux\nfamily = {family}\n"
            text += f"root = {root}\n" if root else ""
            text += "arguments = quiet --- user\n"
            if "://" not in root:
                text += "console = tty0\n    ttyS0,115200n8\n"
            if "locale" in expected:
                text += "locale = de_DE.UTF-8\nkeymap = de\n"
            if "zone" in expected:
                text += "timezone = Europe/Berlin\n"
            profiles, errors = self.read(text)
            self.assertEqual(errors, [])
            plan = profiles["x"].plan(Architecture.X64_UEFI)
            assert isinstance(plan.boot, Files)
            self.assertEqual(plan.boot.arguments, f"quiet {expected} --- user")

    def test_roots_by_nfs(self) -> None:
        ours = "{{ endpoints.host }}:{{ root.mount_path }}"
        told = "vers=3,proto=tcp,nolock"
        for family, root, expected in (
            (
                "generic",
                "export:desktop/a/",
                f"root=/dev/nfs nfsroot={ours},{{{{ nfs_options }}}} ip=dhcp",
            ),
            (
                "dracut",
                "export:desktop/a",
                f"root=nfs:{ours}:{{{{ nfs_options }}}} ip=dhcp rd.neednet=1",
            ),
            (
                "diskless",
                "export:desktop/a",
                f"boot=pxetwist nfsroot={ours},{{{{ nfs_options }}}} BOOTIF={{{{ bootif }}}}"
                " pxetwist.hostname={{ host }}",
            ),
            ("initramfs-tools", "export:desktop/a", f"boot=nfs nfsroot={ours},vers=3,tcp"),
            ("debian-live", "export:desktop/a", f"netboot=nfs nfsroot={ours}"),
            ("generic", "nfs://filer/srv", f"root=/dev/nfs nfsroot=filer:/srv,{told} ip=dhcp"),
            (
                "generic",
                "nfs://filer/{{ machine.name }}/x",
                f"root=/dev/nfs nfsroot=filer:/{{{{ machine.name }}}}/x,{told} ip=dhcp",
            ),
            ("debian-live", "nfs://[fd00::1]/srv", "netboot=nfs nfsroot=[fd00::1]:/srv"),
            ("anaconda", "nfs://filer/srv", "inst.stage2=nfs:filer:/srv"),
            ("autoyast", "nfs://filer/srv", "install=nfs://filer/srv"),
            ("subiquity", "nfs://filer/srv", "url=nfs://filer/srv"),
        ):
            text = f"[profile:x]\nkind = linux\nkernel = linux\nfamily = {family}\n"
            profiles, errors = self.read(f"{text}root = {root}\n")
            self.assertEqual(errors, [])
            plan = profiles["x"].plan(Architecture.X64_UEFI)
            assert isinstance(plan.boot, Files)
            self.assertEqual(plan.boot.arguments, expected)
            known = (NfsRoot("desktop", "a"),) if root.startswith("export") else ()
            self.assertEqual(plan.roots, known)

    def test_a_menu_names_the_roots_of_its_entries(self) -> None:
        one = "kind = linux\nkernel = linux\nroot = export"
        text = f"[profile:a]\n{one}:a\n[profile:b]\n{one}:b\n[profile:c]\n{one}:a\n"
        profiles, errors = self.read(f"{text}[profile:m]\nkind = menu\nentries = a, b, c\n")
        self.assertEqual(errors, [])
        self.assertEqual(profiles["m"].plan(None).roots, (NfsRoot("a"), NfsRoot("b")))

    def test_roots_that_no_kernel_can_be_told(self) -> None:
        text = "[profile:x]\nkind = linux\nkernel = linux\nfamily = "
        for rest, said in (
            ("subiquity\nroot = export:a", "cannot be told a root by NFS"),
            ("generic\nroot = export:a/../b", "expected a root like export:NAME"),
        ):
            profiles, _ = self.read(f"{text}{rest}\n")
            error = self.assertRaises(PolicyError, profiles["x"].plan, None)
            self.assertIn(said, str(error))

    def test_kernels_in_the_root(self) -> None:
        text = (
            "[profile:x]\nkind = linux\nkernel = nfs:/boot/linux\nkernel.arm64 = linux\n"
            "root = export:a\n"
        )
        profiles, errors = self.read(text)
        self.assertEqual(errors, [])
        plan = profiles["x"].plan(Architecture.X64_UEFI)
        self.assertEqual((plan.loader, plan.roots), ("ipxe", (NfsRoot("a"),)))
        self.assertEqual(profiles["x"].plan(Architecture.ARM64_UEFI).loader, "")
        self.assertIn("only iPXE", profiles["x"].misfit("loader"))
        moved = profiles["x"].changed([Setting("root", "nfs://filer/srv", "a rule")])
        error = self.assertRaises(PolicyError, moved.plan, None)
        self.assertIn("nfs:/boot/linux is a file in the root, which must be ours", str(error))

    def test_kernels_that_cannot_be_loaded_by_nfs(self) -> None:
        text = "[profile:x]\nkind = linux\nkernel = linux\n"
        ours = "root = export:a\n"
        for more, mistake in (
            ("initrds = a nfs:/b\n", "initrds: nfs:/b is a file in the root, which must be ours"),
            (ours + "initrds.x64 = nfs:/../b\n", "initrds.x64: expected a file in the root like"),
            (ours + "initrds = nfs:b\n", "initrds: expected a file in the root like"),
            (ours + "initrds = nfs:/b\nloader = grub\n", "loader: grub loads nothing by NFS"),
            ("initrds = nfs://filer/b\nloader = pxelinux\n", "pxelinux loads nothing by NFS"),
        ):
            _, errors = self.read(text + more)
            self.assertEqual(len(errors), 1, errors)
            self.assertIn(mistake, errors[0])
        base = text + "initrds = nfs:/b\n[profile:y]\nextends = x\nkind = linux\n" + ours
        self.assertEqual(self.read(base)[1], [])

    def test_raspberry_pi(self) -> None:
        """A folder; what its kernel is told, and its root, as for any other Linux."""
        text = "[profile:pi]\nkind = raspberry-pi\nfolder = /rpi/\n"
        profiles, errors = self.read(
            f"{text}arguments = console=tty1\nroot = export:pi\n"
            "[profile:plain]\nkind = raspberry-pi\nfolder = rpi\n"
        )
        self.assertEqual(errors, [])
        plan = profiles["pi"].plan(Architecture.X86_BIOS)
        assert isinstance(plan.boot, RaspberryPi)
        self.assertEqual((plan.boot.folder, plan.roots), ("rpi", (NfsRoot("pi"),)))
        self.assertTrue(plan.boot.arguments.startswith("console=tty1 root=/dev/nfs nfsroot="))
        self.assertEqual(profiles["plain"].plan(None).boot, RaspberryPi("rpi"))
        changed = profiles["plain"].changed([Setting("arguments", "a=1", "a rule")])
        self.assertEqual(changed.plan(None).boot, RaspberryPi("rpi", "a=1"))
        for more, mistake in (
            ("kernel = linux\n", "kernel: only a profile of kind linux"),
            ("locale = de\n", "kernels of the family generic cannot be told their locale"),
            (
                "[profile:m]\nkind = menu\nentries = pi\n",
                "entries: pi is for boards that show no menu",
            ),
        ):
            _, errors = self.read(text + more)
            self.assertEqual(len(errors), 1, errors)
            self.assertIn(mistake, errors[0])
        _, errors = self.read("[profile:pi]\nkind = raspberry-pi\nfolder = ../rpi\n")
        self.assertIn("folder: expected a content folder like rpi/bookworm", errors[0])

    def test_mistakes_in_what_it_is_told(self) -> None:
        _, errors = self.read(
            """
            [profile:x]
            kind = linux
            kernel = linux
            locale = de_DE.UTF-8
            console = ttyS0;
            [profile:y]
            kind = linux
            kernel = linux
            locale = de_DE.UTF-8
            [profile:z]
            kind = local
            console = tty0
            """
        )
        self.assertEqual(
            errors,
            [
                "pxe.ini:5: [profile:x] console: expected consoles like tty0 ttyS0,115200n8, got"
                " 'ttyS0;'",
                "pxe.ini:9: [profile:y] locale: kernels of the family generic cannot be told"
                " their locale: give the profile the right family (debian-live, debian-installer,"
                " dracut, anaconda, autoyast), or write arguments",
                "pxe.ini:12: [profile:z] console: only a profile of kind linux or"
                " raspberry-pi has one",
            ],
        )

    def test_extends(self) -> None:
        """Written once, the base after those who extend it; options are taken one by one."""
        profiles, errors = self.read(
            """
            [profile:exam]
            extends = debian
            arguments-add = exam
            console = ttyS1
            [profile:debian]
            extends = base
            title = Debian
            kernel = linux
            kernel.arm64 = linux-arm64
            arguments-add = splash
            arguments-add.arm64 = nomodeset
            [profile:base]
            kind = linux
            arguments = quiet --- net.ifnames=0
            console = tty0
            loader = grub
            [profile:own]
            extends = exam
            arguments = own
            kernel.arm64 = own-arm64
            """
        )
        self.assertEqual(errors, [])
        self.assertEqual(list(profiles), ["exam", "debian", "base", "own"])
        for name, architecture, kernel, arguments in (
            (
                "debian",
                Architecture.X64_UEFI,
                "linux",
                "quiet splash console=tty0 --- net.ifnames=0",
            ),
            (
                "debian",
                Architecture.ARM64_UEFI,
                "linux-arm64",
                "quiet nomodeset console=tty0 --- net.ifnames=0",
            ),
            (
                "exam",
                Architecture.ARM64_UEFI,
                "linux-arm64",
                "quiet nomodeset exam console=ttyS1 --- net.ifnames=0",
            ),
            ("own", Architecture.X64_UEFI, "linux", "own console=ttyS1"),
        ):
            plan = profiles[name].plan(architecture)
            self.assertEqual(plan.boot, Files(kernel, (), arguments), name)
            self.assertEqual(plan.loader, "grub")
        self.assertEqual(profiles["exam"].title, "")
        self.assertEqual(profiles["base"].lacks, "kernel")
        self.assertEqual(profiles["debian"].lacks, "")

    def test_a_plan_says_where_its_values_stand(self) -> None:
        profiles, _ = self.read(
            """
            [profile:base]
            kind = linux
            kernel = linux
            kernel.x64 = linux-x64
            arguments = quiet
            [profile:exam]
            extends = base
            arguments-add = exam
            console = ttyS1
            """
        )
        plan = profiles["exam"].plan(Architecture.X64_UEFI)
        file = self.folder / "pxe.ini"
        self.assertEqual(
            plan.settings,
            (
                Setting("kernel", "linux-x64", f"[profile:base] {file}:4"),
                Setting(
                    "arguments", "quiet exam", f"[profile:base] {file}:5; [profile:exam] {file}:8"
                ),
                Setting("console", "ttyS1", f"[profile:exam] {file}:9"),
            ),
        )

    def test_mistakes_in_extending(self) -> None:
        profiles, errors = self.read(
            """
            [profile:a]
            extends = b
            [profile:b]
            extends = c
            [profile:c]
            extends = b
            [profile:d]
            extends = d
            [profile:e]
            extends = bsae
            [profile:base]
            kind = linux
            arguments = quiet
            [profile:f]
            extends = base
            kind = local
            [profile:g]
            extends = wrong
            [profile:h]
            extends = g
            [profile:wrong]
            kind = linux
            kernle = linux
            [profile:i]
            extends = base
            [profile:j]
            extends = base
            kernel = linux
            arguments-add.x46 = quiet
            [profile:menu]
            kind = menu
            entries = base
            """
        )
        self.assertEqual(
            [error.partition(" (known")[0] for error in errors],
            [
                "pxe.ini:4: [profile:b] extends: goes in a circle: b extends c (pxe.ini:4),"
                " c extends b (pxe.ini:6)",
                "pxe.ini:8: [profile:d] extends: goes in a circle: d extends d (pxe.ini:8)",
                "pxe.ini:10: [profile:e] extends: there is no [profile:bsae]; did you mean"
                " 'base'?",
                "pxe.ini:16: [profile:f] kind: base is of kind linux (pxe.ini:12), and so is what"
                " extends it; leave kind out",
                "pxe.ini:23: [profile:wrong] unknown option 'kernle'; did you mean 'kernel'?",
                "pxe.ini:24: [profile:i] a profile of kind linux needs kernel",
                "pxe.ini:29: [profile:j] arguments-add.x46: 'x46' is no architecture",
                "pxe.ini:32: [profile:menu] entries: base has no kernel: it is but a base of"
                " others",
            ],
        )
        self.assertEqual(list(profiles), ["base"])
