"""Who owns what is inside an ISO image, what it is and since when, as its records say."""

from __future__ import annotations

import stat
from calendar import timegm
from typing import Any

import attrs

#: What there is in an image that does not say: all may read and start it, as Linux mounts it.
_EXECUTABLE = 0o555


@attrs.frozen
class Posix:
    """Owner, group, links; `mode` with the bits of its type; `modified` in seconds since the
    epoch; `device` is the major and minor number of one.
    """

    mode: int
    uid: int = 0
    gid: int = 0
    links: int = 1
    modified: int = 0
    device: tuple[int, int] = (0, 0)


def posix_of(record: Any, *, folder: bool) -> Posix:
    """Return what a record of ISO 9660 says, by Rock Ridge if it has that.

    :raises ValueError: if it makes no sense.
    """
    ridge = record.rock_ridge
    when = _seconds(record.date)
    if ridge is None:
        return plain(folder=folder, modified=when)
    owner, times, device = (_entry(ridge, f"{name}_record") for name in ("px", "tf", "pn"))
    if times is not None and hasattr(times.modification_time, "years_since_1900"):
        when = _seconds(times.modification_time)
    if owner is None:
        mode = stat.S_IFLNK | 0o777 if ridge.is_symlink() else plain(folder=folder).mode
        return Posix(mode, modified=when)
    return Posix(
        owner.posix_file_mode & 0xFFFF,
        owner.posix_user_id,
        owner.posix_group_id,
        max(owner.posix_file_links, 1),
        when,
        (0, 0) if device is None else _device(device.dev_t_high, device.dev_t_low),
    )


def plain(*, folder: bool, modified: int = 0) -> Posix:
    """Return what is true where an image says nothing of owners."""
    kind = stat.S_IFDIR if folder else stat.S_IFREG
    return Posix(kind | _EXECUTABLE, modified=modified)


def _entry(ridge: Any, name: str) -> Any:
    """Return an entry of Rock Ridge; what does not fit into a record goes on elsewhere."""
    found = getattr(ridge.dr_entries, name)
    return getattr(ridge.ce_entries, name) if found is None and ridge.ce_entries else found


def _device(high: int, low: int) -> tuple[int, int]:
    """Take a number apart as Linux does: most programs write all of it into the low half."""
    return (low >> 8, low & 0xFF) if high == 0 and low > 0xFF else (high, low)


def _seconds(date: Any) -> int:
    """Read a date of ECMA-119 §9.1.5, in local time with its distance to GMT in quarters of an
    hour; one that is none is the epoch.
    """
    day = (1900 + date.years_since_1900, date.month, date.day_of_month)
    try:
        local = timegm((*day, date.hour, date.minute, date.second, 0, 0, 0))
    except ValueError:
        return 0
    return max(local - int(date.gmtoffset) * 900, 0)
