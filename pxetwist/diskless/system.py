"""What a root needs to be one of many machines that start from the network."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

#: What every image has, apart from the kernel: an initramfs, an init, a network.
PACKAGES = ("initramfs-tools", "zstd", "systemd-sysv", "udev", "kmod", "iproute2")
#: Our own files, their places and modes.
_FILES = (
    ("hook", "etc/initramfs-tools/hooks/pxetwist", 0o755),
    ("script", "etc/initramfs-tools/scripts/pxetwist", 0o644),
    ("settings", "etc/initramfs-tools/conf.d/pxetwist", 0o644),
    ("ssh.conf", "etc/systemd/system/ssh.service.d/pxetwist.conf", 0o644),
)
#: Who else would configure the network card by which the root is reached.
_MANAGERS = ("usr/sbin/NetworkManager", "usr/sbin/ifup", "sbin/ifup")
#: Started with the system: renews the lease of the address.
_NETWORKD = "systemctl enable systemd-networkd.service; systemctl disable"
_NETWORKD += " systemd-networkd-wait-online.service"
#: What the tools of the build leave, and what no two machines may share.
_LEFT = ("etc/resolv.conf", "etc/apt/apt.conf.d/99mmdebstrap", "var/lib/dbus/machine-id")
_HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def put_files(root: Path) -> bool:
    """Put our files into a root, or a folder that is copied over one; say whether one is new."""
    changed = False
    for name, place, mode in _FILES:
        data = files("pxetwist.diskless").joinpath("files", name).read_bytes()
        target = root / place
        if target.is_file() and target.read_bytes() == data:
            continue
        changed = True
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)
    return changed


def network_command(root: Path) -> str:
    """Return the command that lets the system care for its address; empty if others do."""
    return "" if any((root / each).exists() for each in _MANAGERS) else _NETWORKD


def name_it(root: Path, name: str) -> None:
    """Let machines be called `name` until they are told their own one."""
    for each in (*_LEFT, "etc/hostname"):
        (root / each).unlink(missing_ok=True)
    (root / "etc" / "hostname").write_text(f"{name}\n")
    (root / "etc" / "hosts").write_text(_HOSTS)


def remove_keys(root: Path) -> None:
    """Remove the keys that the SSH server's package has made: each machine makes its own."""
    for key in (root / "etc" / "ssh").glob("ssh_host_*_key*"):
        key.unlink()


def tidy(root: Path) -> None:
    """Remove what packages leave, and the number that systemd tells machines apart by."""
    (root / "etc" / "machine-id").write_text("")  # each boot has its own
    for place in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / place, ignore_errors=True)
        (root / place / "partial").mkdir(parents=True)
