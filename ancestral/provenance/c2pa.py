"""Signed files: manifests of C2PA, the certificates that sign them, and files that carry them."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

from ancestral.errors import InvalidRequest
from ancestral.extras import needed
from ancestral.formats import sniff

if TYPE_CHECKING:
    import c2pa
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


# Certificates that sign: one that is given, checked before anything is signed with it, or one made for trials.

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
    except ModuleNotFoundError as error:
        raise SignerError("cert", needed(error)) from error
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
    except ModuleNotFoundError as error:
        raise SignerError("cert", needed(error)) from error
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

    names = {NameOID.ORGANIZATION_NAME: organisation, NameOID.COMMON_NAME: common_name}
    subject = x509.Name([x509.NameAttribute(*pair) for pair in names.items()])
    unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    now, is_root = datetime.datetime.now(datetime.UTC), issuer is None
    above, signing_key = issuer or (None, key)
    issuer_key = signing_key.public_key()
    usage = x509.KeyUsage(
        not is_root, key_cert_sign=is_root, crl_sign=is_root, decipher_only=False, **dict.fromkeys(unused, False)
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if above is None else above.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # for verifiers whose clocks are behind
        .not_valid_after(now + datetime.timedelta(days=_TRIAL_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )
    if not is_root:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])  # one of those that C2PA takes
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(signing_key, hashes.SHA256())


# Signatures of files: C2PA manifests (c2pa.org), written and read by its own library.
#
# A manifest says who made a file and how, and is signed together with the hash of the file. It is inside the file where
# the format has a place for it (:data:`EMBEDDED`), and else a file of its own. The media itself is not changed. A
# signature holds random numbers, so signing the same bytes twice gives two files.
#
# Nothing is ever fetched: no manifest that a file only links to, no list of revoked certificates.

MANIFEST_TYPE: Final = "application/c2pa"
"""The media type of a manifest that is a file of its own."""
EMBEDDED: Final = frozenset(
    {"audio/wav", "audio/mpeg", "audio/flac", "audio/mp4", "image/png", "image/jpeg", "image/webp"}
)
"""The media types of files that have their manifest inside."""
RECIPE: Final = "ancestral.recipe"
"""The label of the assertion that says what a file was made from."""
_SOURCES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SAMPLED: Final = "trainedAlgorithmicMedia"
"""The source of a file that a model has made alone, in IPTC's words."""
COMPOSITE: Final = "compositeWithTrainedAlgorithmicMedia"
"""The source of a file that a model has made in part: the rest was uploaded."""
_TRIAL: Final = b"Signed when a server starts."
_PROFILE: Final = "which has an issuer other than itself, digitalSignature, and emailProtection or documentSigning"
_MAX_INGREDIENT_BYTES: Final = 1 << 20
_UPLOAD: Final = "upload"
_ALTERED: Final = re.compile(r"assertion\.\w*[hH]ash\.mismatch")
_NO_TRUST: Final = "signingCredential.untrusted"
_OFFLINE: Final = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False}}


class SigningError(RuntimeError):
    """A file could not be signed, or the extra is not installed."""


@dataclass(frozen=True)
class SignatureReport:
    """What the manifest of a file says, and whether that holds."""

    valid: bool
    """The signature is right, and everything that it covers is as it was signed: manifest and media."""
    trusted: bool
    """The certificate leads to one of those that the reader trusts."""
    altered: bool
    """The media is not the one that was signed."""
    signer: str | None
    """The organisation that the certificate names; a claim of whoever made it, unless it is trusted."""
    common_name: str | None
    serial_number: str | None
    generator: str | None
    """The program that made the claim."""
    source: str | None
    """How the media came about, in IPTC's words, such as ``trainedAlgorithmicMedia``."""
    actions: Sequence[str]
    recipe: Mapping[str, Any] | None
    """What Ancestral has made the file from; None if another program has made it."""
    ingredients: Sequence[str]
    """The titles of the files that it was made from, with manifests of their own."""
    problems: Sequence[str]
    """C2PA's codes of what failed."""


@dataclass(frozen=True)
class Claim:
    """What is signed beside the media."""

    recipe: Mapping[str, Any]
    """JSON values: of what the file was made."""
    source: str = SAMPLED
    ingredient: bytes | None = field(default=None, repr=False)
    """The manifest of what was uploaded, from :func:`ingredient_of`."""


