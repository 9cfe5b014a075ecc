"""What our tests take for files of dnsmasq is what dnsmasq takes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from unittest import TestCase

SAMPLES = Path(__file__).parents[1] / "unit" / "hosts" / "samples"


class DnsmasqTests(TestCase):
    def accepts(self, *options: str) -> tuple[bool, str]:
        command = ["/usr/sbin/dnsmasq", "--test", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode == 0, done.stderr

    def test_configuration(self) -> None:
        ok, said = self.accepts(f"--conf-file={SAMPLES / 'dnsmasq.conf'}")
        self.assertTrue(ok, said)

    def test_hostsfile(self) -> None:
        """Its lines, as options: --test does not open the file."""
        lines = (SAMPLES / "dhcp-hostsfile").read_text().splitlines()
        hosts = [f"--dhcp-host={line}" for line in lines if not line.startswith("#")]
        self.assertEqual(len(hosts), 3)
        ok, said = self.accepts("--conf-file=/dev/null", *hosts)
        self.assertTrue(ok, said)

    def test_it_would_say_no(self) -> None:
        ok, said = self.accepts("--conf-file=/dev/null", "--dhcp-host=52:54:00:00:00:0x,a")
        self.assertFalse(ok)
        self.assertIn("bad hex constant", said)
