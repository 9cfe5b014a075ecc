"""``pxetwist order``: who is meant, and that nobody has two orders."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from pxetwist.cli import main
from tests.unit.config.inis import IniCase

INI = """
[pxe]
services = tftp
hosts = known
policies = orders
[hosts:known]
plugin = static
file = hosts.csv
[policy:orders]
[profile:local]
kind = local
"""
MAC, OTHER = "52:54:00:12:34:56", "52:54:00:12:34:57"


class OrderTests(IniCase):
    def order(self, *words: str) -> str:
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
            main(["order", str(self.folder / "pxe.ini"), *words])
        return said.getvalue()

    def test_what_cannot_be_meant(self) -> None:
        """Where not all machines can be listed, too."""
        self.write("hosts.csv", f"name,mac\nWS1,{OTHER}\n")
        self.write(
            "pxe.ini",
            INI.replace("hosts = known", "hosts = known, web")
            + "[hosts:web]\nplugin = http\nurl = http://10.0.0.1/{mac}\nfields = name = name\n",
        )
        self.assertIn("note: ws2 is in no directory", self.order("ws2", "local"))
        for host in ("52:54:00:12:34:5", "ws 2", "ws2,ws3"):
            self.assertIn(
                f"expected a name, or a MAC address like 52:54:00:12:34:56, got {host!r}",
                self.order(host, "local"),
            )
        self.assertIn(
            "--expires: expected a unit, like 7h or 7d",
            self.order("ws1", "local", "--expires", "7"),
        )

    def test_a_machine_has_one_order(self) -> None:
        """Its name and each of its MACs mean the same machine."""
        self.write("pxe.ini", INI)
        self.write("hosts.csv", f"name,mac\nWS1,{OTHER}\n")
        before = self.order(MAC, "local")  # nobody knows it so far
        self.assertRegex(before, f"^order 1: {MAC} boots local once")
        self.write("hosts.csv", f"name,mac\nWS1,{MAC} {OTHER}\n")
        for name in ("ws1", MAC, "52-54-00-12-34-57"):
            self.assertIn(f"{MAC} has order 1 (local once), pending", self.order(name, "local"))
        self.order("--cancel", "1")
        self.assertIn(": ws1 boots local once", self.order(OTHER, "local"))
