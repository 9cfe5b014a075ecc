"""Images as large as those of Windows, that take up hardly any room: most of them is a hole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import RawIOBase
from pathlib import Path
from typing import Any

from pycdlib import PyCdlib


def mark(place: int) -> bytes:
    """Return the 16 bytes that stand at a place."""
    return f"<{place:014}>".encode()


def sparse_file(path: Path, size: int, places: Sequence[int]) -> None:
    """Write a file with marks at some places."""
    with path.open("wb") as file:
        os.truncate(path, size)
        for place in places:
            file.seek(place)
            file.write(mark(place))


def sparse_iso(path: Path, name: str, size: int, places: Sequence[int]) -> None:
    """Write an image that has one such file."""
    source = path.with_suffix(".part")
    sparse_file(source, size, places)
    image: Any = PyCdlib()
    image.new(interchange_level=3, rock_ridge="1.09")
    image.add_file(str(source), "/LARGE.;1", rr_name=name)
    with _Sparse(path) as into:
        image.write_fp(into, blocksize=1 << 20)
    image.close()
    source.unlink()


class _Sparse(RawIOBase):
    """A file in which zeros are holes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._end = 0

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if data != bytes(len(data)):
            self._file.write(data)
        else:
            self._file.seek(len(data), os.SEEK_CUR)
        self._end = max(self._end, self._file.tell())
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self._end + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        self._end = self.tell() if size is None else size
        return self._file.truncate(size)

    def close(self) -> None:
        if not self.closed:
            self._file.truncate(self._end)
            self._file.close()
        super().close()
