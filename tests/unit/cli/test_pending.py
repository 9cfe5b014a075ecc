"""The commands pending and approve, on a site in a folder."""

from __future__ import annotations

import csv
import io
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pxetwist.cli import main
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.report import MachineReport
from pxetwist.state import discovered

MAC = "52:54:00:00:00:99"
INI = """
[pxe]
services = http
hosts = approved
policies = discover
state = memory
[profile:debian12]
kind = local
"""


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.ini = self.folder / "pxe.ini"
        self.ini.write_text(INI)

    def run_command(self, *words: str) -> tuple[int, str]:
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            code = main([words[0], str(self.ini), *words[1:]])
        return code, output.getvalue()

    def report(self, **facts: str) -> str:
        identity = ClientIdentity(mac=MAC)
        report = MachineReport("discover", identity, "1a2b", 1_700_000_000, facts=facts)
        database = discovered.database_in(self.folder / "var")
        session = database.connect(discovered.SCHEMA, change=True)
        assert session is not None
        found, _ = session.run(partial(discovered.note, report, 100), change=True)
        session.close()
        return found.code

    def test_from_report_to_name(self) -> None:
        self.assertEqual(self.run_command("pending"), (0, "no machine waits for approval\n"))
        self.assertFalse((self.folder / "var").exists())
        code = self.report(manufacturer="Dell", product="X", serial="S1", memsize="8192")
        status, listed = self.run_command("pending")
        self.assertEqual(status, 0)
        self.assertRegex(listed, rf"{code} +{MAC} +waiting +2023-11-1\d \S+ +Dell X +S1 +8192 MiB")
        approved = self.run_command("approve", code, "ws99", "profile=debian12", "Room=b 12")
        said = f"{MAC} ({code}) is ws99 profile=debian12 room=b 12\n"
        self.assertEqual(approved, (0, said))
        self.assertIn("no machine", self.run_command("pending")[1])
        self.assertIn("approved ws99", self.run_command("pending", "--all")[1])
        rejected = self.run_command("approve", MAC.replace(":", "-"), "--reject")
        self.assertEqual(rejected, (0, f"{MAC} ({code}) is rejected\n"))

    def test_what_it_is_given(self) -> None:
        """What files of machines call a fact is one here too."""
        said = self.run_command(
            *("approve", self.report(), "ws1", "mac=52-54-00-00-00-98", "groups=exam, linux")
        )
        self.assertTrue(said[1].endswith(" is ws1\n"), said)
        machine = discovered.machine_of(
            "ws1", MAC, {"mac": "52-54-00-00-00-98", "groups": "exam, linux"}
        )
        self.assertEqual(machine.macs, (MAC, "52:54:00:00:00:98"))
        self.assertEqual((machine.groups, machine.labels), (("exam", "linux"), {}))

    def test_what_machines_say_is_data(self) -> None:
        """Neither the terminal nor a spreadsheet is told what to do."""
        self.report(serial="=cmd|'/c calc'!A1", product='a,"b"', asset="-1+1", cpumodel="@x")
        status, text = self.run_command("pending", "--export", "-")
        self.assertEqual(status, 0)
        [row] = csv.DictReader(io.StringIO(text))
        self.assertEqual((row["mac"], row["product"]), (MAC, 'a,"b"'))
        said = (row["serial"], row["asset"], row["cpumodel"])
        self.assertEqual(said, ("'=cmd|'/c calc'!A1", "'-1+1", "'@x"))
        file = self.folder / "out.csv"
        self.assertIn("1 reports in", self.run_command("pending", "--export", str(file))[1])
        self.assertEqual(file.read_text().splitlines(), text.splitlines())

    def test_mistakes(self) -> None:
        code = self.report()
        for words, status, expected in (
            ((code,), 2, "expected FILE CODE|MAC NAME"),
            ((code, "a b"), 2, "expected a name"),
            ((code, "ws1", "room"), 2, "expected LABEL=VALUE"),
            ((code, "ws1", "--reject"), 2, "expected FILE"),
            (("ZZZZ", "ws1"), 1, "nothing was reported as ZZZZ"),
            ((code, "ws1", "profile=debian"), 1, "did you mean 'debian12'?"),
            ((code, "ws1", "address=10.0"), 1, "address: expected one like 10.0.0.17, got '10.0'"),
            ((code, "ws1", "uuid=x"), 1, "uuid: expected one like 4c4c4544-"),
            ((code, "ws1", "mac=52:54"), 1, "expected a MAC address like"),
        ):
            found = self.run_command("approve", *words)
            self.assertEqual(found[0], status, found)
            self.assertIn(expected, found[1])
        self.assertIn("waiting", self.run_command("pending")[1])

    def test_a_site_without_discovery(self) -> None:
        self.ini.write_text(INI.replace("policies = discover\n", ""))
        self.assertEqual(self.run_command("pending")[0], 1)
        self.ini.write_text(INI.replace("hosts = approved\n", ""))
        found = self.run_command("approve", "ZZZZ", "ws1")
        self.assertEqual(found[0], 1)
        self.assertIn("no directory of the plugin approved", found[1])
