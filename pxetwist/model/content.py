"""Names and facts of content, apart from how it is stored or sent."""

from __future__ import annotations

import attrs


def _joined(path: ContentPath) -> str:
    return "/".join(path.parts)


@attrs.frozen
class ContentPath:
    """A relative path with ``/`` between its parts that cannot climb out of a root.

    Made by :meth:`parse` only, but for :data:`ROOT`; `str()` gives ``grub/grub.cfg``.
    """

    parts: tuple[str, ...]
    _text: str = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_joined, takes_self=True)
    )

    @classmethod
    def parse(cls, name: bytes | str) -> ContentPath:
        """Read a name as clients spell it.

        Backslashes separate (Windows boot managers), doubled and leading slashes vanish (shim,
        GRUB), a NUL ends it, trailing 0xFF bytes are dropped (old ROMs that read option 67 as a
        C string).

        :raises ValueError: if it is empty or tries to leave the root.
        """
        if isinstance(name, bytes):
            name = name.split(b"\0", 1)[0].rstrip(b"\xff").decode("utf-8", "surrogateescape")
        name = name.split("\0", 1)[0].rstrip("\xff\udcff")
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts:
            raise ValueError("an empty path")
        if ".." in parts:
            raise ValueError("a path that climbs out of the content root")
        return cls(tuple(parts))

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    @property
    def folder(self) -> str:
        """All but the last part, joined by ``/``; empty at the root."""
        return "/".join(self.parts[:-1])

    def below(self, folder: ContentPath) -> ContentPath | None:
        """Return the rest of a path that is below a folder, whatever the case; else `None`."""
        count = len(folder.parts)
        head = [part.lower() for part in self.parts[:count]]
        if head != [part.lower() for part in folder.parts] or len(self.parts) == count:
            return None
        return ContentPath(self.parts[count:])

    def __str__(self) -> str:
        return self._text


@attrs.frozen(cache_hash=True)
class ContentInfo:
    """What is known of a content before its bytes: `size` in bytes, always exact; `modified` in
    seconds since the epoch; `tag` changes when the bytes do; `media_type` without parameters.
    Where a plain file holds the bytes, they begin at `offset` in it.
    """

    size: int
    modified: float = 0.0
    tag: str = ""
    media_type: str = "application/octet-stream"
    offset: int = 0


#: The folder above all paths; there is never a content of that name.
ROOT = ContentPath(())


@attrs.frozen
class Listed:
    """One thing in a folder; `size` in bytes, `None` for a folder; `modified` as above."""

    name: str
    size: int | None = None
    modified: float = 0.0
