"""Debian without a disk: its packages made an image, and we serve all of it."""

from __future__ import annotations

import os
import signal

from bootlab.diskless import build_image
from bootlab.lab import CACHE
from bootlab.machines import Firmware
from bootlab.processes import LabError, Process, wait_until
from bootlab.server import pxetwist, start_server
from tests.e2e.case import BootCase

#: Debian's userland takes longer than ours, and two machines share the processors.
PATIENCE = 240.0
#: Reads a large file anew, which a machine cannot while there is no server.
READ_ANEW = "echo 3 >/proc/sys/vm/drop_caches; sha256sum </usr/bin/perl"


class DisklessTests(BootCase):
    def prepare(self) -> None:
        words = ("--from", "debian:bookworm", "--kernel", "linux-image-cloud-amd64")
        made = build_image(CACHE, self.site, "room", (*words, "--run", "passwd -d root"))
        self.first = self.version(made)
        self.assertIn("[profile:room], [export:room]", made)
        self.assertNotIn("[pxe]", made)  # the INI has all that it takes
        self.assertIn("good", self.image("check", "room"))

    def image(self, verb: str, *words: str) -> str:
        return pxetwist("image", verb, str(self.site), *words)

    def version(self, told: str) -> str:
        """Return the name of the version that was built."""
        [line] = [line for line in told.splitlines() if line.startswith("100 %")]
        return line.split()[3].rstrip(":")

    def log_in(self, machine: Process, name: str) -> None:
        machine.wait_for(f"{name} login: ", PATIENCE)
        machine.type("root\n")
        machine.wait_for(rf"root@{name}:~# ", PATIENCE)

    def ask(self, machine: Process, command: str, answer: str) -> str:
        """Let a shell run a command whose output ends with `answer`; it is typed in two parts, so
        that its echo is none.
        """
        machine.type(f"{command} && echo '{answer[:1]}''{answer[1:]}'\n")
        return machine.wait_for(rf"(?s)\n([^\n]*)\r?\n{answer}\r", PATIENCE)[1].strip()

    def test_bios_and_uefi(self) -> None:
        """Two share a root; the server dies and comes back; one starts the next version."""
        self.serve("diskless.ini")
        bios = self.boot("bios-ipxe", Firmware.BIOS)
        uefi = self.boot("uefi-grub", Firmware.UEFI)
        for machine, name in ((bios, "bios-ipxe"), (uefi, "uefi-grub")):
            self.log_in(machine, name)
            path = self.ask(machine, "grep nfs /proc/mounts", f"mounts-{name}")
            self.assertIn(f"10.77.0.1:/room/{self.first}/root /run/pxetwist/image nfs ro,", path)
        both = (bios, uefi)
        ids = [self.ask(each, "touch /usr/new; cat /etc/machine-id", "id") for each in both]
        self.assertEqual(len(set(ids)), 2)
        self.assertEqual(
            self.ask(bios, "systemctl is-active systemd-networkd", "renews"), "active"
        )
        before = self.ask(bios, READ_ANEW, "before")

        os.kill(self.server.pid, signal.SIGKILL)
        self.server.stop()
        second = self.version(
            self.image("build", "room", "--from", "image:room", "--run", "echo 2 >/etc/lab")
        )
        uefi.type(f"{READ_ANEW} && echo 'a''fter'\n")
        with self.assertRaises(LabError):  # it waits
            uefi.wait_for(r"\nafter\r", 3)
        log = self.lab.folder / "server-again.log"
        self.server = self.lab.keep(start_server(self.lab.lan, self.site, log))
        after = uefi.wait_for(r"(?s)\n([^\n]*)\r?\nafter\r", PATIENCE)[1].strip()
        self.assertEqual(after, before)

        bios.type("reboot\n")  # which ends a machine of the lab
        wait_until(lambda: not bios.running, PATIENCE, "the end of bios-ipxe")
        bios = self.boot("bios-ipxe", Firmware.BIOS)
        self.log_in(bios, "bios-ipxe")
        self.assertEqual(self.ask(bios, "cat /etc/lab", "second"), "2")
        old = self.ask(uefi, "cat /etc/lab; grep -c nfs /proc/mounts", "first")
        self.assertEqual(old, "1")
        listed = self.image("list")
        self.assertRegex(listed, rf"room +{self.first} .* uefi-grub \(")
        self.assertRegex(listed, rf"room +{second} +yes .* bios-ipxe \(")
        with self.assertRaises(LabError) as refused:
            self.image("remove", "room", self.first)
        self.assertIn("last started by uefi-grub", str(refused.exception))
