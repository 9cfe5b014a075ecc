"""Real NFS clients against `twistd pxe`: libnfs, and calls that no honest client makes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from bootlab.network import Lan, Namespace
from bootlab.processes import LabError, wait_until
from tests.integration.case import ServedCase

INI = """
[pxe]
services = nfs
hosts = rack
policies = main
state = memory
[hosts:rack]
plugin = static
file = hosts.csv
[policy:main]
plugin = rules
rules =
    profile=* -> @profile
[profile:desktop]
kind = linux
kernel = vmlinuz
root = export:desktop
[profile:kiosk]
kind = linux
kernel = vmlinuz
root = export:desktop/kiosk
[export:desktop]
plugin = directory
path = tree
[service:nfs]
"""
ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:02"
MACHINES = f"name,mac,profile\none,{ONE},desktop\ntwo,{TWO},kiosk\n"
#: Opens a thousand connections; on one more asks for 2,000 times 1 MiB, and reads none of it.
FLOOD = """
import socket, struct, sys, time
from pxetwist.testing.nfs import as_record, auth_sys, result_of, rpc_call
from pxetwist.wire.xdr import opaque, take_opaque

def connect(port):
    made = socket.socket()
    made.bind(("", connect.port))
    connect.port -= 1
    made.connect((sys.argv[1], port))
    return made

connect.port = 1000

def ask(program, procedure, arguments):
    message = rpc_call(program, 3, procedure, arguments, credentials=auth_sys())
    made = connect(2049)
    made.sendall(as_record(message))
    return take_opaque(result_of(made.recv(4096)[4:]), 4)[0]

root = ask(100005, 1, opaque(b"/desktop"))
file = ask(100003, 3, opaque(root) + opaque(b"large"))
deaf = connect(2049)
deaf.settimeout(5)
arguments = opaque(file) + struct.pack("!QI", 0, 1 << 20)
read = as_record(rpc_call(100003, 3, 6, arguments, credentials=auth_sys()))
try:
    deaf.sendall(read * 2000)
except TimeoutError:
    pass
silent = [socket.create_connection((sys.argv[1], 2049)) for _ in range(1000)]
print("flooded", flush=True)
time.sleep(60)
"""
URL = f"nfs://{Lan.address}/desktop"


class NfsClientTests(ServedCase):
    ini = INI
    machines = MACHINES
    service = "nfs"

    def prepare(self) -> None:
        self.tree = self.folder / "tree"
        (self.tree / "kiosk").mkdir(parents=True)
        (self.tree / "kiosk" / "page").write_bytes(b"page")
        (self.tree / "etc").mkdir()
        (self.tree / "etc" / "secret").write_bytes(b"of others")

    def setUp(self) -> None:
        super().setUp()
        self.one = self.machine("one", ONE, "10.77.0.31")

    def machine(self, name: str, mac: str, address: str) -> Namespace:
        host = self.lan.host(name, f"{address}/24")
        host.ip("link set eth0 down")
        host.ip(f"link set eth0 address {mac}")
        host.ip("link set eth0 up")
        return host

    def copied(self, host: Namespace, url: str) -> bytes:
        into = self.folder / "copy"
        into.unlink(missing_ok=True)
        host.run("nfs-cp", url, str(into))
        return into.read_bytes()

    def refused(self, host: Namespace, *words: str) -> str:
        return str(self.assertRaises(LabError, host.run, *words))

    def test_each_machine_sees_its_root(self) -> None:
        two = self.machine("two", TWO, "10.77.0.32")
        self.assertEqual(self.copied(self.one, f"{URL}/etc/secret"), b"of others")
        self.assertEqual(two.run("nfs-cat", f"{URL}/kiosk/page"), "page")
        self.assertIn("ACCES", self.refused(two, "nfs-cat", f"{URL}/etc/secret"))
        self.assertIn("ACCES", self.refused(two, "nfs-ls", URL))
        self.assertIn("ACCES", self.refused(self.host, "nfs-ls", URL))
        self.assertIn("/desktop/kiosk", two.run("showmount", "-e", "--no-headers", Lan.address))
        self.assertEqual(self.host.run("showmount", "-e", "--no-headers", Lan.address).strip(), "")
        ports = self.one.run("rpcinfo", "-p", Lan.address)
        self.assertEqual(ports.count("100003"), 2)
        self.server.wait_for("mounted /desktop/kiosk", 10)

    def test_a_large_tree_is_the_same(self) -> None:
        """100,000 files, and one of 10 GB that is mostly holes."""
        names = set()
        for folder in range(100):
            place = self.tree / "many" / f"d{folder}"
            place.mkdir(parents=True)
            for number in range(1000):
                (place / f"file-{number}").touch()
                names.add(f"d{folder}/file-{number}")
        wide = self.tree / "wide"
        wide.mkdir()
        for number in range(20_000):
            (wide / f"w{number}").touch()
        lines = self.one.run("nfs-ls", "-R", f"{URL}/many").splitlines()
        found = {line.split()[-1].lstrip("/") for line in lines if line.startswith("-")}
        self.assertEqual({"/".join(name.split("/")[-2:]) for name in found}, names)
        lines = self.one.run("nfs-ls", f"{URL}/wide").splitlines()
        self.assertEqual(len({line.split()[-1] for line in lines}), 20_000)
        large = self.tree / "large"
        with large.open("wb") as file:
            file.truncate(10 << 30)
            for offset in (0, 5 << 30, (10 << 30) - 1000):
                file.seek(offset)
                file.write(os.urandom(1000))
        self.one.run("sh", "-c", f"nfs-cat {URL}/large | cmp - {large}")

    def test_floods_leave_room_for_others(self) -> None:
        """A thousand connections that say nothing, and one that asks and never listens."""
        (self.tree / "large").write_bytes(bytes(8 << 20))
        two = self.machine("two", TWO, "10.77.0.32")
        two.run("nfs-cat", f"{URL}/kiosk/page")
        before = self.memory()
        flood = self.start(self.one, [sys.executable, "-c", FLOOD, Lan.address])
        flood.wait_for("flooded", 60)
        for _ in range(5):
            self.assertEqual(two.run("nfs-cat", f"{URL}/kiosk/page"), "page")
        self.assertLess(self.memory() - before, 64 << 10)

    def memory(self) -> int:
        """Return what the server holds for itself, in KiB; maps of files are not its own."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0])

    def test_nothing_can_be_written(self) -> None:
        mine = self.folder / "mine"
        mine.write_bytes(b"mine")
        for target in ("new", "etc/secret"):
            said = self.refused(self.one, "nfs-cp", str(mine), f"{URL}/{target}")
            self.assertIn("ROFS", said)
        self.assertEqual((self.tree / "etc" / "secret").read_bytes(), b"of others")
        self.assertFalse((self.tree / "new").exists())

    def test_a_client_goes_on_after_a_restart(self) -> None:
        large = os.urandom(64 << 20)
        (self.tree / "large").write_bytes(large)
        into = self.folder / "into"
        slow = "qdisc add dev to-one root tbf rate 200mbit burst 1m latency 50ms"
        self.lan.server.run("tc", *slow.split())
        reading = self.start(self.one, ["nfs-cp", f"{URL}/large", str(into)])
        wait_until(lambda: into.exists() and into.stat().st_size > 4 << 20, 30, "a copy")
        os.kill(self.server.pid, signal.SIGKILL)
        self.assertTrue(reading.running)
        self.serve()
        wait_until(lambda: not reading.running, 60, "the end of the copy")
        self.assertEqual(into.read_bytes(), large)
