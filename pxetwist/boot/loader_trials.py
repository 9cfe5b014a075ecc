"""Loaders that start on one board and hang on another: the next one is tried (quirk B13)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pxetwist.model.recent import Recent

#: After so many boots in which a loader was fetched and said nothing, the next one is tried.
_ENOUGH = 2
_MACHINES = 10_000


@attrs.define
class _Trial:
    """The file that a machine is given; `fetched` since it asked by DHCP, and in how many boots
    in a row it was `silent` after that.
    """

    file: str
    fetched: bool = False
    silent: int = 0

    def went_on(self) -> None:
        """Know that the loader has started."""
        self.fetched, self.silent = False, 0


class LoaderTrials:
    """What became of loaders, by machine; only of those that there are several of.

    `edition` changes when a machine is given another one.
    """

    def __init__(self) -> None:
        self.edition = 0
        self._trials: Recent[str, _Trial] = Recent(_MACHINES)

    def __len__(self) -> int:
        return len(self._trials)

    def pick(self, key: str, files: Sequence[str]) -> str:
        """Choose the file for firmware that asks by DHCP, of these; the first one first."""
        if len(files) < 2 or not key:
            return files[0]
        trial = self._trials.get(key)
        if trial is None or trial.file not in files:
            trial = _Trial(files[0])
            self._trials.put(key, trial)
        trial.silent += trial.fetched
        trial.fetched = False
        if trial.silent >= _ENOUGH:
            trial.file = files[(files.index(trial.file) + 1) % len(files)]
            trial.silent = 0
            self.edition += 1
        return trial.file

    def undecided(self, key: str) -> bool:
        """Whether it is to be looked whether this machine's loader has started."""
        trial = self._trials.get(key) if self else None
        return trial is not None and trial.fetched

    def asked(self, key: str, path: str) -> None:
        """Note that a machine asks for a file: for a loader, or as one."""
        trial = self._trials.get(key)
        if trial is None:
            return
        if path == trial.file:
            trial.fetched = True
        else:
            trial.went_on()

    def spoke(self, key: str) -> None:
        """Note that a loader asked by DHCP: it has started."""
        trial = self._trials.get(key)
        if trial is not None:
            trial.went_on()
