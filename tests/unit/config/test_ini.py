from __future__ import annotations

from configparser import RawConfigParser
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pxetwist.config.fields import Line
from pxetwist.config.ini import Ini
from pxetwist.errors import ConfigError, Location
from tests.unit.config.inis import IniCase


class Reading(IniCase):
    def read(self, content: str) -> tuple[Ini, list[str]]:
        errors: list[ConfigError] = []
        ini = Ini(self.write("pxe.ini", content), errors)
        return ini, [str(error).replace(f"{self.folder}/", "") for error in errors]

    def test_everything_has_its_line(self) -> None:
        ini, errors = self.read(
            """
            # a comment
            [pxe]
            services = a

            [policy:rules]
            rules =
                # first
                one = 1

                [two]
                ; third
                three
            Other=
            """
        )
        self.assertEqual(errors, [])
        file = str(self.folder / "pxe.ini")
        section = ini.sections["policy:rules"]
        self.assertEqual(section.location, Location(file, 5))
        self.assertEqual((section.kind, section.name), ("policy", "rules"))
        self.assertEqual(
            {name: option.location.line for name, option in section.options.items()},
            {"rules": 6, "Other": 13},
        )
        self.assertEqual(
            section.options["rules"].text.lines,
            (
                Line("one = 1", Location(file, 8)),
                Line("[two]", Location(file, 10)),
                Line("three", Location(file, 12)),
            ),
        )
        self.assertEqual(section.options["rules"].text, "one = 1\n[two]\nthree")
        self.assertEqual(section.options["Other"].text, "")

    def test_values_are_taken_as_they_stand(self) -> None:
        ini, errors = self.read(
            """
            [DEFAULT]
            a = 1
            [pxe]
            B = x = %(a)s : ; # y
            """
        )
        self.assertEqual(errors, [])
        self.assertEqual(ini.sections["pxe"].options["B"].text, "x = %(a)s : ; # y")
        self.assertEqual(list(ini.sections["pxe"].options), ["B"])

    def test_all_mistakes_of_the_form(self) -> None:
        _, errors = self.read(
            """
            [pxe]
            nonsense
            a = 1
            a = 2
            [hosts:x]
            [pxe]
            b = 1
            [hosts:y] oops
            """
        )
        self.assertEqual(
            sorted(errors),
            [
                "pxe.ini:2: expected [section], name = value or a comment",
                "pxe.ini:4: [pxe] a stands at pxe.ini:3 already",
                "pxe.ini:6: section [pxe] stands at pxe.ini:1 already",
                "pxe.ini:8: expected [section], name = value or a comment",
            ],
        )

    def test_no_section(self) -> None:
        _, errors = self.read("a = 1\n")
        self.assertEqual(
            errors, ["pxe.ini:1: expected a section like [pxe] before the first option"]
        )

    def test_unreadable(self) -> None:
        errors: list[ConfigError] = []
        Ini(self.folder / "nix.ini", errors)
        (self.folder / "bad.ini").write_bytes(b"[pxe]\n\xff\n")
        Ini(self.folder / "bad.ini", errors)
        self.assertEqual(
            [error.message for error in errors],
            ["cannot be read: No such file or directory", "is not text in UTF-8"],
        )

    def test_include(self) -> None:
        self.write("conf.d/b.ini", "[subnet:b]\n[hosts:x]\n")
        self.write("conf.d/a.ini", "\n[subnet:a]\nfile = c\n")
        ini, errors = self.read(
            """
            [pxe]
            include = conf.d/*.ini, nothing/*.ini, conf.d
                missing.ini
            [hosts:x]
            """
        )
        self.assertEqual(list(ini.sections), ["pxe", "hosts:x", "subnet:a", "subnet:b"])
        self.assertEqual(ini.sections["subnet:a"].options["file"].text.folder, self.folder)
        self.assertEqual(
            errors,
            [
                "conf.d/b.ini:2: section [hosts:x] stands at pxe.ini:4 already",
                "pxe.ini:2: [pxe] include: conf.d cannot be read: Is a directory",
                "pxe.ini:2: [pxe] include: there is no file missing.ini",
            ],
        )

    @given(
        st.lists(
            st.sampled_from(["[a]", "[b:c]", "x = 1", "y =", " more", "# c", "", "  z = 2", "\t"])
        )
    )
    def test_the_same_values_as_configparser(self, source: list[str]) -> None:
        text = "\n".join(source)
        file = self.folder / "same.ini"
        file.write_text(text)
        parser = RawConfigParser(delimiters=("=",), default_section="")
        try:
            parser.read_string(text)
        except Exception:
            return
        errors: list[ConfigError] = []
        ini = Ini(Path(file), errors)
        self.assertEqual(errors, [])
        self.assertEqual(
            {s.title: {o.name: o.text for o in s.options.values()} for s in ini.sections.values()},
            {
                title: {
                    name: "\n".join(line for line in value.split("\n") if line)
                    for name, value in parser.items(title)
                }
                for title in parser.sections()
            },
        )
