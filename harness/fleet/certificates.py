"""Make an authority, the server's certificate and a key for every device."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from harness.fleet.keys import SERVER, ServerKeys, check_names

DAYS = 825
"""How long certificates are good for; some programs accept no server's for longer."""


def make_keys(folder: Path, addresses: Sequence[str], nodes: Sequence[str]) -> list[Path]:
    """Make what is not there yet and return the folders to copy to the devices.

    The server's certificate is made anew for the addresses given; the authority and the keys of
    devices are kept.

    Raises:
        UsageError: for a name that may not stand in a path, is the server's, or is there twice.
    """
    check_names(list(nodes))
    keys = ServerKeys(folder / SERVER)
    _make_private(folder)
    _make_private(keys.folder)
    (keys.folder / "nodes").mkdir(exist_ok=True)
    authority_key = keys.folder / "authority.key"
    if not keys.authority.is_file():
        _make_authority(keys.authority, authority_key)
    signer = serialization.load_pem_private_key(authority_key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    authority = x509.load_pem_x509_certificate(keys.authority.read_bytes())
    _make_server(keys, addresses, authority, signer)
    return [_make_node(folder, keys, name) for name in nodes]


def _make_private(folder: Path) -> None:
    """Make a folder for its owner alone; one that was there keeps its mode: it may be anybody's."""
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o700)
        folder.chmod(0o700)


def _make_authority(certificate: Path, key: Path) -> None:

    own = ec.generate_private_key(ec.SECP256R1())
    name = _name("fleet authority")
    built = _dated(x509.CertificateBuilder()).subject_name(name).issuer_name(name)
    built = built.public_key(own.public_key())
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    built = built.add_extension(_usage(signs=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
    built = built.add_extension(identifier, critical=False)
    _write_private(key, _pem(own))
    certificate.write_bytes(_certificate_pem(built.sign(own, hashes.SHA256())))


def _make_server(
    keys: ServerKeys,
    addresses: Sequence[str],
    authority: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
) -> None:

    own = ec.generate_private_key(ec.SECP256R1())
    names = dict.fromkeys([*addresses, "127.0.0.1", "localhost"])
    built = _dated(x509.CertificateBuilder()).subject_name(_name("fleet server"))
    built = built.issuer_name(authority.subject).public_key(own.public_key())
    built = built.add_extension(
        x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
    )
    built = built.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    built = built.add_extension(_usage(signs=False), critical=True)
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    built = built.add_extension(server, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    built = built.add_extension(issuer, critical=False)
    _write_private(keys.key, _pem(own))
    keys.certificate.write_bytes(_certificate_pem(built.sign(signer, hashes.SHA256())))


def _make_node(folder: Path, keys: ServerKeys, name: str) -> Path:

    own = folder / name
    own.mkdir(exist_ok=True, mode=0o700)
    if not (own / "node.key").is_file():
        key = ec.generate_private_key(ec.SECP384R1())
        _write_private(own / "node.key", key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ))  # fmt: skip
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        (own / "node.pub").write_bytes(public + b"\n")
    (keys.folder / "nodes" / f"{name}.pub").write_bytes((own / "node.pub").read_bytes())
    (own / "authority.crt").write_bytes(keys.authority.read_bytes())
    return own


def _name(text: str) -> x509.Name:

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs, crl_sign=signs,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _dated(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:

    now = dt.datetime.now(dt.timezone.utc)
    # boards without a clock battery begin in the past: a day of grace
    builder = builder.not_valid_before(now - dt.timedelta(days=1))
    return builder.not_valid_after(now + dt.timedelta(days=DAYS)).serial_number(
        x509.random_serial_number()
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:

    found: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return found


def _certificate_pem(certificate: x509.Certificate) -> bytes:

    found: bytes = certificate.public_bytes(serialization.Encoding.PEM)
    return found


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
