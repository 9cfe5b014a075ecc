"""What ProxyDHCP has learned of a machine is known after a restart, wherever the state is."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bootlab.postgres import Postgres
from bootlab.processes import wait_until
from pxetwist.wire import dhcp4
from pxetwist.wire.iana import Dhcp4Type
from pxetwist.wire.options import OptionCode
from pxetwist.wire.pcap import read_packets
from tests.integration.case import ASK, LanCase

CAPTURE = Path(__file__).parents[1] / "captures" / "proxydhcp_ovmf_snponly_ipxe.pcap"
#: When a UEFI asks that no offer suits (seconds).
PAUSES = (0, 3, 3)


class RestartTests(LanCase):
    ini = """
[pxe]
services = proxydhcp, tftp
policies = main
state-folder = state
{state}
[service:proxydhcp]
watch = off
[policy:main]
plugin = fixed
profile = tool
[profile:tool]
kind = nbp
nbp.x64 = tool.efi
"""
    service = "proxydhcp"

    def setUp(self) -> None:
        super().setUp()
        self.client = self.lan.host("c")
        packets = read_packets(CAPTURE.read_bytes())
        payloads = [each.payload for each in packets if each.destination_port == 67]
        discovers = [
            (dhcp4.decode(payload), payload)
            for payload in payloads
            if dhcp4.decode(payload).message_type == Dhcp4Type.DISCOVER
        ]
        self.firmware, self.loader = (
            next(raw for message, raw in discovers if (OptionCode.IPXE in message.options) is ipxe)
            for ipxe in (False, True)
        )

    def ask(self, payload: bytes) -> None:
        said = self.client.run(sys.executable, "-c", ASK, payload.hex(), "10")
        self.assertNotEqual(said, "")

    def learn_and_restart(self, state: str) -> None:
        self.ini_file.write_text(self.ini.format(state=state))
        server = self.serve()
        for pause in PAUSES:
            time.sleep(pause)
            self.ask(self.firmware)
        server.wait_for("answered twice as 'redirect' without effect, now 'full'", 10)
        self.ask(self.loader)
        server.wait_for("offered as 'full' it boots", 10)
        server.stop()
        server = self.serve()

        def known() -> bool:
            self.ask(self.firmware)
            return "as full" in server.text

        wait_until(known, 10, "an offer as full")  # not before the database has answered
        self.assertNotIn("without effect", server.text)
        server.stop()
        self.assertNotIn("Traceback", server.text)

    def test_sqlite(self) -> None:
        self.learn_and_restart("")

    def test_postgresql(self) -> None:
        postgres = Postgres()
        self.addCleanup(postgres.close)
        secret = self.folder / "password"
        secret.touch(0o600)
        secret.write_text(postgres.password)
        url = f"postgresql://pxetwist@/inventory?host={postgres.folder}&port={postgres.port}"
        lines = (f"database = {url}", f"password-file = {secret}")
        self.learn_and_restart("\n".join(("state = postgresql", "[state:postgresql]", *lines)))
