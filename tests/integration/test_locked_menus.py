"""A locked entry of a menu over HTTPS: curl asks as iPXE does, a real OpenLDAP knows who may."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from bootlab import slapd
from bootlab.certificates import Authority
from bootlab.processes import Process, run
from bootlab.server import command, pxetwist
from bootlab.slapd import ACCOUNT, BASE, Slapd

#: There is no `plain-password`.
INI = """
[pxe]
services = http, https
hosts = persons
policies = main
state-folder = state
content = scripts
[hosts:persons]
plugin = ldap
uri = {uri}
ca-file = ldap.pem
base = {base}
bind-dn = {account}
bind-password-file = {password}
[policy:main]
plugin = menu
entries = local, install
locked = install
password = persons
admit = Staff
[profile:local]
kind = local
[profile:install]
kind = script
ipxe = install.ipxe
[content:scripts]
plugin = rendered
[service:http]
addresses = 127.0.0.1
port = {http}
[service:https]
addresses = 127.0.0.1
port = {https}
certificate = pki/boot.pem
key = pki/boot.key
"""
RECORDS = (
    *map(slapd.unit, ("ou=Groups", "ou=People")),
    *(slapd.person(f"uid={who},ou=People", f"Passw0rd.{who}") for who in ("ada", "bob")),
    slapd.group("cn=Staff,ou=Groups", "uid=ada,ou=People"),
)
QUERY = "mac=52:54:00:00:00:01"


class LockedMenuTests(TestCase):
    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        directory = Slapd(self.folder / "slapd", Authority(self.folder / "ldap.pem"))
        directory.load(RECORDS)
        directory.start()
        self.addCleanup(directory.stop)
        self.http, self.https = self.free_port(), self.free_port()
        ini = self.folder / "pxe.ini"
        ini.write_text(
            INI.format(
                uri=directory.uri,
                base=BASE,
                account=ACCOUNT,
                password=directory.password_file,
                http=self.http,
                https=self.https,
            )
        )
        (self.folder / "install.ipxe").write_text("#!ipxe\necho installing\n")
        pxetwist("pki", "init", str(ini))
        pxetwist("pki", "issue", str(ini))
        self.server = Process(command(ini), self.folder / "server.log")
        self.addCleanup(self.server.stop)
        self.server.wait_for(r"\[service:https\] listens on", 60)

    def free_port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        return port

    def curl(self, url: str, *words: str) -> tuple[int, str]:
        """Return status and text."""
        trusted = ("--cacert", str(self.folder / "pki" / "ca.pem"))
        said = run("curl", "-sS", "-m", "30", *trusted, *words, "-w", "\n%{http_code}", url)
        text, _, status = said.rpartition("\n")
        return int(status), text

    def test_right_and_wrong_passwords(self) -> None:
        status, menu = self.curl(f"https://127.0.0.1:{self.https}/boot.ipxe?{QUERY}")
        self.assertEqual(status, 200)
        self.assertNotIn("installing", menu)
        person = r"\$\{username:uristring\}:\$\{password:uristring\}"
        place = re.search(rf"chain --replace https://{person}@(\S+)", menu)
        assert place is not None, menu
        url = f"https://{place[1]}"
        for login, expected in (
            ("", 401),
            ("ada:wrong", 401),
            ("ada:", 401),
            ("nobody:Passw0rd.ada", 401),
            ("bob:Passw0rd.bob", 401),
            ("ada:Passw0rd.ada", 200),
        ):
            status, text = self.curl(url, *(("-u", login) if login else ()))
            self.assertEqual(status, expected, login)
            self.assertEqual("echo installing" in text, status == 200, login)
        self.server.wait_for("ada may pass", 10)
        self.assertIn("wrong password for ada", self.server.text)
        self.assertIn("bob is in none of Staff", self.server.text)
        self.assertNotIn("Passw0rd", self.server.text)

        plain = f"http://127.0.0.1:{self.http}/"
        status, menu = self.curl(f"{plain}boot.ipxe?{QUERY}")
        self.assertEqual(status, 200)
        self.assertNotIn("install", menu)  # nor is it shown to whom it would not open
        path = place[1].partition("/")[2]
        self.assertEqual(self.curl(f"{plain}{path}", "-u", "ada:Passw0rd.ada")[0], 404)
