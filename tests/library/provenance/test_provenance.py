"""Signed files: manifests, media and every change of them, hostile manifests; certificates and keys."""

import io
import os
import random
import socket
import socketserver
import stat
import struct
import subprocess
import sys
import threading
import zlib

import av
import numpy as np
import pytest
import soundfile
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from PIL import Image

from ancestral.errors import InvalidRequest
from ancestral.provenance import c2pa
from tests import pngs
from tests.library.provenance import support

INSIDE = (*support.SOUNDS, "m4b", *support.PICTURES)


def report_of(data, *form, **options):
    """What is found in a file that is signed."""
    report = c2pa.read(data, *form, **options)
    assert report is not None
    return report


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return support.trial_signer(tmp_path_factory.mktemp("trial") / "keys")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    directory = tmp_path_factory.mktemp("plain")
    return {form: support.file_of(form, directory) for form in (*INSIDE, *support.DETACHED)}


@pytest.fixture(scope="module")
def signed(signer, plain):
    return {form: c2pa.sign(plain[form], support.media_type(form), support.CLAIM, signer) for form in INSIDE}


@pytest.mark.parametrize("form", INSIDE)
def test_a_signed_file_says_who_made_it_and_how(form, signed, plain):
    media = support.media_type(form)
    assert media in c2pa.EMBEDDED
    assert c2pa.read(plain[form], media) is None
    report = report_of(signed[form], media)
    assert (report.valid, report.trusted, report.altered, report.problems) == (True, False, False, [])
    assert (report.signer, report.source, report.actions) == ("Tester", "trainedAlgorithmicMedia", ["c2pa.created"])
    assert report.generator.startswith("Ancestral ")
    assert report.recipe == support.RECIPE
    assert report.ingredients == []


@pytest.mark.parametrize("form", support.DETACHED)
def test_formats_without_a_place_for_a_manifest_have_one_beside_them(form, signer, plain):
    media, data = support.media_type(form), plain[form]
    assert media not in c2pa.EMBEDDED
    with pytest.raises(c2pa.SigningError, match="unsupported"):
        c2pa.sign(data, media, support.CLAIM, signer)
    manifest = support.detached_of(data, signer)
    report = report_of(data, media, manifest=manifest)
    assert (report.valid, report.recipe) == (True, support.RECIPE)
    changed = report_of(data[:-1] + bytes([data[-1] ^ 1]), media, manifest=manifest)
    assert (changed.valid, changed.altered) == (False, True)
    shorter = report_of(data[:-1], media, manifest=manifest)
    assert shorter.altered


@pytest.mark.parametrize("form", INSIDE)
def test_the_media_is_not_changed(form, signed, plain):
    assert len(signed[form]) - len(plain[form]) < 16_384
    assert np.array_equal(_decoded(form, plain[form]), _decoded(form, signed[form]))
    assert _media(form, plain[form]) == _media(form, signed[form])


@pytest.mark.parametrize("form", INSIDE)
def test_a_changed_byte_of_the_media_is_found(form, signed, plain):
    media = _media(form, plain[form])
    start = signed[form].index(media)
    for offset in np.linspace(start, start + len(media) - 1, 20, dtype=int):
        changed = bytearray(signed[form])
        changed[offset] ^= 1
        report = report_of(bytes(changed), support.media_type(form))
        assert (report.valid, report.altered) == (False, True), offset


@pytest.mark.parametrize("form", INSIDE)
def test_a_manifest_of_another_file_does_not_fit(form, signer, plain):
    manifest = support.detached_of(plain["pcm"], signer)
    report = report_of(plain[form], support.media_type(form), manifest=manifest)
    assert (report.valid, report.altered) == (False, True)


def test_a_changed_recipe_is_found_and_the_media_is_still_the_one_that_was_signed(signed):
    forged = signed["png"].replace(b"wavenet-en", b"wavenet-de")
    start = forged.index(b"caBX")
    size = int.from_bytes(forged[start - 4 : start])
    chunk = forged[start : start + 4 + size]
    forged = forged[: start + 4 + size] + struct.pack(">I", zlib.crc32(chunk)) + forged[start + 8 + size :]
    report = report_of(forged, "image/png")
    assert (report.valid, report.altered) == (False, False)
    assert "assertion.hashedURI.mismatch" in report.problems


