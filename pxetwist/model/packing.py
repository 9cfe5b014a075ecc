"""Values as bytes, for other processes of the same server: they share code, not memory."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

#: Where the classes of values come from; nothing else is made from bytes.
_OURS = ("pxetwist.model.", "pxetwist.wire.iana")
_PLAIN = ("ipaddress", "uuid")
_OTHERS = (("builtins", "str"), ("builtins", "dict"), ("pxetwist.errors", "Location"))


def _is_value(module: str, name: str) -> bool:
    ours = module.startswith(_OURS) or module in _PLAIN
    return (ours and "." not in name) or (module, name) in _OTHERS


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Refuse what is not taken back; texts and mappings of other kinds become usual ones."""
        if isinstance(value, str):
            return str, (str.__str__(value),)
        if isinstance(value, Mapping):
            return dict, (dict(value),)
        kind = value if isinstance(value, type) else type(value)
        if not _is_value(kind.__module__, kind.__qualname__):
            raise pickle.PicklingError(f"{kind.__module__}.{kind.__qualname__} is no value")
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        found = super().find_class(module, name) if _is_value(module, name) else None
        if not isinstance(found, type):
            raise pickle.UnpicklingError(f"{module}.{name} is no value")
        return found


def packed(value: object) -> bytes:
    """Return the bytes of a value.

    :raises ValueError: if there is something in it that is no value.
    """
    try:
        into = io.BytesIO()
        _Pickler(into, pickle.HIGHEST_PROTOCOL).dump(value)
        return into.getvalue()
    except Exception as error:  # what foreign objects raise is theirs to choose
        raise ValueError(f"{type(error).__name__}: {error}") from error


def unpacked(data: bytes) -> object:
    """Return the value of bytes that :func:`packed` has made.

    :raises ValueError: if they hold anything but values.
    """
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:  # damaged bytes raise almost anything
        raise ValueError(f"{type(error).__name__}: {error}") from error
