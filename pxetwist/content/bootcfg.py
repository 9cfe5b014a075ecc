"""The ``boot.cfg`` of ESXi's loader: read as it reads it, and made anew for one machine.

The format is that of VMware's esx-boot (``bootlib/parse.c``, ``mboot/config.c``): lines
``key=value``, of which the last one of a key counts; lines that begin with ``#`` are comments.
Files of ``modules`` have ``---`` between them, and relative names start at ``prefix``.
"""

from __future__ import annotations

import re

from pxetwist.errors import PolicyError

_SEPARATOR = "---"
_LINE = re.compile(r"\s*([a-z]+)\s*=\s*(.*?)\s*", re.IGNORECASE)
#: What the kernel is told on the CD, and elsewhere in vain.
_OF_CDS = ("cdromBoot", "ks=")


def parse(text: str) -> dict[str, str]:
    """Return the keys and values, in their order.

    :raises PolicyError: if it names no kernel or no modules.
    """
    found = {m[1].lower(): m[2] for line in text.splitlines() if (m := _LINE.fullmatch(line))}
    for key in ("kernel", "modules"):
        if not found.get(key):
            raise PolicyError(f"a boot.cfg without {key}=")
    return found


def files(settings: dict[str, str]) -> list[str]:
    """Return the names of kernel and modules, as they are below the medium's folder."""
    names = [settings["kernel"], *settings["modules"].split(_SEPARATOR)]
    words = (name.split() for name in names)  # what follows a name are its arguments
    return [word[0].lstrip("/") for word in words if word]


def made(
    settings: dict[str, str], *, prefix: str, kickstart: str, arguments: str, who: str
) -> str:
    """Return the text for a machine: its files are below `prefix`, a URL or a folder."""
    words = [
        word for word in settings.get("kernelopt", "").split() if not word.startswith(_OF_CDS)
    ]
    modules = [" ".join(each.split()) for each in settings["modules"].split(_SEPARATOR)]
    changed = {
        "title": f"{settings.get('title', 'ESXi')} for {' '.join(who.split())}",
        "prefix": prefix,
        "kernel": settings["kernel"].lstrip("/"),
        "kernelopt": " ".join([*words, f"ks={kickstart}", *arguments.split()]),
        "modules": f" {_SEPARATOR} ".join(each.lstrip("/") for each in modules if each),
    }
    kept = {key: value for key, value in settings.items() if key not in changed}
    return "".join(f"{key}={value}\n" for key, value in {**changed, **kept}.items())
