"""What the tools say becomes progress, or a complaint with its mend."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.diskless.tools import Progress, complaint

#: Of mmdebstrap 1.3.5, shortened.
TOLD = [
    "I: running apt-get update...",
    "Get:1 http://mirror.lan/debian bookworm InRelease [151 kB]",
    "Reading package lists...",
    "I: downloading packages with apt...",
    "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
    "Get:1 http://mirror.lan/debian bookworm/main amd64 gcc-12-base amd64 12.2.0 [37.6 kB]",
    "I: extracting archives...",
    "I: installing essential packages...",
    "I: installing remaining packages inside the chroot...",
    "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
    "Get:1 http://mirror.lan/debian bookworm/main amd64 a amd64 1 [1 kB]",
    "Get:2 http://mirror.lan/debian bookworm/main amd64 b amd64 1 [1 kB]",
    "Unpacking a (1) ...",
    "Unpacking b (1) ...",
    "Setting up a (1) ...",
    "Setting up b (1) ...",
    "update-initramfs: Generating /boot/initrd.img-6.1.0-56-amd64",
]


class ToolsTests(SynchronousTestCase):
    def test_progress(self) -> None:
        said: list[str] = []
        progress = Progress(said.append)
        for line in TOLD:
            progress.hear(f"{line}\n")
        progress.step(95, "checking")
        self.assertEqual(
            said,
            [
                "  2 %  asking the mirrors",
                "  6 %  downloading the base system",
                " 20 %  unpacking the base system",
                " 25 %  installing the base system",
                " 40 %  installing",
                " 56 %  installing",
                " 64 %  installing",
                " 72 %  installing",
                " 80 %  installing",
                " 88 %  making the initramfs",
                " 95 %  checking",
            ],
        )

    def test_complaints(self) -> None:
        log = Path("build.log")
        for line, mend in (
            ("dpkg: error: cannot write: No space left on device", "the disk is full"),
            ("E: Unable to locate package nonsense", "no such package"),
            ("W: GPG error: ... NO_PUBKEY 0E98404D386FA1D9", "debian-archive-keyring"),
            ("Err:1 http://m/debian nonsense Release 404  Not Found", "no such release"),
            ("W: Failed to fetch http://m/  Could not connect to m", "--mirror URL"),
            ("W: Temporary failure resolving 'mirror'", "Acquire::http::Proxy"),
        ):
            said = complaint("mmdebstrap", ["I: before", line, "E: mmdebstrap failed"], log)
            self.assertTrue(said.startswith(line), said)
            self.assertIn(mend, said)
            self.assertIn("build.log", said)
        said = complaint("cp", ["cp: a", "cp: b"], log)
        self.assertEqual(said, "cp failed:\ncp: a\ncp: b\nall that it said: build.log")
        said = complaint("mmdebstrap", ["E: something", *["I: more"] * 9], log)
        self.assertIn("E: something", said)