def load_signer(certificate: Path, key: Path) -> Signer:
    """A certificate and its key (:func:`read_signer`), checked by signing with them.

    Raises:
        SignerError: they cannot be used, or the extra is not installed.
    """
    signer, problems = read_signer(certificate, key), ""
    try:
        report = read(_TRIAL, MANIFEST_TYPE, manifest=detached(io.BytesIO(_TRIAL), Claim({}), signer))
        if report is not None and report.valid:
            return signer
        problems = "" if report is None else ", ".join(report.problems)
    except (SigningError, InvalidRequest) as error:
        problems = str(error)
    raise SignerError("cert", f"{certificate} is no certificate for C2PA, {_PROFILE}: {problems}")


def sign(data: bytes, media_type: str, claim: Claim, signer: Signer) -> bytes:
    """The same file with a manifest inside.

    Args:
        data: the whole file.
        media_type: one of :data:`EMBEDDED`.
        claim: what is said about it.
        signer: who says so.

    Raises:
        SigningError: it cannot be signed.
    """
    signed = io.BytesIO()
    sign_stream(io.BytesIO(data), signed, media_type, claim, signer)
    return signed.getvalue()


def sign_stream(source: IO[bytes], target: IO[bytes], media_type: str, claim: Claim, signer: Signer) -> None:
    """:func:`sign` from one open file to another. C2PA's library has a WAV in memory three times, an MP3 twice."""
    _sign(source, target, media_type, _definition(claim), claim, signer)


def detached(source: IO[bytes], claim: Claim, signer: Signer) -> bytes:
    """A manifest that is a file of its own, for a file of any format: it has the hash of all of it.

    Raises:
        SigningError: it cannot be signed.
    """
    digest, definition = hashlib.file_digest(source, "sha256"), _definition(claim)  # type: ignore[arg-type]
    covered = {"name": "file", "alg": "sha256", "hash": list(digest.digest()), "pad": [], "exclusions": []}
    definition["assertions"].append({"label": "c2pa.hash.data", "data": covered})
    return _sign(io.BytesIO(), io.BytesIO(), MANIFEST_TYPE, definition, claim, signer)


def _sign(
    source: IO[bytes], target: IO[bytes], media_type: str, definition: dict[str, Any], claim: Claim, signer: Signer
) -> bytes:
    library = _library()
    try:
        with _context() as context, library.Builder(definition, context=context) as builder:
            if claim.ingredient is not None:
                builder.add_ingredient_from_archive(io.BytesIO(claim.ingredient))
            if media_type == MANIFEST_TYPE:
                builder.set_no_embed()
            info = library.C2paSignerInfo(library.C2paSigningAlg.ES256, signer.chain.encode(), signer.key, None)
            with library.Signer.from_info(info) as signing:
                manifest: bytes = builder.sign(signing, media_type, source, target)
                return manifest
    except library.C2paError as error:
        raise SigningError(f"C2PA: {error}") from error


def _definition(claim: Claim) -> dict[str, Any]:
    created: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": _SOURCES + claim.source}
    if claim.ingredient is not None:
        created["parameters"] = {"ingredientIds": [_UPLOAD]}
    return {
        "claim_generator_info": [{"name": "Ancestral", "version": version("ancestral")}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": RECIPE, "data": dict(claim.recipe)},
        ],
    }


def ingredient_of(data: bytes, param: str) -> bytes | None:
    """The manifest of an uploaded file, to be kept in the manifest of what is made from it; None if it has none.

    A manifest whose signature is wrong is kept too, with what is wrong with it.

    Args:
        data: the whole file: a picture, or a WAV, MP3 or FLAC.
        param: the field that it came in, for the error.

    Raises:
        InvalidRequest: the manifest cannot be read, or is too large; ``code`` is ``invalid_manifest``.
    """
    media_type = sniff(data)  # a FLAC after an ID3 tag is read as what it is
    if media_type not in EMBEDDED or read(data, media_type, param=param) is None:
        return None
    library, archive = _library(), io.BytesIO()
    described = {"title": _UPLOAD, "relationship": "inputTo", "label": _UPLOAD, "instance_id": _UPLOAD}
    try:
        with _context() as context, library.Builder({}, context=context) as builder:
            builder.add_ingredient(described, media_type, io.BytesIO(data))
            builder.write_ingredient_archive(_UPLOAD, archive)
    except library.C2paError as error:
        raise _unreadable(param, error) from error
    if len(archive.getvalue()) > _MAX_INGREDIENT_BYTES:
        raise _unreadable(param, f"it has more than {_MAX_INGREDIENT_BYTES} bytes")
    return archive.getvalue()


