"""What machines send, made up for one that is not there."""

from __future__ import annotations

from ipaddress import IPv6Address

from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.wire import dhcp6_options as values
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.dhcp6 import Dhcp6Message, Option, Options6
from pxetwist.wire.dhcp6_options import IaNa
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type, Dhcp6Type
from pxetwist.wire.iana import Dhcp6Option as O
from pxetwist.wire.options import OptionCode
from pxetwist.wire.pxe import encode_ipxe_features

#: What EDK2 asks for, as its captures show (option 55).
_EDK2_ASKS = bytes.fromhex("0102030405060c0d0f111216171c28292a2b3233363a3b3c42436180818283848586")
_EDK2_ASKS6 = bytes.fromhex("003b003c00170010")  # option 6
_INTEL = 343  # the enterprise of EDK2's vendor class


def request_of(identity: ClientIdentity) -> Dhcp4Message:
    """Make the DISCOVER that such a firmware sends; what its iPXE can, only that tells."""
    options: dict[int, bytes] = {OptionCode.MESSAGE_TYPE: bytes([Dhcp4Type.DISCOVER])}
    if identity.uuid is not None:
        options[OptionCode.CLIENT_MACHINE_ID] = b"\0" + identity.uuid.bytes_le
    if identity.firmware is not Firmware.SYSTEM:
        options |= {
            OptionCode.PARAMETER_REQUEST_LIST: _EDK2_ASKS,
            OptionCode.MAX_MESSAGE_SIZE: (1472).to_bytes(2, "big"),
            OptionCode.VENDOR_CLASS: _vendor_class(identity),
            OptionCode.CLIENT_ARCHITECTURE: _architecture(identity),
        }
    if identity.firmware is Firmware.IPXE:
        options[OptionCode.USER_CLASS] = b"iPXE"
        if identity.features:
            options[OptionCode.IPXE] = encode_ipxe_features(identity.features)
    return Dhcp4Message(
        op=Dhcp4Op.REQUEST,
        htype=1,
        hlen=6,
        xid=1,
        flags=0x8000,
        chaddr=bytes.fromhex(identity.mac.replace(":", "")).ljust(16, b"\0"),
        options=options,
        is_dhcp=True,
    )


def solicit_of(identity: ClientIdentity) -> Dhcp6Message:
    """Make the SOLICIT that such a firmware sends."""
    if identity.uuid is not None:
        duid = b"\0\4" + identity.uuid.bytes_le
    else:
        duid = b"\0\3\0\1" + bytes.fromhex(identity.mac.replace(":", ""))
    options: list[Option] = [(O.CLIENT_ID, duid), (O.IA_NA, values.write_ia_na(IaNa(1)))]
    if identity.firmware is not Firmware.SYSTEM:
        vendor_class = values.write_vendor_class(_INTEL, [_vendor_class(identity)])
        options += [
            (O.OPTION_REQUEST, _EDK2_ASKS6),
            (O.CLIENT_ARCHITECTURE, _architecture(identity)),
            (O.VENDOR_CLASS, vendor_class),
        ]
    if identity.firmware is Firmware.IPXE:
        options.append((O.USER_CLASS, values.write_texts([b"iPXE"])))
    return Dhcp6Message(Dhcp6Type.SOLICIT, 1, Options6(tuple(options)))


def link_local(mac: str) -> IPv6Address:
    """Return the address that firmware makes of its MAC (RFC 4291, appendix A)."""
    raw = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([raw[0] ^ 2, *raw[1:3], 0xFF, 0xFE, *raw[3:]])
    return IPv6Address(b"\xfe\x80" + bytes(6) + identifier)


def _vendor_class(identity: ClientIdentity) -> bytes:
    word = "HTTPClient" if identity.firmware is Firmware.UEFI_HTTP else "PXEClient"
    return f"{word}:Arch:{int(identity.architecture or 0):05}:UNDI:003000".encode()


def _architecture(identity: ClientIdentity) -> bytes:
    return int(identity.architecture or 0).to_bytes(2, "big")
