"""Real NFS clients against `twistd pxe`: libnfs, and calls that no honest client makes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from bootlab.network import Lan, Namespace
from bootlab.processes import LabError, run, wait_until
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
#: What scripts that call by themselves begin with: `root` is the handle of the mounted tree,
#: `file` that of ``large`` in it.
CALLS = """
import socket, struct, sys, time
from pxetwist.testing.nfs import NfsCaller, as_record, auth_sys, result_of, rpc_call
from pxetwist.wire.xdr import opaque

def connect():
    made = socket.socket()
    made.bind(("", connect.port))
    connect.port -= 1
    made.connect((sys.argv[1], 2049))
    return made

def call(program, version, procedure, arguments):
    message = rpc_call(program, version, procedure, arguments, credentials=auth_sys())
    with connect() as made, made.makefile("rb") as stream:
        made.sendall(as_record(message))
        size = int.from_bytes(stream.read(4), "big") & 0x7FFFFFFF
        return result_of(stream.read(size))

connect.port = 1000
caller = NfsCaller(call)
root = caller.mount(b"/desktop")[1]
file = caller.look_up(root, b"large")[1]
"""
#: Opens a thousand connections; on one more asks for 2,000 times 1 MiB, and reads none of it.
FLOOD = """
deaf = connect()
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
#: Cuts a file short that the server has mapped, and reads what is no more.
CUT = """
import os
print(len(caller.read(file, 1 << 20, 1 << 20)[1]))
os.truncate(sys.argv[2], 4096)
try:
    caller.read(file, 1 << 20, 1 << 20)
except OSError:
    print("cut off")
"""
#: Prints what is at some offsets.
PARTS = """
for offset in map(int, sys.argv[2:]):
    print(caller.read(file, offset, 1000)[1].hex())
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
        return self.lan.host(name, f"{address}/24", mac=mac)

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
        """100,000 files, a fifth of them in one directory, and one of 10 GB, mostly holes."""
        many = self.tree / "many"
        names = {f"d{n // 1000}/f{n}" for n in range(80_000)}
        names |= {f"wide/f{n}" for n in range(20_000)}
        for folder in {name.partition("/")[0] for name in names}:
            (many / folder).mkdir(parents=True)
        run("xargs", "touch", cwd=many, stdin="\n".join(names))
        lines = self.one.run("nfs-ls", "-R", f"{URL}/many").splitlines()
        found = {line.split()[-1] for line in lines if line.startswith("-")}
        self.assertEqual({"/".join(name.split("/")[-2:]) for name in found}, names)
        places = (0, 5 << 30, (10 << 30) - 1000)
        pieces = [os.urandom(1000) for _ in places]
        with (self.tree / "large").open("wb") as file:
            for place, piece in zip(places, pieces, strict=True):
                file.seek(place)
                file.write(piece)
        self.assertIn(f" {10 << 30} large", self.one.run("nfs-ls", URL))
        offsets = [str(each) for each in (*places, 7 << 30)]
        told = self.one.run(sys.executable, "-c", CALLS + PARTS, Lan.address, *offsets)
        self.assertEqual([bytes.fromhex(line) for line in told.split()], [*pieces, bytes(1000)])

    def test_a_file_that_is_cut_short(self) -> None:
        """Who reads it may be cut off; the server, which has it mapped, goes on."""
        large = self.tree / "large"
        large.write_bytes(bytes(8 << 20))
        said = self.one.run(sys.executable, "-c", CALLS + CUT, Lan.address, str(large))
        self.assertEqual(said.split()[0], str(1 << 20))
        self.assertTrue(self.server.running)
        # nfs-cp asks for ever for what it was told that there is
        wait_until(lambda: " 4096 large" in self.listed(), 10, "the new size")
        self.assertEqual(self.copied(self.one, f"{URL}/large"), bytes(4096))

    def listed(self) -> str:
        return " ".join(self.one.run("nfs-ls", URL).split())

    def test_floods_leave_room_for_others(self) -> None:
        """A thousand connections that say nothing, and one that asks and never listens."""
        (self.tree / "large").write_bytes(bytes(8 << 20))
        two = self.machine("two", TWO, "10.77.0.32")
        two.run("nfs-cat", f"{URL}/kiosk/page")
        before = self.memory()
        flood = self.start(self.one, [sys.executable, "-c", CALLS + FLOOD, Lan.address])
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
