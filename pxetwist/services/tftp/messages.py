"""Many datagrams of one socket by one system call: recvmmsg(2) and sendmmsg(2).

Python has neither; they are called by ctypes, with buffers that are made once. A datagram's name
is its peer as the kernel spells it, 28 bytes of a ``sockaddr``, filled up with zeros.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from array import array
from collections.abc import Sequence
from typing import Any

#: Datagrams of one system call.
BATCH = 64
#: The head of a datagram that has none.
SHORT = -2
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
    """Return what packs 0, 1, … :data:`BATCH` times `one`."""
    return [struct.Struct("@" + one * count) for count in range(BATCH + 1)]


_NAMES = _repeated(f"{NAME}s")
_HEADS = [struct.Struct(f"!{count}I") for count in range(BATCH + 1)]
_BARE = memoryview(array("I", [_HEAD] * BATCH))  # the lengths of ACKs


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
        self._lengths = self._view.cast("I")[_LENGTH // 4 :: _SIZE // 4]

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

    def names(self, count: int) -> tuple[bytes, ...]:
        """Return the name of each."""
        return _NAMES[count].unpack_from(self._names)

    def heads(self, count: int) -> Sequence[int]:
        """Return the first four bytes of each as a number; :data:`SHORT` if it has fewer."""
        heads = _HEADS[count].unpack_from(self._heads)
        lengths = self._lengths[:count]
        if lengths == _BARE[:count]:
            return heads
        both = zip(heads, lengths, strict=True)
        return [head if length >= _HEAD else SHORT for head, length in both]

    def data(self, at: int) -> bytes:
        """Return the datagram with a number, counted from 0."""
        whole = self._heads[_HEAD * at :][:_HEAD] + self._rests[_REST * at :][:_REST]
        return bytes(whole[: self._messages[at].length])

    def control(self, at: int) -> Control:
        """Return its control messages."""
        start = _CONTROL * at
        length = self._messages[at].header.control_length
        return unpacked(bytes(self._controls[start : start + length]))


class Outbox:
    """Datagrams that wait to be sent together, :data:`BATCH` at most; the envelope of each is the
    name of its receiver and `control` bytes of control messages.
    """

    def __init__(self, name_length: int, control: int = 0) -> None:
        size = NAME + control
        self._envelopes = bytearray(size * BATCH)
        pieces = self._pieces = (_Piece * BATCH)()
        messages = self._messages = (_Message * BATCH)()
        envelopes = address_of(self._envelopes)
        for at in range(BATCH):
            messages[at].header = _Header(
                name=envelopes + size * at,
                name_length=name_length,
                pieces=ctypes.addressof(pieces) + at * ctypes.sizeof(_Piece),
                pieces_count=1,
                control=envelopes + size * at + NAME if control else None,
                control_length=control,
            )
        self._address = ctypes.addressof(messages)
        self._places = memoryview(pieces).cast("B").cast("L")
        self._waiting: list[bytes] = []
        self._addresses: list[int] = []
        self._sizes: list[int] = []
        self._kept: list[object] = []

    def __len__(self) -> int:
        return len(self._sizes)

    def extend(
        self, envelopes: Sequence[bytes], addresses: Sequence[int], sizes: Sequence[int]
    ) -> None:
        """Take datagrams: of each its envelope, where it lies in memory, and how many bytes."""
        self._waiting += envelopes
        self._addresses += addresses
        self._sizes += sizes

    def keep(self, owner: object) -> None:
        """Let something live, and with it its bytes, until all was sent."""
        self._kept.append(owner)

    def seal(self) -> int:
        """Make ready what waits, and return how many that is."""
        envelopes = b"".join(self._waiting)
        self._envelopes[: len(envelopes)] = envelopes
        count = len(self._sizes)
        self._places[0 : 2 * count : 2] = array("L", self._addresses)
        self._places[1 : 2 * count : 2] = array("L", self._sizes)
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
        for each in (self._waiting, self._addresses, self._sizes, self._kept):
            each.clear()
