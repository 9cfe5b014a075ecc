"""What machines send, made up for one that is not there."""

from __future__ import annotations

from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.wire.dhcp4 import Dhcp4Message
from pxetwist.wire.iana import Dhcp4Op, Dhcp4Type
from pxetwist.wire.options import OptionCode
from pxetwist.wire.pxe import encode_ipxe_features

#: What EDK2 asks for, as its captures show (option 55).
_EDK2_ASKS = bytes.fromhex("0102030405060c0d0f111216171c28292a2b3233363a3b3c42436180818283848586")


def request_of(identity: ClientIdentity) -> Dhcp4Message:
    """Make the DISCOVER that such a firmware sends; what its iPXE can, only that tells."""
    options: dict[int, bytes] = {OptionCode.MESSAGE_TYPE: bytes([Dhcp4Type.DISCOVER])}
    if identity.uuid is not None:
        options[OptionCode.CLIENT_MACHINE_ID] = b"\0" + identity.uuid.bytes_le
    if identity.firmware is not Firmware.SYSTEM:
        number = int(identity.architecture or 0)
        word = "HTTPClient" if identity.firmware is Firmware.UEFI_HTTP else "PXEClient"
        options |= {
            OptionCode.PARAMETER_REQUEST_LIST: _EDK2_ASKS,
            OptionCode.MAX_MESSAGE_SIZE: (1472).to_bytes(2, "big"),
            OptionCode.VENDOR_CLASS: f"{word}:Arch:{number:05}:UNDI:003000".encode(),
            OptionCode.CLIENT_ARCHITECTURE: number.to_bytes(2, "big"),
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
