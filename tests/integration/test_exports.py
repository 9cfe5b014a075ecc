"""Roots out of images and of files for machines, by real clients of NFS."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bootlab.network import Lan, Namespace
from bootlab.processes import wait_until
from tests.integration.case import ServedCase

INI = """
[pxe]
services = nfs
hosts = rack
policies = main
state = memory
[hosts:rack]
plugin = static
file = hosts.csv
[policy:main]
plugin = rules
rules =
    any -> lab
[profile:lab]
kind = linux
kernel = vmlinuz
root = export:lab
[export:lab]
plugin = overlay
layers = own, system
hide = /etc/motd
[export:own]
plugin = machines
path = files
secrets = /etc/ssh
[export:system]
plugin = iso
path = current.iso
[service:nfs]
"""
ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:02"
URL = f"nfs://{Lan.address}/lab"


class ExportTests(ServedCase):
    ini = INI
    machines = f"name,mac,groups\none,{ONE},desk\ntwo,{TWO},\n"
    service = "nfs"

    def prepare(self) -> None:
        self.large = os.urandom(48 << 20)
        self.image("v1", self.large)
        (self.folder / "current.iso").symlink_to("v1.iso")
        for path, text in {
            "common/etc/hostname.j2": "{{ hostname }}\n",
            "machines/one/etc/ssh/key": "secret of one\n",
            "machines/two/etc/ssh/key": "secret of two\n",
            "groups/desk/etc/desk.conf": "desk\n",
        }.items():
            file = self.folder / "files" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def image(self, name: str, large: bytes) -> None:
        """Make an image with all that Rock Ridge knows."""
        root = self.folder / name
        for path in ("etc", "usr/bin", "dev"):
            (root / path).mkdir(parents=True)
        (root / "etc" / "hostname").write_text("image\n")
        (root / "etc" / "motd").write_text("hidden\n")
        (root / "etc" / "version").write_text(f"{name}\n")
        (root / "usr" / "bin" / "su").write_bytes(b"#!/bin/sh\n")
        (root / "usr" / "bin" / "su").chmod(0o4755)
        os.chown(root / "usr" / "bin" / "su", 0, 42)
        (root / "bin").symlink_to("usr/bin")
        os.mknod(root / "dev" / "null", 0o20666, os.makedev(1, 3))
        (root / "large").write_bytes(large)
        subprocess.run(
            ["xorriso", "-as", "mkisofs", "-R", "-o", f"{root}.iso", str(root)],
            check=True,
            capture_output=True,
            timeout=120,
        )

    def setUp(self) -> None:
        super().setUp()
        self.one = self.machine("one", ONE, "10.77.0.31")
        self.two = self.machine("two", TWO, "10.77.0.32")

    def machine(self, name: str, mac: str, address: str) -> Namespace:
        return self.lan.host(name, f"{address}/24", mac=mac)

    def test_one_image_and_files_for_each_machine(self) -> None:
        for host, name in ((self.one, "one"), (self.two, "two")):
            self.assertEqual(host.run("nfs-cat", f"{URL}/etc/hostname"), f"{name}\n")
            self.assertEqual(host.run("nfs-cat", f"{URL}/etc/ssh/key"), f"secret of {name}\n")
            self.assertEqual(host.run("nfs-cat", f"{URL}/etc/version"), "v1\n")
        names = {line.split()[-1] for line in self.one.run("nfs-ls", f"{URL}/etc").splitlines()}
        self.assertEqual(names, {"hostname", "version", "desk.conf", "ssh"})
        names = {line.split()[-1] for line in self.two.run("nfs-ls", f"{URL}/etc").splitlines()}
        self.assertEqual(names, {"hostname", "version", "ssh"})
        [su] = self.one.run("nfs-ls", f"{URL}/usr/bin").splitlines()
        self.assertEqual(su.split()[0][:10], "-rwxr-xr-x")
        self.assertEqual(su.split()[3], "42")
        modes = {line.split()[-1]: line[0] for line in self.one.run("nfs-ls", URL).splitlines()}
        self.assertEqual(modes, {"etc": "d", "usr": "d", "dev": "d", "bin": "l", "large": "-"})
        self.one.run("sh", "-c", f"nfs-cat {URL}/large | cmp - {self.folder}/v1/large")

    def test_an_image_is_exchanged_below_a_machine(self) -> None:
        """Who reads the old one goes on; who mounts anew has the new one."""
        self.image("v2", b"new")
        into = self.folder / "into"
        slow = "qdisc add dev to-one root tbf rate 40mbit burst 1m latency 50ms"
        self.lan.server.run("tc", *slow.split())
        reading = self.start(self.one, ["nfs-cp", f"{URL}/large", str(into)])
        wait_until(lambda: _begun(into), 30, "a copy")
        link = self.folder / "current.iso"
        (self.folder / "next").symlink_to("v2.iso")
        (self.folder / "next").replace(link)
        wait_until(
            lambda: self.two.run("nfs-cat", f"{URL}/etc/version") == "v2\n", 30, "the new image"
        )
        self.assertEqual(self.two.run("nfs-cat", f"{URL}/large"), "new")
        self.assertTrue(reading.running)
        wait_until(lambda: not reading.running, 60, "the end of the copy")
        self.assertEqual(into.read_bytes(), self.large)


def _begun(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 2 << 20
