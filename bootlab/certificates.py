"""A certificate authority of the lab's own, for servers that speak TLS."""

from __future__ import annotations

import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Vouches for servers; `file` is its own certificate, as PEM, for those who trust it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"The lab's authority {file.stem}")
        builder = self._builder(self._name, self._key.public_key(), authority=True)
        file.write_bytes(self._signed(builder))

    def issue(self, folder: Path, host: str, address: str) -> tuple[Path, Path]:
        """Write key and certificate of a server into a folder; return their paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(host), x509.IPAddress(ip_address(address))]
        builder = self._builder(_name(host), key.public_key(), authority=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        purpose = x509.ExtendedKeyUsage(
            [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        )
        builder = builder.add_extension(purpose, critical=False)
        certificate = folder / f"{host}.pem"
        certificate.write_bytes(self._signed(builder))
        private = folder / f"{host}.key"
        private.touch(mode=0o600)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return private, certificate

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, authority: bool
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )
        basic = x509.BasicConstraints(ca=authority, path_length=0 if authority else None)
        return builder.add_extension(basic, critical=True)

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
