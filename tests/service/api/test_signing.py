"""Servers with a certificate: every finished file is signed, and is otherwise the one that others give."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from cryptography.hazmat.primitives.asymmetric import ec

from ancestral.provenance.c2pa import EMBEDDED, SignatureReport, read
from ancestral.provenance.signer import make_trial_chain
from tests.library.provenance.support import certificate, key_pem
from tests.service.images.pictures import decode, files, post
from tests.service.servers import Serve, Server
from tests.service.toys import ASYNC, SPEECH

DETACHED = ("opus", "aac", "pcm")


def _started(shared: Callable[..., Server], directory: Path, name: str) -> tuple[Server, str]:
    """A server that signs as ``name``, and its certificates."""
    certificate, key = make_trial_chain(directory, name)
    return shared(signing_cert=str(certificate), signing_key=str(key)), certificate.read_text()


@pytest.fixture(scope="module")
def signing(shared: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, str]:
    return _started(shared, tmp_path_factory.mktemp("signing"), "Signing")


@pytest.fixture(scope="module")
def signed(signing: tuple[Server, str]) -> Server:
    return signing[0]


def _job(server: Server, **changes: Any) -> str:
    body = {name: value for name, value in (SPEECH | changes).items() if value is not None}
    response = httpx.post(f"{server.url}/v1/audio/speech", json=body, headers=ASYNC)
    assert response.status_code == 202, response.text
    job: str = response.json()["id"]
    assert server.ended(job)["status"] == "completed"
    return job


def _get(server: Server, job: str, part: str = "content", **headers: str) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/jobs/{job}/{part}", headers=headers, timeout=60)


def _report(data: bytes, media_type: str, manifest: bytes | None = None, trusted: str = "") -> SignatureReport:
    report = read(data, media_type, manifest=manifest, trusted=trusted)
    assert report is not None
    return report


def _media_type(response: httpx.Response) -> str:
    return response.headers["content-type"].partition(";")[0]


@pytest.mark.parametrize("form", ["wav", "mp3", "flac", *DETACHED])
def test_the_file_of_a_job_is_signed_and_sounds_like_an_unsigned_one(
    form: str, signing: tuple[Server, str], server: Server
) -> None:
    (signed, trusted), rate = signing, 24000
    job = _job(signed, response_format=form, sample_rate=rate)
    content = _get(signed, job)
    plain = _get(server, _job(server, response_format=form, sample_rate=rate)).content
    manifest = None
    if _media_type(content) in EMBEDDED:
        assert "link" not in content.headers
        assert len(content.content) > len(plain)
        assert _get(signed, job, "manifest.c2pa").json()["error"]["code"] == "no_c2pa_manifest"
        samples = [soundfile.read(io.BytesIO(data), dtype="int16")[0] for data in (content.content, plain)]
        assert np.array_equal(*samples)
    else:
        link = f'</v1/jobs/{job}/manifest.c2pa>; rel="c2pa-manifest"; type="application/c2pa"'
        assert content.headers["link"] == link
        beside = _get(signed, job, "manifest.c2pa")
        assert _media_type(beside) == "application/c2pa"
        manifest = beside.content
        assert content.content == plain
    report = _report(content.content, _media_type(content), manifest, trusted)
    assert (report.valid, report.trusted, report.altered) == (True, True, False)
    assert (report.signer, report.source) == ("Signing", "trainedAlgorithmicMedia")
    description = _get(signed, job, "manifest").json()
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert report.recipe == {
        "model": "tiny",
        "model_sha256": description["model_sha256"],
        "engine": description["engine"],
        "voice": "ann",
        "seed": 7,
        "temperature": description["request"]["temperature"],
        "job": job,
        "manifest_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
    }
    assert (description["output"]["sha256"], description["output"]["bytes"]) == (
        hashlib.sha256(plain).hexdigest(),
        len(plain),
    )


def test_a_signed_file_has_one_signature_however_often_it_is_asked_for(signed: Server) -> None:
    job = _job(signed, response_format="flac")
    whole = _get(signed, job)
    assert _get(signed, job).content == whole.content
    assert whole.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert int(whole.headers["content-length"]) == len(whole.content)
    parts = [_get(signed, job, range=span).content for span in ("bytes=0-999", "bytes=1000-")]
    assert b"".join(parts) == whole.content
    assert _get(signed, job, **{"if-none-match": whole.headers["etag"]}).status_code == 304


def test_a_manifest_beside_a_file_is_not_a_part_of_it(signed: Server) -> None:
    job = _job(signed, response_format="pcm")
    whole = _get(signed, job)
    assert whole.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert _get(signed, job, range=f"bytes={len(whole.content)}-").status_code == 416
    assert _get(signed, job, range="bytes=-10").content == whole.content[-10:]


def test_verification_goes_by_the_media(signed: Server, server: Server) -> None:
    manifest = _get(signed, _job(signed, response_format="mp3"), "manifest").json()
    for one in (signed, server):
        found = httpx.post(f"{one.url}/v1/verify", json=manifest, timeout=60).json()
        assert (found["equal"], found["differs"]) == (True, [])


@pytest.mark.parametrize("form", DETACHED)
def test_a_stream_that_has_no_place_for_a_manifest_is_the_file_that_the_link_is_for(form: str, signed: Server) -> None:
    response = signed.speak(response_format=form)
    link = response.headers["link"].partition(">")[0].removeprefix("<")
    manifest = httpx.get(signed.url + link).content
    assert _report(response.content, _media_type(response), manifest).valid
    altered = _report(response.content[:-2], _media_type(response), manifest)
    assert (altered.valid, altered.altered) == (False, True)


@pytest.mark.parametrize("form", ["wav", "mp3", "flac"])
def test_a_stream_is_as_without_signatures_and_its_file_is_signed(form: str, signed: Server, server: Server) -> None:
    response = signed.speak(response_format=form)
    assert response.content == server.speak(response_format=form).content
    assert "link" not in response.headers
    assert read(response.content, _media_type(response)) is None
    content = _get(signed, response.headers["x-job-id"])
    assert _report(content.content, _media_type(content)).valid


def test_sound_in_json_is_the_signed_file(signed: Server) -> None:
    response = signed.speak(stream_format="json", response_format="mp3", timestamps=["word"])
    sound = base64.b64decode(response.json()["audio"])
    assert _report(sound, "audio/mpeg").recipe == _report(_get(signed, response.headers["x-job-id"]).content, "").recipe
    assert sound == _get(signed, response.headers["x-job-id"]).content
    assert response.json()["words"]


def test_sound_with_times_for_clients_of_elevenlabs_is_the_signed_file(signed: Server) -> None:
    response = httpx.post(
        f"{signed.url}/v1/text-to-speech/ann/with-timestamps",
        json={"text": "The birch canoe slid.", "model_id": "tiny"},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    assert _report(base64.b64decode(response.json()["audio_base64"]), "audio/mpeg").valid


@pytest.mark.parametrize("form", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("delivery", ["b64_json", "url"])
def test_pictures_are_signed_each_with_its_own_seed(form: str, delivery: str, signed: Server, server: Server) -> None:
    changes = {"output_format": form, "response_format": delivery, "n": 2}
    response, plain = (post(one, "generations", **changes) for one in (signed, server))
    found = files(response)
    for data, other, entry in zip(found, files(plain), response.json()["data"], strict=True):
        report = _report(data, f"image/{form}")
        assert (report.valid, report.altered, report.signer) == (True, False, "Signing")
        assert report.recipe is not None
        assert report.recipe["seed"] == entry["seed"]
        assert np.array_equal(decode(data), decode(other))
    archive = _get(signed, response.headers["x-job-id"])
    with zipfile.ZipFile(io.BytesIO(archive.content)) as members:
        assert [members.read(name) for name in members.namelist()] == found
    description = _get(signed, response.headers["x-job-id"], "manifest").json()
    assert (
        description["output"]["sha256"] == hashlib.sha256(_get(server, plain.headers["x-job-id"]).content).hexdigest()
    )


def test_the_picture_of_a_name_is_signed(signed: Server, server: Server) -> None:
    found, plain = (httpx.get(f"{one.url}/v1/avatars/alice.png?model=rgb", timeout=60) for one in (signed, server))
    report = _report(found.content, "image/png")
    assert report.valid
    assert report.recipe is not None
    assert str(report.recipe["seed"]) == found.headers["x-seed"]
    assert found.headers["etag"] == f"W/{plain.headers['etag']}"
    assert np.array_equal(decode(found.content), decode(plain.content))


def test_a_picture_that_has_grown_is_signed_and_those_before_it_are_not(signed: Server) -> None:
    response = post(signed, "generations", stream=True, partial_images=1)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    pictures = {event["type"]: base64.b64decode(event["b64_json"]) for event in events}
    assert read(pictures["image_generation.partial_image"], "image/png") is None
    assert _report(pictures["image_generation.completed"], "image/png").valid
    assert pictures["image_generation.completed"] == _get(signed, response.headers["x-job-id"]).content


def test_figures_have_no_signature(signed: Server) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1600), 16000, format="WAV")
    form = {"model": "tiny", "voice": "ann", "text": "Yes."}
    response = httpx.post(
        f"{signed.url}/v1/audio/likelihood", data=form, files={"file": file.getvalue()}, headers=ASYNC, timeout=60
    )
    job = response.json()["id"]
    assert signed.ended(job)["status"] == "completed"
    assert _get(signed, job).json()["samples"] > 0
    assert _get(signed, job, "manifest.c2pa").json()["error"]["code"] == "no_c2pa_manifest"


def test_an_upload_keeps_its_manifest_in_what_is_made_from_it(signed: Server) -> None:
    picture = files(post(signed, "generations", output_format="webp"))[0]
    image = base64.b64encode(picture).decode()
    response = post(signed, "completions", image=image, n=2)
    for data in files(response):
        report = _report(data, "image/png")
        assert (report.valid, report.ingredients) == (True, ["upload"])
        assert report.source == "compositeWithTrainedAlgorithmicMedia"
    sound = base64.b64encode(_get(signed, _job(signed)).content).decode()
    continued = signed.generate(headers=ASYNC, prompt_audio=sound, duration=0.2)
    assert signed.ended(continued.json()["id"])["status"] == "completed"
    report = _report(_get(signed, continued.json()["id"]).content, "audio/wav")
    assert (report.valid, report.ingredients, report.source) == (True, ["upload"], "trainedAlgorithmicMedia")


def test_an_upload_with_a_damaged_manifest_is_refused_and_names_the_field(signed: Server, server: Server) -> None:
    data = files(post(signed, "generations"))[0]
    start = data.index(b"caBX")
    size = int.from_bytes(data[start - 4 : start])
    chunk = data[start : start + 4] + data[start + 4 : start + size // 2].ljust(size, b"\xff")
    damaged = data[:start] + chunk + zlib.crc32(chunk).to_bytes(4) + data[start + 8 + size :]
    image = base64.b64encode(damaged).decode()
    response = post(signed, "completions", image=image)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_manifest")
    assert response.json()["error"]["param"] == "image"
    assert post(server, "completions", image=image).status_code == 200


def test_two_servers_do_not_vouch_for_each_other(
    signing: tuple[Server, str], shared: Callable[..., Server], tmp_path: Path
) -> None:
    other = _started(shared, tmp_path, "Other")
    for (server, own), (_, foreign) in ((signing, other), (other, signing)):
        data = _get(server, _job(server, response_format="wav")).content
        assert _report(data, "audio/wav", trusted=own).trusted
        report = _report(data, "audio/wav", trusted=foreign)
        assert (report.valid, report.trusted) == (True, False)


@pytest.mark.slow
def test_after_the_certificate_has_expired_nothing_is_handed_out_unsigned_and_nothing_is_lost(
    serve: Serve, tmp_path: Path
) -> None:
    key, life = ec.generate_private_key(ec.SECP256R1()), datetime.timedelta(seconds=100)
    paths = {"signing_cert": tmp_path / "cert.pem", "signing_key": tmp_path / "key.pem"}
    paths["signing_cert"].write_bytes(certificate(key, end=life))
    paths["signing_key"].write_bytes(key_pem(key))
    expiry = time.monotonic() + life.total_seconds()
    settings = {name: str(path) for name, path in paths.items()} | {"data_dir": str(tmp_path / "data")}
    with serve(**settings) as server:
        before, after = (_job(server, seed=seed) for seed in (1, 2))
        kept = _get(server, before).content
        assert _report(kept, "audio/wav").valid
        time.sleep(max(0.0, expiry - time.monotonic()) + 2)
        refused = _get(server, after)
        assert (refused.status_code, refused.json()["error"]["code"]) == (500, "signing_failed")
        assert refused.headers["x-job-id"] == after
        assert _get(server, before).content == kept
        pictures = post(server, "generations")
        assert (pictures.status_code, pictures.json()["error"]["code"]) == (500, "signing_failed")
        assert server.speak().status_code == 200
        assert server.stop() == 0
    paths["signing_cert"].write_bytes(certificate(key))
    with serve(**settings) as server:
        for job in (after, pictures.headers["x-job-id"]):
            content = _get(server, job)
            assert _report(content.content, _media_type(content)).valid


def test_a_server_without_a_certificate_signs_nothing(server: Server) -> None:
    job = _job(server, response_format="opus")
    content, manifest = _get(server, job), _get(server, job, "manifest.c2pa")
    assert "link" not in content.headers
    assert (manifest.status_code, manifest.json()["error"]["code"]) == (404, "no_c2pa_manifest")
    assert "not signed" in manifest.json()["error"]["message"]
