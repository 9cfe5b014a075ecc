"""How names are spelled in the folders of the disk, for clients that pay no heed to case.

The names of a folder are kept until it changes: to read tens of thousands of them for each
question about a name that is not there would keep everybody waiting.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Mapping

#: So many names are kept of all folders together; a folder with more is read each time.
_MOST = 200_000
#: One that was changed less than so many seconds ago may be changed again without another time.
_SETTLED = 2.0

_Identity = tuple[int, int, int, int]


class Spellings:
    """The names in folders, by what they are in lower case."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Identity, Mapping[bytes, bytes]] = OrderedDict()
        self._count = 0

    def spell(self, folder: bytes, parts: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
        """Spell a path as it is on the disk, part by part; `None` if there is no such path."""
        spelled: list[bytes] = []
        for part in parts:
            here = b"/".join((folder, *spelled))
            if os.path.lexists(here + b"/" + part):
                spelled.append(part)
                continue
            try:
                alike = self._names(here).get(part.lower())
            except OSError:
                return None
            if alike is None:
                return None
            spelled.append(alike)
        return tuple(spelled)

    def _names(self, folder: bytes) -> Mapping[bytes, bytes]:
        facts = os.stat(folder)
        key = (facts.st_dev, facts.st_ino, facts.st_ctime_ns, facts.st_mtime_ns)
        names = self._kept.get(key)
        if names is not None:
            self._kept.move_to_end(key)
            return names
        names = {name.lower(): name for name in sorted(os.listdir(folder), reverse=True)}
        changed = max(facts.st_mtime, facts.st_ctime)
        if len(names) <= _MOST and changed < time.time() - _SETTLED:
            self._keep(key, names)
        return names

    def _keep(self, key: _Identity, names: Mapping[bytes, bytes]) -> None:
        self._kept[key] = names
        self._count += len(names) + 1  # an empty one takes room as well
        while self._count > _MOST + 1:
            _, oldest = self._kept.popitem(last=False)
            self._count -= len(oldest) + 1
