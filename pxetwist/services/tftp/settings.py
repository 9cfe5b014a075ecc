"""Options of the TFTP service."""

from __future__ import annotations

from pathlib import Path

import attrs

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.services.listening import OwnAddress, addresses_option

#: Says for one machine what `max-block-size` says for all.
BLOCK_SIZE_LABEL = "tftp-block-size"


def block_size(label: str) -> int:
    """Read that label; 0: it says nothing (RFC 2348: 8 bytes are the least)."""
    return int(label) if label.isdecimal() and int(label) >= 8 else 0


@attrs.frozen
class Settings:
    """Options of ``[service:tftp]``."""

    addresses: tuple[OwnAddress, ...] = addresses_option()
    interfaces: tuple[str, ...] = option(
        fields.list_of(fields.interface), default=(), doc="Interfaces to listen on; none: all."
    )
    port: int = option(fields.port, default=69, doc="UDP port for requests.")
    port_range: range = option(
        fields.port_range,
        default=range(0),
        doc="Local ports of the transfers, for firewalls; default: any.",
    )
    single_port: bool = option(
        fields.boolean,
        default=False,
        doc="Answer from the request port alone, for clients behind NAT and in containers.",
    )
    max_window: int = option(
        fields.integer(1, 1024),
        default=64,
        doc="Most blocks that a client may have on the way (RFC 7440).",
    )
    max_block_size: int = option(
        fields.integer(0, 65464),
        default=0,
        doc="Largest block in bytes; 0: what the MTU of the client's network can carry.",
    )
    busy_poll: bool = option(
        fields.boolean,
        default=True,
        doc="Look for the next packet of up to three clients for a tenth of a millisecond, before"
        " the process sleeps.",
    )
    image_memory: int = option(
        fields.size, default=256 << 20, doc="Memory for files that are being sent."
    )
    max_transfers: int = option(
        fields.integer(1),
        default=4096,
        doc="Transfers at a time at most; further requests are dropped, clients repeat them.",
    )
    max_per_client: int = option(
        fields.integer(1), default=64, doc="Transfers at a time of one address."
    )
    write_folder: Path | None = option(
        fields.path, default=None, doc="Where clients may put files; none: they may not."
    )
    write_limit: int = option(fields.size, default=64 << 20, doc="Largest file that is taken.")
    write_over: bool = option(
        fields.boolean, default=False, doc="Let clients replace files that are there."
    )
    writes_per_client: int = option(
        fields.integer(1), default=4, doc="Files that one address may send at a time."
    )
    transfers_at_once: int = option(
        fields.integer(1),
        default=200,
        doc="Transfers at a time while the server is busy; further requests wait in order.",
    )
    patience: float = option(
        fields.seconds,
        default=10.0,
        doc="No request waits longer: firmware gives up after some twenty seconds.",
    )

    def __attrs_post_init__(self) -> None:
        """Check what goes together, and that there is such a folder."""
        if self.write_folder is not None and not self.write_folder.is_dir():
            raise ValueError(f"write-folder: there is no folder {self.write_folder}; make it")
        if self.single_port and self.port_range:
            raise ValueError("single-port needs no other ports: take port-range out")
