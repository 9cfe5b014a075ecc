"""``pxetwist pki``: from nothing to certificates that are accepted."""

from __future__ import annotations

import io
import os
import struct
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address, ip_address
from itertools import chain, repeat
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from twisted.trial.unittest import SynchronousTestCase

from pxetwist.cli import main
from pxetwist.config.certificates import Uses, faults
from pxetwist.pki import authority
from pxetwist.pki.authority import RSA_BITS, new_key
from pxetwist.services.http.certificates import KeyFiles
from pxetwist.wire.efi import encode_signature_lists
from tests.unit import certificates

INI = """
[pxe]
services = http, https
policies = fixed
state = memory
[policy:fixed]
profile = disk
[profile:disk]
kind = local
[service:https]
addresses = 10.0.0.1
certificate = tls/boot.pem
key = tls/boot.key
host-name = boot.example
"""
INSTALL = """
certificate.install.example = tls/install.pem
key.install.example = tls/install.key
"""
PRIVATE = """
[service:private]
plugin = https
port = 8443
certificate = pki/private.pem
key = pki/private.key
host-name = private.example
client-ca = pki/ca.pem
"""
WITH_ALL = f"{INI}{INSTALL}{PRIVATE}".replace("http, https", "http, https, private")


@cache
def key_of(owner: str) -> rsa.RSAPrivateKey:
    """Return a real key, made once in a run: that takes its time."""
    return new_key()


