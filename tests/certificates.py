"""Certificates of an authority of the tests' own, as PEM files."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """Signs the certificate of a server called localhost."""

    ca: Path
    certificate: Path
    key: Path


def authority(folder: Path) -> Authority:
    """Makes all three files in a new folder."""
    folder.mkdir()
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _signed(_named(f"authority {folder.name}"), ca_key, _named(f"authority {folder.name}"), ca_key, True)
    its = _signed(_named("server"), key, ca.subject, ca_key, False)
    made = Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    made.ca.write_bytes(ca.public_bytes(Encoding.PEM))
    made.certificate.write_bytes(its.public_bytes(Encoding.PEM))
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(subject: x509.Name, key: Key, issuer: x509.Name, by: Key, is_ca: bool) -> x509.Certificate:
    now = datetime.now(UTC)
    its = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    its = its.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    its = its.not_valid_after(now + timedelta(days=1))
    its = its.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    its = its.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    return its.sign(by, SHA256())
