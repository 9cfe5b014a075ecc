"""TFTP packets (RFC 1350) and their options (RFC 2347)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import attrs

from pxetwist.errors import WireError
from pxetwist.wire.cursor import Reader, Writer
from pxetwist.wire.iana import OpenIntEnum

#: Option names and values as the peer spelled them, in its order; text is Latin-1.
Options = tuple[tuple[str, str], ...]

_REMEMBERED = 64  # requests: in a storm of boots many are the same
_USUAL = 512  # bytes of a request at most (RFC 2347); longer ones are not remembered


class Opcode(OpenIntEnum):
    """What a packet is (RFC 1350 §5, RFC 2347)."""

    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


class ErrorCode(OpenIntEnum):
    """Why a transfer ends (RFC 1350 appendix, RFC 2347)."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    DISK_FULL = 3
    ILLEGAL_OPERATION = 4
    UNKNOWN_TRANSFER = 5
    FILE_EXISTS = 6
    NO_SUCH_USER = 7
    OPTIONS_REFUSED = 8


@attrs.frozen
class ReadRequest:
    """Asks for a file; `name` is raw, `mode` in lower case."""

    name: bytes
    mode: str = "octet"
    options: Options = ()


@attrs.frozen
class WriteRequest:
    """Offers a file; fields as in :class:`ReadRequest`."""

    name: bytes
    mode: str = "octet"
    options: Options = ()


@attrs.frozen
class Data:
    """One block; its number has 16 bits on the wire."""

    block: int
    payload: bytes


@attrs.frozen
class Ack:
    """Acknowledges a block, or with 0 an :class:`OptionAck`."""

    block: int


@attrs.frozen
class Error:
    """Ends a transfer; never answered."""

    code: ErrorCode
    text: str = ""


@attrs.frozen
class OptionAck:
    """The options that the server took."""

    options: Options


Packet = ReadRequest | WriteRequest | Data | Ack | Error | OptionAck


def decode(data: bytes) -> Packet:
    """Read one packet.

    What old ROMs append (zeros after a request, bytes after a block number) is passed over.

    :raises WireError: if it is none.
    """
    reader = Reader(data)
    match Opcode(reader.uint16()):
        case Opcode.RRQ | Opcode.WRQ:
            return (_known if len(data) <= _USUAL else _asked)(data)
        case Opcode.DATA:
            return Data(reader.uint16(), reader.rest())
        case Opcode.ACK:
            return Ack(reader.uint16())
        case Opcode.ERROR:
            code = ErrorCode(reader.uint16())
            return Error(code, reader.rest().split(b"\0", 1)[0].decode("utf-8", "replace"))
        case Opcode.OACK:
            return OptionAck(_options(reader))
        case unknown:
            raise WireError(f"unknown opcode {int(unknown)}")


def encode(packet: Packet) -> bytes:
    """Write one packet."""
    match packet:
        case ReadRequest(name, mode, options):
            return _request(Opcode.RRQ, name, mode, options)
        case WriteRequest(name, mode, options):
            return _request(Opcode.WRQ, name, mode, options)
        case Data(block, payload):
            return data_header(block) + payload
        case Ack(block):
            return Writer().uint16(Opcode.ACK).uint16(block & 0xFFFF).getvalue()
        case Error(code, text):
            head = Writer().uint16(Opcode.ERROR).uint16(code)
            return head.octets(text.encode("utf-8", "replace") + b"\0").getvalue()
        case OptionAck(options):
            return Writer().uint16(Opcode.OACK).octets(_pairs(options)).getvalue()


def data_header(block: int) -> bytes:
    """Return the four bytes before a block's payload; absolute numbers roll over to 0."""
    return b"\0\3" + (block & 0xFFFF).to_bytes(2, "big")


def acknowledged(data: bytes) -> int | None:
    """Return the block number of an ACK, `None` if the packet is another; for the hot path."""
    if len(data) < 4 or data[:2] != b"\0\4":
        return None
    return data[2] << 8 | data[3]


def announced_size(options: Options) -> int | None:
    """Return how many bytes a file to be written has, by its tsize (RFC 2349); `None`: unsaid."""
    for name, text in options:
        if name.lower() == "tsize" and text.isascii() and text.isdigit() and len(text) < 20:
            return int(text)
    return None


def _asked(data: bytes) -> ReadRequest | WriteRequest:
    reader = Reader(data)
    kind = ReadRequest if reader.uint16() == Opcode.RRQ else WriteRequest
    return kind(reader.until_nul(), _text(reader).lower(), _options(reader))


_known = lru_cache(_REMEMBERED)(_asked)


def _request(opcode: Opcode, name: bytes, mode: str, options: Options) -> bytes:
    head = Writer().uint16(opcode).octets(name + b"\0")
    return head.octets(mode.encode("latin-1") + b"\0" + _pairs(options)).getvalue()


def _pairs(options: Sequence[tuple[str, str]]) -> bytes:
    return b"".join(text.encode("latin-1") + b"\0" for pair in options for text in pair)


def _text(reader: Reader) -> str:
    return reader.until_nul().decode("latin-1")


def _options(reader: Reader) -> Options:
    options = []
    while reader.remaining:
        name = _text(reader)
        if not name:
            break  # zeros that fill up a buffer
        options.append((name, _text(reader)))
    return tuple(options)
