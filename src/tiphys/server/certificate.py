"""The certificate of a server on this machine, signed by an authority that signs nothing else.

The authority's key is never written: nobody can sign with what a client was told to trust. When the certificate is
about to end, or the machine has another name, both are made anew.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tiphys._util.times import utc_now

#: Clients refuse certificates of servers that hold longer than 825 days.
_HOLDS = timedelta(days=800)
_RENEWED_BEFORE_ITS_END = timedelta(days=30)
#: Clocks differ.
_BEGAN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM."""

    #: The server's certificate, and its key.
    chain: Path
    key: Path
    #: The authority's certificate, which clients are to trust; None if the server's was given.
    authority: Path | None = None


def host_names() -> list[str]:
    """Names and addresses of this machine for itself, in lower case."""
    return list(dict.fromkeys(["localhost", "127.0.0.1", "::1", socket.gethostname().lower()]))


def local_certificate(folder: Path, names: Iterable[str] = ()) -> Certificate:
    """The certificate in `folder`, made there if there is none that holds.

    Args:
        folder: Where it is kept.
        names: Names and addresses under which the server is asked, beside those that it has on this machine.
    """
    every = [*dict.fromkeys([*host_names(), *names])]
    found = Certificate(folder / "server.pem", folder / "server.key", folder / "authority.pem")
    if not _holds(found, every, utc_now()):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(found, every, utc_now())
    return found


def _holds(found: Certificate, names: Iterable[str], now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(found.chain.read_bytes())
    except (OSError, ValueError):
        return False
    if not found.key.exists() or found.authority is None or not found.authority.exists():
        return False
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return certificate.not_valid_after_utc - _RENEWED_BEFORE_ITS_END > now and set(held) == set(map(_general, names))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _make(into: Certificate, names: Iterable[str], now: datetime) -> None:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, subject = _name(f"Tiphys on {socket.gethostname()}"), _name("localhost")
    signer = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _begun(issuer, issuer, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(signer, critical=False)
        .sign(authority_key, SHA256())
    )
    server = (
        _begun(subject, issuer, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(_general, names)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
        .sign(authority_key, SHA256())
    )
    _write(into.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    _write(into.chain, server.public_bytes(Encoding.PEM), mode=0o644)
    if into.authority is not None:
        _write(into.authority, authority.public_bytes(Encoding.PEM), mode=0o644)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEGAN)
        .not_valid_after(now + _HOLDS)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file at once, never readable for more than `mode` says."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    beside.replace(path)
