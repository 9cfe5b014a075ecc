"""Many datagrams to one peer that are one to the kernel until they leave the machine: UDP
segmentation offload (udp(7)). It looks up the way once, and wakes who waits for them once.
"""

from __future__ import annotations

import errno
import struct

SOL_UDP = 17
UDP_SEGMENT = 103  # not in Python 3.11's socket module
#: Segments of one send (kernels before 6.9 refuse more) and the bytes that fit in it.
MAX_SEGMENTS = 64
MAX_SEND = 65507

_NO_SEGMENTS = (errno.EINVAL, errno.EIO, errno.EOPNOTSUPP, errno.EMSGSIZE)


def segment_control(segment: int) -> tuple[int, int, bytes]:
    """Return the control message that lets the kernel cut what is sent into datagrams."""
    return SOL_UDP, UDP_SEGMENT, struct.pack("@H", segment)


def cannot_segment(error: OSError) -> bool:
    """Whether the kernel, the device or the path's MTU does not allow segments."""
    return error.errno in _NO_SEGMENTS
