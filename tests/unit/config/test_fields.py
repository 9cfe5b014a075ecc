from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.config import fields
from pxetwist.config.fields import Line, OptionText, option
from pxetwist.errors import Location
from pxetwist.model.lease import Pool
from tests.unit.config.inis import IniCase

Convert = Callable[[str], Any]


class Converters(SynchronousTestCase):
    def accepts(self, convert: Convert, cases: dict[str, object]) -> None:
        for text, value in cases.items():
            self.assertEqual(convert(text), value, text)

    def refuses(self, convert: Convert, expected: str, *cases: str, hint: str = "") -> None:
        for text in cases:
            error = self.assertRaises(ValueError, convert, text)
            self.assertEqual(str(error), f"expected {expected}, got {text!r}{hint}")

    def test_seconds(self) -> None:
        self.accepts(
            fields.seconds,
            {"90": 90, "90s": 90, "10m": 600, "1h": 3600, "1d": 86400, "0.5": 0.5, "2 m": 120},
        )
        self.refuses(fields.seconds, "a duration like 90, 90s, 10m, 1h or 1d", "", "1w", "-1", "h")

    def test_size(self) -> None:
        self.accepts(fields.size, {"512": 512, "64K": 65536, "64M": 64 << 20, "2G": 2 << 30})
        self.refuses(fields.size, "a size like 512, 64K, 64M or 2G", "", "64MB", "-1")

    def test_integer(self) -> None:
        self.accepts(fields.integer(1, 9), {"1": 1, "9": 9})
        self.refuses(fields.integer(1, 9), "a whole number from 1 to 9", "0", "10", "x", "")
        self.refuses(fields.integer(1), "a whole number of at least 1", "0")
        self.refuses(fields.integer(maximum=1), "a whole number of at most 1", "2")
        self.refuses(fields.integer(), "a whole number", "1.5")

    def test_options_that_nobody_meant(self) -> None:
        """A default that is the text of a value, and what only makes converters."""
        self.assertRaises(TypeError, option, fields.integer(1), default="5", doc="Text.")
        self.assertRaises(TypeError, option, fields.integer, default=5, doc="Not called.")
        self.assertRaises(TypeError, option, 5, default=5, doc="No converter.")
        option(fields.choice("a", "b"), default="", doc="Text is its value; empty is none.")

    def test_boolean(self) -> None:
        self.accepts(fields.boolean, {"yes": True, "True": True, "off": False, "no": False})
        self.refuses(fields.boolean, "yes or no", "maybe", "")

    def test_choice(self) -> None:
        self.accepts(fields.choice("a", "b", "c"), {"b": "b"})
        self.refuses(fields.choice("a", "b", "c"), "a, b or c", "d", "", "A")
        self.refuses(fields.choice("a"), "a", "d")

    def test_addresses(self) -> None:
        self.accepts(fields.address, {"10.0.0.1": IPv4Address("10.0.0.1")})
        self.refuses(fields.address, "an IPv4 address", "10.0.0", "::1", "")
        self.accepts(fields.network, {"10.0.0.0/24": IPv4Network("10.0.0.0/24")})
        expected, meant = "an IPv4 network like 10.0.0.0/24", "; did you mean 10.0.0.0/24?"
        self.refuses(fields.network, expected, "10.0.0.1/24", hint=meant)
        self.refuses(fields.network, expected, "x")
        self.accepts(fields.mac, {"52-54-00-12-34-AB": "52:54:00:12:34:ab"})
        self.refuses(fields.mac, "a MAC address like 52:54:00:12:34:56", "52:54", "")
        self.accepts(fields.port, {"0": 0, "65535": 65535})
        self.refuses(fields.port, "a port from 0 to 65535", "65536", "-1", "http")

    def test_pool(self) -> None:
        low, high = IPv4Address("10.0.0.100"), IPv4Address("10.0.0.200")
        self.accepts(
            fields.pool,
            {
                "10.0.0.100 - 10.0.0.200": Pool(low, high),
                "10.0.0.100-10.0.0.200": Pool(low, high),
                "10.0.0.100": Pool(low, low),
            },
        )
        expected, turned = "a pool like 10.0.0.100 - 10.0.0.200", "10.0.0.200 - 10.0.0.100"
        self.refuses(fields.pool, expected, turned, hint="; its ends are exchanged")
        self.refuses(fields.pool, expected, "10.0.0.1 -", "10.0.0.0/24", "")

    def test_list_of(self) -> None:
        self.accepts(
            fields.list_of(fields.text),
            {"a, b": ("a", "b"), "a b\n c,": ("a", "b", "c"), "": (), "a-b": ("a-b",)},
        )
        error = self.assertRaises(ValueError, fields.list_of(fields.port), "69, 70000")
        self.assertEqual(str(error), "expected a port from 0 to 65535, got '70000'")

    def test_list_of_pools_with_spaces_around_the_dash(self) -> None:
        pools = fields.list_of(fields.pool)("10.0.0.1 - 10.0.0.2, 10.0.0.5\n10.0.0.7  -  10.0.0.9")
        self.assertEqual([len(pool) for pool in pools], [2, 1, 3])

    def test_per_architecture(self) -> None:
        convert = fields.per_architecture(fields.text)
        self.assertEqual(convert("vmlinuz"), {"": "vmlinuz"})
        self.assertEqual(convert.entry("x64", "v"), ("x64", "v"))
        error = self.assertRaises(ValueError, convert.entry, "x86", "v")
        self.assertIn("'x86' is no architecture (known: arm32", str(error))

    @given(st.text())
    def test_any_text_is_a_value_or_a_value_error(self, text: str) -> None:
        for name in ("integer", "boolean", "seconds", "size", "address", "network", "pool", "mac"):
            convert = getattr(fields, name)
            try:
                (convert() if name == "integer" else convert)(text)
            except ValueError as error:
                self.assertIn("expected", str(error))


