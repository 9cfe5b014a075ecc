from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pxetwist.errors import TreeLater
from pxetwist.exports.directory import DirectoryExport, DirectoryTree
from pxetwist.exports.places import Places
from pxetwist.file_tree import IExport, IFileTree
from pxetwist.model.boot import BootPlan, BootRequest, BootStage
from pxetwist.model.boots import Files
from pxetwist.model.event import EventKind
from pxetwist.model.identity import ClientIdentity
from pxetwist.model.machine import Machine
from pxetwist.model.nfs_root import NfsRoot
from pxetwist.services.nfs.rpc_streams import RpcConnection
from pxetwist.services.nfs.service import NfsService, Settings
from pxetwist.testing import FakeBoot, make_site
from pxetwist.testing.network import MemoryClient, MemoryNetwork
from pxetwist.testing.nfs import NfsCaller, as_record, auth_sys, records, result_of, rpc_call
from pxetwist.wire.nfs3 import FAILURES, Procedure
from pxetwist.wire.xdr import opaque, take_opaque, uints

ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:02"
ACCES, STALE, NOENT, NOTDIR, ROFS, JUKEBOX = 13, 70, 2, 20, 30, 10008


def plan(*roots: NfsRoot) -> BootPlan:
    return BootPlan(Files("vmlinuz", root=roots[0] if roots else None), profile="desktop")


class StubPort:
    def stopListening(self) -> None:
        pass


