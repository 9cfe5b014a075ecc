"""The servers that are measured, and how each is told to do the same as the others.

None of them writes a log while it is measured, and none waits for pings before an offer.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import attrs

from benchmarks.namespaces import DEVICE

_TWISTD = str(Path(sys.executable).with_name("twistd"))

#: The pool: as many addresses as the clients of any run can want.
_FIRST, _LAST = "10.99.16.0", "10.99.250.250"


@attrs.frozen
class Place:
    """Where a server runs: a folder that it may write to, its address, the files it serves."""

    folder: Path
    address: str
    content: Path = Path()


@attrs.frozen
class Server:
    """One way to run one program; `command` writes what it needs into the place's folder.

    `forks` says that its children's processor time is lost to it, and cannot be told.
    """

    name: str
    program: str
    command: Callable[[Place], Sequence[str]]
    forks: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is pxetwist."""
        return self.program == _TWISTD

    @property
    def installed(self) -> bool:
        """Whether the program is there."""
        return shutil.which(self.program) is not None


_PXETWIST_DHCP = """
[pxe]
services = dhcp
policies = fixed
state = leases
observers = {observers}
[service:dhcp]
interfaces = {device}
[subnet:bench]
network = 10.99.0.0/16
pool = {first} - {last}
[state:leases]
plugin = sqlite
durability = {durability}
[policy:fixed]
profile = disk
[profile:disk]
kind = local
"""

_PXETWIST_TFTP = """
[pxe]
services = tftp
policies = fixed
content = files
state = memory
observers =
[service:tftp]
addresses = {address}
max-per-client = 4096
[content:files]
plugin = directory
root = {content}
[policy:fixed]
profile = disk
[profile:disk]
kind = local
"""


def _pxetwist(place: Place, ini: str) -> Sequence[str]:
    file = place.folder / "pxe.ini"
    file.write_text(ini.lstrip())
    return _TWISTD, "--nodaemon", "--pidfile=", "pxe", "--config", str(file)


def _pxetwist_dhcp(place: Place, durability: str, observers: str = "") -> Sequence[str]:
    ini = _PXETWIST_DHCP.format(
        device=DEVICE, first=_FIRST, last=_LAST, durability=durability, observers=observers
    )
    return _pxetwist(place, ini)


def _pxetwist_tftp(place: Place) -> Sequence[str]:
    return _pxetwist(place, _PXETWIST_TFTP.format(address=place.address, content=place.content))


_DNSMASQ = (
    *("dnsmasq", "--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--user=root"),
    *("--pid-file=", "--log-facility=/dev/null", "--quiet-dhcp"),
)


def _dnsmasq_dhcp(place: Place) -> Sequence[str]:
    return (
        *_DNSMASQ,
        f"--dhcp-range={_FIRST},{_LAST},255.255.0.0,1h",
        "--dhcp-lease-max=60000",
        f"--dhcp-leasefile={place.folder}/leases",
        "--dhcp-authoritative",
        "--no-ping",
    )


def _dnsmasq_tftp(place: Place) -> Sequence[str]:
    return (
        *_DNSMASQ,
        "--enable-tftp",
        f"--tftp-root={place.content}",
        "--tftp-max=2000",
        f"--listen-address={place.address}",
        "--bind-interfaces",
    )


def _kea(place: Place) -> Sequence[str]:
    quiet = {
        "name": "kea-dhcp4",
        "severity": "FATAL",
        "output_options": [{"output": "/dev/null"}],
    }
    subnet = {"id": 1, "subnet": "10.99.0.0/16", "pools": [{"pool": f"{_FIRST}-{_LAST}"}]}
    leases = {
        "type": "memfile",
        "persist": True,
        "name": str(place.folder / "leases.csv"),
        "lfc-interval": 0,
    }
    settings = {
        "interfaces-config": {"interfaces": [DEVICE], "dhcp-socket-type": "udp"},
        "multi-threading": {"enable-multi-threading": True},
        "lease-database": leases,
        "valid-lifetime": 3600,
        "subnet4": [subnet],
        "loggers": [quiet],
    }
    file = place.folder / "kea.json"
    file.write_text(json.dumps({"Dhcp4": settings}))
    own = (f"{name}={place.folder}" for name in ("KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR"))
    return "env", *own, "kea-dhcp4", "-c", str(file)


def _tftpd_hpa(place: Place) -> Sequence[str]:
    return (
        *("in.tftpd", "--foreground", "--secure", "--user", "root"),
        *("--address", f"{place.address}:69", str(place.content)),
    )


def _atftpd(place: Place) -> Sequence[str]:
    return (
        *("atftpd", "--daemon", "--no-fork", "--user", "root", "--group", "root"),
        *("--bind-address", place.address, "--port", "69", "--maxthread", "2000"),
        *("--verbose=1", "--logfile", "/dev/null", str(place.content)),
    )


#: By the benchmark, the servers that it knows; ours first.
DHCP = (
    Server("pxetwist", _TWISTD, partial(_pxetwist_dhcp, durability="normal")),
    Server("pxetwist-full", _TWISTD, partial(_pxetwist_dhcp, durability="full")),
    Server("kea", "kea-dhcp4", _kea),
    Server("dnsmasq", "dnsmasq", _dnsmasq_dhcp),
)
TFTP = (
    Server("pxetwist", _TWISTD, _pxetwist_tftp),
    Server("dnsmasq", "dnsmasq", _dnsmasq_tftp),
    Server("tftpd-hpa", "in.tftpd", _tftpd_hpa, forks=True),
    Server("atftpd", "atftpd", _atftpd),
)
