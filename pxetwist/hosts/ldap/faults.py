"""What can go wrong with a server, in sentences for people; never a password in them."""

from __future__ import annotations

import re
from typing import Any

from pxetwist.errors import DirectoryUnavailable
from pxetwist.hosts.ldap.settings import Settings, Uri

# Result codes (RFC 4511 appendix A).
_STRONGER_AUTH = 8
_INAPPROPRIATE_AUTH = 48
_INVALID_CREDENTIALS = 49
#: The server is at fault, another one may do better: time limit, busy, unavailable, other.
FAULTS = frozenset({3, 51, 52, 80})

#: What Active Directory says behind "data" when it refuses a bind (MS-ERREF, in hexadecimal).
_AD_REFUSALS = {
    "525": "there is no such account",
    "52e": "the password is wrong",
    "530": "not at this time",
    "531": "not from this machine",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed",
    "775": "the account is locked",
    "80090346": "the TLS connection ends at somebody else's",  # SEC_E_BAD_BINDINGS
}


class ServerFault(DirectoryUnavailable):
    """This server cannot be used now; another one may be. `silent` if it said nothing in time."""

    def __init__(self, message: str, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


class BindRefused(DirectoryUnavailable):
    """Name or password are wrong: for all servers, and each further try may lock the account."""


def fault(uri: Uri, error: Exception, timeout: float) -> ServerFault:
    """Say in a sentence what went wrong with a connection; ldap3 has it in the text alone."""
    text = str(error)
    certificate = re.search(r"certificate verify failed: ([^(\[]*[^(\[ ])", text)
    if certificate:
        why = certificate[1].rstrip(". ")
        return ServerFault(f"the certificate of {uri} is not to be trusted: {why}")
    if "timed out" in text:
        return ServerFault(f"no answer from {uri} within {timeout:g} s", silent=True)
    if "refused" in text:
        return ServerFault(f"{uri} is not there: connection refused")
    if "invalid server address" in text or "getaddrinfo" in text:
        return ServerFault(f"there is no address for {uri.host}")
    last = re.sub(r"^.*: \[Errno -?\d+\] |^\[Errno -?\d+\] ", "", text) or type(error).__name__
    return ServerFault(f"the connection to {uri} broke: {last}")


def bind_refusal(uri: Uri, settings: Settings, result: dict[str, Any]) -> DirectoryUnavailable:
    """Say who was refused, and why as far as the server tells."""
    ours = {"external": "the client certificate", "kerberos": "the Kerberos ticket"}
    who = settings.bind_dn or ours.get(settings.bind, "anybody")
    code = result.get("result")
    if code == _STRONGER_AUTH and settings.bind == "kerberos":
        return ServerFault(
            f"{uri} takes no Kerberos over TLS: use ldap:// without start-tls, which Kerberos"
            " encrypts"
        )
    if code == _STRONGER_AUTH:
        return ServerFault(f"{uri} wants TLS before anybody logs in: use ldaps:// or start-tls")
    if code in FAULTS:
        return ServerFault(f"{uri} cannot log anybody in now: {said(result)}")
    found = re.search(r"data ([0-9a-f]+),", str(result.get("message", "")))
    why = _AD_REFUSALS.get(found[1], "") if found else ""
    if not why and code in (_INVALID_CREDENTIALS, _INAPPROPRIATE_AUTH):
        why = "name or password is wrong" if settings.bind == "simple" else "unknown there"
    return BindRefused(f"{uri} refuses {who}: {why or said(result)}")


def said(result: dict[str, Any]) -> str:
    """Return what a server says beside its result code."""
    words = [str(result.get("description", "")), str(result.get("message") or "").strip("\0 ")]
    return ", ".join(word for word in words if word) or "no reason given"
