"""The kernel's own handles of files: name_to_handle_at(2), open_by_handle_at(2), statx(2).

They mean one inode of one generation, as those of the kernel's NFS server do.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from pxetwist.model.file_tree import KEY_SIZE

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_EMPTY_PATH = 0x1000
_STATX_BTIME, _STATX_MNT_ID = 0x800, 0x1000
_LARGEST = 128
#: Of struct statx: the inode number, seconds and nanoseconds of the birth, the mount.
_INODE, _BIRTH, _MOUNT = 32, 80, 144
#: What file systems without handles answer.
_NONE = (errno.EOPNOTSUPP, errno.EOVERFLOW, errno.ENOSYS, errno.EPERM)


#: The head of struct file_handle: how many bytes follow, and of which type they are.
_HEAD = struct.Struct("=Ii")


def key_of(descriptor: int) -> tuple[bytes, int]:
    """Return the key of an open file (O_PATH will do) and the number of its mount: the type and
    bytes of its handle, or on a file system without handles its inode and birth.

    :raises OSError: if it cannot be looked at.
    """
    handle = ctypes.create_string_buffer(_HEAD.pack(_LARGEST, 0), _HEAD.size + _LARGEST)
    mount = ctypes.c_int()
    if not _LIBC.name_to_handle_at(descriptor, b"", handle, ctypes.byref(mount), _AT_EMPTY_PATH):
        size, kind = _HEAD.unpack_from(handle)
        if size < KEY_SIZE and 0 < kind < 256:
            return bytes([kind]) + handle.raw[_HEAD.size : _HEAD.size + size], mount.value
    elif ctypes.get_errno() not in _NONE:
        raise _error()
    return _born(descriptor)


def open_by_key(mount: int, key: bytes) -> int:
    """Open a file for looking at it; `mount` is any open directory of its file system.

    :raises PermissionError: if we may not: it takes CAP_DAC_READ_SEARCH.
    :raises OSError: ESTALE if there is no such file any more, EOPNOTSUPP if the key is no handle.
    """
    if not key or not key[0]:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    octets = key[1:]
    handle = ctypes.create_string_buffer(_HEAD.pack(len(octets), key[0]) + octets)
    found: int = _LIBC.open_by_handle_at(mount, handle, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    if found < 0:
        raise _error()
    return found


def _born(descriptor: int) -> tuple[bytes, int]:
    """Tell an inode from one that has its number later: by the time of its birth."""
    facts = ctypes.create_string_buffer(256)
    if _LIBC.statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME | _STATX_MNT_ID, facts):
        raise _error()
    inode, birth = facts.raw[_INODE : _INODE + 8], facts.raw[_BIRTH : _BIRTH + 12]
    return b"\0" + inode + birth, int(struct.unpack_from("=Q", facts, _MOUNT)[0])


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
