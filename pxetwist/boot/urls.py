"""URLs that are one machine's own: each has a token, which tells the machine and its boot."""

from __future__ import annotations

import attrs

from pxetwist.boot.tokens import Tokens
from pxetwist.model.boot import BootRequest


@attrs.frozen
class Urls:
    """Makes them; who comes with one is known by its :class:`Tokens`."""

    _tokens: Tokens

    def script_base(self, request: BootRequest, now: float) -> str:
        """Return the URL below which this machine's scripts are."""
        if not request.identity.mac:
            return request.endpoints.web
        token = self._tokens.issue(request.identity, request.boot_id, now)
        return f"{request.endpoints.web}/boot/{token}"

    def token(self, request: BootRequest, purpose: str, now: float) -> str:
        """Return what tells the machine of a request in a URL for a purpose."""
        if not request.identity.mac:
            return ""
        return self._tokens.issue(request.identity, request.boot_id, now, purpose)

    def report_url(self, request: BootRequest, topic: str, now: float) -> str:
        """Return where this machine may report on a topic."""
        token = self.token(request, topic, now)
        if not token:
            return ""
        # Loaders report what they discover; what calls back may be any system.
        base = request.endpoints.web if topic == "discover" else request.endpoints.http
        return f"{base}/{topic}/{token}"
