"""Many datagrams of one socket by one system call: recvmmsg(2) and sendmmsg(2).

Python has neither; they are called by ctypes, with buffers that are made once. A datagram's name
is its peer as the kernel spells it, 28 bytes of a ``sockaddr``, filled up with zeros.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

#: Datagrams of one system call.
BATCH = 64
#: Datagrams that wait to be sent: the answers to those of one call, and a batch beside them.
ROOM = 2 * BATCH
#: Bytes of a name, the larger one, that of IPv6.
NAME = 28

_HEAD = 4  # bytes of an ACK, kept apart from what follows
_REST = 9212  # with it, what a large frame can carry: clients send no more
_CONTROL = 64
_MSG_DONTWAIT = 0x40
_ALIGNED = ctypes.sizeof(ctypes.c_size_t)

_NAME4 = struct.Struct("!H4s")
_NAME6 = struct.Struct("!HI16s")
_SCOPE = struct.Struct("@I")
_FAMILY = struct.Struct("@H")
_CONTROL_HEAD = struct.Struct("@Nii")  # struct cmsghdr: length, level, kind

#: Of a datagram: its name, its first four bytes as a number, and its length.
Head = tuple[bytes, int, int]
#: What socket.recvmsg() and sendmsg() call ancillary data.
Control = list[tuple[int, int, bytes]]


class _Piece(ctypes.Structure):
    """A ``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """A ``struct msghdr``."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("pieces", ctypes.c_void_p),
        ("pieces_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """A ``struct mmsghdr``."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


_SIZE = ctypes.sizeof(_Message)
_LENGTH = _Message.length.offset
_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg, _sendmmsg = _libc.recvmmsg, _libc.sendmmsg
_recvmmsg.argtypes = (
    *(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint),
    *(ctypes.c_int, ctypes.c_void_p),
)
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


def _repeated(one: str) -> list[struct.Struct]:
    """Return what packs 0, 1, … :data:`ROOM` times `one`."""
    return [struct.Struct("@" + one * count) for count in range(ROOM + 1)]


_NAMES = _repeated(f"{NAME}s")
_HEADS = [struct.Struct(f"!{count}I") for count in range(BATCH + 1)]
_LENGTHS = _repeated(f"{_LENGTH}xI{_SIZE - _LENGTH - 4}x")
_PIECES = _repeated("PN")


