"""URLs with places for what a machine says of itself, which is always percent-encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import attrs

from pxetwist.config.fields import OptionText
from pxetwist.errors import ConfigError
from pxetwist.hosts.parameters import PARAMETERS

_PLACE = re.compile(r"\{(\w*)\}")
#: What may stand in a URL as it is (RFC 3986 §2).
_PLAIN = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")


@attrs.frozen
class UrlTemplate:
    """A URL like ``https://cmdb.example/machines/{mac}``; `names` are its parameters."""

    text: str
    names: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        url = urlsplit(self.text)
        return f"{url.scheme}://{url.netloc}"

    def filled(self, values: Mapping[str, str | None]) -> str | None:
        """Return the URL; `None` if a value is lacking, or would make it another path.

        An empty place would ask for all machines, and servers resolve ``..``, even encoded.
        """
        if any(values[name] is None for name in self.names):
            return None
        filled = _PLACE.sub(lambda found: quote(values[found[1]] or "", safe=""), self.text)
        if {".", ".."} & set(urlsplit(filled).path.split("/")):
            return None
        return filled


def url_template(text: str) -> UrlTemplate:
    """Read one.

    :raises ValueError: if it is malformed.
    """
    expected = "expected a URL like https://cmdb.example/machines/{mac}"
    names = tuple(dict.fromkeys(_PLACE.findall(text)))
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from None
    if "@" in url.netloc:  # the text is not shown: it might hold a password
        raise ValueError(
            "a password has no place in a URL: write the header to a file of its own, and name"
            " that by header-file.Authorization"
        )
    if url.scheme not in ("http", "https") or not url.hostname or _PLACE.search(url.netloc):
        raise ValueError(f"{expected}, got {text!r}")
    if not _PLAIN.fullmatch(_PLACE.sub("", text)):
        raise ValueError(f"{expected}: other characters are written like %20, got {text!r}")
    for name in names:
        if name not in PARAMETERS:
            known = ", ".join(f"{{{each}}}" for each in PARAMETERS)
            raise ValueError(f"unknown parameter {{{name}}} (known: {known})")
    if {".", ".."} & set(url.path.split("/")):
        raise ValueError(f"{expected} without . and .., got {text!r}")
    return UrlTemplate(text, names)


def url_templates(value: str) -> tuple[UrlTemplate, ...]:
    """Expect a URL with parameters like {mac}; several, one a line, are tried in their order."""
    found = []
    for line in OptionText.of(value).lines:
        try:
            found.append(url_template(line.text))
        except ValueError as error:
            raise ConfigError(line.location, f"url: {error}") from None
    if not found:
        raise ValueError("expected a URL like https://cmdb.example/machines/{mac}")
    return tuple(found)