class NfsCase(SynchronousTestCase):
    """A service with an export, its clients without a network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.base = Path(self.mktemp())
        self.folder = self.base / "tree"
        (self.folder / "a" / "b").mkdir(parents=True)
        (self.folder / "file").write_bytes(bytes(range(256)) * 1024)
        (self.folder / "a" / "deep").write_bytes(b"deep")
        self.boot = FakeBoot(machine=Machine("one", (ONE,)), plan=plan(NfsRoot("desktop")))
        self.boot.identities = {
            "10.0.0.1": (ClientIdentity(mac=ONE), "1"),
            "10.0.0.2": (ClientIdentity(mac=TWO), "2"),
        }
        tree = DirectoryTree(self.folder, Places(self.base / "places"))
        self.addCleanup(tree.close)
        self.boot.exports["desktop"] = DirectoryExport(tree)
        self.service = self.make()

    def make(self, **settings: Any) -> NfsService:
        site = make_site(self.boot, reactor=self.clock)
        made = NfsService(Settings(**settings), site)
        self.addCleanup(made._files.close)
        return made

    def datagrams(self) -> MemoryClient:
        """Let the service listen, and return a client of UDP."""
        network = MemoryNetwork(self.clock)
        network.add_interface("eth0", "10.0.0.9")
        settings = Settings(addresses=(ip_address("10.0.0.9"),), portmapper=False)
        site = make_site(self.boot, reactor=self.clock)
        ports: list[int] = []

        def listen(reactor: Any, factory: Any, address: str, port: int) -> StubPort:
            ports.append(port)
            return StubPort()

        self.service = NfsService(settings, site, network.socket, listen)
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.assertEqual(ports, [2049, 20048])
        return network.client("10.0.0.1", 700)

    def connect(self, address: str = "10.0.0.1", port: int = 700) -> RpcConnection:
        peer = IPv4Address("TCP", address, port)
        connection = self.service.streams.buildProtocol(peer)
        assert connection is not None
        transport = StringTransport(IPv4Address("TCP", "10.0.0.9", 2049), peer)
        connection.makeConnection(transport)
        return connection

    def caller(self, address: str = "10.0.0.1", port: int = 700, **who: Any) -> NfsCaller:
        connection = self.connect(address, port)

        def call(program: int, version: int, procedure: int, arguments: bytes) -> bytes:
            transport: Any = connection.transport
            transport.clear()
            message = rpc_call(program, version, procedure, arguments, credentials=auth_sys(**who))
            connection.dataReceived(as_record(message))
            [reply] = records(transport.value())
            return result_of(reply)

        return NfsCaller(call)

    def root(self, caller: NfsCaller, path: bytes = b"/desktop") -> bytes:
        status, handle = caller.mount(path)
        self.assertEqual(status, 0)
        return handle


@implementer(IExport)
class ReadLater:
    """An export that is not known at once."""

    def __init__(self, files: IFileTree) -> None:
        self.files, self.known = files, False

    def tree(self, request: BootRequest) -> IFileTree:
        if not self.known:
            raise TreeLater("it is being read")
        return self.files


class LaterTests(NfsCase):
    def test_a_mount_waits_for_a_tree_that_is_being_read(self) -> None:
        request: Any = None
        export = ReadLater(self.boot.exports["desktop"].tree(request))
        self.boot.exports["desktop"] = export
        for soon in (True, False):
            export.known = False
            connection = self.connect()
            transport: Any = connection.transport
            mount = rpc_call(100005, 3, 1, opaque(b"/desktop"), credentials=auth_sys())
            connection.dataReceived(as_record(mount))
            self.clock.advance(1)
            self.assertEqual(transport.value(), b"")
            export.known = soon
            self.clock.pump([1] * 20)
            [reply] = records(transport.value())
            status = int.from_bytes(result_of(reply)[:4], "big")
            self.assertEqual(status, 0 if soon else 10006)


class ViewTests(NfsCase):
    def test_a_machine_mounts_its_root_and_what_is_below(self) -> None:
        caller = self.caller()
        root = self.root(caller)
        self.assertLessEqual(len(root), 64)
        self.assertEqual(self.root(caller, b"//desktop/./"), root)
        below = self.root(caller, b"/desktop/a")
        self.assertEqual(caller.look_up(root, b"a"), (0, below))
        self.assertEqual(caller.look_up(below, b".."), (0, root))
        self.assertEqual(caller.look_up(root, b".."), (0, root))
        self.assertEqual(caller.read(caller.look_up(below, b"deep")[1], 0, 9), (0, b"deep", True))
        for path, status in (
            (b"/desktop/no", NOENT),
            (b"/desktop/file", NOTDIR),
            (b"/other", ACCES),
            (b"/", ACCES),
            (b"/desktop/..", NOENT),
        ):
            self.assertEqual(caller.mount(path), (status, b""), path)

    def test_nobody_leaves_the_folder_of_a_root(self) -> None:
        self.boot.plan = plan(NfsRoot("desktop", "a"))
        caller = self.caller()
        top = self.root(caller, b"/desktop/a")
        self.assertEqual(caller.mount(b"/desktop"), (ACCES, b""))
        self.assertEqual(caller.look_up(top, b".."), (0, top))
        b = caller.look_up(top, b"b")[1]
        self.assertEqual(caller.look_up(b, b".."), (0, top))
        self.assertEqual(caller.look_up(b, b"../.."), (NOENT, b""))
        (self.folder / "a" / "b").rename(self.folder / "b")
        self.clock.advance(2)
        self.assertEqual(caller.look_up(b, b".."), (STALE, b""))

    def test_strangers_and_other_machines_get_nothing(self) -> None:
        one, two, stranger = (self.caller(f"10.0.0.{n}") for n in (1, 2, 3))
        root = self.root(one)
        self.assertEqual(two.nfs(Procedure.GETATTR, root), (STALE, b""))
        self.assertEqual(stranger.nfs(Procedure.GETATTR, root), (ACCES, b""))
        logged: list[dict[str, Any]] = []
        with patch.object(Logger, "info", lambda log, text, **said: logged.append(said)):
            for _ in range(3):
                self.assertEqual(stranger.mount(b"/desktop"), (ACCES, b""))
        self.assertEqual(logged, [{"address": "10.0.0.3", "whom": "strangers"}])
        for place in range(len(root)):
            forged = root[:place] + bytes([root[place] ^ 1]) + root[place + 1 :]
            self.assertEqual(one.nfs(Procedure.GETATTR, forged), (STALE, b""))
        self.assertEqual(one.nfs(Procedure.GETATTR, b""), (STALE, b""))
        self.boot.plan = None
        self.assertEqual(two.mount(b"/desktop"), (ACCES, b""))
        self.assertEqual(one.nfs(Procedure.GETATTR, root)[0], 0)  # its system still runs

    def test_handles_survive_a_restart_and_a_new_plan(self) -> None:
        handle = self.caller().look_up(self.root(self.caller()), b"file")[1]
        self.service = self.make()
        self.boot.plan = None
        self.assertEqual(self.caller().read(handle, 3, 2), (0, b"\3\4", False))
        self.assertEqual(self.caller("10.0.0.2").read(handle, 3, 2), (STALE, b"", False))
        self.boot.exports.clear()
        self.service = self.make()
        self.assertEqual(self.caller().read(handle, 3, 2), (STALE, b"", False))

    def test_what_peers_may_list(self) -> None:
        one, stranger = self.caller(), self.caller("10.0.0.3")
        listed = b"\0\0\0\1" + opaque(b"/desktop")
        self.assertEqual(one.call(100005, 3, 5, b""), listed + bytes(8))
        self.assertEqual(stranger.call(100005, 3, 5, b""), bytes(4))
        self.assertEqual(one.call(100005, 3, 2, b""), bytes(4))
        self.root(one)
        dumped = b"\0\0\0\1" + opaque(b"10.0.0.1") + opaque(b"/desktop") + bytes(4)
        self.assertEqual(one.call(100005, 1, 2, b""), dumped)
        self.assertEqual(stranger.call(100005, 3, 2, b""), bytes(4))
        self.assertEqual(one.call(100005, 3, 3, opaque(b"/desktop")), b"")
        self.assertEqual(one.call(100005, 3, 2, b""), bytes(4))
        self.root(one)
        self.assertEqual(one.call(100005, 3, 4, b""), b"")
        self.assertEqual(one.call(100005, 3, 2, b""), bytes(4))

    def test_a_mount_is_seen_and_told(self) -> None:
        self.root(self.caller())
        self.caller(machine=b"iPXE").mount(b"/desktop")
        self.caller().mount(b"/no")
        self.assertEqual([s for _, s in self.boot.seen], [BootStage.ROOT, BootStage.LOADER])
        told = [(each.kind, each.stage, each.summary) for each in self.boot.events]
        self.assertEqual(
            told,
            [
                (EventKind.MOUNTED, "root", "mounted /desktop"),
                (EventKind.MOUNTED, "loader", "mounted /desktop"),
                (EventKind.FAILED, "root", "may not mount /no: ACCES"),
            ],
        )
        counts = self.service.counts()
        self.assertEqual((counts["mounts"], counts["mounts refused"]), (2, 1))


class ProcedureTests(NfsCase):
    def test_attributes(self) -> None:
        caller = self.caller()
        root = self.root(caller)
        file = caller.look_up(root, b"file")[1]
        status, fattr = caller.nfs(Procedure.GETATTR, file)
        facts = (self.folder / "file").stat()
        kind, mode, links, uid, gid = uints(fattr, 0, 5)
        self.assertEqual((status, kind, mode), (0, 1, facts.st_mode & 0o7777))
        self.assertEqual((links, uid, gid), (1, facts.st_uid, facts.st_gid))
        size, used, _, fsid, fileid = struct.unpack_from("!5Q", fattr, 20)
        self.assertEqual((size, used), (262144, facts.st_blocks * 512))
        self.assertEqual(fileid, facts.st_ino)
        mtime = divmod(facts.st_mtime_ns, 10**9)
        self.assertEqual(uints(fattr, 68, 2), mtime)
        self.assertNotEqual(fsid, 0)

    def test_reading(self) -> None:
        caller = self.caller()
        file = caller.look_up(self.root(caller), b"file")[1]
        content = (self.folder / "file").read_bytes()
        for offset, count in ((0, 10), (1, 1 << 20), (100_000, 60_000), (262_143, 5), (7, 33_000)):
            data = content[offset : offset + count]
            end = offset + count >= len(content)
            self.assertEqual(caller.read(file, offset, count), (0, data, end))
        for offset in (262_144, 1 << 40, (1 << 64) - 1):
            self.assertEqual(caller.read(file, offset, 10), (0, b"", True))
        root = self.root(caller)
        self.assertEqual(caller.read(root, 0, 10), (21, b"", False))
        (self.folder / "link").symlink_to("file")
        link = caller.look_up(root, b"link")[1]
        self.assertEqual(caller.read(link, 0, 10), (22, b"", False))
        status, rest = caller.nfs(Procedure.READLINK, link)
        self.assertEqual((status, rest[88:]), (0, opaque(b"file")))
        self.assertEqual(caller.nfs(Procedure.READLINK, file), (22, bytes(4)))

    def test_a_file_that_changes_is_read_anew(self) -> None:
        caller = self.caller()
        file = caller.look_up(self.root(caller), b"file")[1]
        self.assertEqual(len(caller.read(file, 0, 1 << 20)[1]), 262144)
        with (self.folder / "file").open("ab") as grown:
            grown.write(b"x" * 100_000)
        self.clock.advance(2)
        self.assertEqual(len(caller.read(file, 0, 1 << 20)[1]), 362144)
        (self.folder / "new").write_bytes(b"new")
        (self.folder / "new").rename(self.folder / "file")
        self.clock.advance(2)
        self.assertEqual(caller.read(file, 0, 10), (STALE, b"", False))
        self.assertEqual(
            caller.read(caller.look_up(self.root(caller), b"file")[1], 0, 10), (0, b"new", True)
        )

    def test_names(self) -> None:
        caller = self.caller()
        root = self.root(caller)
        file = caller.look_up(root, b"file")[1]
        self.assertEqual(caller.look_up(root, b"."), (0, root))
        for name, status in ((b"no", NOENT), (b"x" * 256, 63), (b"", NOENT), (b"a/b", NOENT)):
            self.assertEqual(caller.look_up(root, name), (status, b""), name)
        for name in (b"x", b".", b".."):
            self.assertEqual(caller.look_up(file, name), (NOTDIR, b""))

    def test_rights(self) -> None:
        (self.folder / "file").chmod(0o640)
        for mode, who, granted in (
            (0o640, {"uid": 0}, 0x01),
            (0o750, {"uid": 0}, 0x21),
            (0o640, {"uid": 5, "gid": 5}, 0),
            (0o644, {"uid": 5, "gid": 5}, 0x01),
            (0o755, {"uid": 5, "gid": 5}, 0x21),
            (0o650, {"uid": 5, "gid": 5, "gids": (3, 0)}, 0x21),
        ):
            caller = self.caller(**who)
            root = self.root(caller)
            (self.folder / "file").chmod(mode)
            self.clock.advance(2)
            file = caller.look_up(root, b"file")[1]
            status, rest = caller.nfs(Procedure.ACCESS, file, struct.pack("!I", 0x3F))
            self.assertEqual((status, uints(rest, 88, 1)), (0, (granted,)), (oct(mode), who))
        status, rest = caller.nfs(Procedure.ACCESS, root, struct.pack("!I", 0x3F))
        self.assertEqual(uints(rest, 88, 1)[0], 3)

    def test_directories_in_pieces(self) -> None:
        names = {b"name%d" % number for number in range(200)}
        for name in names:
            (self.folder / "a" / "b" / name.decode()).touch()
        caller = self.caller()
        b = self.root(caller, b"/desktop/a/b")
        for plus in (False, True):
            found, cookie, end = [], 0, False
            while not end:
                page, end = caller.entries(b, cookie, 1000, plus=plus)
                self.assertTrue(page)
                cookie = page[-1].cookie
                found += page
            self.assertEqual([each.name for each in found[:2]], [b".", b".."])
            self.assertEqual({each.name for each in found[2:]}, names)
            self.assertEqual(len(found), 202)
            for each in found[2:4]:
                self.assertEqual(each.handle, caller.look_up(b, each.name)[1] if plus else b"")
        self.assertEqual(caller.entries(b, cookie), ([], True))
        small = struct.pack("!QQI", 0, 0, 120)
        self.assertEqual(caller.nfs(Procedure.READDIR, b, small), (10005, bytes(4)))
        file = caller.look_up(self.root(caller), b"file")[1]
        self.assertEqual(caller.nfs(Procedure.READDIR, file, small), (NOTDIR, bytes(4)))

    def test_nothing_is_written(self) -> None:
        caller = self.caller()
        root = self.root(caller)
        for procedure in Procedure:
            if procedure in (2, *range(7, 16)):
                body = {14: 16, 15: 12}.get(procedure, 8)
                answer = caller.nfs(procedure, root, b"whatever")
                self.assertEqual(answer, (ROFS, bytes(body)), procedure)
        self.assertEqual(caller.nfs(Procedure.COMMIT, root, bytes(12)), (0, bytes(16)))
        self.assertEqual(
            {len(self.failing(caller, p)) for p, n in FAILURES.items() if n == 4}, {4}
        )

    def failing(self, caller: NfsCaller, procedure: Procedure) -> bytes:
        more = opaque(b"x") if procedure == Procedure.LOOKUP else bytes(24)
        status, rest = caller.nfs(procedure, b"x" * 32, more)
        self.assertIn(status, (STALE, ROFS))
        return rest[:4]

    def test_facts_of_the_file_system(self) -> None:
        caller = self.caller()
        root = self.root(caller)
        _, rest = caller.nfs(Procedure.FSINFO, root)
        self.assertEqual(uints(rest, 88, 7), (1 << 20, 1 << 20, 4096, 65536, 65536, 4096, 65536))
        self.assertEqual(len(rest), 88 + 48)
        self.assertEqual(len(caller.nfs(Procedure.PATHCONF, root)[1]), 88 + 24)
        self.assertEqual(len(caller.nfs(Procedure.FSSTAT, root)[1]), 88 + 52)


class AccessListTests(NfsCase):
    """As Linux reads them: fs/nfs/nfs3xdr.c and fs/nfs_common/nfsacl.c."""

    def test_a_mode_is_a_list(self) -> None:
        (self.folder / "file").chmod(0o754)
        caller = self.caller()
        file = caller.look_up(self.root(caller), b"file")[1]
        facts = (self.folder / "file").stat()
        result = caller.call(100227, 3, 1, opaque(file) + struct.pack("!I", 15))
        fattr = caller.nfs(Procedure.GETATTR, file)[1]
        self.assertEqual(result[:92], bytes(4) + b"\0\0\0\1" + fattr)
        wanted, count, length, *entries = uints(result, 92, 17)
        self.assertEqual((wanted, count, length), (15, 4, 4))
        user, group = (1, facts.st_uid, 7), (4, facts.st_gid, 5)
        self.assertEqual(tuple(entries[:12]), (*user, *group, 0x10, 0, 5, 0x20, 0, 4))
        self.assertEqual((entries[12:], len(result)), ([0, 0], 92 + 17 * 4))
        counted = caller.call(100227, 3, 1, opaque(file) + struct.pack("!I", 2))
        self.assertEqual(uints(counted, 92, 5), (2, 4, 0, 0, 0))

    def test_what_fails(self) -> None:
        caller = self.caller()
        root = self.root(caller)
        for procedure, handle, status in ((1, bytes(32), 70), (2, root, 30)):
            result = caller.call(100227, 3, procedure, opaque(handle) + bytes(16))
            self.assertEqual(uints(result, 0, 2), (status, 0))
            self.assertEqual(len(result), 8)
        stranger = self.caller("10.0.0.77").call(100227, 3, 1, opaque(root) + bytes(4))
        self.assertEqual(uints(stranger, 0, 2), (13, 0))


class RpcTests(NfsCase):
    def reply(self, message: bytes, **where: Any) -> bytes:
        connection = self.connect(**where)
        connection.dataReceived(as_record(message))
        transport: Any = connection.transport
        [reply] = records(transport.value())
        return reply

    def test_what_is_not_there(self) -> None:
        for message, answer in (
            (rpc_call(100021, 4, 0), (1, 0, 0, 0, 1)),
            (rpc_call(100003, 4, 0), (1, 0, 0, 0, 2, 3, 3)),
            (rpc_call(100003, 3, 22), (1, 0, 0, 0, 3)),
            (rpc_call(100003, 3, 0), (1, 0, 0, 0, 0)),
            (rpc_call(100005, 1, 1, opaque(b"/desktop")), (1, 0, 0, 0, 2, 3, 3)),
            (rpc_call(100003, 3, 1, b"\0\0\0\x50"), (1, 0, 0, 0, 4)),
            (rpc_call(100005, 3, 1, b"\0\0\x50\0"), (1, 0, 0, 0, 4)),
        ):
            reply = self.reply(message)
            self.assertEqual(uints(reply, 4, (len(reply) - 4) // 4), answer)
        other = bytearray(rpc_call(100003, 3, 1))
        other[11] = 3
        self.assertEqual(uints(self.reply(bytes(other)), 4, 5), (1, 1, 0, 2, 2))
        other[11], other[27] = 2, 6
        self.assertEqual(uints(self.reply(bytes(other)), 4, 4), (1, 1, 1, 1))

    def test_users_of_a_machine_get_nothing(self) -> None:
        mount = rpc_call(100005, 3, 1, opaque(b"/desktop"), credentials=auth_sys())
        self.assertEqual(uints(self.reply(mount, port=1024), 4, 4), (1, 1, 1, 5))
        getattr_ = rpc_call(100003, 3, 1, opaque(b"x" * 32), credentials=auth_sys())
        self.assertEqual(uints(self.reply(getattr_, port=40000), 4, 4), (1, 1, 1, 5))
        self.service = self.make(privileged_ports=False)
        self.root(self.caller(port=40000))

    def test_a_directory_that_cannot_be_asked(self) -> None:
        handle = self.root(self.caller())
        self.service = self.make()
        self.boot.broken = "hosts rack failed"
        self.boot.machine = None
        caller = self.caller()
        self.assertEqual(caller.nfs(Procedure.GETATTR, handle), (JUKEBOX, b""))
        self.assertEqual(caller.mount(b"/desktop"), (10006, b""))
        self.boot.machine = Machine("one", (ONE,))  # but no policy decides
        self.assertEqual(caller.nfs(Procedure.GETATTR, handle)[0], 0)

    def test_many_calls_at_once_in_any_pieces(self) -> None:
        handle = self.root(self.caller())
        calls = [
            as_record(rpc_call(100003, 3, 1, opaque(handle), xid=n, credentials=auth_sys()))
            for n in range(100)
        ]
        for step in (1, 7, 100, 10**6):
            connection = self.connect()
            stream = b"".join(calls)
            for at in range(0, len(stream), step):
                connection.dataReceived(stream[at : at + step])
            transport: Any = connection.transport
            xids = [uints(each, 0, 1)[0] for each in records(transport.value())]
            self.assertEqual(xids, list(range(100)))

    def test_bombs_and_garbage_cut_the_connection(self) -> None:
        for data in (
            b"\xff\xff\xff\xff",
            b"\0\0\0\0" * 10,
            b"\x80\0\0\0",
            b"GET / HTTP/1.1\r\n\r\n",
            as_record(bytes(10)),
            as_record(rpc_call(100003, 3, 1)[:30]),
            (struct.pack("!I", 60_000) + bytes(60_000)) * 3,
        ):
            connection = self.connect()
            connection.dataReceived(data)
            transport: Any = connection.transport
            self.assertTrue(transport.disconnecting or transport.disconnected, data[:30])

    def test_who_says_nothing_is_cut(self) -> None:
        silent, half, busy = (self.connect() for _ in range(3))
        half.dataReceived(b"\x80\0\0\x40")
        busy.dataReceived(as_record(rpc_call(100003, 3, 0)))

        def gone() -> list[bool]:
            return [bool(vars(c.transport).get("disconnected")) for c in (silent, half, busy)]

        for time, expected in ((40, (0, 1, 0)), (30, (1, 1, 0)), (900, (1, 1, 1))):
            self.clock.pump([5] * (time // 5))
            self.assertEqual(gone(), [bool(each) for each in expected])

    def test_too_many_connections(self) -> None:
        self.service = self.make(connections=3, connections_per_address=2)
        oldest = self.connect()
        self.clock.advance(1)
        self.connect("10.0.0.1")
        self.assertIsNone(self.service.streams.buildProtocol(IPv4Address("TCP", "10.0.0.1", 1)))
        self.connect("10.0.0.2")
        self.connect("10.0.0.3")  # those that say nothing make room
        self.assertTrue(vars(oldest.transport).get("disconnected"))
        oldest.connectionLost()
        for connection in self.service.streams.connections:
            connection.dataReceived(as_record(rpc_call(100003, 3, 0)))
        self.assertIsNone(self.service.streams.buildProtocol(IPv4Address("TCP", "10.0.0.4", 1)))
        self.assertEqual(self.service.counts()["too many connections"], 2)
        self.assertEqual(self.service.counts()["connections"], 3)


class GarbageTests(NfsCase):
    """Calls with bytes exchanged: whatever comes of them, nothing breaks."""

    def test_calls_that_are_almost_right(self) -> None:
        random = Random(3)
        client = self.datagrams()
        handle = self.root(self.caller())
        page = struct.pack("!QQII", 0, 0, 500, 500)
        rest = {Procedure.READ: struct.pack("!QI", 0, 99), Procedure.LOOKUP: opaque(b"a")}
        for turn in range(1200):
            procedure = turn % 24
            more = rest.get(Procedure(procedure), page)
            message = bytearray(rpc_call(100003, 3, procedure, opaque(handle) + more))
            for _ in range(random.randrange(4)):
                message[random.randrange(24, len(message))] = random.randrange(256)
            cut = random.randrange(len(message)) if turn % 5 == 0 else len(message)
            client.send(bytes(message[:cut]), ("10.0.0.9", 2049))
            self.clock.advance(0)
            connection = self.connect()
            connection.dataReceived(as_record(bytes(message[:cut]) or b"x"))
            connection.connectionLost()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertGreater(self.service.counts()["garbled arguments"], 5)


class DatagramTests(NfsCase):
    def test_calls_by_udp(self) -> None:
        client = self.datagrams()

        def call(program: int, version: int, procedure: int, arguments: bytes) -> bytes:
            client.received.clear()
            message = rpc_call(program, version, procedure, arguments, credentials=auth_sys())
            client.send(message, ("10.0.0.9", 2049))
            self.clock.advance(0)
            [reply] = client.received
            self.assertEqual(reply.source, ("10.0.0.9", 2049))
            return result_of(reply.data)

        caller = NfsCaller(call)
        file = caller.look_up(self.root(caller), b"file")[1]
        status, data, end = caller.read(file, 0, 1 << 20)
        self.assertEqual((status, len(data), end), (0, 32768, False))
        _, rest = caller.nfs(Procedure.FSINFO, file)
        self.assertEqual(uints(rest, 88, 1), (32768,))
        self.clock.advance(60)  # it is asked anew who that is
        self.boot.identities.clear()
        self.assertEqual(caller.nfs(Procedure.GETATTR, file), (ACCES, b""))

    def test_what_is_no_call_is_dropped(self) -> None:
        client = self.datagrams()
        client.send(b"\0" * 10, ("10.0.0.9", 2049))
        self.clock.advance(0)
        self.assertEqual(client.received, [])
        self.assertEqual(self.service.counts()["no calls"], 1)


class PortmapTests(NfsCase):
    def test_ports(self) -> None:
        caller = self.caller()
        for program, version, transport, port in (
            (100003, 3, 6, 2049),
            (100003, 3, 17, 2049),
            (100003, 4, 6, 2049),
            (100005, 3, 17, 20048),
            (100021, 4, 6, 0),
        ):
            asked = struct.pack("!4I", program, version, transport, 0)
            self.assertEqual(uints(caller.call(100000, 2, 3, asked), 0, 1), (port,))
        self.assertEqual(len(caller.call(100000, 2, 4, b"")), 12 * 20 + 4)

    def test_addresses(self) -> None:
        caller = self.caller()
        for version, procedure in ((3, 3), (4, 3), (4, 9)):
            asked = struct.pack("!II", 100003, 3) + opaque(b"tcp") + opaque(b"") * 2
            answer = caller.call(100000, version, procedure, asked)
            self.assertEqual(take_opaque(answer, 0)[0], b"10.0.0.9.8.1")
        asked = struct.pack("!II", 100021, 3) + opaque(b"udp") + opaque(b"") * 2
        self.assertEqual(caller.call(100000, 3, 3, asked), bytes(4))
        self.assertIn(b"10.0.0.9.78.80", caller.call(100000, 4, 4, b""))
