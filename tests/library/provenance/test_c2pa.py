"""Signed files: what their manifests say, that their media is as before, and that every change of it is found."""

import io
import struct
import subprocess
import sys
import zlib

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from ancestral.codecs.decoding import decode_upload
from ancestral.provenance.c2pa import COMPOSITE, EMBEDDED, Claim, SigningError, ingredient_of, read, sign
from tests.library.provenance.support import (
    CLAIM,
    DETACHED,
    PICTURES,
    RATE,
    RECIPE,
    SOUNDS,
    detached_of,
    file_of,
    media_type,
    trial_signer,
)

INSIDE = (*SOUNDS, "m4b", *PICTURES)


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return trial_signer(tmp_path_factory.mktemp("trial") / "keys")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    directory = tmp_path_factory.mktemp("plain")
    return {form: file_of(form, directory) for form in (*INSIDE, *DETACHED)}


@pytest.mark.parametrize("form", INSIDE)
def test_a_signed_file_says_who_made_it_and_how(form, signer, plain):
    media = media_type(form)
    assert media in EMBEDDED
    assert read(plain[form], media) is None
    report = read(sign(plain[form], media, CLAIM, signer), media)
    assert report is not None
    assert (report.valid, report.trusted, report.altered, report.problems) == (True, False, False, [])
    assert (report.signer, report.source, report.actions) == ("Tester", "trainedAlgorithmicMedia", ["c2pa.created"])
    assert report.generator is not None
    assert report.generator.startswith("Ancestral ")
    assert report.recipe == RECIPE
    assert report.ingredients == []


@pytest.mark.parametrize("form", DETACHED)
def test_formats_without_a_place_for_a_manifest_have_one_beside_them(form, signer, plain):
    media, data = media_type(form), plain[form]
    assert media not in EMBEDDED
    with pytest.raises(SigningError, match="unsupported"):
        sign(data, media, CLAIM, signer)
    manifest = detached_of(data, signer)
    report = read(data, media, manifest=manifest)
    assert report is not None
    assert (report.valid, report.recipe) == (True, RECIPE)
    changed = read(data[:-1] + bytes([data[-1] ^ 1]), media, manifest=manifest)
    assert changed is not None
    assert (changed.valid, changed.altered) == (False, True)
    shorter = read(data[:-1], media, manifest=manifest)
    assert shorter is not None
    assert shorter.altered


@pytest.mark.parametrize("form", INSIDE)
def test_the_media_is_not_changed(form, signer, plain):
    signed = sign(plain[form], media_type(form), CLAIM, signer)
    assert len(signed) - len(plain[form]) < 16_384
    assert np.array_equal(_decoded(form, plain[form]), _decoded(form, signed))
    assert _media(form, plain[form]) == _media(form, signed)


@pytest.mark.parametrize("form", INSIDE)
def test_a_changed_byte_of_the_media_is_found(form, signer, plain):
    signed, media = sign(plain[form], media_type(form), CLAIM, signer), _media(form, plain[form])
    start = signed.index(media)
    for offset in np.linspace(start, start + len(media) - 1, 20, dtype=int):
        changed = bytearray(signed)
        changed[offset] ^= 1
        report = read(bytes(changed), media_type(form))
        assert report is not None
        assert (report.valid, report.altered) == (False, True), offset


@pytest.mark.parametrize("form", INSIDE)
def test_a_manifest_of_another_file_does_not_fit(form, signer, plain):
    manifest = detached_of(plain["pcm"], signer)
    report = read(plain[form], media_type(form), manifest=manifest)
    assert report is not None
    assert (report.valid, report.altered) == (False, True)


def test_a_changed_recipe_is_found_and_the_media_is_still_the_one_that_was_signed(signer, plain):
    signed = sign(plain["png"], "image/png", CLAIM, signer)
    forged = signed.replace(b"wavenet-en", b"wavenet-de")
    start = forged.index(b"caBX")
    size = int.from_bytes(forged[start - 4 : start])
    chunk = forged[start : start + 4 + size]
    forged = forged[: start + 4 + size] + struct.pack(">I", zlib.crc32(chunk)) + forged[start + 8 + size :]
    report = read(forged, "image/png")
    assert report is not None
    assert (report.valid, report.altered) == (False, False)
    assert "assertion.hashedURI.mismatch" in report.problems


