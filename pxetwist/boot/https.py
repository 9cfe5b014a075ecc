"""Who is given URLs of HTTPS, and of which of our ports."""

from __future__ import annotations

from functools import lru_cache

import attrs

from pxetwist.model.boot import BootRequest, Endpoints, SecurePort
from pxetwist.model.identity import ClientIdentity, Firmware
from pxetwist.model.machine import Machine

#: The label of a machine by which its directory decides: ``https`` or ``http``.
LABEL = "scheme"


@attrs.frozen
class Https:
    """The ports of the site: `port` for everybody, `certified` asks clients for certificates.

    With `only`, nobody is given a URL of HTTP: the site wants it so, or has no HTTP at all.
    """

    port: SecurePort | None = None
    certified: SecurePort | None = None
    only: bool = False

    def endpoints(self, request: BootRequest) -> Endpoints:
        """Return where the client of a resolved request reaches us."""
        if self.port is None and self.certified is None:
            return request.endpoints
        secure, asked = self._choose(request), request.endpoints
        if secure is None and asked.secure is None and not asked.only_https:
            return asked
        return _reached(asked, secure, self.only and secure is not None)

    def _choose(self, request: BootRequest) -> SecurePort | None:
        identity, machine = request.identity, request.machine
        if self.certified is not None and _has_certificate(identity, machine):
            return self.certified
        if self.port is None or self.only or request.secure:
            return self.port
        wish = machine.labels.get(LABEL, "") if machine else ""
        if wish in ("http", "https"):
            return self.port if wish == "https" else None
        return self.port if identity.speaks_https else None

    def reason(self, request: BootRequest) -> str:
        """Say why a client that loads from URLs is given those of a scheme."""
        if self.port is None and self.certified is None:
            return ""
        can, secure = request.identity.speaks_https, request.endpoints.secure
        if secure is None:
            return f"by http: {'its label `scheme` says so' if can else _LACKS}"
        if secure is self.certified:
            return "by https, with its certificate"
        if can or request.secure:
            return "by https"
        return f"by https, though {_LACKS} and may refuse"


@lru_cache
def _reached(asked: Endpoints, secure: SecurePort | None, only: bool) -> Endpoints:
    return Endpoints(asked.address, asked.http_port, secure, only)


_LACKS = "this iPXE does not tell that it speaks HTTPS (option 175.20)"


def _has_certificate(identity: ClientIdentity, machine: Machine | None) -> bool:
    """Whether it showed one, or its directory knows of one; firmware has none (quirk H9)."""
    known = machine is not None and bool(machine.certificate)
    return bool(identity.certificate) or (known and identity.firmware is not Firmware.UEFI_HTTP)
