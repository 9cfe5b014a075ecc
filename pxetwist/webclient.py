"""What plugins that ask web servers share: whom they trust, and what went wrong in words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from OpenSSL.SSL import Error as TlsError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseFailed,
    _HTTP11ClientFactory,
)

from pxetwist.config.fields import OptionText, path

#: Statuses with which a server says where else it is.
REDIRECTING = (301, 302, 303, 307, 308)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def authorities(value: str) -> tuple[Certificate, ...]:
    """Expect the path of a file with certificates of authorities (PEM)."""
    file = path(OptionText.of(value))
    try:
        found = _CERTIFICATE.findall(file.read_text("ascii", "replace"))
        loaded = tuple(Certificate.loadPEM(each) for each in found)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from error
    except Exception as error:  # OpenSSL's, of many kinds
        raise ValueError(f"{file} has a malformed certificate") from error
    if not loaded:
        raise ValueError(f"{file} has no certificate (PEM)")
    return loaded


class _Connections(_HTTP11ClientFactory):
    """Connections whose making and ending is no news."""

    noisy = False


def make_agent(
    reactor: Any, trusted: Collection[Certificate], *, patience: float, connections: int
) -> tuple[Agent, HTTPConnectionPool]:
    """Return an agent, and the pool of its connections, which is to be closed at the end.

    :param trusted: who may sign servers' certificates; if empty, those whom the system trusts.
    :param patience: seconds for a connection to be made.
    :param connections: so many to one server are kept for more questions.
    """
    pool: Any = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = connections
    pool._factory = _Connections
    policy = BrowserLikePolicyForHTTPS(trustRootFromCertificates(trusted) if trusted else None)
    return Agent(reactor, policy, connectTimeout=patience, pool=pool), pool


def told(error: BaseException) -> str:
    """Say what went wrong, without Twisted's wrappings."""
    match error:
        case ResponseFailed():
            reasons = [told(each.value) for each in error.reasons if each.getErrorMessage()]
            return "; ".join(dict.fromkeys(reasons)) or "no answer"
        case CancelledError():
            return "given up"
        case VerificationError():
            return "its certificate is not for this name"
        case TlsError():
            return "TLS: " + ", ".join(_tls_reasons(error))
    return str(error) or type(error).__name__


def _tls_reasons(error: TlsError) -> Iterator[str]:
    for reason in error.args[0] if error.args else ():
        yield str(reason[-1] if isinstance(reason, tuple) else reason)