def address_of(buffer: Any) -> int:
    """Return where a writable buffer lies in memory; it must outlive the use of that."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer)) if len(buffer) else 0


def name_of(peer: tuple[Any, ...]) -> bytes:
    """Return the name of a peer, as :func:`~pxetwist.services.sockets6.socket_name` has it."""
    if len(peer) == 2:
        plain = _NAME4.pack(peer[1], socket.inet_aton(peer[0]))
        return (_FAMILY.pack(socket.AF_INET) + plain).ljust(NAME, b"\0")
    host, port, flow, scope = peer
    plain = _NAME6.pack(port, flow, socket.inet_pton(socket.AF_INET6, host))
    return _FAMILY.pack(socket.AF_INET6) + plain + _SCOPE.pack(scope)


def peer_of(name: bytes) -> tuple[Any, ...]:
    """Return the peer of a name, as sockets spell it."""
    if _FAMILY.unpack_from(name)[0] == socket.AF_INET:
        port, packed = _NAME4.unpack_from(name, 2)
        return socket.inet_ntoa(packed), port
    port, flow, packed = _NAME6.unpack_from(name, 2)
    return socket.inet_ntop(socket.AF_INET6, packed), port, flow, *_SCOPE.unpack_from(name, 24)


def packed(control: Control) -> bytes:
    """Write control messages as the kernel wants them."""
    written = b""
    for level, kind, value in control:
        length = _CONTROL_HEAD.size + len(value)
        message = _CONTROL_HEAD.pack(length, level, kind) + value
        written += message.ljust(-(-length // _ALIGNED) * _ALIGNED, b"\0")
    return written


def unpacked(control: bytes) -> Control:
    """Read control messages as the kernel wrote them."""
    found: Control = []
    while len(control) >= _CONTROL_HEAD.size:
        length, level, kind = _CONTROL_HEAD.unpack_from(control)
        if length < _CONTROL_HEAD.size:
            break
        found.append((level, kind, control[_CONTROL_HEAD.size : length]))
        control = control[-(-length // _ALIGNED) * _ALIGNED :]
    return found


class Inbox:
    """The datagrams of one call, until the next."""

    def __init__(self) -> None:
        self._names = bytearray(NAME * BATCH)
        self._heads = bytearray(_HEAD * BATCH)
        self._rests = bytearray(_REST * BATCH)
        self._controls = bytearray(_CONTROL * BATCH)
        pieces = self._pieces = (_Piece * (2 * BATCH))()
        messages = self._messages = (_Message * BATCH)()
        names, controls = address_of(self._names), address_of(self._controls)
        heads, rests = address_of(self._heads), address_of(self._rests)
        for at in range(BATCH):
            pieces[2 * at] = _Piece(heads + _HEAD * at, _HEAD)
            pieces[2 * at + 1] = _Piece(rests + _REST * at, _REST)
            messages[at].header = _Header(
                name=names + NAME * at,
                name_length=NAME,
                pieces=ctypes.addressof(pieces) + 2 * at * ctypes.sizeof(_Piece),
                pieces_count=2,
                control=controls + _CONTROL * at,
                control_length=_CONTROL,
            )
        self._address = ctypes.addressof(messages)
        self._view = memoryview(messages).cast("B")
        self._fresh = bytes(self._view)

    def receive(self, descriptor: int) -> int:
        """Return how many have arrived.

        :raises OSError: if nothing has, or something is wrong with the socket.
        """
        self._view[:] = self._fresh  # the kernel shortens names and controls to what it wrote
        count: int = _recvmmsg(descriptor, self._address, BATCH, _MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return count

    def heads(self, count: int) -> Iterator[Head]:
        """Return name, first four bytes as a number, and length of each."""
        names = _NAMES[count].unpack_from(self._names)
        heads = _HEADS[count].unpack_from(self._heads)
        return zip(names, heads, _LENGTHS[count].unpack_from(self._view), strict=True)

    def data(self, at: int, length: int) -> bytes:
        """Return the datagram with a number, counted from 0."""
        whole = self._heads[_HEAD * at :][:_HEAD] + self._rests[_REST * at :][:_REST]
        return bytes(whole[:length])

    def control(self, at: int) -> Control:
        """Return its control messages."""
        start = _CONTROL * at
        length = self._messages[at].header.control_length
        return unpacked(bytes(self._controls[start : start + length]))


class Outbox:
    """Datagrams that wait to be sent together, :data:`ROOM` at most; the envelope of each is the
    name of its receiver and `control` bytes of control messages.
    """

    def __init__(self, name_length: int, control: int = 0) -> None:
        size = NAME + control
        self._envelopes = bytearray(size * ROOM)
        pieces = self._pieces = (_Piece * ROOM)()
        messages = self._messages = (_Message * ROOM)()
        envelopes = address_of(self._envelopes)
        for at in range(ROOM):
            messages[at].header = _Header(
                name=envelopes + size * at,
                name_length=name_length,
                pieces=ctypes.addressof(pieces) + at * ctypes.sizeof(_Piece),
                pieces_count=1,
                control=envelopes + size * at + NAME if control else None,
                control_length=control,
            )
        self._address = ctypes.addressof(messages)
        self._waiting: list[bytes] = []
        self._places: list[int] = []
        self._kept: list[object] = []

    def __len__(self) -> int:
        return len(self._kept)

    def extend(
        self, envelopes: Sequence[bytes], places: Sequence[int], owners: Sequence[object]
    ) -> None:
        """Take datagrams: of each its envelope, two places, which are the address and the number
        of its bytes, and an owner, as long as which they live.
        """
        self._waiting += envelopes
        self._places += places
        self._kept += owners

    def seal(self) -> int:
        """Make ready what waits, and return how many that is."""
        envelopes = b"".join(self._waiting)
        self._envelopes[: len(envelopes)] = envelopes
        count = len(self._kept)
        _PIECES[count].pack_into(self._pieces, 0, *self._places)
        return count

    def send(self, descriptor: int, start: int, end: int) -> int:
        """Send those with the numbers from `start` to before `end`, once they are sealed, and
        return how many were sent: it ends before the first that cannot be.

        :raises OSError: if that is the first of all.
        """
        address = self._address + start * _SIZE
        sent: int = _sendmmsg(descriptor, address, end - start, _MSG_DONTWAIT)
        if sent < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return sent

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._places.clear()
        self._kept.clear()