def read(
    data: bytes, media_type: str, *, manifest: bytes | None = None, trusted: str = "", param: str = "file"
) -> SignatureReport | None:
    """What the manifest of a file says; None if it has none. Nothing in the file is trusted.

    Args:
        data: the whole file.
        media_type: of it; the file's own first bytes count for more.
        manifest: a manifest that is a file of its own.
        trusted: PEM, certificates whose signatures, and those that they issued, are trusted.
        param: the field that the file came in, for the error.

    Raises:
        InvalidRequest: the manifest, or the file around it, cannot be read; ``code`` is ``invalid_manifest``.
        SigningError: the extra is not installed.
    """
    library = _library()
    try:
        with (
            _context(trusted) as context,
            library.Reader(media_type, io.BytesIO(data), manifest_data=manifest, context=context) as reader,
        ):
            return _report(json.loads(reader.json()))
    except library.C2paError.ManifestNotFound:
        return None
    except (library.C2paError, ValueError, KeyError, TypeError, AttributeError) as error:
        if str(error).startswith("Remote:"):  # the file links to a manifest elsewhere
            return None
        raise _unreadable(param, error) from error


def _unreadable(param: str, error: Exception | str) -> InvalidRequest:
    message = f"{param}: its C2PA manifest cannot be read: {str(error)[:200]}"
    return InvalidRequest(message, param=param, code="invalid_manifest")


def _report(found: dict[str, Any]) -> SignatureReport:
    active = found["manifests"][found["active_manifest"]]
    assertions = {entry["label"]: entry["data"] for entry in active.get("assertions", ())}
    actions: list[dict[str, Any]] = next(
        (data["actions"] for label, data in assertions.items() if label.startswith("c2pa.actions")), []
    )
    sources = [action["digitalSourceType"] for action in actions if "digitalSourceType" in action]
    results = found.get("validation_results", {}).get("activeManifest", {})
    problems = [entry["code"] for entry in results.get("failure", ()) if entry["code"] != _NO_TRUST]
    recipe = assertions.get(RECIPE)
    signature, generator = active.get("signature_info", {}), active.get("claim_generator_info") or [{}]
    return SignatureReport(
        valid=found["validation_state"] in ("Valid", "Trusted"),
        trusted=found["validation_state"] == "Trusted",
        altered=any(map(_ALTERED.fullmatch, problems)),
        signer=signature.get("issuer"),
        common_name=signature.get("common_name"),
        serial_number=signature.get("cert_serial_number"),
        generator=" ".join(generator[0][part] for part in ("name", "version") if part in generator[0]) or None,
        source=sources[0].rpartition("/")[2] if sources else None,
        actions=[action["action"] for action in actions],
        recipe=recipe if isinstance(recipe, dict) else None,
        ingredients=[entry.get("title", "") for entry in active.get("ingredients", ())],
        problems=problems,
    )


def _library() -> Any:
    """The package ``c2pa``.

    Raises:
        SigningError: it is not installed.
    """
    try:
        import c2pa
    except ModuleNotFoundError as error:
        raise SigningError(needed(error)) from error
    return c2pa


def _context(trusted: str = "") -> c2pa.Context:
    trust = {"trust": {"user_anchors": trusted}} if trusted else {}
    settings: dict[str, Any] = {**_OFFLINE, **trust, "builder": {"thumbnail": {"enabled": False}}}
    context: c2pa.Context = _library().Context.from_dict(settings)
    return context


# Files on disks, signed as they are written.


def write_file(path: Path, data: bytes, media_type: str, claim: Claim, signer: Signer | None) -> None:
    """Write a file, signed if there is a signer. A manifest that has no place in it is the file ``NAME.c2pa``.

    Args:
        path: of the file.
        data: the whole file, unsigned.
        media_type: of it.
        claim: what it was made from.
        signer: who says so; None leaves it unsigned.

    Raises:
        SigningError: it cannot be signed. Nothing is written.
    """
    if signer is not None:
        if media_type in EMBEDDED:
            data = sign(data, media_type, claim, signer)
        else:
            path.with_suffix(".c2pa").write_bytes(detached(io.BytesIO(data), claim, signer))
    path.write_bytes(data)


def sign_in_place(path: Path, name: Path, media_type: str, recipe: Mapping[str, Any], signer: Signer) -> None:
    """Sign a file of any size that is not called ``name`` yet; its manifest is in it, or the file ``NAME.c2pa``.

    Raises:
        SigningError: it cannot be signed. It is as before.
    """
    claim, signed = Claim(recipe), path.with_name(f"{path.name}.signed")
    with path.open("rb") as source:
        if media_type not in EMBEDDED:
            name.with_suffix(".c2pa").write_bytes(detached(source, claim, signer))
            return
        try:
            with signed.open("w+b") as target:
                sign_stream(source, target, media_type, claim, signer)
            os.replace(signed, path)
        finally:
            signed.unlink(missing_ok=True)
