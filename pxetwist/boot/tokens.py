"""Signed names for machines in URLs: short, of limited life, impossible to guess or to change."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import struct
from contextlib import suppress
from pathlib import Path

import attrs
from twisted.logger import Logger

from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.wire.iana import Architecture

#: How long a script URL from a DHCP answer may be used, in seconds.
TOKEN_LIFE = 3600
#: The same for URLs that machines report at: installers take their time.
REPORT_LIFE = 86400
_BODY = struct.Struct("!6sHH4s")  # MAC, architecture, boot id, end of life
_SIGNATURE = 12
_NO_ARCHITECTURE = 0xFFFF
_LOG = Logger()


@attrs.define
class Tokens:
    """Makes and checks tokens with a key that is kept in the state folder, unless it is given.

    A token for one `purpose` is worth nothing for another; the empty one is that of scripts.
    """

    folder: Path
    key: bytes = b""

    def issue(self, identity: ClientIdentity, boot_id: str, now: float, purpose: str = "") -> str:
        """Return a token for an identity with a MAC: 35 characters of URL-safe base 64."""
        arch = _NO_ARCHITECTURE if identity.architecture is None else int(identity.architecture)
        ends = int(now + (REPORT_LIFE if purpose else TOKEN_LIFE)).to_bytes(4, "big")
        body = _BODY.pack(
            bytes.fromhex(identity.mac.replace(":", "")), arch, int(boot_id or "0", 16), ends
        )
        return self.seal(body, purpose)

    def redeem(
        self, token: str, now: float, purpose: str = ""
    ) -> tuple[ClientIdentity, str] | None:
        """Return identity and boot id (empty if there was none) of a token; `None` if it is not
        ours or its time is over.
        """
        body = self.unseal(token, _BODY.size, purpose)
        if body is None:
            return None
        mac, arch, boot, ends = _BODY.unpack(body)
        if int.from_bytes(ends, "big") < now:
            return None
        identity = ClientIdentity(
            mac=mac.hex(":"),
            architecture=None if arch == _NO_ARCHITECTURE else Architecture(arch),
            firmware=Firmware.IPXE,
        )
        return identity, f"{boot:04x}" if boot else ""

    def seal(self, body: bytes, purpose: str) -> str:
        """Return a token of any facts, for a purpose."""
        return base64.urlsafe_b64encode(body + self.sign(body, purpose)).decode().rstrip("=")

    def unseal(self, token: str, size: int, purpose: str) -> bytes | None:
        """Return the facts, of so many bytes, that a token was made of; `None`: it is not ours."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        if base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
            return None  # some bits of the last character say nothing: one spelling is enough
        body, signature = raw[:size], raw[size:]
        sealed = hmac.compare_digest(signature, self.sign(body, purpose))
        return body if len(body) == size and sealed else None

    def sign(self, body: bytes, purpose: str) -> bytes:
        """Return the signature of any facts, for a purpose."""
        if not self.key:
            self.key = _stored_key(self.folder / "token.key")
        return hmac.digest(self.key, body + purpose.encode(), hashlib.sha256)[:_SIGNATURE]


def _stored_key(path: Path) -> bytes:
    """Read the key, or make it; readable by nobody else. One that cannot be kept lasts as long as
    this process: machines boot all the same.
    """
    key = secrets.token_bytes(32)
    try:
        with suppress(FileNotFoundError):
            stored = path.read_bytes()
            if len(stored) == len(key):
                _warn_of_readers(path)
                return stored
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # one that was damaged may have had other rights
            file.write(key)
    except OSError as error:
        _LOG.error(
            "{path}: {why}; URLs of scripts and call-backs are good until this server ends",
            path=path,
            why=error.strerror,
        )
    return key


def _warn_of_readers(path: Path) -> None:
    """Say that others can read the key, as after a copy from a backup."""
    if path.stat().st_mode & 0o077:
        _LOG.error(
            "{path} can be read by others, who could make URLs of any machine with it; mend:"
            " chmod 600 {path}",
            path=path,
        )
