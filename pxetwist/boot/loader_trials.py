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
    """The file that a machine is given; `silent` counts its boots since one that went on."""

    file: str
    silent: int = 0
    boot_id: str = ""


class LoaderTrials:
    """What became of loaders, by machine; only of those that there are several of.

    `edition` changes when a machine is to be given another one.
    """

    def __init__(self) -> None:
        self.edition = 0
        self._trials: Recent[str, _Trial] = Recent(_MACHINES)

    def __len__(self) -> int:
        return len(self._trials)

    def pick(self, key: str, files: Sequence[str]) -> str:
        """Choose the file for a machine of these, the first one first."""
        if len(files) < 2 or not key:
            return files[0]
        trial = self._trials.get(key)
        if trial is None or trial.file not in files:
            trial = _Trial(files[0])
            self._trials.put(key, trial)
        elif trial.silent >= _ENOUGH:
            trial.file = files[(files.index(trial.file) + 1) % len(files)]
            trial.silent = 0
        return trial.file

    def asked(self, key: str, boot_id: str, path: str) -> None:
        """Note that a machine asks for a file: for a loader, or as one."""
        trial = self._trials.get(key)
        if trial is None:
            return
        if path != trial.file:
            trial.silent = 0
        elif boot_id != trial.boot_id:  # EDK2 asks twice, for the size and for the file
            trial.boot_id = boot_id
            trial.silent += 1
            self.edition += trial.silent == _ENOUGH

    def spoke(self, key: str) -> None:
        """Note that a loader asked by DHCP: it has started."""
        trial = self._trials.get(key)
        if trial is not None:
            trial.silent = 0
