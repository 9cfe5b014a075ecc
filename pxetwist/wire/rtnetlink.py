"""What the kernel says of its interfaces and their addresses (rtnetlink(7)).

Numbers are in the byte order of this host: these messages never leave it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface

import attrs

from pxetwist.errors import WireError

#: Groups of changes that a socket can be told of.
GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=I")

_ERROR, _DONE = 2, 3
_NEW_LINK, _DEL_LINK, _GET_LINK = 16, 17, 18
_NEW_ADDRESS, _DEL_ADDRESS, _GET_ADDRESS = 20, 21, 22
_REQUEST, _DUMP = 0x1, 0x300

_IFLA_ADDRESS, _IFLA_IFNAME = 1, 3
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_INET, _INET6 = 2, 10
_TENTATIVE, _DADFAILED = 0x40, 0x08
_TYPE_MASK = 0x3FFF  # the two bits above tell nesting and byte order


@attrs.frozen
class Link:
    """An interface that is there, or has `gone`; `flags` are those of netdevice(7)."""

    index: int
    name: str
    flags: int
    hardware: bytes = b""
    gone: bool = False


@attrs.frozen
class Address:
    """An address of an interface, or one that has `gone`.

    A `tentative` one cannot be used yet: the kernel still looks whether somebody else has it.
    """

    index: int
    address: IPv4Interface | IPv6Interface
    tentative: bool = False
    gone: bool = False


@attrs.frozen
class Done:
    """The end of an answer; `error` is an errno, 0 if there is none."""

    sequence: int
    error: int = 0


Message = Link | Address | Done


def ask_links(sequence: int) -> bytes:
    """Return the request for all interfaces."""
    return _ask(_GET_LINK, _LINK.pack(0, 0, 0, 0, 0), sequence)


def ask_addresses(sequence: int) -> bytes:
    """Return the request for all addresses of all interfaces."""
    return _ask(_GET_ADDRESS, _ADDRESS.pack(0, 0, 0, 0, 0), sequence)


def _ask(kind: int, body: bytes, sequence: int) -> bytes:
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, kind, _REQUEST | _DUMP, sequence, 0) + body


def decode(data: bytes) -> Iterator[Message]:
    """Yield the messages of one datagram; what is of other kinds is passed over.

    :raises WireError: if a length leads out of the datagram.
    """
    for kind, sequence, body in _messages(data):
        if kind == _DONE:
            yield Done(sequence)
        elif kind == _ERROR:
            yield Done(sequence, -_unpacked(struct.Struct("=i"), body)[0])
        elif kind in (_NEW_LINK, _DEL_LINK):
            yield _link(body, gone=kind == _DEL_LINK)
        elif kind in (_NEW_ADDRESS, _DEL_ADDRESS):
            address = _address(body, gone=kind == _DEL_ADDRESS)
            if address is not None:
                yield address


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    position = 0
    while len(data) - position >= _HEADER.size:
        length, kind, _flags, sequence, _port = _HEADER.unpack_from(data, position)
        if not _HEADER.size <= length <= len(data) - position:
            raise WireError(f"a message of {length} bytes", position)
        yield kind, sequence, data[position + _HEADER.size : position + length]
        position += _aligned(length)


def _attributes(body: bytes, position: int) -> dict[int, bytes]:
    found = {}
    while len(body) - position >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body, position)
        if not _ATTRIBUTE.size <= length <= len(body) - position:
            raise WireError(f"an attribute of {length} bytes", position)
        found[kind & _TYPE_MASK] = body[position + _ATTRIBUTE.size : position + length]
        position += _aligned(length)
    return found


def _link(body: bytes, gone: bool) -> Link:
    _family, _type, index, flags, _change = _unpacked(_LINK, body)
    more = _attributes(body, _LINK.size)
    name = more.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode("utf-8", "surrogateescape")
    return Link(index, name, flags, more.get(_IFLA_ADDRESS, b""), gone)


def _address(body: bytes, gone: bool) -> Address | None:
    family, prefix, flags, _scope, index = _unpacked(_ADDRESS, body)
    more = _attributes(body, _ADDRESS.size)
    if _IFA_FLAGS in more:
        flags = _unpacked(_NUMBER, more[_IFA_FLAGS])[0]
    # On a point-to-point link IFA_ADDRESS is the peer's.
    octets = more.get(_IFA_LOCAL) or more.get(_IFA_ADDRESS, b"")
    tentative = bool(flags & (_TENTATIVE | _DADFAILED))
    try:
        if family == _INET and len(octets) == 4:
            return Address(index, IPv4Interface((octets, prefix)), False, gone)
        if family == _INET6 and len(octets) == 16:
            return Address(index, IPv6Interface((octets, prefix)), tentative, gone)
    except ValueError as error:
        raise WireError(f"an address: {error}", 0) from None
    return None


def _unpacked(shape: struct.Struct, data: bytes) -> tuple[int, ...]:
    if len(data) < shape.size:
        raise WireError(f"{shape.size} bytes expected, {len(data)} left", 0)
    return shape.unpack_from(data)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
