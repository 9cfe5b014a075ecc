"""How templates look at variables, and call what is among them: as Jinja does, but quicker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import attrs
from jinja2.bccache import Bucket, BytecodeCache
from jinja2.runtime import Context

#: These want nothing of the context, or Jinja would have to be told by `pass_context`.
_PLAIN = (FunctionType, MethodType, partial)


@attrs.frozen
class Later:
    """A variable that is worked out if a template looks at it: a token takes a signature."""

    work: Callable[[], str]


class QuickContext(Context):
    """The variables of one text. Of ours no function wants to be given the context, so that it
    is not looked whether one does.
    """

    def resolve_or_missing(self, key: str) -> Any:
        """Look a variable up, and work it out if need be."""
        found = super().resolve_or_missing(key)
        return found.work() if type(found) is Later else found

    def call(self, __obj: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what is among the variables, or Jinja's own."""
        if type(__obj) not in _PLAIN:
            return super().call(__obj, *args, **kwargs)
        if kwargs:
            kwargs.pop("_loop_vars", None)  # those of the loop, and of the block, around the call
            kwargs.pop("_block_vars", None)
        return __obj(*args, **kwargs)


class Compiled(BytecodeCache):
    """Templates as they were compiled in this process, which takes longer than to fill them in.
    It is for environments that read templates in the same way.
    """

    def __init__(self) -> None:
        self._codes: dict[str, tuple[str, Any]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Find a template of the same name, place and text."""
        checksum, code = self._codes.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template."""
        self._codes[bucket.key] = bucket.checksum, bucket.code
