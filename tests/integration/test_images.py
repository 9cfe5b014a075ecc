"""Making images from a root that stands in for a distribution's: a shell, and tools that say what
they were told. End-to-end tests make real ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bootlab.processes import LabError
from bootlab.server import pxetwist
from pxetwist.diskless.folder import Facts, Image, ImageVersion

INI = """
[pxe]
include = var/images/*.ini
services = tftp, nfs
policies = main
content = scripts, images
state = memory
[policy:main]
plugin = fixed
profile = local
[content:scripts]
plugin = rendered
[profile:local]
kind = local
"""
FOLDERS = "bin boot dev etc/apt etc/ssh mnt proc run sbin sys tmp usr/sbin var"
APPLETS = "sh cat cp rm echo test"
MODULES = "\n".join(
    f"usr/lib/modules/1/kernel/{name}.ko"
    for name in ("fs/overlayfs/overlay", "fs/nfs/nfs", "fs/nfs/nfsv3", "drivers/net/virtio_net")
)
TOLD = '#!/bin/sh\necho "${0##*/} $*" >>/told\n'
#: Takes the place of debootstrap; all but its last two arguments are of no interest here.
DEBOOTSTRAP = """#!/bin/sh
echo "$*" >{told}
while [ $# -gt 2 ]; do shift; done
cp -a {model} "$1"
"""


