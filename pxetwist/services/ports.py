"""Why a port could not be taken, in one line for the person who starts the server."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pxetwist.errors import StartError
from pxetwist.interfaces import Port

#: What to bind to for all addresses of a family.
ALL_IPV4, ALL_IPV6 = "0.0.0.0", "::"

_ALL = {"": "all addresses", ALL_IPV4: "all IPv4 addresses", ALL_IPV6: "all IPv6 addresses"}


def start_error(error: OSError, port: Port) -> StartError:
    """Say in one line why a port could not be taken."""
    where = f"{port.protocol} port {port.number} on {_ALL.get(port.address, port.address)}"
    host, _, zone = port.address.partition("%")
    if port.interface:
        where += f" of {port.interface}"
    match error.errno:
        case errno.EADDRINUSE:
            mend = "stop that first" + (
                " or choose another port" if port.protocol == "tcp" else ""
            )
            return StartError(f"{where} is in use{_by_whom(port)}; {mend}")
        case errno.EACCES | errno.EPERM:
            return StartError(
                f"no right to take {where}: start as root or with CAP_NET_BIND_SERVICE"
                + (" and CAP_NET_RAW" if port.interface else "")
            )
        case errno.EADDRNOTAVAIL:
            unsure = ", or the kernel still looks whether others have it" if ":" in host else ""
            return StartError(f"cannot take {where}: no interface has the address {host}{unsure}")
        case errno.ENODEV:
            return StartError(
                f"cannot take {where}: there is no interface {port.interface or zone}"
            )
        case _:
            return StartError(f"cannot take {where}: {error.strerror or error}")


def _by_whom(port: Port) -> str:
    """Name the process that has a port, as far as ``/proc`` tells."""
    names = set()
    sockets = {f"socket:[{inode}]" for inode in _inodes(port.protocol, port.number)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        try:
            if os.readlink(descriptor) in sockets:
                process = descriptor.parents[1]
                names.add(f"{(process / 'comm').read_text().strip()} (pid {process.name})")
        except OSError:
            continue  # the process has gone, or is not ours to look at
    return f" by {', '.join(sorted(names))}" if names else ""


def _inodes(protocol: str, port: int) -> set[str]:
    found = set()
    for table in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            listens = protocol == "udp" or fields[3] == "0A"  # TCP_LISTEN
            if listens and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found
