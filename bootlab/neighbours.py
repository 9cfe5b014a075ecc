"""Others on the network: foreign DHCP servers, and the router that IPv6 hosts look for."""

from __future__ import annotations

import json
from pathlib import Path

from bootlab.network import Lan
from bootlab.processes import Process

#: Where a foreign DHCP server lives and what it gives.
ADDRESS = "10.77.0.2"
FIRST, LAST = "10.77.0.50", "10.77.0.99"

_DNSMASQ = ("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--port=0")


def advertise_router(lan: Lan, folder: Path) -> Process:
    """Advertise an IPv6 router: without one, older iPXE waits 13 s after DHCPv4 is done."""
    host = lan.host("router", "fd77::fe/64")
    words = ["--log-facility=-", "--enable-ra", "--dhcp-range=fd77::,ra-only,64"]
    server = host.start([*_DNSMASQ, *words, "--interface=eth0"], folder / "router.log")
    server.wait_for("router advertisement on", 10)
    return server


def dnsmasq(lan: Lan, folder: Path) -> Process:
    """Start a plain DHCP server that knows nothing of network boot."""
    host = lan.host("dnsmasq", f"{ADDRESS}/24")
    words = [
        *("--log-facility=-", "--log-dhcp", "--no-ping", "--dhcp-authoritative"),
        f"--dhcp-leasefile={folder / 'dnsmasq.leases'}",
        f"--dhcp-range={FIRST},{LAST},255.255.255.0,1h",
    ]
    server = host.start([*_DNSMASQ, *words], folder / "dnsmasq.log")
    server.wait_for("DHCP, IP range", 10)
    return server


def kea(lan: Lan, folder: Path) -> Process:
    """Start Kea as a plain DHCP server; unlike dnsmasq's its replies leave siaddr empty."""
    host = lan.host("kea", f"{ADDRESS}/24")
    settings = {
        "interfaces-config": {"interfaces": ["eth0"]},
        "lease-database": {"type": "memfile", "persist": False},
        "valid-lifetime": 3600,
        "subnet4": [{"subnet": lan.network, "pools": [{"pool": f"{FIRST} - {LAST}"}]}],
        "loggers": [
            {"name": "kea-dhcp4", "output_options": [{"output": "stdout"}], "severity": "INFO"}
        ],
    }
    file = folder / "kea.json"
    file.write_text(json.dumps({"Dhcp4": settings}, indent=2))
    own = [f"KEA_PIDFILE_DIR={folder}", f"KEA_LOCKFILE_DIR={folder}"]
    server = host.start(["env", *own, "kea-dhcp4", "-c", str(file)], folder / "kea.log")
    server.wait_for("DHCP4_STARTED", 10)
    return server
