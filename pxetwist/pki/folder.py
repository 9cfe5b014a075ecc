"""The files of an authority: closed to others, and never overwritten by accident."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import attrs
from cryptography.hazmat.primitives.asymmetric import rsa

from pxetwist.errors import ConfigError
from pxetwist.pki.authority import Authority, PkiError
from pxetwist.services.http.certificates import KeyFiles


@attrs.frozen
class PkiFolder:
    """A folder with ``ca.pem``, ``ca.key``, and what was issued."""

    path: Path

    @property
    def authority_files(self) -> KeyFiles:
        """Where the authority lies."""
        return self.files("ca")

    def files(self, name: str) -> KeyFiles:
        """Return where a certificate of this name lies.

        :raises PkiError: if it would lie somewhere else.
        """
        if name.startswith(".") or "/" in name or not name.isprintable():
            raise PkiError(f"{name!r} cannot be the name of a file; mend: --as NAME")
        return KeyFiles(self.path / f"{name}.pem", self.path / f"{name}.key")

    def create(self) -> None:
        """Make the folder, for its owner alone; one that is there must hold no authority.

        :raises PkiError: if it does.
        """
        with _friendly():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = self.authority_files
        there = [str(each) for each in (files.certificate, files.key) if each.exists()]
        if there:
            raise PkiError(
                f"{there[0]} is there already, and is not overwritten: every machine that trusts"
                " it would have to learn a new one"
            )

    def authority(self) -> Authority:
        """Read the authority.

        :raises PkiError: if it cannot be used.
        """
        if not self.authority_files.certificate.exists():
            raise PkiError(f"there is no authority in {self.path}; mend: pxetwist pki init FILE")
        try:
            pair = self.authority_files.read()
        except ConfigError as error:
            raise PkiError(str(error)) from error
        if not isinstance(pair.key, rsa.RSAPrivateKey):
            raise PkiError(f"{self.authority_files.key}: expected an RSA key")
        return Authority(pair.certificate, pair.key)


def write_new(files: KeyFiles, certificate: bytes, key: bytes) -> None:
    """Write a key, closed to others, and its certificate; one file may be for both.

    :raises PkiError: if one of them is there.
    """
    for file in (files.certificate, files.key):
        if file.exists():
            raise PkiError(
                f"{file} is there already, and is not overwritten; `pxetwist pki renew` makes a"
                " new certificate for the same key"
            )
    with _friendly():
        files.key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if files.key == files.certificate:
            _create(files.key, certificate + key, 0o600)
            return
        _create(files.key, key, 0o600)
        _create(files.certificate, certificate, 0o644)


def replace(file: Path, data: bytes) -> None:
    """Put a new content into the place of a file at one stroke, with its mode and owner."""
    with _friendly(), NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as made:
        try:
            if file.exists():
                status = file.stat()
                os.fchown(made.fileno(), status.st_uid, status.st_gid)
                os.fchmod(made.fileno(), status.st_mode & 0o7777)
            else:
                os.fchmod(made.fileno(), 0o644)
            made.write(data)
            made.flush()
            os.fsync(made.fileno())
            Path(made.name).replace(file)
        except BaseException:
            Path(made.name).unlink(missing_ok=True)
            raise


def _create(file: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)


@contextmanager
def _friendly() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PkiError(f"{error.filename}: {error.strerror}") from error