class Files(IniCase):
    def option_text(self, text: str) -> OptionText:
        return OptionText(text, self.folder, (Line(text, Location("pxe.ini", 7)),))

    def test_path_starts_at_the_folder(self) -> None:
        self.assertEqual(fields.path(self.option_text("a/b")), self.folder / "a/b")
        self.assertEqual(fields.path(self.option_text("/a/b")), Path("/a/b"))
        self.assertEqual(
            fields.list_of(fields.path)(self.option_text("a, b")),
            (self.folder / "a", self.folder / "b"),
        )
        self.assertRaises(ValueError, fields.path, self.option_text(""))
        self.assertRaises(ValueError, fields.path, self.option_text("a/" + "x" * 256))

    def test_secret_file(self) -> None:
        file = self.write("secret", "  hush\n")
        file.chmod(0o640)
        self.assertEqual(fields.secret_file(self.option_text("secret")), "hush")

    def test_secret_for_everyone_is_refused(self) -> None:
        file = self.write("secret", "hush")
        file.chmod(0o644)
        error = self.assertRaises(ValueError, fields.secret_file, self.option_text("secret"))
        self.assertEqual(str(error), f"{file} can be read by everyone; mend: chmod o-rwx {file}")

    def test_missing_secret(self) -> None:
        error = self.assertRaises(ValueError, fields.secret_file, self.option_text("nix"))
        self.assertEqual(str(error), f"cannot read {self.folder}/nix: {os.strerror(2)}")

    def test_lines_know_their_place(self) -> None:
        self.assertEqual(fields.lines(self.option_text("a")), (Line("a", Location("pxe.ini", 7)),))


class Options(SynchronousTestCase):
    def test_a_settings_class(self) -> None:
        @attrs.frozen
        class Settings:
            first: int = option(fields.port, default=1, doc="One.")
            needed: str = option(fields.text, doc="Two.")

        self.assertEqual(Settings(needed="x").first, 1)
        self.assertRaises(TypeError, Settings)

    def test_secrets_are_not_shown(self) -> None:
        @attrs.frozen
        class Settings:
            password: str = option(fields.secret_file, doc="A secret.")

        self.assertNotIn("hush", repr(Settings(password="hush")))

    def test_expects(self) -> None:
        def uri(text: str) -> str:
            """Expect a URI.

            More.
            """
            return text

        self.assertEqual(fields.expects(uri), "a URI")
        self.assertEqual(fields.expects(fields.boolean), "yes or no")
