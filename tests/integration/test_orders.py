"""Orders with the real server, real commands and curl, and a server that is killed."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from bootlab.processes import LabError, Process, run
from pxetwist.boot.tokens import Tokens
from pxetwist.model.identity import ClientIdentity

BIN = Path(sys.executable).parent
MAC = "52:54:00:00:00:01"
PATIENCE = 30.0

INI = """
[pxe]
services = http
hosts = known
policies = orders, main
content = scripts
state = memory
[hosts:known]
plugin = static
file = hosts.csv
[policy:orders]
then = local
[policy:main]
plugin = fixed
profile = memtest
[content:scripts]
plugin = rendered
[profile:local]
kind = local
[profile:memtest]
kind = script
ipxe = memtest.ipxe
[profile:install]
kind = script
ipxe = install.ipxe
[service:http]
addresses = 127.0.0.1
port = {port}
"""


class OrderTests(TestCase):
    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.ini = self.folder / "pxe.ini"
        self.ini.write_text(INI.format(port=self.port).lstrip())
        machines = "".join(f"ws{n},52:54:00:00:00:{n:02x}\n" for n in range(1, 100))
        (self.folder / "hosts.csv").write_text(f"name,mac\n{machines}")
        (self.folder / "install.ipxe").write_text("#!ipxe\necho callback={{ callback }}\n")
        (self.folder / "memtest.ipxe").write_text("#!ipxe\necho memtest\n")

    def serve(self) -> Process:
        words = ("--nodaemon", "--pidfile=", "pxe", "--config", str(self.ini))
        server = Process([str(BIN / "twistd"), *words], self.folder / "log")
        self.addCleanup(server.stop)
        server.wait_for("known machines", PATIENCE)
        return server

    def command(self, *words: str) -> str:
        return run(str(BIN / "pxetwist"), words[0], str(self.ini), *words[1:])

    def curl(self, *words: str) -> str:
        return run("curl", "-s", "--retry", "0", "--max-time", "10", *words)

    def script(self, number: int = 1) -> str:
        url = f"http://127.0.0.1:{self.port}/boot.ipxe?mac=52:54:00:00:00:{number:02x}"
        return self.curl("-A", "iPXE/1.21.1", url)

    def states(self) -> dict[str, str]:
        lines = self.command("order", "--list").splitlines()[1:]
        return {line.split()[1]: line.split()[3] for line in lines if line[:1].isdigit()}

    def test_from_the_command_to_the_call_back(self) -> None:
        server = self.serve()
        self.assertIn("memtest", self.script())
        said = self.command("order", "ws1", "install", "--expires", "2h")
        self.assertRegex(said, r"^order \d+: ws1 boots install once, until 20")
        server.wait_for("memtest|sent boot.ipxe", PATIENCE)
        self.assertEqual(self.states(), {"ws1": "pending"})
        threading.Event().wait(1.0)  # what the guarantee says, and no longer
        script = self.script()
        found = re.search(r"callback=(http\S+)", script)
        assert found is not None, script
        self.assertEqual(self.states(), {"ws1": "taken"})
        again = subprocess.run(
            [BIN / "pxetwist", "order", self.ini, "WS1", "install"], capture_output=True, text=True
        )
        self.assertEqual(again.returncode, 1)
        self.assertRegex(again.stderr, r"^ws1 has order \d+ \(install once\), taken\n$")
        status = ("-o", "/dev/null", "-w", "%{http_code}", "-d", "half\x1b[2J way")
        self.assertEqual(self.curl(*status, f"{found[1]}/progress"), "200")
        self.assertIn("half\ufffd[2J way", self.command("order", "--list"))
        self.assertEqual(self.curl(*status, f"{found[1][:-1]}x/done"), "404")
        self.assertEqual(self.curl(*status, f"{found[1]}/done"), "200")
        self.assertEqual(self.states(), {"ws1": "done"})
        self.assertIn("then local", self.script())
        server.wait_for(r"is done: half.* way", PATIENCE)
        self.assertNotIn("Traceback", server.text)

    def test_wrong_commands(self) -> None:
        for words, expected in (
            (("ws1", "instal"), "unknown profile 'instal'; did you mean 'install'?"),
            (("ws1", "install", "--then", "x"), "unknown profile 'x'"),
            (("zz1", "install"), "no directory knows 'zz1'"),
            (("--cancel", "7"), "there is no order 7"),
            (("ws1", "install", "--expires", "2000-01-01"), "is over"),
            (("ws1",), "expected FILE HOST PROFILE"),
        ):
            done = subprocess.run(
                [BIN / "pxetwist", "order", self.ini, *words], capture_output=True, text=True
            )
            self.assertIn(expected, done.stderr)
            self.assertIn(done.returncode, (1, 2))
        self.assertEqual(self.command("order", "--list"), "no orders\n")

    def test_killed_at_any_moment(self) -> None:
        """Whatever was said to anybody is there afterwards: who got the text has taken the
        order and never gets it again; who was told 200 has reported.
        """
        self.command("order", "ws1", "install")  # the tables are there
        self.ordered(range(2, 41))
        given: list[int] = []
        reported: set[int] = set()
        for moment in (0.05, 0.15, 0.25):
            server = self.serve()
            threads = [
                threading.Thread(target=self.boots, args=(numbers, given, reported))
                for numbers in (range(1, 21), range(21, 41))
            ]
            for thread in threads:
                thread.start()
            threading.Event().wait(moment)
            os.kill(server.pid, signal.SIGKILL)
            for thread in threads:
                thread.join(PATIENCE)
        states = self.states()
        self.assertEqual(len(states), 40)
        self.assertEqual(sorted(given), sorted(set(given)), "given twice")
        self.assertTrue(given)
        for number in range(1, 41):
            state = states[f"ws{number}"]
            if number in reported:
                self.assertEqual(state, "done")
            elif number in given:
                self.assertIn(state, ("taken", "done", "failed"))

    def ordered(self, numbers: range) -> None:
        """Order for many machines at once: one command each takes its time."""
        code = (
            "import sys, time\n"
            "from pathlib import Path\n"
            "from pxetwist.model.order import Order\n"
            "from pxetwist.state import database, orders\n"
            "file = database.SqliteDatabase(Path(sys.argv[1]))\n"
            "session = file.connect(orders.SCHEMA, change=True)\n"
            "for name in sys.argv[2:]:\n"
            "    order = Order(name, 'install', created=time.time())\n"
            "    session.run(lambda s: orders.add(order, s), change=True)\n"
        )
        names = [f"ws{number}" for number in numbers]
        run(sys.executable, "-c", code, str(self.folder / "var" / "orders.sqlite"), *names)

    def boots(self, numbers: range, given: list[int], reported: set[int]) -> None:
        """Boot machine after machine, each with a boot id of its own, until the server is gone."""
        tokens = Tokens(self.folder / "var")
        for number in numbers:
            identity = ClientIdentity(mac=f"52:54:00:00:00:{number:02x}")
            token = tokens.issue(identity, secrets.token_hex(2), time.time())
            try:
                script = self.curl(f"http://127.0.0.1:{self.port}/boot/{token}/boot.ipxe")
            except LabError:
                return
            found = re.search(r"callback=(http\S+)", script)
            if found is None:
                continue
            given.append(number)
            try:
                self.curl("-f", "-d", "ok", f"{found[1]}/done")
            except LabError:
                continue
            reported.add(number)
