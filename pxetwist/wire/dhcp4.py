"""BOOTP and DHCPv4 messages (RFC 951, 2131), long options (RFC 3396) and option overload."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import IPv4Address

import attrs

from pxetwist.errors import WireError
from pxetwist.wire import tlv
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type, HardwareType
from pxetwist.wire.options import OptionCode

COOKIE = bytes.fromhex("63825363")

_HEAD = struct.Struct("!BBBBIHHIIII16s64s128s")
_OPTIONS = _HEAD.size + len(COOKIE)
_NOWHERE = IPv4Address(0)

# Plain numbers: looking up members of an enumeration costs time in every message.
_OVERLOAD = int(OptionCode.OVERLOAD)
_TYPE = int(OptionCode.MESSAGE_TYPE)
_RAPID_COMMIT = int(OptionCode.RAPID_COMMIT)
_RELAY = int(OptionCode.RELAY_AGENT)
_IN_FILE, _IN_SNAME = 1, 2
_WITH_MAC = (int(HardwareType.ETHERNET), int(HardwareType.IEEE802))
_OPS = tuple(Dhcp4Op(number) for number in range(256))
_TYPES = {bytes((number,)): Dhcp4Type(number) for number in range(256)}


@attrs.frozen
class Dhcp4Message:
    """A BOOTP message, and its DHCP options if `is_dhcp`.

    `chaddr` is all 16 bytes. `sname` and `file` end before their first NUL and are empty if
    they held options. `options` are whole values by number in the order of the wire, without
    pads, end and overload (52), which belong to the layout.
    """

    op: Dhcp4Op
    htype: int
    hlen: int
    hops: int = 0
    xid: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = _NOWHERE
    yiaddr: IPv4Address = _NOWHERE
    siaddr: IPv4Address = _NOWHERE
    giaddr: IPv4Address = _NOWHERE
    chaddr: bytes = bytes(16)
    sname: bytes = b""
    file: bytes = b""
    options: Mapping[int, bytes] = attrs.field(factory=dict)
    is_dhcp: bool = True

    @property
    def message_type(self) -> Dhcp4Type | None:
        """Option 53, if there is a well-formed one."""
        return _TYPES.get(self.options.get(_TYPE, b""))

    @property
    def broadcast(self) -> bool:
        """Whether the client asks for replies by broadcast (RFC 2131 §2)."""
        return bool(self.flags & 0x8000)

    @property
    def hardware_address(self) -> bytes:
        """The part of `chaddr` that `hlen` says is used."""
        return self.chaddr[: min(self.hlen, 16)]

    @property
    def mac(self) -> str:
        """The MAC address as ``52:54:00:12:34:56``; empty on anything but Ethernet."""
        if self.hlen != 6 or self.htype not in _WITH_MAC:
            return ""
        return self.chaddr[:6].hex(":")


@lru_cache(maxsize=4096)
def _address(number: int) -> IPv4Address:
    return IPv4Address(number)


def decode(data: bytes) -> Dhcp4Message:
    """Read a message.

    :raises WireError: if it is short, its hardware address is longer than 16 bytes, an option
        reaches beyond its field, or option 52 is none of 1, 2, 3.
    """
    if len(data) < _HEAD.size:
        raise WireError("a message shorter than its fixed part", len(data))
    op, htype, hlen, hops, xid, secs, flags, ci, yi, si, gi, chaddr, sname, file = (
        _HEAD.unpack_from(data)
    )
    if hlen > 16:
        raise WireError(f"a hardware address of {hlen} bytes", 2)
    options: dict[int, bytes] = {}
    is_dhcp = data[_HEAD.size : _OPTIONS] == COOKIE
    if is_dhcp:
        tlv.split(data, options, _OPTIONS)
        if _OVERLOAD in options:
            sname, file = _overloaded(options, sname, file)
    return Dhcp4Message(
        _OPS[op],
        htype,
        hlen,
        hops,
        xid,
        secs,
        flags,
        _address(ci) if ci else _NOWHERE,
        _address(yi) if yi else _NOWHERE,
        _address(si) if si else _NOWHERE,
        _address(gi) if gi else _NOWHERE,
        chaddr,
        sname.partition(b"\0")[0],
        file.partition(b"\0")[0],
        options,
        is_dhcp,
    )


def _overloaded(options: dict[int, bytes], sname: bytes, file: bytes) -> tuple[bytes, bytes]:
    """Add the options in `file`, then `sname` (RFC 3396 §5); return what is text in them."""
    value = options.pop(_OVERLOAD)
    if value not in (b"\1", b"\2", b"\3"):
        raise WireError(f"option overload {value.hex()}", _OPTIONS)
    if value[0] & _IN_FILE:
        tlv.split(file, options)
        file = b""
    if value[0] & _IN_SNAME:
        tlv.split(sname, options)
        sname = b""
    options.pop(_OVERLOAD, None)  # it has no meaning in there
    return sname, file


def encode(
    message: Dhcp4Message,
    max_size: int = 548,
    minimum: int = 300,
    *,
    overload: bool = True,
    split: Collection[int] | None = None,
) -> bytes:
    """Write a message of at most `max_size` bytes of UDP payload, zeros added up to `minimum`.

    Option 53 goes first, 82 last, the others in their order, then the end. Empty values are
    left out (EDK2 drops the packet), but for 80. If the options do not fit, they overload
    `file`, then `sname`, where those are empty, and if `overload` allows it. Values longer than
    255 bytes are split (RFC 3396); if `split` is given, only those of these options.

    :raises WireError: if it does not fit, or a value is too long for its field.
    """
    if len(message.file) > 127 or len(message.sname) > 63 or len(message.chaddr) > 16:
        raise WireError("a text or hardware address longer than its field")
    if not message.is_dhcp:
        return _sized(_head(message, message.sname, message.file), max_size, minimum)
    first, relay, parts = b"", b"", []
    for code, value in message.options.items():
        if (not value and code != _RAPID_COMMIT) or code == _OVERLOAD:
            continue
        if not 0 < code < 255:
            raise WireError(f"option {code} cannot be written")
        size = len(value)
        if size <= 255:
            option = bytes((code, size)) + value
        elif split is not None and code not in split:
            raise WireError(f"option {code} is longer than 255 bytes")
        else:
            option = tlv.joined(code, value)
        if code == _TYPE:
            first = option
        elif code == _RELAY:
            relay = option
        else:
            parts.append(option)
    file, sname = message.file, message.sname
    options = b"".join((COOKIE, first, *parts, relay, b"\xff"))
    if _HEAD.size + len(options) > max_size and overload:
        room = max_size - _OPTIONS - len(first) - len(relay)
        middle, file, sname = _overloading(parts, room, file, sname)
        options = b"".join((COOKIE, first, middle, relay, b"\xff"))
    return _sized(_head(message, sname, file) + options, max_size, minimum)


def _overloading(
    parts: list[bytes], room: int, file: bytes, sname: bytes
) -> tuple[bytes, bytes, bytes]:
    """Spread options over `room` bytes and the two fields, those that are empty; return all."""
    fields = [bytearray(), bytearray(), bytearray()]
    rooms = [room - 4, 0 if file else 127, 0 if sname else 63]  # 52 itself, and an end in each
    for part in parts:
        # A whole option in one field: who does not concatenate can read it still.
        for field, space in zip(fields, rooms, strict=True):
            if len(field) + len(part) <= space:
                field.extend(part)
                break
        else:
            raise WireError(f"option {part[0]} does not fit")
    options, in_file, in_sname = fields
    used = (_IN_FILE if in_file else 0) | (_IN_SNAME if in_sname else 0)
    overload = tlv.joined(_OVERLOAD, bytes((used,)))
    return (
        overload + options,
        bytes(in_file + b"\xff") if in_file else file,
        bytes(in_sname + b"\xff") if in_sname else sname,
    )


def _head(message: Dhcp4Message, sname: bytes, file: bytes) -> bytes:
    return _HEAD.pack(
        message.op,
        message.htype,
        message.hlen,
        message.hops,
        message.xid,
        message.secs,
        message.flags,
        int(message.ciaddr),
        int(message.yiaddr),
        int(message.siaddr),
        int(message.giaddr),
        message.chaddr,
        sname,
        file,
    )


def _sized(data: bytes, max_size: int, minimum: int) -> bytes:
    if len(data) > max_size:
        raise WireError(f"a message of {len(data)} bytes does not fit")
    return data.ljust(min(minimum, max_size), b"\0")