class PkiTests(SynchronousTestCase):
    def setUp(self) -> None:
        owners = chain(["authority"], repeat("others"))
        self.patch(authority, "new_key", lambda bits=RSA_BITS: key_of(next(owners)))
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.ini = self.folder / "pxe.ini"
        self.ini.write_text(INI)
        self.pki = self.folder / "pki"

    def call(self, verb: str, *words: str) -> tuple[int, str]:
        """Return exit code, and everything that was printed."""
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
            code = main(["pki", verb, str(self.ini), *words])
        return code, said.getvalue()

    def must(self, verb: str, *words: str) -> str:
        code, said = self.call(verb, *words)
        self.assertEqual(code, 0, said)
        return said

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / name).read_bytes())

    def test_from_nothing_to_a_server(self) -> None:
        code, said = self.call("issue")
        self.assertEqual((code, said.count("\n")), (1, 1))
        self.assertIn("mend: pxetwist pki init", said)
        self.assertIn("pxetwist pki issue", self.must("init", "--name", "Lab boot"))
        self.must("issue")
        root, own = self.certificate("pki/ca.pem"), self.certificate("tls/boot.pem")
        own.verify_directly_issued_by(root)
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["boot.example"])
        self.assertEqual(names.get_values_for_type(x509.IPAddress), [ip_address("10.0.0.1")])
        pair = KeyFiles(self.folder / "tls/boot.pem", self.folder / "tls/boot.key").read()
        uses = Uses("firmware", "boot.example", [IPv4Address("10.0.0.1")])
        self.assertEqual(list(faults(pair, uses, datetime.now(UTC))), [])
        code, said = self.call("issue")
        self.assertEqual(code, 1)
        self.assertIn("is not overwritten; `pxetwist pki renew`", said)
        self._closed_to_others()
        self._is_an_authority_of_its_kind(root)

    def _closed_to_others(self) -> None:
        self.assertEqual(self.pki.stat().st_mode & 0o777, 0o700)
        for key in ("pki/ca.key", "tls/boot.key"):
            self.assertEqual((self.folder / key).stat().st_mode & 0o777, 0o600)

    def _is_an_authority_of_its_kind(self, root: x509.Certificate) -> None:
        self.assertEqual(root.subject.rfc4514_string(), "CN=Lab boot")
        key = root.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        self.assertEqual(key.key_size, 3072)
        basic = root.extensions.get_extension_for_class(x509.BasicConstraints)
        self.assertEqual(
            (basic.critical, basic.value.ca, basic.value.path_length), (True, True, 0)
        )
        usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
        self.assertTrue(usage.key_cert_sign and not usage.digital_signature)
        code, said = self.call("init")
        self.assertEqual(code, 1)
        self.assertIn("ca.pem is there already, and is not overwritten", said)

    def test_clients_renewal_and_export(self) -> None:
        self.must("init")
        self.must("issue", "--client", "anna")
        client = self.certificate("pki/anna.pem")
        purposes = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(purposes), [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH])
        said = self.must("issue", "boot.example", "--as", "short", "--days", "5")
        self.assertIn("certificate = pki/short.pem\nkey = pki/short.key\n", said)
        self._renews("pki/short.pem")
        self._exports()

    def _renews(self, name: str) -> None:
        old = self.certificate(name)
        os.chmod(self.folder / name, 0o640)
        self.must("renew", "short", "--days", "100")
        new = self.certificate(name)
        self.assertGreater(new.not_valid_after_utc, old.not_valid_after_utc)
        self.assertEqual(new.public_key(), old.public_key())
        self.assertEqual([e.value for e in new.extensions], [e.value for e in old.extensions])
        self.assertNotEqual(new.serial_number, old.serial_number)
        self.assertEqual((self.folder / name).stat().st_mode & 0o777, 0o640)
        self.assertEqual([p.name for p in self.pki.iterdir() if p.name.startswith(".")], [])

    def _exports(self) -> None:
        der = self.certificate("pki/ca.pem").public_bytes(serialization.Encoding.DER)
        self.assertEqual(self.must("export"), f"{self.pki / 'ca.pem'}\n")
        self.must("export", "--format", "der")
        self.assertEqual((self.pki / "ca.der").read_bytes(), der)
        owner = "00112233-4455-6677-8899-aabbccddeeff"
        into = self.folder / "out.esl"
        self.must("export", "--format", "esl", "--owner", owner, "--output", str(into))
        self.assertEqual(into.read_bytes(), encode_signature_lists([der], UUID(owner)))
        self.must("export", "--format", "esl", "--owner", owner, "--output", str(into))
        code, said = self.call("export", "--format", "der", "--output", str(self.pki / "ca.key"))
        self.assertEqual(
            (code, said), (1, f"{self.pki}/ca.key is there already, and is not overwritten\n")
        )

    def test_the_authority_is_not_renewed(self) -> None:
        self.must("init")
        before = self.certificate("pki/ca.pem")
        code, said = self.call("renew", "ca")
        self.assertEqual(code, 1)
        self.assertIn("pki/ca.pem is the authority, which is not renewed", said)
        self.assertEqual(self.certificate("pki/ca.pem"), before)

    def test_an_ini_that_is_not_there(self) -> None:
        """A slip of the pen makes no second authority somewhere else."""
        self.ini.unlink()
        code, said = self.call("init")
        self.assertEqual(code, 1)
        self.assertIn(f"there is no INI {self.ini}", said)
        self.assertFalse(self.pki.exists())

    def names(self, file: str) -> list[str]:
        alternatives = self.certificate(file).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return alternatives.value.get_values_for_type(x509.DNSName)

    def test_each_name_has_its_own_certificate(self) -> None:
        """That for all has no names of others; each lies where the INI wants it."""
        self.ini.write_text(WITH_ALL)
        self.must("init")
        next_step = f"next: pxetwist pki issue {self.ini} install.example\n"
        self.assertIn(next_step, self.must("issue"))
        self.assertEqual(self.names("tls/boot.pem"), ["boot.example"])
        self.assertIn("next: pxetwist pki export", self.must("issue", "install.example"))
        self.assertEqual(self.names("tls/install.pem"), ["install.example"])

    def test_all_are_renewed(self) -> None:
        """Each once, and none of another authority; nothing is changed if one cannot be read."""
        self.ini.write_text(WITH_ALL)
        self.must("init")
        self.must("issue")
        before = self.certificate("tls/boot.pem")
        code, said = self.call("renew")
        self.assertEqual((code, said.count("\n")), (1, 1), said)
        self.assertIn("tls/install.pem: cannot be read", said)
        self.assertEqual(self.certificate("tls/boot.pem"), before)
        self.must("issue", "install.example")
        self.must("issue", "private.example", "--as", "private")
        install = self.certificate("tls/install.pem")
        said = self.must("renew", "--days", "100")
        files = ("tls/boot.pem", "tls/install.pem", "pki/private.pem")
        self.assertEqual([said.count(file) for file in files], [1, 1, 1], said)
        self.assertEqual(self.certificate("tls/install.pem").public_key(), install.public_key())
        for file, old in (("tls/boot.pem", before), ("tls/install.pem", install)):
            self.assertNotEqual(self.certificate(file), old)

    def test_certificates_of_others_are_left_alone(self) -> None:
        self.must("init")
        (self.folder / "tls").mkdir()
        certificates.write_server(self.folder / "tls", "boot.example", name="boot")
        code, said = self.call("renew")
        self.assertEqual(code, 1)
        self.assertIn("no certificate of the INI is of this authority", said)
        self.ini.write_text(f"{INI}{INSTALL}")
        self.must("issue", "install.example")
        before = self.certificate("tls/boot.pem")
        said = self.must("renew")
        self.assertIn("tls/boot.pem: not of this authority, left as it is", said)
        self.assertRegex(said, r"tls/install.pem: until \d")
        self.assertEqual(self.certificate("tls/boot.pem"), before)

    def test_called_wrongly(self) -> None:
        for verb, words, code, problem in (
            ("init", ("--bits", "1024"), 2, "from 3072 to 8192"),
            ("issue", ("--days", "0"), 2, "--days"),
            ("issue", ("a", "--client", "b"), 1, "no authority"),
            ("export", ("--owner", "x"), 2, "expected a GUID"),
            ("export", ("--format", "p12"), 2, "pem, der, esl"),
        ):
            self.assertEqual(self.call(verb, *words)[0], code)
            self.assertIn(problem, self.call(verb, *words)[1])

    def test_names_that_cannot_be(self) -> None:
        self.must("init")
        for words, problem in (
            (("*.example",), "no wildcards"),
            (("boot example",), "expected a host name"),
            (("--client", "a/b"), "mend: --as NAME"),
            (("--client", "x" * 65), "1 to 64 characters"),
        ):
            code, said = self.call("issue", *words)
            self.assertEqual((code, said.count("\n")), (1, 1), said)
            self.assertIn(problem, said)


class SignatureListTests(SynchronousTestCase):
    def test_to_the_letter(self) -> None:
        owner = UUID("00112233-4455-6677-8899-aabbccddeeff")
        lists = encode_signature_lists([b"abc", b"de"], owner)
        kind = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")
        mine = bytes.fromhex("33221100554477668899aabbccddeeff")
        first = kind + struct.pack("<III", 28 + 16 + 3, 0, 16 + 3) + mine + b"abc"
        second = kind + struct.pack("<III", 28 + 16 + 2, 0, 16 + 2) + mine + b"de"
        self.assertEqual(lists, first + second)
