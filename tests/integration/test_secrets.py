"""Secret answers with a real server, leases and curl: who gets them, and who gets a 404."""

from __future__ import annotations

import re
import threading
from typing import ClassVar

from bootlab.network import Lan, Namespace
from bootlab.server import pxetwist
from tests.integration.case import ClientsCase

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
HASH = "$6$salt$veryveryhash"
#: More than fits into the buffers of a connection whose client does not read.
MUCH = 12_000_000
#: Reads a little of an answer, and breaks the connection off.
_BREAKS_OFF = """
import socket, sys
host, path = sys.argv[1:]
sock = socket.create_connection((host, 80))
sock.sendall(f"GET {path} HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n".encode())
print(len(sock.recv(1000)))
"""


class SecretCase(ClientsCase):
    service = "http"
    machines = "name,mac\n" + "".join(f"ws{n},{mac}\n" for n, mac in enumerate(MACS, 1))
    script = '#!/bin/sh\n[ "$1" != bound ] || ip address add "$ip/24" dev "$interface"\n'
    ini = """
[pxe]
services = dhcp, https, http
hosts = known
policies = main
content = scripts
state-folder = var
[hosts:known]
plugin = static
file = hosts.csv
[service:dhcp]
interfaces = br0
[service:https]
certificate = pki/10.77.0.1.pem
key = pki/10.77.0.1.key
[subnet:lab]
network = 10.77.0.0/24
pool = 10.77.0.100 - 10.77.0.199
[policy:main]
plugin = fixed
profile = install
[content:scripts]
plugin = rendered
templates = templates
[profile:install]
kind = linux
kernel = linux
family = debian-installer
answer = preseed.cfg
answer.root-password = file:root.hash
secret-once = yes
"""
    more: ClassVar[str] = ""
    template: ClassVar[str] = ""

    def setUp(self) -> None:
        super().setUp()
        self.ini_file.write_text((self.ini + self.more).lstrip())
        self.secret = self.folder / "root.hash"
        self.secret.touch(mode=0o600)
        self.secret.write_text(HASH)
        (self.folder / "templates").mkdir()
        if self.template:
            (self.folder / "templates" / "preseed.cfg.j2").write_text(self.template)
        for words in (("init",), ("issue", Lan.address)):
            pxetwist("pki", words[0], str(self.ini_file), *words[1:])
        self.serve()
        self.hosts = [self.leased(f"m{number}", mac) for number, mac in enumerate(MACS)]

    def leased(self, name: str, mac: str) -> Namespace:
        host = self.host(name, mac)
        client = self.udhcpc(host, "-n", "-t", "5", "-T", "1")
        client.wait_for("lease of .* obtained", 20)
        return host

    def url(self, host: Namespace) -> str:
        """Ask for the machine's script; return where that says that its answers are."""
        script = host.run("curl", "-s", f"http://{Lan.address}/boot.ipxe")
        found = re.search(r" url=(\S+)", script)
        assert found is not None, script
        return found[1]

    def get(self, host: Namespace, url: str) -> str:
        """Return what is answered, without its date."""
        trust = ("--cacert", str(self.folder / "pki" / "ca.pem"))
        answer = host.run("curl", "-s", "-i", "--max-time", "30", *trust, url)
        return re.sub(r"\nDate: [^\n]*", "", answer)


class SecretTests(SecretCase):
    def test_who_gets_it(self) -> None:
        machine, other = self.hosts
        url = self.url(machine)
        self.assertTrue(url.startswith(f"https://{Lan.address}/answer/"))
        missing = self.get(machine, f"https://{Lan.address}/nothing")
        self.assertTrue(missing.startswith("HTTP/1.1 404 "))
        base, _, file = url.rpartition("/")
        for host, wrong, reason in (
            (other, url, "other-machine"),
            (machine, url.replace("https", "http"), "in-the-clear"),
            (machine, f"{base[:-1]}!/{file}", "forged"),
            (machine, f"https://{Lan.address}/answer/x/{file}", "forged"),
            (machine, f"{base}/user-data", "no-file"),
        ):
            self.assertEqual(self.get(host, wrong), missing, reason)
        given = self.get(machine, url)
        self.assertTrue(given.startswith("HTTP/1.1 200 "), given)
        self.assertIn(f"root-password-crypted password {HASH}\n", given)
        self.server.wait_for(r"ws1 https: preseed\.cfg of profile install is given to 10\.77", 5)
        self.assertEqual(self.get(machine, url), missing)
        self.server.stop()
        self.serve()
        self.assertEqual(self.get(machine, url), missing)
        self.server.wait_for("ws1 https: an answer is refused to .*: it was redeemed before", 5)
        self.assertNotIn(HASH, self.server.text)
        self.assertNotIn("Traceback", self.server.text)

    def test_a_lease_that_was_given_back(self) -> None:
        machine = self.hosts[0]
        url = self.url(machine)
        pxetwist(
            "leases", str(self.ini_file), "--release", machine.run("hostname", "-I").split()[0]
        )
        self.assertTrue(self.get(machine, url).startswith("HTTP/1.1 404 "))

    def test_many_ask_at_once(self) -> None:
        machine = self.hosts[0]
        url = self.url(machine)
        answers: list[str] = []
        asking = [
            threading.Thread(target=lambda: answers.append(self.get(machine, url)))
            for _ in range(8)
        ]
        for each in asking:
            each.start()
        for each in asking:
            each.join(60)
        self.assertEqual(sorted(answer[9:12] for answer in answers), ["200", *["404"] * 7])


class BrokenTests(SecretCase):
    """An answer that does not fit into the connection, without TLS."""

    more = "secret-plain = yes\n"
    template = f"{{{{ root_password }}}}\n{{{{ 'x' * {MUCH} }}}}\n"

    def test_a_connection_that_breaks(self) -> None:
        machine = self.hosts[0]
        url = self.url(machine)
        path = url.removeprefix(f"http://{Lan.address}")
        self.assertIn("1000", machine.run("python3", "-c", _BREAKS_OFF, Lan.address, path))
        self.server.wait_for("stopped sending .*preseed.cfg after", 15)
        given = self.get(machine, url)
        self.assertTrue(given.startswith("HTTP/1.1 200 "), given[:200])
        self.assertGreater(len(given), MUCH)
        self.server.wait_for("once more, since it did not arrive, in the clear: secret-plain", 5)
        self.assertTrue(self.get(machine, url).startswith("HTTP/1.1 404 "))
        self.assertIn("cross the network in the clear (secret-plain", self.server.text)
