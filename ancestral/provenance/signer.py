"""Certificates that sign: one that is given, checked before anything is signed with it, or one made for trials."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

MISSING: Final = "needs the extra 'provenance': .venv/bin/pip install -e '.[provenance]'"
_TRIAL_DAYS: Final = 365


class SignerError(ValueError):
    """A certificate or a key cannot be used. ``part`` says which of the two, and the message why."""

    def __init__(self, part: Literal["cert", "key"], message: str) -> None:
        super().__init__(message)
        self.part = part


@dataclass(frozen=True)
class Signer:
    """A certificate and its private key, both checked."""

    chain: str
    """PEM: the certificate that signs, then those above it."""
    key: bytes = field(repr=False)
    """PEM, PKCS #8, of a key on the curve P-256 (ES256)."""
    name: str
    """The organisation that the certificate names, or else its common name."""
    serial: str
    """Serial number of the certificate, in decimal."""


def read_signer(certificate: Path, key: Path) -> Signer:
    """Read a certificate chain and its key, both PEM.

    Raises:
        SignerError: a file cannot be read, the key does not belong to the certificate, or the certificate is not valid
            now; or the extra is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise SignerError("cert", MISSING) from error
    chain, private = _read_chain(certificate), _read_key(key)
    if chain[0].public_key() != private.public_key():
        raise SignerError("key", f"{key} is not the key of the first certificate in {certificate}")
    _check_validity(chain[0], certificate)
    pem = serialization.Encoding.PEM
    return Signer(
        "".join(one.public_bytes(pem).decode() for one in chain),
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        _name(chain[0]),
        str(chain[0].serial_number),
    )


def _read_chain(path: Path) -> list[x509.Certificate]:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise SignerError("cert", f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SignerError("cert", f"{path} is not a chain of certificates in PEM") from error
    for number, (issued, issuer) in enumerate(pairwise(chain), 1):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            message = f"{path}: certificate {number} was not issued by the one after it"
            raise SignerError("cert", message) from error
    return chain


def _read_key(path: Path) -> EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise SignerError("key", f"{path} cannot be read: {error.strerror}") from error
    except TypeError as error:
        raise SignerError("key", f"{path} is encrypted; a server has nobody to ask for its passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignerError("key", f"{path} is not a private key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignerError("key", f"{path} is not a key on the curve P-256, which ES256 needs")
    return key


def _check_validity(certificate: x509.Certificate, path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if now > certificate.not_valid_after_utc:
        raise SignerError("cert", f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if now < certificate.not_valid_before_utc:
        raise SignerError("cert", f"{path} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")


def _name(certificate: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        if found := certificate.subject.get_attributes_for_oid(kind):
            return str(found[0].value)
    return certificate.subject.rfc4514_string()


def make_trial_chain(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate, signed by a root of its own, for trials: no verifier trusts it. The root's key is not kept.

    Args:
        directory: for ``cert.pem``, ``key.pem`` and ``root.pem``; it is created.
        name: the organisation that the certificate names.

    Returns:
        The paths of the chain and of its key.

    Raises:
        FileExistsError: one of the files exists.
        SignerError: the extra is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise SignerError("cert", MISSING) from error
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(f"{name}, root for trials", name, root_key, None)
    leaf = _certificate(f"{name}, trial", name, key, (root, root_key))
    pem = serialization.Encoding.PEM
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        "key.pem": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        "root.pem": root.public_bytes(pem),
        "cert.pem": leaf.public_bytes(pem) + root.public_bytes(pem),
    }
    for file in files:
        if (directory / file).exists():
            raise FileExistsError(f"{directory / file} exists")
    for file, data in files.items():
        mode = 0o600 if file == "key.pem" else 0o644
        with os.fdopen(os.open(directory / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
            opened.write(data)
    return directory / "cert.pem", directory / "key.pem"


def _certificate(
    common_name: str,
    organisation: str,
    key: EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, EllipticCurvePrivateKey] | None,
) -> x509.Certificate:
    """A certificate in the profile of C2PA (its specification, section 14.5): a root, or of an issuer a leaf."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    now, is_root = datetime.datetime.now(datetime.UTC), issuer is None
    above, signing_key = issuer or (None, key)
    issuer_key = signing_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if above is None else above.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # for verifiers whose clocks are behind
        .not_valid_after(now + datetime.timedelta(days=_TRIAL_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(_usage(is_root), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )
    if not is_root:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])  # one of those that C2PA takes
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(signing_key, hashes.SHA256())


def _usage(is_root: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_root,
        crl_sign=is_root,
        encipher_only=False,
        decipher_only=False,
    )
