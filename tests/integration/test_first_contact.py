"""The first minutes: `scripts/run` with etc/pxe.ini as it is, and the ways in which it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from bootlab.network import TAG, Lan, Namespace
from bootlab.processes import Process
from pxetwist.wire import dhcp4
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode
from pxetwist.wire.pcap import read_packets
from tests.integration.case import ASK

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests" / "captures"
#: Far more than a start takes, in seconds.
PATIENCE = 60
RUN = ("scripts/run",)
#: The last line of the greeting.
GREETED = r"explain etc/pxe\.ini --mac"

#: Holds a port.
HOLD = """
import socket, sys, time
holder = socket.socket(socket.AF_INET, getattr(socket, sys.argv[1]))
holder.bind(("", int(sys.argv[2])))
if sys.argv[1] == "SOCK_STREAM":
    holder.listen()
print("held", flush=True)
time.sleep(600)
"""


def nobody(*rights: str) -> tuple[str, ...]:
    """Run as nobody, with these capabilities; root's Python may lie where only root looks."""
    capabilities = ",".join(["-all", "+dac_read_search", *(f"+{right}" for right in rights)])
    sets = (f"--{which}={capabilities}" for which in ("inh-caps", "ambient-caps", "bounding-set"))
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--nnp", *sets)


class ContactCase(TestCase):
    """A source tree of its own, without a place for files yet."""

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.folder.chmod(0o755)
        for name in ("etc", "scripts"):
            shutil.copytree(ROOT / name, self.folder / name)
        (self.folder / ".venv").symlink_to(Path(sys.executable).parents[1])
        before = Path.cwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)

    def change(self, old: str, new: str) -> None:
        """Change the INI."""
        file = self.folder / "etc" / "pxe.ini"
        text = file.read_text()
        self.assertIn(old, text)
        file.write_text(text.replace(old, new, 1))


class StartTests(ContactCase):
    """The server starts beside a network that it knows nothing of."""

    def setUp(self) -> None:
        super().setUp()
        self.lan = Lan()
        self.addCleanup(self.lan.close)
        self.client = self.lan.host("client")

    def start(self, *command: str) -> Process:
        server = self.lan.server.start(command, self.folder / "server.log")
        self.addCleanup(server.stop)
        server.wait_for(GREETED, PATIENCE)
        return server

    def ask(self, capture: str, patience: float = 10) -> dhcp4.Dhcp4Message | None:
        """Send the first message of a capture from the client, and return the answer."""
        packets = read_packets((CAPTURES / capture).read_bytes())
        discover = next(each for each in packets if each.destination_port == 67)
        answer = self.client.run(
            sys.executable, "-c", ASK, discover.payload.hex(), str(patience)
        ).strip()
        return dhcp4.decode(bytes.fromhex(answer)) if answer else None

    def assert_offers(self, capture: str) -> dhcp4.Dhcp4Message:
        offer = self.ask(capture)
        assert offer is not None
        self.assertEqual(offer.message_type, Dhcp4Type.OFFER)
        self.assertEqual(int(offer.yiaddr), 0)
        self.assertEqual(offer.options[OptionCode.VENDOR_CLASS], b"PXEClient")
        return offer

    def test_greeting_and_answers(self) -> None:
        server = self.start(*RUN)
        text = server.text
        greeting = [line for line in text.splitlines() if "[pxetwist#info]" in line]
        self.assertLess(len(greeting), 12)
        for expected in (
            "answers machines that boot from the network on br0 10.77.0.1/24;",
            "known machines: 0 in [hosts:machines]; every other one gets the menu 'menu' (local,",
            "files below var/boot are served as tftp://10.77.0.1/ and http://10.77.0.1/",
            "a line each into etc/hosts.csv, which is read when it changes",
            f"{Path('.venv/bin/pxetwist')} explain etc/pxe.ini --mac",
        ):
            self.assertIn(expected, text)
        self.assertTrue((self.folder / "var/boot/loaders/snponly.efi").exists())
        self.assert_offers("ovmf-pxe4_shim_grub.pcap")
        offer = self.assert_offers("bios-ipxe-rom_undionly_chain.pcap")
        self.assertIn(b"http://10.77.0.1/boot/", offer.file + offer.options.get(67, b""))
        # who only wants an address gets no word from it
        self.assertIsNone(self.ask("udhcpc_dhclient_tftp-clients.pcap", 1))
        server.stop()
        self.assertIn("Server Shut Down.", server.text)
        self.assertNotIn("Traceback", server.text)

    def test_as_the_service_runs(self) -> None:
        """Without root, with the two capabilities of the systemd unit."""
        (self.folder / "var").mkdir()
        os.chown(self.folder / "var", 65534, 65534)
        server = self.start(*nobody("net_bind_service", "net_raw"), *RUN)
        self.assert_offers("ovmf-pxe4_shim_grub.pcap")
        self.assertNotIn("Traceback", server.text)
        self.assertNotIn("CAP_NET_RAW", server.text)  # frames can be sent

    def test_once_more(self) -> None:
        """What is there already is left alone."""
        self.start(*RUN).stop()
        file = self.folder / "var/boot/loaders/snponly.efi"
        before = file.stat().st_mtime_ns
        server = self.start(*RUN)
        self.assertEqual(file.stat().st_mtime_ns, before)
        self.assertNotIn("installed now", server.text)


