"""Files of every format, and certificates, for the tests of signatures."""

from __future__ import annotations

import datetime
import io
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ancestral import codecs, formats
from ancestral.codecs import encode_file
from ancestral.codecs.ffmpeg import BookWriter, Chapter
from ancestral.images import files as encoding
from ancestral.provenance.c2pa import Claim, Signer, detached, load_signer, make_trial_chain
from ancestral_models.audio.mu_law import to_int16

RECIPE = {"model": "wavenet-en", "seed": 2**63 - 1}
CLAIM = Claim(RECIPE)
PICTURES = tuple(encoding.MEDIA_TYPES)
SOUNDS = ("wav", "mp3", "flac")
DETACHED = ("opus", "aac", "pcm", "ulaw_8000", "alaw_8000")
"""The formats that have no place for a manifest."""
RATE = 16000
PEM = serialization.Encoding.PEM
DAY = datetime.timedelta(days=1)


def trial_signer(directory: Path, name: str = "Tester") -> Signer:
    """A signer of its own."""
    return load_signer(*make_trial_chain(directory, name))


def media_type(form: str) -> str:
    """The media type of a format."""
    return "audio/mp4" if form == "m4b" else (formats.MEDIA_TYPES | encoding.MEDIA_TYPES)[form]


def wave() -> codecs.Wave:
    """A second of sound."""
    noise = np.random.default_rng(0).standard_normal(RATE)
    return (0.3 * np.sin(np.arange(RATE) / 9) + 0.02 * noise).astype(np.float32)


def file_of(form: str, directory: Path) -> bytes:
    """An unsigned file; only ``m4b`` is written to the directory."""
    if form in PICTURES:
        pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
        return encoding.encode(pixels, form, 1, {"recipe": "{}"})
    if form != "m4b":
        rate = 8000 if form.endswith("_8000") else RATE
        return encode_file([wave()], form, rate, {"title": "T", "comment": "C"})
    path = directory / "book.m4b"
    with BookWriter(path, form, RATE, {"title": "T"}, [Chapter("One", 0, RATE)]) as writer:
        writer.feed(to_int16(wave()))
        writer.finish()
    return path.read_bytes()


def detached_of(data: bytes, signer: Signer) -> bytes:
    """A manifest beside a file."""
    return detached(io.BytesIO(data), CLAIM, signer)


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    """A key as PEM."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)


def certificate(
    key: ec.EllipticCurvePrivateKey,
    start: datetime.timedelta = -DAY,
    end: datetime.timedelta = DAY,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
) -> bytes:
    """A certificate of a root that is not kept, valid from ``start`` to ``end`` as seen from now."""
    root, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]) for name in ("Leaf", "Root")]
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        .sign(root, hashes.SHA256())
        .public_bytes(PEM)
    )
