"""Lists of SHA-256 digests, as ``sha256sum`` writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pxetwist.config.fields import OptionText
from pxetwist.errors import ConfigError
from pxetwist.model.content import ContentPath

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(\S.*)")


def read_digests(text: str, folder: str = "") -> Mapping[str, str]:
    """Return the digests by path; names are those below a folder. Other lines are passed over."""
    found = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            try:
                path = ContentPath.parse(f"{folder}/{match[2]}")
            except ValueError:
                continue  # it names nothing that anybody could ask for
            found[str(path)] = match[1].lower()
    return found


def digests(value: str) -> Mapping[str, str]:
    """Expect lines of a digest and a path, as sha256sum prints them."""
    for line in OptionText.of(value).lines:
        if not read_digests(line.text):
            raise ConfigError(line.location, f"expected SHA256 PATH, got {line.text!r}")
    return read_digests(value)