def test_the_tags_of_a_file_are_kept(signer, plain):
    for form in ("mp3", "flac"):
        with av.open(io.BytesIO(sign(plain[form], media_type(form), CLAIM, signer))) as file:
            assert (file.metadata["title"], file.metadata["comment"]) == ("T", "C")
    assert _picture(sign(plain["png"], "image/png", CLAIM, signer)).info["recipe"] == "{}"


@pytest.mark.parametrize("form", SOUNDS)
def test_a_signed_file_can_be_uploaded_again(form, signer, plain):
    signed = sign(plain[form], media_type(form), CLAIM, signer)
    before, after = (
        decode_upload(data, sample_rate=RATE, max_seconds=10, param="file") for data in (plain[form], signed)
    )
    assert np.array_equal(before, after)


def test_a_signature_is_trusted_by_who_trusts_its_issuer_and_by_nobody_else(signer, tmp_path, plain):
    other = trial_signer(tmp_path, "Other")
    signed = sign(plain["png"], "image/png", CLAIM, signer)
    for trusted, wanted in ((signer.chain, True), (other.chain, False), ("", False)):
        report = read(signed, "image/png", trusted=trusted)
        assert report is not None
        assert (report.valid, report.trusted) == (True, wanted)


def test_two_signatures_of_one_file_differ_and_both_are_valid(signer, plain):
    first, second = (sign(plain["png"], "image/png", CLAIM, signer) for _ in range(2))
    assert first != second
    reports = [read(data, "image/png") for data in (first, second)]
    assert all(report is not None and report.valid for report in reports)


def test_the_manifest_of_an_upload_is_kept(signer, tmp_path, plain):
    other = trial_signer(tmp_path, "Other")
    assert ingredient_of(plain["jpeg"], "image") is None
    ingredient = ingredient_of(sign(plain["jpeg"], "image/jpeg", CLAIM, other), "image")
    assert ingredient is not None
    claim = Claim({"seed": 1}, COMPOSITE, ingredient)
    for form in ("png", "mp3"):
        report = read(sign(plain[form], media_type(form), claim, signer), media_type(form))
        assert report is not None
        assert (report.valid, report.source, report.ingredients) == (True, COMPOSITE, ["upload"])
        assert (report.signer, report.recipe) == ("Tester", {"seed": 1})


def test_an_altered_upload_is_kept_as_what_it_is(signer, plain):
    signed = bytearray(sign(plain["png"], "image/png", CLAIM, signer))
    signed[signed.index(b"IDAT") + 20] ^= 1
    ingredient = ingredient_of(bytes(signed), "image")
    report = read(sign(plain["webp"], "image/webp", Claim({}, ingredient=ingredient), signer), "image/webp")
    assert report is not None
    assert report.ingredients == ["upload"]
    assert report.valid


def test_c2pa_is_only_needed_to_sign_and_to_read():
    program = (
        "import sys\n"
        "sys.modules['c2pa'] = None\n"
        "from ancestral.provenance import c2pa\n"
        "try:\n"
        "    c2pa.read(b'', 'image/png')\n"
        "except c2pa.SigningError as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "needs the extra 'provenance': pip install 'ancestral[provenance]'\n"


def _decoded(form, data):
    """Samples or pixels, by what players use: FFmpeg, and libsndfile where it can."""
    if form in PICTURES:
        return np.array(_picture(data))
    with av.open(io.BytesIO(data)) as file:
        samples = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])
    if form in SOUNDS:
        assert len(soundfile.read(io.BytesIO(data))[0]) == len(samples)
    return samples


def _picture(data):
    return Image.open(io.BytesIO(data))


def _media(form, data):
    """The bytes of the sound or of the picture, without what is around them."""
    if form == "png":
        start = data.index(b"IDAT")
        return data[start : data.index(b"IEND") - 4]
    if form == "jpeg":
        at = 2  # segment by segment: the bytes of a marker may be those of a signature, too
        while data[at + 1] != 0xDA:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
        return data[at:]
    if form == "webp":
        start = data.index(b"VP8L")
        return data[start : start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")]
    if form == "wav":
        start = data.index(b"data")
        return data[start : start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")]
    if form == "flac":
        return data[data.index(b"fLaC") :]
    if form == "mp3":
        return data[10 + sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True)) :]
    with av.open(io.BytesIO(data)) as file:
        return b"".join(bytes(packet) for packet in file.demux(audio=0))
