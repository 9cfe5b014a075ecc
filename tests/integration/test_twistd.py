"""The real ``twistd pxe``, on the loopback interface."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from bootlab.processes import wait_until

TWISTD = Path(sys.executable).parent / "twistd"
#: Far more than a start takes, in seconds.
PATIENCE = 60

INI = """
[pxe]
services = tftp
policies = fixed
content = files, rendered
state = memory
[policy:fixed]
profile = disk
[profile:disk]
kind = nbp
nbp = boot.efi
[content:files]
plugin = directory
root = files
[service:tftp]
addresses = 127.0.0.1
port = {port}
"""


class Twistd(TestCase):
    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        (self.folder / "files").mkdir()

    def write(self, port: int) -> None:
        (self.folder / "pxe.ini").write_text(INI.format(port=port).lstrip())

    def occupied(self) -> int:
        """Take a port of the loopback interface for the length of the test."""
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port

    def twistd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(TWISTD), *arguments]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE
        )

    def test_a_port_in_use_is_one_line(self) -> None:
        port = self.occupied()
        self.write(port)
        ended = self.twistd("--nodaemon", "pxe", "--config", "pxe.ini")
        self.assertEqual(ended.returncode, 1)
        lines = ended.stderr.splitlines()
        self.assertEqual(len(lines), 1, ended.stderr)
        self.assertRegex(lines[0], rf"^pxetwist: pxe.ini:14: \[service:tftp\] .*\b{port}\b")
        self.assertNotIn("Traceback", ended.stdout)
        self.assertFalse((self.folder / "twistd.pid").exists())

    def test_a_port_in_use_as_a_daemon(self) -> None:
        self.write(self.occupied())
        ended = self.twistd("pxe", "--config", "pxe.ini")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("pxe.ini:14: [service:tftp] ", ended.stderr)
        log = (self.folder / "twistd.log").read_text()
        self.assertIn("pxe.ini:14: [service:tftp] ", log)
        self.assertNotIn("Traceback", log + ended.stderr)
        gone = self.folder / "twistd.pid"  # the daemon removes it when it has told its parent
        wait_until(lambda: not gone.exists(), 10, "the end of the daemon")

    def test_mistakes_are_all_shown(self) -> None:
        text = "[pxe]\nservices = tftpp\nstate = sqlit\nzonk = 1\n"
        (self.folder / "pxe.ini").write_text(text)
        for check in ((), ("--check",)):
            ended = self.twistd("--nodaemon", "pxe", "--config", "pxe.ini", *check)
            self.assertEqual(ended.returncode, 1)
            lines = ended.stderr.splitlines()
            self.assertEqual(
                lines[:2],
                [
                    "pxe.ini:2: services names 'tftpp'; did you mean 'tftp'?",
                    "pxe.ini:3: state names 'sqlit'; did you mean 'sqlite'?",
                ],
            )
            self.assertTrue(lines[2].startswith("pxe.ini:4: [pxe] unknown option 'zonk'"))
            self.assertEqual(len(lines), 3, ended.stderr)

    def test_without_config(self) -> None:
        ended = self.twistd("--nodaemon", "pxe")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("--config FILE is missing", ended.stdout)

    def test_check(self) -> None:
        self.write(self.occupied())  # nothing is opened
        ended = self.twistd("--nodaemon", "pxe", "--config", "pxe.ini", "--check")
        warning = "warning: profile 'disk' names boot.efi, which no content folder has\n"
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, warning, ""))

    def test_start_reload_stop(self) -> None:
        self.write(0)
        command = [str(TWISTD), "--nodaemon", "--pidfile=", "pxe", "--config", "pxe.ini"]
        with subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            self.addCleanup(process.kill)
            assert process.stdout is not None
            seen: list[str] = []
            ini = self.folder / "pxe.ini"
            for line in process.stdout:
                seen.append(line)
                if "[service:tftp] listens on udp 127.0.0.1:" in line:
                    process.send_signal(signal.SIGHUP)
                elif "reading data again" in line and "service tftp: " not in "".join(seen):
                    process.send_signal(signal.SIGUSR2)
                elif "service tftp: " in line:
                    ini.write_text(f"{ini.read_text()}\n# changed\n")
                    process.send_signal(signal.SIGHUP)
                elif "pxe.ini has changed since the start" in line:
                    ini.write_text(f"{ini.read_text()}\nzonk = 1\n")
                    process.send_signal(signal.SIGHUP)
                elif "pxe.ini could not be started with as it is now" in line:
                    process.send_signal(signal.SIGTERM)
        log = "".join(seen)
        [_, unchanged, changed, wrong] = log.split("reading data again")
        self.assertNotIn("pxe.ini", unchanged)
        self.assertNotIn("zonk", changed)
        self.assertIn("unknown option 'zonk'", wrong)
        self.assertRegex(log, r"policy \w+ is up since [-0-9: ]+ \(nothing yet\)")
        self.assertIn("service tftp: nothing yet", log)
        self.assertIn("Server Shut Down.", log)
        self.assertNotIn("Traceback", log)