def test_the_tags_of_a_file_are_kept(signed):
    for form in ("mp3", "flac"):
        with av.open(io.BytesIO(signed[form])) as file:
            assert (file.metadata["title"], file.metadata["comment"]) == ("T", "C")
    assert _picture(signed["png"]).info["recipe"] == "{}"


def test_a_signature_is_trusted_by_who_trusts_its_issuer_and_by_nobody_else(signer, tmp_path, signed):
    other = support.trial_signer(tmp_path, "Other")
    for trusted, wanted in ((signer.chain, True), (other.chain, False), ("", False)):
        report = report_of(signed["png"], "image/png", trusted=trusted)
        assert (report.valid, report.trusted) == (True, wanted)


def test_the_manifest_of_an_upload_is_kept(signer, tmp_path, plain):
    other = support.trial_signer(tmp_path, "Other")
    assert c2pa.ingredient_of(plain["jpeg"], "image") is None
    ingredient = c2pa.ingredient_of(c2pa.sign(plain["jpeg"], "image/jpeg", support.CLAIM, other), "image")
    claim = c2pa.Claim({"seed": 1}, c2pa.COMPOSITE, ingredient)
    for form in ("png", "mp3"):
        report = report_of(c2pa.sign(plain[form], support.media_type(form), claim, signer), support.media_type(form))
        assert (report.valid, report.source, report.ingredients) == (True, c2pa.COMPOSITE, ["upload"])
        assert (report.signer, report.recipe) == ("Tester", {"seed": 1})


def test_c2pa_is_only_needed_to_sign_and_to_read():
    program = (
        "import sys; sys.modules['c2pa'] = None; from ancestral.provenance.c2pa import read; read(b'', 'image/png')"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.stderr.endswith(" needs c2pa, which is not installed: pip install '.[provenance]'\n")


def _decoded(form, data):
    """Samples or pixels, by what players use: FFmpeg, and libsndfile where it can."""
    if form in support.PICTURES:
        return np.array(_picture(data))
    with av.open(io.BytesIO(data)) as file:
        samples = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])
    if form in support.SOUNDS:
        assert len(soundfile.read(io.BytesIO(data))[0]) == len(samples)
    return samples


def _picture(data):
    return Image.open(io.BytesIO(data))


def _media(form, data):
    """The bytes of the sound or of the picture, without what is around them."""
    if form in ("webp", "wav"):
        start = data.index(b"VP8L" if form == "webp" else b"data")
        return data[start : start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")]
    if form == "jpeg":
        at = 2  # segment by segment: the bytes of a marker may be those of a signature, too
        while data[at + 1] != 0xDA:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
        return data[at:]
    if form == "m4b":
        with av.open(io.BytesIO(data)) as file:
            return b"".join(bytes(packet) for packet in file.demux(audio=0))
    if form == "mp3":
        return data[10 + sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True)) :]
    return data[data.index(b"fLaC") :] if form == "flac" else data[data.index(b"IDAT") : data.index(b"IEND") - 4]


C2PA = b"c2pa" + bytes.fromhex("00110010800000AA00389B71")


def box(name, content, size=None):
    return struct.pack(">I4s", len(content) + 8 if size is None else size, name) + content


def superbox(label, content, kind=C2PA):
    return box(b"jumb", box(b"jumd", kind + b"\x03" + label + b"\0") + content)


def nested(depth):
    """Boxes inside each other."""
    head, inner, heads = box(b"jumd", C2PA + b"\x03x\0"), 0, list[bytes]()
    for _ in range(depth):
        inner += 8 + len(head)
        heads.append(struct.pack(">I4s", inner, b"jumb") + head)
    return b"".join(reversed(heads))


def png(name, content):
    """A PNG of one pixel with one more chunk."""
    pixel = pngs.chunk(b"IDAT", zlib.compress(b"\0\0")), pngs.chunk(b"IEND", b"")
    return pngs.png(1, 1, pngs.chunk(name, content), *pixel, colour=0)


