"""Names of iSCSI in profiles: what of them can be judged before a machine asks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pxetwist.config.ini import Section
from pxetwist.errors import ConfigError

_TEMPLATE = re.compile(r"\{\{.*?\}\}")
_SERVER = re.compile(r"[\w.-]+|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?", re.ASCII)
_ADDRESS = re.compile(r"\d+(\.\d+){3}")
#: RFC 3720 §3.2.6.3; a template may say all of it.
_NAME = re.compile(r"((iqn|eui|naa)\.|\0)[\w.:\0-]*", re.ASCII)


def disk_mistakes(section: Section) -> Iterator[ConfigError]:
    """Yield the names that no target can have, whatever their templates say."""
    for name in ("server", "target", "initiator"):
        value = section.options.get(name)
        if value is None or not value.text:
            continue
        text = _TEMPLATE.sub("\0", value.text.strip())
        if name != "server" and not _NAME.fullmatch(text):
            wanted = "a name like iqn.2026-01.net.example:ws1"
            yield section.error(f"expected {wanted}, got {value.text!r}", name)
        elif name == "server" and not _is_server(text):
            mend = "; the port is target-port" if ":" in text else ""
            wanted = "a host name or address"
            yield section.error(f"expected {wanted}, got {value.text!r}{mend}", name)


def _is_server(text: str) -> bool:
    if _ADDRESS.fullmatch(text):
        return all(int(part) < 256 for part in text.split("."))
    return _SERVER.fullmatch(text.replace("\0", "x")) is not None
