"""RPC, portmapper, MOUNT and NFS: what Linux, iPXE and nfs-ganesha said, and garbage."""

from __future__ import annotations

import contextlib
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.errors import WireError
from pxetwist.exchange.oncrpc import MAX_RECORD, Records
from pxetwist.testing.nfs import as_record, auth_sys, records, result_of, rpc_call
from pxetwist.wire import mount, nfs3, portmap
from pxetwist.wire.nfs3 import FATTR_SIZE, FileType, Procedure, fattr3
from pxetwist.wire.oncrpc import AuthFlavor, Call, Caller, decode_call
from pxetwist.wire.pcap import read_packets
from pxetwist.wire.xdr import opaque, take_opaque, uints

CAPTURES = Path(__file__).parent.parent / "captures"
SERVERS = (111, 2049, 20048)


def conversations(name: str) -> Iterator[tuple[Call, bytes]]:
    """Yield the calls and replies of a capture."""
    calls: dict[bytes, Call] = {}
    for packet in read_packets((CAPTURES / f"{name}.pcap").read_bytes()):
        if packet.protocol != "tcp" or not packet.payload:
            continue
        if packet.destination_port in SERVERS:
            for record in records(packet.payload):
                calls[record[:4]] = decode_call(record)
        elif packet.source_port in SERVERS and packet.payload[4:8] in calls:
            yield calls[packet.payload[4:8]], next(records(packet.payload))


def written_again(fattr: bytes) -> bytes:
    """Take attributes apart, and write them once more."""
    kind, mode, links, uid, gid = uints(fattr, 0, 5)
    size, used = struct.unpack_from("!2Q", fattr, 20)
    major, minor, fsid, fileid = struct.unpack_from("!2I2Q", fattr, 36)
    times = uints(fattr, 60, 6)
    atime, mtime, ctime = (times[n] * 10**9 + times[n + 1] for n in (0, 2, 4))
    return fattr3(
        FileType(kind),
        (mode, links, uid, gid),
        (size, used),
        (major, minor, fsid, fileid),
        (atime, mtime, ctime),
    )


#: Where the attributes are in results that went well.
ATTRIBUTES = {
    Procedure.GETATTR: 4,
    Procedure.ACCESS: 8,
    Procedure.READ: 8,
    Procedure.FSINFO: 8,
    Procedure.PATHCONF: 8,
}


class CaptureTests(SynchronousTestCase):
    def test_calls_and_replies_of_others(self) -> None:
        seen: Counter[tuple[int, int]] = Counter()
        for name in ("linux61_nfsroot_v3_tcp", "bios-ipxe_http_nfs_tftp"):
            for call, reply in conversations(name):
                seen[call.program, call.procedure] += 1
                self.check_call(call)
                self.check_reply(call, reply)
        for program, procedure in ((100000, 3), (100005, 1), (100005, 3), (100003, 19)):
            self.assertTrue(seen[program, procedure])
        for each in (Procedure.LOOKUP, Procedure.ACCESS, Procedure.READ, Procedure.PATHCONF):
            self.assertTrue(seen[100003, each], each)

    def check_call(self, call: Call) -> None:
        with_system = call.flavor == AuthFlavor.SYS
        again = rpc_call(
            call.program,
            call.version,
            call.procedure,
            call.data[call.at :],
            xid=call.xid,
            credentials=call.credentials if with_system else None,
        )
        self.assertEqual(again, call.data)
        if with_system:
            self.assertIn(call.caller.machine, (b"(none)", b"iPXE"))
            self.assertEqual((call.caller.uid, call.caller.gids), (0, frozenset({0})))

    def check_reply(self, call: Call, reply: bytes) -> None:
        result = result_of(reply)
        if call.program == portmap.PROGRAM:
            asked = portmap.decode_mapping(call.data, call.at)
            self.assertIn((asked.program, *uints(result, 0, 1)), ((100003, 2049), (100005, 20048)))
        elif call.program == mount.PROGRAM and call.procedure == 1:
            self.assertIn(b"/tmp/labx/", mount.decode_path(call.data, call.at))
            handle, _ = take_opaque(result, 4, nfs3.HANDLE_SIZE)
            self.assertEqual(mount.encode_mounted(handle), result)
        elif call.program == nfs3.PROGRAM and result:
            self.check_result(call, result)

    def check_result(self, call: Call, result: bytes) -> None:
        handle, at = nfs3.take_handle(call.data, call.at)
        self.assertEqual(len(handle), 24)
        if uints(result, 0, 1)[0]:
            self.assertEqual(call.procedure, Procedure.LOOKUP)
            return
        place = ATTRIBUTES.get(Procedure(call.procedure), 0)
        if call.procedure == Procedure.LOOKUP:
            self.assertTrue(nfs3.take_name(call.data, at))
            place = take_opaque(result, 4)[1] + 4
        elif call.procedure == Procedure.READ:
            self.assertEqual(nfs3.take_read(call.data, at)[0] % 4096, 0)
        elif call.procedure == Procedure.ACCESS:
            self.assertLessEqual(nfs3.take_access(call.data, at), 0x3F)
        if place:
            fattr = result[place : place + FATTR_SIZE]
            self.assertEqual(written_again(fattr), fattr)