def with_manifest(*parts):
    """A manifest whose claim, signature and assertions are as given."""
    names = {b"c2pa.claim.v2": b"c2cl", b"c2pa.signature": b"c2cs", b"c2pa.assertions": b"c2as"}
    boxes = b"".join(superbox(label, content, names[label] + C2PA[4:]) for label, content in parts)
    manifest = superbox(b"urn:c2pa:8de05d95-4c09-42ee-ad56-e220010dd8bb", boxes, b"c2ma" + C2PA[4:])
    return png(b"caBX", superbox(b"c2pa", manifest))


ARRAYS = b"\x81" * 100_000 + b"\0"
HUGE = b"\x9b" + struct.pack(">Q", 1 << 40)
MANIFESTS = {
    "no box": png(b"caBX", b"x" * 100),
    "4 GB declared": png(b"caBX", box(b"jumb", b"a" * 100, 0xFFFFFFFF)),
    "4 EB declared": png(b"caBX", struct.pack(">I4sQ", 1, b"jumb", 1 << 62) + b"a" * 100),
    "empty store": png(b"caBX", superbox(b"c2pa", b"")),
    "100 000 boxes deep": png(b"caBX", superbox(b"c2pa", nested(100_000))),
    "20 000 boxes": png(b"caBX", superbox(b"c2pa", superbox(b"x", box(b"json", b"{}")) * 20_000)),
    "of another kind": png(b"caBX", superbox(b"c2pa", superbox(b"foreign", box(b"bidb", b"\0" * 1000)))),
    "CBOR 100 000 deep": with_manifest(
        *((label, box(b"cbor", ARRAYS)) for label in (b"c2pa.claim.v2", b"c2pa.signature", b"c2pa.assertions"))
    ),
    "CBOR of 2^40 items": with_manifest(
        (b"c2pa.assertions", b""), (b"c2pa.claim.v2", box(b"cbor", HUGE)), (b"c2pa.signature", box(b"cbor", HUGE))
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_cannot_be_read_is_refused_and_names_the_field(case):
    for reader in (
        lambda data: c2pa.read(data, "image/png", param="image"),
        lambda data: c2pa.ingredient_of(data, "image"),
    ):
        with pytest.raises(InvalidRequest, match="image: its C2PA manifest cannot be read") as caught:
            reader(MANIFESTS[case])
        assert (caught.value.param, caught.value.code) == ("image", "invalid_manifest")
        assert len(caught.value.message) < 300


@pytest.mark.parametrize("form", INSIDE)
def test_a_truncated_file_is_never_valid(form, signed):
    data = signed[form]
    for size in [*range(0, len(data), max(1, len(data) // 150)), len(data) - 1]:
        assert not _valid(data[:size], form), size


DAMAGE = [b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\x9b" + b"\x3f" + b"\xff" * 7]


@pytest.mark.parametrize("form", INSIDE)
def test_random_damage_is_never_taken_for_the_original(form, signed):
    """Bytes, sizes of 4 GB and counts of 2^62, all over the manifest: a changed claim or recipe is never valid."""
    data, source = signed[form], random.Random(form)
    start = data.index(b"jumb") - 4
    end = start + int.from_bytes(data[start : start + 4])
    recipe = c2pa.read(data, support.media_type(form))
    for _ in range(300):
        changed, at = bytearray(data), source.randrange(start, end - 9)
        new = source.choice([bytes([source.randrange(256)]), *DAMAGE])
        changed[at : at + len(new)] = new
        try:
            report = c2pa.read(bytes(changed), support.media_type(form))
        except InvalidRequest as error:
            assert error.param == "file"  # noqa: PT017 - not every damage raises
            continue
        if report is not None and report.valid:
            assert report == recipe


LINK = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{}"/></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def visited():
    """A port, and what connected to it sent."""
    sent = []

    class Visit(socketserver.BaseRequestHandler):
        def handle(self):
            sent.append(self.request.recv(1024))

    with socketserver.TCPServer(("127.0.0.1", 0), Visit) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1], sent
        server.shutdown()


def test_a_manifest_that_is_only_linked_to_is_not_fetched(visited):
    port, sent = visited
    xmp = LINK.format(f"http://127.0.0.1:{port}/manifest.c2pa")
    assert c2pa.read(png(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode()), "image/png") is None
    assert sent == []
    socket.create_connection(("127.0.0.1", port)).close()  # the port is the one that would have been visited


def test_entities_in_xmp_are_not_expanded():
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "a" * 10}">' for n in range(12))
    xmp = f'<?xml version="1.0"?><!DOCTYPE x [{entities}]>' + LINK.format("&a11;http://127.0.0.1:9/x")
    assert c2pa.read(png(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode()), "image/png") is None


@pytest.mark.parametrize(
    ("form", "name", "order"), [("wav", b"C2PA", "<I"), ("webp", b"C2PA", "<I"), ("png", b"caBX", ">I")]
)
def test_a_chunk_that_declares_4_gb_is_refused(form, name, order, signed):
    data = signed[form]
    at = data.index(name) + (-4 if form == "png" else 4)
    with pytest.raises(InvalidRequest, match="file: its C2PA manifest cannot be read"):
        c2pa.read(data[:at] + struct.pack(order, 0xFFFFFFFF) + data[at + 4 :], support.media_type(form))


def _valid(data, form):
    try:
        report = c2pa.read(data, support.media_type(form))
    except InvalidRequest:
        return False
    return report is not None and report.valid


def test_a_chain_for_trials_has_a_private_key_file_and_names_its_owner(tmp_path):
    paths = c2pa.make_trial_chain(tmp_path / "keys", "Example & Söhne")
    assert sorted(os.listdir(tmp_path / "keys")) == ["cert.pem", "key.pem", "root.pem"]
    assert stat.S_IMODE(paths[1].stat().st_mode) == 0o600
    signer = c2pa.load_signer(*paths)
    assert signer.name == "Example & Söhne"
    assert signer.chain.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE" not in repr(signer)
    with pytest.raises(FileExistsError, match=r"key\.pem exists"):
        c2pa.make_trial_chain(tmp_path / "keys", "Another")
    assert c2pa.load_signer(*paths) == signer


P256, P384 = (ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1))
GOOD = support.certificate(P256), support.key_pem(P256)
OTHER, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
FOR_SERVERS = support.certificate(P256, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
MISSING, DAY = "cannot be read: No such file or directory", support.DAY
REFUSED = [
    ("key", None, MISSING),
    ("key", b"\x00key", "is not a private key in PEM"),
    ("key", GOOD[0], "is not a private key in PEM"),
    ("key", support.key_pem(P256, b"secret"), "is encrypted"),
    ("key", support.key_pem(RSA), "is not a key on the curve P-256"),
    ("key", support.key_pem(P384), "is not a key on the curve P-256"),
    ("key", support.key_pem(OTHER), "is not the key of the first certificate"),
    ("cert", None, MISSING),
    ("cert", b"", "is not a chain of certificates in PEM"),
    ("cert", GOOD[1], "is not a chain of certificates in PEM"),
    ("cert", support.certificate(P256, -2 * DAY, -DAY), "expired on 20"),
    ("cert", support.certificate(P256, DAY, 2 * DAY), "is not valid before 20"),
    ("cert", GOOD[0] * 2, "certificate 1 was not issued by the one after it"),
    ("cert", FOR_SERVERS, "is no certificate for C2PA"),
]


@pytest.mark.parametrize(("part", "data", "reason"), REFUSED, ids=[f"{part} {reason}" for part, _, reason in REFUSED])
def test_what_cannot_be_used_is_refused_with_the_reason(part, data, reason, tmp_path):
    paths = {"cert": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    for path, good in zip(paths.values(), GOOD, strict=True):
        path.write_bytes(good)
    assert c2pa.load_signer(*paths.values()).name == "Leaf", "a chain of one certificate is enough"
    paths[part].unlink() if data is None else paths[part].write_bytes(data)
    with pytest.raises(c2pa.SignerError) as caught:
        c2pa.load_signer(*paths.values())
    assert caught.value.part == part
    assert str(paths[part]) in str(caught.value)
    assert reason in str(caught.value)


def test_an_altered_upload_is_kept_as_what_it_is(signer, plain, signed):
    altered = bytearray(signed["png"])
    altered[altered.index(b"IDAT") + 20] ^= 1
    claim = c2pa.Claim({}, ingredient=c2pa.ingredient_of(bytes(altered), "image"))
    report = report_of(c2pa.sign(plain["webp"], "image/webp", claim, signer), "image/webp")
    assert (report.valid, report.ingredients) == (True, ["upload"])
