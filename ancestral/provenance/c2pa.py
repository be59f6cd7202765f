"""Signatures of files: C2PA manifests (c2pa.org), written and read by its own library.

A manifest says who made a file and how, and is signed together with the hash of the file. It is inside the file where
the format has a place for it (:data:`EMBEDDED`), and else a file of its own. The media itself is not changed. A
signature holds random numbers, so signing the same bytes twice gives two files.

Nothing is ever fetched: no manifest that a file only links to, no list of revoked certificates.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from ancestral.errors import InvalidRequest
from ancestral.provenance.signer import MISSING, Signer, SignerError, read_signer

if TYPE_CHECKING:
    import c2pa

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
_PIECE_BYTES: Final = 1 << 20
_MAX_INGREDIENT_BYTES: Final = 1 << 20
_MAGIC: Final = {
    rb"\x89PNG": "image/png",
    rb"\xff\xd8\xff": "image/jpeg",
    rb"RIFF.{4}WEBP": "image/webp",
    rb"RIFF.{4}WAVE": "audio/wav",
    rb"fLaC": "audio/flac",
    rb"ID3|\xff": "audio/mpeg",  # a FLAC after an ID3 tag is read as what it is
}
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
    digest, definition = hashlib.sha256(), _definition(claim)
    while piece := source.read(_PIECE_BYTES):
        digest.update(piece)
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
    media_type = next((media for magic, media in _MAGIC.items() if re.match(magic, data, re.DOTALL)), None)
    if media_type is None or read(data, media_type, param=param) is None:
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
    except ImportError as error:
        raise SigningError(MISSING) from error
    return c2pa


def _context(trusted: str = "") -> c2pa.Context:
    trust = {"trust": {"user_anchors": trusted}} if trusted else {}
    settings: dict[str, Any] = {**_OFFLINE, **trust, "builder": {"thumbnail": {"enabled": False}}}
    context: c2pa.Context = _library().Context.from_dict(settings)
    return context
