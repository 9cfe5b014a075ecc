"""The demo that newcomers run."""

from __future__ import annotations

import subprocess

from twisted.trial.unittest import SynchronousTestCase

from bootlab.lab import ROOT


class DemoTests(SynchronousTestCase):
    def test_linux_is_up(self) -> None:
        demo = subprocess.run(
            [ROOT / "scripts" / "demo"], capture_output=True, text=True, timeout=300
        )
        print(demo.stdout, demo.stderr)
        self.assertIn("Linux is up: demo-bios at 10.77.0.11", demo.stdout)
        self.assertEqual(demo.returncode, 0)
