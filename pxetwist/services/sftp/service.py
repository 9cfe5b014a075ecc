"""The SFTP service: operators read the content, and upload into a folder of theirs."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.checkers import IAuthorizedKeysDB, SSHPublicKeyChecker
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import BadKeyError, Key
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from pxetwist.config import fields
from pxetwist.config.fields import Keyed, option
from pxetwist.errors import StartError
from pxetwist.interfaces import Site
from pxetwist.services.listening import OwnAddress, addresses_option
from pxetwist.services.sessions import Sessions
from pxetwist.services.sftp.session import (
    Connection,
    KeyLogin,
    OperatorAvatar,
    Quiet,
    SftpTransport,
)
from pxetwist.services.tcp import TcpService
from pxetwist.services.uploads import Uploads

#: The file in the state folder with our key, by which clients know us.
HOST_KEY = "ssh_host_ed25519_key"

_MACS = (b"hmac-sha2-512", b"hmac-sha2-256")


def _operator(name: str, value: str) -> tuple[str, Path]:
    if not name:
        raise ValueError("keys needs the name of an operator: keys.NAME = FILE")
    return name, fields.path(value)


@attrs.frozen
class Settings:
    """Options of ``[service:sftp]``."""

    addresses: tuple[OwnAddress, ...] = addresses_option()
    port: int = option(fields.port, default=2222, doc="TCP port; 22 is that of the host's own.")
    keys: dict[str, Path] = option(
        Keyed("keys.NAME: the file with an operator's public keys", _operator),
        doc="`keys.NAME` is the file with the public keys of the operator NAME, one a line, as in"
        " authorized_keys without options. It is read at every login.",
    )
    drop_folder: Path | None = option(
        fields.path, default=None, doc="Where operators may put files; none: they only read."
    )
    drop_limit: int = option(fields.size, default=10 << 30, doc="Largest file that is taken.")
    drop_over: bool = option(
        fields.boolean, default=False, doc="Let operators replace files that are there."
    )
    idle_timeout: float = option(
        fields.seconds, default=600.0, doc="Close a connection after this long in silence."
    )
    max_connections: int = option(
        fields.integer(1), default=50, doc="Connections at a time at most."
    )
    max_per_client: int = option(
        fields.integer(1), default=8, doc="Connections at a time of one address."
    )

    def __attrs_post_init__(self) -> None:
        """Check that what is named is there."""
        if self.drop_folder is not None and not self.drop_folder.is_dir():
            raise ValueError(f"drop-folder: there is no folder {self.drop_folder}; make it")
        if self.drop_over and self.drop_folder is None:
            raise ValueError("drop-over is for uploads: name a drop-folder")
        for name, file in self.keys.items():
            if not file.is_file():
                raise ValueError(f"keys.{name}: there is no file {file}")


def build(settings: Settings, site: Site) -> SftpService:
    """Make the service."""
    return SftpService(settings, site)


@implementer(IAuthorizedKeysDB)
@attrs.frozen
class OperatorKeys:
    """The public keys of operators, in files that are read at every login."""

    files: dict[str, Path]
    site: Site

    def getAuthorizedKeys(self, avatarId: bytes) -> Iterator[Key]:
        """Yield the keys of an operator; lines that are none are passed over, and logged."""
        file = self.files.get(avatarId.decode("utf-8", "replace"))
        if file is None:
            return
        try:
            lines = file.read_bytes().splitlines()
        except OSError as error:
            self.site.log.error("cannot read {file}: {why}", file=str(file), why=error.strerror)
            return
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith(b"#"):
                continue
            try:
                yield Key.fromString(line.strip())
            except (BadKeyError, ValueError, IndexError):
                self.site.log.error("{file}:{line}: no public key", file=str(file), line=number)


@implementer(IRealm)
@attrs.frozen
class Operators:
    """Lets in those whose key was right."""

    site: Site
    uploads: Uploads | None
    counters: Counter[str]

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: Any
    ) -> tuple[Any, OperatorAvatar, Any]:
        """Return what an operator may do."""
        self.counters["logins"] += 1
        name = bytes(avatarId).decode("utf-8", "replace")
        self.site.log.info("operator {name} is logged in", name=name)
        return IConchUser, OperatorAvatar(self.site, name, self.uploads), lambda: None


class SftpFactory(SSHFactory):
    """Makes connections, as many as may be."""

    noisy = False
    _log = Quiet()
    protocol = SftpTransport

    def __init__(self, settings: Settings, site: Site) -> None:
        self.services = {b"ssh-userauth": KeyLogin, b"ssh-connection": Connection}
        self.site = site
        self.idle_timeout = settings.idle_timeout
        self.counters: Counter[str] = Counter()
        self.sessions = Sessions[SftpTransport](
            settings.max_connections, settings.max_per_client, self.counters, site.reactor
        )
        folder = settings.drop_folder
        self.uploads = Uploads(folder, settings.drop_limit, settings.drop_over) if folder else None
        checker = SSHPublicKeyChecker(OperatorKeys(settings.keys, site))
        self.portal = Portal(Operators(site, self.uploads, self.counters), [checker])

    def load(self) -> None:
        """Read our key, or make it.

        :raises StartError: if it cannot be used.
        """
        key = host_key(self.site.state_folder / HOST_KEY)
        self.publicKeys = {b"ssh-ed25519": key.public()}
        self.privateKeys = {b"ssh-ed25519": key}
        if self.uploads is not None:
            self.uploads.clean()

    def startFactory(self) -> None:
        """Have the key by then."""
        self.primes = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Take a connection, unless there are too many."""
        made: Any = super().buildProtocol(addr)
        made.supportedMACs = list(_MACS)
        made.supportedCompressions = [b"none"]  # what a client unpacks here has no bound
        return made if self.sessions.admit(made, addr) else None

    def forget(self, session: SftpTransport) -> None:
        """Know that a connection is over."""
        self.sessions.forget(session)

    def drain(self) -> Deferred[None]:
        """Close all, those of operators after some seconds."""
        return self.sessions.drain()


class SftpService(TcpService):
    """Serves contents by SFTP (version 3) over SSH, to operators with keys."""

    factory: SftpFactory

    def __init__(self, settings: Settings, site: Site) -> None:
        self.settings = settings
        super().__init__(settings.addresses, settings.port, SftpFactory(settings, site), site)

    def startService(self) -> None:
        """Have a key, and listen."""
        self.factory.load()
        super().startService()


def host_key(file: Path) -> Key:
    """Return the key in a file; it is made once, and nobody else may read it.

    :raises StartError: if it cannot be read, or by everybody.
    """
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            made = Key(Ed25519PrivateKey.generate()).toString("openssh")
            part = file.with_suffix(".new")
            part.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(part, flags, 0o600), "wb") as written:
                written.write(made)
            part.rename(file)
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise StartError(f"{file} can be read by others; mend: chmod 600 {file}")
        key: Key = Key.fromFile(str(file))
        return key
    except (OSError, BadKeyError, ValueError) as error:
        raise StartError(f"the key {file} cannot be used: {error}") from None
