"""Packages come from where this machine has them from, unless somebody knows better."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.diskless.folder import ImageError
from pxetwist.diskless.sources import Distribution, acquire_options, kernel_for

INDEX = """Packages http://mirror.lan/debian/ bookworm main
Packages http://mirror.lan/debian/ bookworm main
Packages http://mirror.lan/debian/ bookworm contrib
Packages http://mirror.lan/debian/ bookworm-updates main
Translations http://mirror.lan/debian/ bookworm main
Packages http://docker.example/linux/debian/ bookworm stable
Packages http://mirror.lan/security/ bookworm-security main
Packages http://mirror.lan/debian/ trixie-backports main
Packages
"""
CONFIG = """Acquire "";
Acquire::http::Proxy "http://proxy.lan:3128";
Acquire::http::Proxy::mirror.lan "DIRECT";
Acquire::https::CAInfo "/etc/ssl/own.pem";
Acquire::Check-Valid-Until "false";
Acquire::cdrom::mount "/media/cdrom/";
Acquire::http::Pipeline-Depth "";
Dir "/";
"""
PUBLIC = [
    "deb http://deb.debian.org/debian bookworm main",
    "deb http://deb.debian.org/debian bookworm-updates main",
    "deb http://deb.debian.org/debian-security bookworm-security main",
]


class SourcesTests(SynchronousTestCase):
    """The tools of apt are scripts of ours."""

    def setUp(self) -> None:
        self.bin = Path(self.mktemp())
        self.bin.mkdir()
        self.patch(os, "environ", {**os.environ, "PATH": f"{self.bin.absolute()}:/bin:/usr/bin"})
        self.debian = Distribution.parse("debian:bookworm")

    def tool(self, name: str, output: str, code: int = 0) -> None:
        file = self.bin / name
        file.write_text(f"#!/bin/sh\ncat <<'EOF'\n{output}EOF\nexit {code}\n")
        file.chmod(0o755)

    def test_those_of_this_machine(self) -> None:
        self.tool("apt-get", INDEX)
        self.assertEqual(
            self.debian.sources(()),
            [
                "deb http://mirror.lan/debian/ bookworm main contrib",
                "deb http://mirror.lan/debian/ bookworm-updates main",
                "deb http://mirror.lan/security/ bookworm-security main",
            ],
        )

    def test_public_ones_if_it_has_none(self) -> None:
        self.tool("apt-get", INDEX.replace("bookworm", "trixie"))
        self.assertEqual(self.debian.sources(()), PUBLIC)
        self.tool("apt-get", INDEX, code=100)
        self.assertEqual(self.debian.sources(()), PUBLIC)

    def test_given_ones(self) -> None:
        self.tool("apt-get", INDEX)
        line = "deb [trusted=yes] http://own.lan/debian bookworm-own main"
        self.assertEqual(
            self.debian.sources(("http://m.lan/debian", line)),
            ["deb http://m.lan/debian bookworm main", line],
        )

    def test_the_way_to_them(self) -> None:
        self.tool("apt-config", CONFIG)
        self.assertEqual(
            acquire_options(),
            [
                "Acquire::http::Proxy=http://proxy.lan:3128",
                "Acquire::http::Proxy::mirror.lan=DIRECT",
                "Acquire::https::CAInfo=/etc/ssl/own.pem",
                "Acquire::Check-Valid-Until=false",
            ],
        )

    def test_mistakes(self) -> None:
        for text in ("debian", "slackware:15", "debian:", "debian:Book Worm"):
            with self.assertRaises(ImageError) as caught:
                Distribution.parse(text)
            self.assertIn("debian:SUITE, or image:NAME", str(caught.exception))
        self.assertEqual(kernel_for("arm64"), "linux-image-arm64")
        with self.assertRaises(ImageError) as caught:
            kernel_for("z80")
        self.assertIn("--kernel", str(caught.exception))
