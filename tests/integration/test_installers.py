"""The built-in answers to installers, read by what installers, or their makers, read them with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from yaml import safe_dump, safe_load

from pxetwist.model.answer import Value
from tests.unit.content.test_answers import FULL, ODD, AnswerCase, answer

KSVALIDATOR = str(Path(sys.executable).with_name("ksvalidator"))
STATIC = {"network": Value("static"), "domain": Value("lab.example")}
USER = {
    "user": Value("admin"),
    "user_password": Value("$6$salt$hash"),
    "proxy": Value("http://proxy.lab:3128"),
    "early": Value("echo 'early: &<>'\ntrue"),
}
#: From nothing to everything that a profile may say.
PROFILES: Mapping[str, Mapping[str, Value]] = {
    "nothing": {},
    "full": FULL,
    "static": {**FULL, **STATIC},
    "user": {**FULL, **STATIC, **USER},
    "odd": ODD,
}


class SyntaxTests(AnswerCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def check(self, template: str, *words: str, file: str = "", besides: str = "") -> list[str]:
        """Let a program read each of the profiles' answers; return what it says."""
        said = []
        for name, values in PROFILES.items():
            fitting = {key: value for key, value in values.items() if key != besides}
            text = self.text(answer(template, fitting), file)
            path = self.folder / f"{name}-{file or template}"
            path.write_text(text)
            ran = subprocess.run(
                [*words, str(path)], capture_output=True, text=True, timeout=60, check=False
            )
            self.assertEqual(ran.returncode, 0, f"{ran.stdout}{ran.stderr}{text}")
            said.append(ran.stdout + ran.stderr)
        return said

    def test_kickstart(self) -> None:
        for version in ("RHEL8", "RHEL9", "F40"):
            self.check("kickstart.cfg", KSVALIDATOR, "-v", version)

    def test_preseed(self) -> None:
        for said in self.check("preseed.cfg", "debconf-set-selections", "-c"):
            self.assertEqual(said, "")

    def test_autoinstall(self) -> None:
        program = ("cloud-init", "schema", "--config-file")
        self.check("user-data", *program)
        self.check("user-data", *program, file="vendor-data")
        for name in PROFILES:
            data = safe_load((self.folder / f"{name}-user-data").read_text())["autoinstall"]
            self.assertEqual(data["version"], 1)
            # what it hands on to the installed system is cloud-init's again
            own = self.folder / f"{name}-own"
            own.write_text("#cloud-config\n" + safe_dump(data["user-data"]))
            ran = subprocess.run(
                [*program, str(own)], capture_output=True, text=True, timeout=60, check=False
            )
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        meta = safe_load(self.text(answer("user-data"), "meta-data"))
        self.assertEqual(meta, {"instance-id": "ws1-525400123456", "local-hostname": "ws1"})

    def test_autoyast(self) -> None:
        for said in self.check("autoyast.xml", "xmllint", "--noout", besides="proxy"):
            self.assertEqual(said, "")
