"""How templates spell URLs, paths and words for loaders."""

from __future__ import annotations

import re
from collections.abc import Callable

from pxetwist.model.boot import BootRequest, Protocol

_GAPS = re.compile(r"\n{3,}")


def url_below(base: str) -> Callable[[str], str]:
    """Return what makes the URL of a path below another; a URL stays what it is. iPXE takes a
    blank for the end of it.
    """
    return lambda path: path if "://" in path else f"{base}/{path.lstrip('/')}".replace(" ", "%20")


def grub_device(request: BootRequest) -> str:
    """Name the way on which GRUB came: one that was loaded by HTTP may lack TFTP (quirk B8)."""
    ends = request.endpoints
    if request.protocol is not Protocol.HTTP:
        return f"(tftp,{ends.address})"
    scheme, _, place = (ends.web if request.secure else ends.http).partition("://")
    return f"({scheme},{place})"


def grub_path(device: str) -> Callable[[str], str]:
    """GRUB takes files from the device that it came from; an explicit server is safer beside a
    foreign DHCP server. A URL becomes `(http,host)/path`; names would need GRUB's own DNS.
    """

    def convert(path: str) -> str:
        scheme, found, rest = path.partition("://")
        if not found:
            return f"{device}/{path.lstrip('/')}"
        host, _, file = rest.partition("/")
        return f"({scheme},{host})/{file}"

    return convert


def grub_quote(text: str) -> str:
    """Quote one word for GRUB's shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def grub_words(text: str) -> str:
    """Quote each argument that GRUB's shell would take apart (quirk B9)."""
    plain = re.compile(r"[\w@%+=:,./-]*")
    return " ".join(word if plain.fullmatch(word) else grub_quote(word) for word in text.split())


def one_line(text: str) -> str:
    """Make one line of what others say: it must begin no line of a script."""
    return text if text.isprintable() else " ".join(text.split())


def ipxe_text(text: str) -> str:
    """Spell a text that iPXE prints, so that nothing in it is a variable or ends the command."""
    words = [word for word in text.split() if word not in ("||", "&&", ";")]
    return " ".join(words).replace("${", "$ {")


def tidy(text: str) -> str:
    """Take away the blanks and empty lines that those of a template leave behind."""
    lines = [line.rstrip() for line in text.splitlines()]
    return _GAPS.sub("\n\n", "\n".join(lines)).strip() + "\n"
