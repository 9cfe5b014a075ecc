"""EFI signature lists: how UEFI keeps the authorities that it trusts (UEFI 2.10 §32.4.1)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from uuid import UUID

#: EFI_CERT_X509_GUID: each signature of the list is one certificate, as DER.
X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
_HEAD = struct.Struct("<16sIII")  # type, size of the list, of its header, of one signature


def encode_signature_lists(certificates: Sequence[bytes], owner: UUID) -> bytes:
    """Return a list for each certificate: those in one list must have the same size."""
    lists = []
    for der in certificates:
        size = 16 + len(der)
        head = _HEAD.pack(X509.bytes_le, _HEAD.size + size, 0, size)
        lists.append(head + owner.bytes_le + der)
    return b"".join(lists)
