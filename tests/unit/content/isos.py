"""ISO images whose names are those of one file system; the others have but numbers."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from pycdlib import PyCdlib

#: How the library is told to make each, and to name something in it.
_MADE: Mapping[str, tuple[dict[str, Any], str]] = {
    "rock-ridge": ({"rock_ridge": "1.09"}, "rr_name"),
    "joliet": ({"joliet": 3}, "joliet_path"),
    "udf": ({"udf": "2.60"}, "udf_path"),
    "plain": ({"interchange_level": 3}, ""),
}


class Image:
    """An image in the making."""

    def __init__(self, kind: str = "rock-ridge") -> None:
        how, self._option = _MADE[kind]
        self._kind = kind
        self._iso: Any = PyCdlib()
        self._iso.new(**how)
        self._folders = {"": ""}
        self._number = 0

    def add(self, path: str, data: bytes, mode: int | None = None) -> None:
        """Add a file, and the folders that it needs; a `mode` is one of Rock Ridge."""
        place, names = self._named(path)
        place += ";1" if self._kind == "plain" else ".;1"
        self._iso.add_fp(BytesIO(data), len(data), place, file_mode=mode, **names)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link of Rock Ridge."""
        place, names = self._named(path)
        self._iso.add_symlink(f"{place}.;1", names["rr_name"], target)

    def bytes(self) -> bytes:
        """Return the image."""
        into = BytesIO()
        self._iso.write_fp(into)
        self._iso.close()
        return into.getvalue()

    def _named(self, path: str) -> tuple[str, dict[str, str]]:
        folder, _, name = path.rpartition("/")
        place = f"{self._folder(folder)}/{self._short(name)}"
        full = name if self._option == "rr_name" else f"/{path}"
        return place, {self._option: full} if self._option else {}

    def _folder(self, path: str) -> str:
        if path not in self._folders:
            place, names = self._named(path)
            self._folders[path] = place
            self._iso.add_directory(place, **names)
        return self._folders[path]

    def _short(self, name: str) -> str:
        if self._kind == "plain":
            return name.upper()
        self._number += 1
        return f"N{self._number:06}"


def iso(files: Mapping[str, bytes], kind: str = "rock-ridge") -> bytes:
    """Return an image with these files."""
    image = Image(kind)
    for path, data in files.items():
        image.add(path, data)
    return image.bytes()