class RecordTests(SynchronousTestCase):
    def read(self, *data: bytes) -> list[bytes]:
        assembler, found = Records(), []
        for piece in data:
            assembler.feed(piece)
            while (record := assembler.next()) is not None:
                found.append(record)
        return found

    @given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.integers(1, 40))
    def test_records_in_any_pieces(self, messages: list[bytes], step: int) -> None:
        stream = b"".join(map(as_record, messages))
        pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
        self.assertEqual(self.read(*pieces), messages)

    def test_fragments(self) -> None:
        self.assertEqual(self.read(b"\0\0\0\1a\0\0\0\2bc\x80\0\0\1d\x80\0\0\1e"), [b"abcd", b"e"])

    def test_bombs(self) -> None:
        half = MAX_RECORD // 2 + 1
        large = half.to_bytes(4, "big") + bytes(half)
        for data in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0", large + large):
            with self.assertRaises(WireError):
                self.read(data)


class GarbageTests(SynchronousTestCase):
    @given(st.binary(max_size=200))
    def test_anything_may_be_a_call(self, data: bytes) -> None:
        with contextlib.suppress(WireError):
            call = decode_call(data)
            self.assertLessEqual(call.at, len(data))

    @given(st.binary(max_size=100), st.integers(0, 60))
    def test_anything_may_be_an_argument(self, data: bytes, at: int) -> None:
        for take in (
            nfs3.take_handle,
            nfs3.take_name,
            nfs3.take_access,
            nfs3.take_read,
            lambda data, at: nfs3.take_page(16, data, at),
            lambda data, at: nfs3.take_page(17, data, at),
            portmap.decode_mapping,
            portmap.decode_binding,
            mount.decode_path,
        ):
            with contextlib.suppress(WireError):
                take(data, at)

    def test_credentials(self) -> None:
        said = auth_sys(b"name", 1, 2, (3, 4))
        message = rpc_call(1, 2, 3, b"args", credentials=said)
        call = decode_call(message)
        self.assertEqual(call.caller, Caller(b"name", 1, frozenset({2, 3, 4})))
        self.assertEqual(message[call.at :], b"args")
        self.assertEqual(decode_call(rpc_call(1, 2, 3)).caller, Caller())
        for wrong in (said[:-1], auth_sys(b"x" * 256), auth_sys(gids=tuple(range(17)))):
            with self.assertRaises(WireError):
                _ = decode_call(rpc_call(1, 2, 3, credentials=wrong)).caller
        with self.assertRaises(WireError):
            decode_call(rpc_call(1, 2, 3, credentials=bytes(401)))

    @given(st.binary(max_size=30), st.integers(0, 3))
    def test_opaque(self, data: bytes, cut: int) -> None:
        written = opaque(data)
        self.assertEqual(take_opaque(written, 0), (data, len(written)))
        self.assertEqual(len(written) % 4, 0)
        for wrong, limit in ((written[: -1 - cut], 99), (written, len(data) - 1)):
            with self.assertRaises(WireError):
                take_opaque(wrong, 0, limit)
