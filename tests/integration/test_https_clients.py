"""HTTPS with certificates of `pxetwist pki`, and clients of other makers: curl and OpenSSL."""

from __future__ import annotations

from bootlab.network import Lan
from bootlab.processes import LabError, wait_until
from bootlab.server import pxetwist
from tests.integration.case import FilesCase, url_host

INI = """
[pxe]
services = http, https, private
hosts = lab
policies = main
content = scripts, files
[policy:main]
plugin = rules
rules =
    certificate=anna -> staff
    profile=* -> @profile
    any -> local
[hosts:lab]
plugin = static
file = hosts.csv
[profile:local]
kind = local
[profile:staff]
kind = script
ipxe = staff.ipxe
[profile:exam]
kind = script
ipxe = exam.ipxe
[content:scripts]
plugin = rendered
[content:files]
plugin = directory
root = files
[service:https]
certificate = pki/boot.pem
key = pki/boot.key
certificate.install.example.net = pki/install.pem
key.install.example.net = pki/install.key
[service:private]
plugin = https
port = 8443
certificate = pki/boot.pem
key = pki/boot.key
client-ca = pki/ca.pem
"""
HOSTS = """name,mac,certificate,profile
pc01,,pc01,exam
pc02,52:54:00:00:00:02,,local
"""
NAMES = ("boot.example.net", Lan.address, Lan.address6)


class HttpsClientTests(FilesCase):
    ini = INI
    machines = HOSTS
    service = "private"

    def prepare(self) -> None:
        super().prepare()
        self.data = self.put("kernel", 300_000).read_bytes()
        (self.folder / "staff.ipxe").write_text("#!ipxe\necho for anna\n")
        (self.folder / "exam.ipxe").write_text("#!ipxe\necho exam of {{ machine.name }}\n")
        for words in (
            ("init", str(self.ini_file)),
            ("issue", str(self.ini_file), *NAMES, "--as", "boot"),
            ("issue", str(self.ini_file), "install.example.net"),
            ("issue", str(self.ini_file), "--client", "anna"),
            ("issue", str(self.ini_file), "--client", "PC01"),
        ):
            pxetwist("pki", *words)
        self.pki = self.folder / "pki"

    def curl(self, path: str, *words: str, port: int = 443, server: str = Lan.address) -> bytes:
        """Fetch a path from an address of the server's, and trust its authority."""
        target = self.folder / "fetched"
        target.unlink(missing_ok=True)
        trusted = ("--cacert", str(self.pki / "ca.pem"))
        url = f"https://{url_host(server)}:{port}/{path}"
        self.host.run("curl", "-gsSf", *trusted, *words, "-o", str(target), url)
        return target.read_bytes()

    def shown(self, name: str) -> str:
        """Return the certificate that a client which asks for this name is shown."""
        words = f"openssl s_client -connect {Lan.address}:443 -servername {name} </dev/null 2>&1"
        return self.host.run("sh", "-c", f"{words} | openssl x509 -noout -subject -serial")

    def test_files(self) -> None:
        """Whole, in part, with the suites of OVMF of 2022, and never to who does not trust us."""
        self.assertEqual(self.curl("kernel"), self.data)
        self.assertEqual(self.curl("kernel", "-r", "100000-100099"), self.data[100000:100100])
        for suite in ("DHE-RSA-AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-SHA256"):
            words = ("--tls-max", "1.2", "--ciphers", suite)
            self.assertEqual(self.curl("kernel", *words), self.data)
        with self.assertRaisesRegex(LabError, "certificate"):
            self.curl("kernel", "--cacert", "/etc/ssl/certs/ca-certificates.crt")
        self.server.wait_for(r"no TLS with 10\.77\.0\.20: it does not trust the authority", 10)

    def test_ipv6(self) -> None:
        """The certificate names the address, and who does not trust us is told of by it."""
        self.assertEqual(self.curl("kernel", server=Lan.address6), self.data)
        with self.assertRaisesRegex(LabError, "certificate"):
            untrusting = ("--cacert", "/etc/ssl/certs/ca-certificates.crt")
            self.curl("kernel", *untrusting, server=Lan.address6)
        self.server.wait_for("no TLS with fd77::20: it does not trust the authority", 10)

    def test_names_and_renewal(self) -> None:
        """Each name has its own certificate; both are renewed while the server runs."""
        install = self.shown("install.example.net")
        self.assertIn("install.example.net", install)
        before = self.shown("boot.example.net")
        self.assertIn("boot.example.net", before)
        pxetwist("pki", "renew", str(self.ini_file))
        wait_until(lambda: self.shown("boot.example.net") != before, 20, "the new certificate")
        self.assertNotEqual(self.shown("install.example.net"), install)
        self.assertEqual(self.curl("kernel"), self.data)

    def own(self, name: str) -> tuple[str, ...]:
        """Return curl's words for a certificate of its own."""
        return ("--cert", str(self.pki / f"{name}.pem"), "--key", str(self.pki / f"{name}.key"))

    def test_machines(self) -> None:
        """Whoever shows the certificate of a machine is that one, whatever MAC it tells."""
        for query in ("", "?mac=52:54:00:00:00:02", "?mac=52:54:00:00:00:99"):
            text = self.curl(f"boot.ipxe{query}", *self.own("PC01"), port=8443)
            self.assertIn(b"echo exam of pc01", text)
        for query in ("", "?mac=52:54:00:00:00:02"):
            self.assertNotIn(b"exam", self.curl(f"boot.ipxe{query}"))
            self.assertNotIn(b"exam", self.curl(f"boot.ipxe{query}", *self.own("anna"), port=8443))

    def test_persons(self) -> None:
        """Who has a certificate of ours is known by it; nobody else is let in."""
        anna = self.own("anna")
        self.assertIn(b"echo for anna", self.curl("boot.ipxe", *anna, port=8443))
        with self.assertRaises(LabError):
            self.curl("boot.ipxe", port=8443)
        self.assertNotIn(b"echo for anna", self.curl("autoexec.ipxe"))