def fill(root: Path) -> None:
    """Make what a build finds in a root of Debian."""
    for folder in FOLDERS.split():
        (root / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    for applet in APPLETS.split():
        (root / "bin" / applet).symlink_to("busybox")
    tools = dict.fromkeys(("apt-get", "update-initramfs", "systemctl"), TOLD)
    for name, text in {**tools, "lsinitramfs": "#!/bin/sh\ncat /names\n"}.items():
        (root / "bin" / name).write_text(text)
        (root / "bin" / name).chmod(0o755)
    (root / "sbin" / "init").touch()
    for name in ("vmlinuz-6.9", "vmlinuz-6.10", "initrd.img-6.9", "initrd.img-6.10"):
        (root / "boot" / name).write_text(name)
    (root / "names").write_text(f"scripts/pxetwist\n{MODULES}\n")
    (root / "etc" / "ssh" / "ssh_host_rsa_key").touch()


class BuildTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.ini = self.folder / "pxe.ini"
        self.ini.write_text(INI)
        self.image = Image(self.folder / "var" / "images" / "lab")

    def first(self) -> ImageVersion:
        with self.image.locked():
            made = self.image.begin("1")
            fill(made.root)
            made.note(Facts("debian:bookworm", "amd64", "6.9", 0.0, 1))
            version = self.image.finish(made)
            self.image.switch(version)
        return version

    def build(self, *words: str) -> str:
        return pxetwist("image", "build", str(self.ini), "lab", *words)

    def fails(self, *words: str) -> str:
        with self.assertRaises(LabError) as caught:
            self.build(*words)
        return str(caught.exception)

    def test_a_changed_copy(self) -> None:
        first = self.first()
        files = self.folder / "files" / "etc"
        files.mkdir(parents=True, mode=0o700)
        (files / "motd").write_text("welcome\n")
        os.chown(files / "motd", 1000, 1000)
        words = ("--files", str(files.parent), "--run", "echo 2 >/etc/lab; cat /proc/mounts >/m")
        self.build("--from", "image:lab", "--name", "2", "--include", "ssh,vim", *words)
        second = self.image.version()
        self.assertEqual((second.name, self.image.current), ("2", "2"))
        self.assertEqual((second.root / "etc" / "lab").read_text(), "2\n")
        self.assertEqual((second.root / "etc" / "motd").stat().st_uid, 0)
        self.assertEqual((second.root / "etc").stat().st_mode & 0o777, 0o755)
        self.assertFalse((first.root / "etc" / "lab").exists())
        self.assertEqual(second.kernel.read_text(), "vmlinuz-6.10")
        self.assertEqual(second.initrd.read_text(), "initrd.img-6.10")
        self.assertEqual(second.kernel.stat().st_mode & 0o777, 0o644)
        told = (second.root / "told").read_text()
        self.assertRegex(told, r"apt-get .*update\napt-get .*install ssh vim\nupdate-initramfs -u")
        self.assertFalse((second.root / "etc" / "ssh" / "ssh_host_rsa_key").exists())
        self.assertEqual(second.facts.of, "image:lab/1")
        self.assertIn("[profile:lab]", (self.folder / "var" / "images" / "lab.ini").read_text())
        self.assertNotIn(str(self.folder), Path("/proc/mounts").read_text())

    def test_another_kernel(self) -> None:
        """It is started, though the name of the former one says that it is newer."""
        self.first()
        install = (
            "#!/bin/sh\nfor each in vmlinuz initrd.img; do echo $each >/boot/$each-6.2; done\n"
        )
        (self.image.version().root / "bin" / "apt-get").write_text(install)
        self.build("--from", "image:lab", "--name", "2", "--kernel", "linux-image-6.2")
        self.assertEqual(self.image.version().facts.kernel, "6.2")

    def test_a_version_for_later(self) -> None:
        self.first()
        self.build("--from", "image:lab/1", "--name", "2", "--keep")
        self.assertEqual(self.image.current, "1")
        self.assertEqual([each.name for each in self.image.versions], ["1", "2"])

    def test_what_fails_leaves_nothing(self) -> None:
        first = self.first()
        self.assertIn("failed", self.fails("--from", "image:lab", "--run", "echo no; exit 3"))
        self.assertIn("no\n", (self.image.folder / "build.log").read_text())
        (first.root / "names").write_text("scripts/pxetwist\n")
        said = self.fails("--from", "image:lab")
        self.assertIn("the initramfs lacks the module overlay", said)
        self.assertEqual(self.image.current, "1")
        there = {each.name for each in self.image.folder.iterdir()}
        self.assertEqual(there, {"1", "current", ".lock", "build.log"})

    def test_a_mirror_that_is_away(self) -> None:
        said = self.fails("--from", "debian:bookworm", "--mirror", "http://127.0.0.1:9/debian")
        self.assertIn("the mirror cannot be reached: give --mirror URL", said)
        self.assertEqual(self.image.versions, [])

    def test_debootstrap_if_there_is_no_mmdebstrap(self) -> None:
        model, told, tools = (self.folder / each for each in ("model", "told", "bin"))
        fill(model)
        tools.mkdir()
        for place in ("/bin", "/usr/bin"):
            for name in os.listdir(place):
                if name != "mmdebstrap" and not (tools / name).is_symlink():
                    (tools / name).symlink_to(f"{place}/{name}")
        debootstrap = tools / "debootstrap"
        debootstrap.write_text(DEBOOTSTRAP.format(told=told, model=model))
        debootstrap.chmod(0o755)
        self.addCleanup(os.environ.__setitem__, "PATH", os.environ["PATH"])
        os.environ["PATH"] = f"{tools}:/usr/sbin"
        words = ("--mirror", "http://m.lan/debian", "--kernel", "linux-image-own")
        self.build("--from", "debian:bookworm", "--arch", "amd64", *words)
        version = self.image.version()
        self.assertRegex(
            told.read_text(), "--variant=minbase --arch=amd64 bookworm .* http://m.lan/debian"
        )
        sources = (version.root / "etc" / "apt" / "sources.list").read_text()
        self.assertEqual(sources, "deb http://m.lan/debian bookworm main\n")
        said = (version.root / "told").read_text()
        self.assertRegex(said, r"install linux-image-own initramfs-tools .*systemd-sysv")
        self.assertIn("systemctl enable systemd-networkd.service", said)
        hook = version.root / "etc" / "initramfs-tools" / "hooks" / "pxetwist"
        self.assertEqual(hook.stat().st_mode & 0o777, 0o755)
        done = subprocess.run(("sh", "-n", str(hook)), check=False)
        self.assertEqual(done.returncode, 0)