class FailureTests(ContactCase):
    """One line that says what is wrong, and the exit code 1."""

    def setUp(self) -> None:
        super().setUp()
        self.namespace = Namespace(f"{TAG}-{os.getpid()}-first")
        self.addCleanup(self.namespace.close)

    def plug_in(self, address: str = "10.77.0.1/24", state: str = "up") -> None:
        """Give the host a network card."""
        self.namespace.ip("link add eth0 type bridge")
        self.namespace.ip(f"link set eth0 {state}")
        if address:
            self.namespace.ip(f"addr add {address} dev eth0")

    def hold(self, kind: str, port: int) -> Process:
        """Let another program take a port."""
        command = [sys.executable, "-c", HOLD, kind, str(port)]
        holder = self.namespace.start(command, self.folder / "holder.log")
        self.addCleanup(holder.stop)
        holder.wait_for("held", PATIENCE)
        return holder

    def failure(self, *before: str, command: Sequence[str] = RUN) -> str:
        """Run until it ends and return its complaint."""
        ended = subprocess.run(
            [*self.namespace.inside, *before, *command],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertNotIn("Traceback", ended.stdout + ended.stderr)
        [line] = ended.stderr.splitlines()
        return line

    def test_a_port_in_use(self) -> None:
        self.plug_in()
        for kind, port, service in (
            ("SOCK_DGRAM", 67, "proxydhcp"),
            ("SOCK_DGRAM", 4011, "proxydhcp"),
            ("SOCK_DGRAM", 69, "tftp"),
            ("SOCK_STREAM", 80, "http"),
        ):
            holder = self.hold(kind, port)
            self.assertRegex(
                self.failure(),
                rf"^pxetwist: etc/pxe.ini:\d+: \[service:{service}\] \w+ port {port} on .* is in"
                rf" use by python\S* \(pid {holder.pid}\); stop that first",
            )
            holder.stop()

    def test_no_rights(self) -> None:
        self.plug_in()
        (self.folder / "var" / "boot").mkdir(parents=True)
        for path in (self.folder / "var", self.folder / "var" / "boot"):
            os.chown(path, 65534, 65534)
        self.assertRegex(
            self.failure(*nobody()),
            r"\[service:proxydhcp\] no right to take udp port 67 .*: start as root or with"
            " CAP_NET_BIND_SERVICE",
        )

    def test_no_interface_yet(self) -> None:
        """It may be started before the network: it says what it waits for, and goes on."""
        server = self.namespace.start(RUN, self.folder / "server.log")
        self.addCleanup(server.stop)
        what = "a network interface that is up and has an IPv4 address"
        server.wait_for(
            rf"proxydhcp#info\] waits for {what} \(there are: lo 127.0.0.1/8\)", PATIENCE
        )
        server.wait_for(rf"answers nobody yet: waits for {what}", PATIENCE)
        self.plug_in()
        server.wait_for(r"proxydhcp#info\] listens on eth0 10.77.0.1/24", PATIENCE)
        self.assertNotIn("Traceback", server.text)

    def test_an_interface_that_can_never_be(self) -> None:
        self.plug_in()
        self.change(
            "[hosts:machines]", "[service:proxydhcp]\ninterfaces = eth0/eth1\n[hosts:machines]"
        )
        self.assertRegex(
            self.failure(),
            r"pxe\.ini:\d+: \[service:proxydhcp\] interfaces: expected the name of a network"
            r" interface like eth0, got 'eth0/eth1'$",
        )

    def test_no_state(self) -> None:
        self.plug_in()
        (self.folder / "var").mkdir()
        (self.folder / "var" / "leases.sqlite").write_text("this is no database" * 100)
        self.assertRegex(self.failure(), r"\[state:sqlite\] .*leases\.sqlite")

    def test_mistakes(self) -> None:
        """The INI is read before anything else, so its mistakes are shown once."""
        for old, new, line in (
            ("any -> menu", "any -> menue", "unknown profile 'menue'; did you mean 'menu'"),
            ("any -> menue", "any -> menu", ""),
            ("kind = local", "kind = lokal", "kind: expected"),
        ):
            self.change(old, new)
            if line:
                self.assertRegex(self.failure(), rf"^etc/pxe.ini:\d+: .*{line}")
