"""Contents of a web server, fetched when somebody wants them, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from twisted.internet.ssl import Certificate

from pxetwist.config import fields
from pxetwist.config.fields import option
from pxetwist.content.cache_folder import CacheFolder
from pxetwist.content.digests import digests
from pxetwist.content.mirror import Mirror
from pxetwist.content.upstream_store import Trust, UpstreamStore
from pxetwist.interfaces import IContentStore, Site
from pxetwist.model.content import ContentPath
from pxetwist.webclient import authorities, make_agent

_CONNECTIONS = 4


def _url(value: str) -> str:
    parts = urlsplit(value)
    plain = value.isascii() and value.isprintable() and " " not in value
    odd = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or odd or not plain:
        raise ValueError("no such URL")
    return value


@attrs.frozen
class Settings:
    """Options of ``[content:…]`` with the plugin ``upstream``."""

    url: str = option(
        fields.Converter("a URL like https://deb.debian.org/debian, without a query", _url),
        doc="Where the files are: PATH is fetched from URL/PATH.",
    )
    cache: Path | None = option(
        fields.path,
        default=None,
        doc="The folder for what was fetched; upstream-NAME in the state folder if not given.",
    )
    size: int = option(
        fields.size,
        default=10 << 30,
        doc="So much is kept; what was not used for the longest time makes room.",
    )
    fresh: float = option(
        fields.seconds,
        default=3600.0,
        doc="For so long the mirror is not asked whether a file has changed.",
    )
    deadline: float = option(
        fields.seconds,
        default=10.0,
        doc="Give up if an answer, or its next piece, takes longer.",
    )
    redirects: tuple[str, ...] = option(
        fields.list_of(fields.text),
        default=(),
        doc="Other hosts (NAME or NAME:PORT) to which the mirror may redirect.",
    )
    ca: tuple[Certificate, ...] = option(
        authorities,
        default=(),
        doc="A file with the authorities that may sign the mirror's certificate; without it"
        " those of the system.",
    )
    sha256: Mapping[str, str] = option(
        digests,
        default=attrs.Factory(dict),
        doc="Digests that files must have, one a line: SHA256 PATH, as sha256sum prints them.",
    )
    sums: ContentPath | None = option(
        fields.Converter("a path like dists/SHA256SUMS", ContentPath.parse),
        default=None,
        doc="A file of the mirror with the digests of those below its folder. Then only files"
        " are served that it, or sha256, names.",
    )


def build(settings: Settings, site: Site) -> IContentStore:
    """Make the store; nobody is asked before a file is wanted."""
    agent, pool = make_agent(
        site.reactor, settings.ca, patience=settings.deadline, connections=_CONNECTIONS
    )
    mirror = Mirror(agent, site.reactor, settings.url, settings.redirects, settings.deadline)
    folder = settings.cache or site.state_folder / f"upstream-{site.name}"
    if site.worker:  # what a folder holds is known to one process
        folder /= f"worker-{site.worker}"
    trust = Trust(settings.sha256, settings.sums)
    cache = CacheFolder(folder, settings.size)
    return UpstreamStore(
        mirror, cache, site, trust=trust, fresh=settings.fresh, close=pool.closeCachedConnections
    )
