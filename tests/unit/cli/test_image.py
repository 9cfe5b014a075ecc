"""The command image, but for what makes one: that needs root and a mirror."""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from pxetwist.cli import image as command
from pxetwist.cli import main
from pxetwist.config.load import load
from pxetwist.diskless.folder import Facts, Image
from pxetwist.diskless.registration import missing_lines, register
from pxetwist.model.image_use import ImageUse
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = tftp
policies = main
content = scripts
state = memory
[policy:main]
plugin = fixed
profile = local
[content:scripts]
plugin = rendered
[profile:local]
kind = local
"""


class ImageTests(IniCase):
    def setUp(self) -> None:
        super().setUp()
        self.ini = str(self.write("pxe.ini", INI))
        self.image = Image(self.folder / "var" / "images" / "lab")

    def version(self, name: str) -> None:
        with self.image.locked():
            made = self.image.begin(name)
            made.root.mkdir()
            made.note(Facts("debian:bookworm", "amd64", "6.1.0-1-amd64", 0.0, 400_000_000))
            self.image.switch(self.image.finish(made))

    def run_command(self, *words: str) -> tuple[int, str]:
        output = StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            code = main(["image", words[0], self.ini, *words[1:]])
        return code, output.getvalue()

    def refused(self, *words: str) -> str:
        code, output = self.run_command(*words)
        self.assertEqual(code, 1, output)
        return output

    def test_list(self) -> None:
        self.assertIn("no images", self.run_command("list")[1])
        self.version("1")
        self.version("2")
        uses = [ImageUse("ws1", "lab", "1", 0.0), ImageUse("ws2", "other", "2", 0.0)]
        self.patch(command, "_uses", lambda verb: uses)
        code, output = self.run_command("list", "lab")
        head, first, second = output.splitlines()
        self.assertEqual(code, 0)
        self.assertRegex(head, "IMAGE +VERSION +STARTS +OF +KERNEL +SIZE +LAST STARTED BY")
        self.assertRegex(first, r"lab +1 +debian:bookworm +6.1.0-1-amd64 +400 MB +ws1 \(19")
        self.assertRegex(second, r"lab +2 +yes +debian:bookworm .* MB$")
        self.assertIn("there is no image 'none'", self.refused("list", "none"))

    def test_the_ini_may_be_left_out(self) -> None:
        self.version("1")
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        output = StringIO()
        with redirect_stdout(output):
            self.assertEqual(main(["image", "list"]), 0)
        self.assertIn("lab", output.getvalue())

    def test_use(self) -> None:
        self.version("1")
        self.version("2")
        self.assertEqual(self.run_command("use", "lab", "1")[0], 0)
        self.assertEqual(self.image.current, "1")
        self.assertIn("known: 1, 2", self.refused("use", "lab", "3"))

    def test_remove(self) -> None:
        for name in ("1", "2", "3"):
            self.version(name)
        self.patch(command, "_uses", lambda verb: [ImageUse("ws1", "lab", "1", 0.0)])
        self.assertIn("last started by ws1", self.refused("remove", "lab", "1"))
        self.assertIn("what machines start", self.refused("remove", "lab", "3"))
        self.assertEqual(self.run_command("remove", "lab", "2")[0], 0)
        self.assertEqual(self.run_command("remove", "lab", "3", "--force")[0], 0)
        self.assertEqual([each.name for each in self.image.versions], ["1"])
        self.assertEqual(self.image.current, "")

    def test_remove_all(self) -> None:
        for name in ("1", "2"):
            self.version(name)
        register(load(Path(self.ini)), self.image)
        self.patch(command, "_uses", lambda verb: [ImageUse("ws1", "lab", "1", 0.0)])
        self.assertIn("last started by ws1", self.refused("remove", "lab"))
        self.assertEqual(len(self.image.versions), 2)
        self.patch(command, "_uses", lambda verb: [])
        self.assertEqual(self.run_command("remove", "lab")[0], 0)
        self.assertEqual(list((self.folder / "var" / "images").iterdir()), [])
        self.assertIn("there is no image 'lab'", self.refused("remove", "lab"))

    def test_check_says_what_is_missing(self) -> None:
        self.version("1")
        output = self.refused("check", "lab")
        for complaint in (
            "no sbin/init",
            "vmlinuz is missing: no kernel",
            "initrd.img is missing: no initramfs",
            "[pxe] lacks: include = var/images/*.ini",
            "[pxe] lacks: content = scripts, images",
            "[pxe] lacks: services = tftp, nfs",
        ):
            self.assertIn(complaint, output)

    def test_registration(self) -> None:
        """What is written is what the INI lacks, once it includes it."""
        self.version("1")
        file = register(load(Path(self.ini)), self.image)
        assert file is not None
        pxe = "include = var/images/*.ini\ncontent = scripts, images"
        self.write("pxe.ini", INI.replace("content = scripts", pxe))
        loaded = load(Path(self.ini))
        profile = loaded.profiles["lab"]
        self.assertEqual(profile.kernel, {"": "images/lab/current/vmlinuz"})
        self.assertEqual(profile.initrds, {"": "images/lab/current/initrd.img"})
        self.assertEqual(str(profile.own_root), "export:lab")
        self.assertEqual(list(missing_lines(loaded, self.image)), ["services = tftp, nfs"])
        file.write_text(file.read_text() + "# mine\n")
        self.assertEqual(register(loaded, self.image), file)
        self.assertIn("# mine", file.read_text())

    def test_a_profile_of_that_name_is_not_touched(self) -> None:
        self.write("pxe.ini", f"{INI}[profile:lab]\nkind = local\n")
        self.assertIsNone(register(load(Path(self.ini)), self.image))

    def test_wrong_words(self) -> None:
        for words, complaint in (
            (["build", "lab"], "--from is missing"),
            (["build", "--from", "debian:bookworm"], "got nothing"),
            (["remove"], "expected [FILE] NAME [VERSION]"),
            (["use", "lab"], "expected [FILE] NAME VERSION"),
            ([], "image needs one of"),
        ):
            output = StringIO()
            with redirect_stderr(output):
                self.assertEqual(main(["image", *words]), 2, words)
            self.assertIn(complaint, output.getvalue())

    def test_what_cannot_be_built(self) -> None:
        for origin, complaint in (
            ("x:y", "expected debian:SUITE, or image:NAME"),
            ("image:none", "there is no image 'none'"),
        ):
            self.assertIn(complaint, self.refused("build", "lab", "--from", origin))
        words = ("--from", "image:lab", "--files", "/none")
        self.assertIn("no folder /none", self.refused("build", "lab", *words))
        self.patch(os, "geteuid", lambda: 1000)
        words = ("--from", "debian:bookworm", "--mirror", "http://m.lan/debian")
        self.assertIn("needs root", self.refused("build", "lab", *words))
        self.assertEqual(self.image.versions, [])
