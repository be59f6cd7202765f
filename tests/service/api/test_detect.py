"""`POST /v1/detect`: a server finds what it has made, and nothing else; seeds are drawn from the provenance key."""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import secrets
import time
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from ancestral.catalog.seeds import keyed_seeds, part_seed
from ancestral.provenance.c2pa import EMBEDDED, SignatureReport, make_trial_chain, read
from tests.library.provenance.support import certificate, key_pem
from tests.pngs import chunk, png
from tests.service.api.job_requests import check_envelope, finished
from tests.service.api.job_requests import content as get
from tests.service.images.pictures import BEST, decode, files, noise, post, recipe_of, seeds, watching, written
from tests.service.servers import Serve, Server
from tests.service.speech.sounds import recording
from tests.service.toys import ASYNC, SPEECH
from tests.service.ws_client import talking
from tests.waiting import awaited

KEY, OTHER = "0123456789abcdef" * 3, "fedcba9876543210" * 3
PARTS = {"signature", "recipe", "seed", "model", "verdict"}


@pytest.fixture(scope="module")
def keyed_server(shared: Callable[..., Server]) -> Server:
    return shared(provenance_key=KEY)


@pytest.fixture(scope="module")
def other_server(shared: Callable[..., Server]) -> Server:
    return shared(provenance_key=OTHER)


def detect(server: Server, file: bytes, **fields: Any) -> httpx.Response:
    form = {name: str(value) for name, value in fields.items()}
    return httpx.post(f"{server.url}/v1/detect", data=form, files={"file": ("a", file)}, timeout=120.0)


def found(server: Server, file: bytes, **fields: Any) -> dict[str, Any]:
    response = detect(server, file, **fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer.keys() == PARTS
    for part in ("signature", "recipe", "seed", "model"):
        assert (answer[part]["status"] == "not_tried") == ("reason" in answer[part])
    return answer


def drawn(server: Server, **fields: Any) -> tuple[list[bytes], list[int]]:
    """Pictures without recipes, and their seeds."""
    response = post(server, "generations", prompt="any", seed=None, **fields)
    return [written(decode(file)) for file in files(response)], seeds(response)


@pytest.mark.slow
def test_a_picture_is_found_by_the_key_of_its_server_alone(
    keyed_server: Server, other_server: Server, server: Server
) -> None:
    files, seeds = drawn(keyed_server, n=2)
    counters = keyed_seeds(KEY.encode(), 0, 10_000).tolist()
    for part, (file, seed) in enumerate(zip(files, seeds, strict=True)):
        answer = found(keyed_server, file, model="rgb")
        assert answer["verdict"] == "made_here"
        said = answer["seed"]
        assert (said["status"], said["seed"], said["part"], said["exact"]) == ("found", seed, part, True)
        assert part_seed(counters[said["counter"]], part) == seed
    answer = found(other_server, files[0], model="rgb")
    assert (answer["seed"]["status"], answer["verdict"] == "made_here") == ("not_found", False)
    assert answer["seed"]["complete"] is True
    told = found(server, files[0], model="rgb", seed=seeds[0])
    assert (told["verdict"], told["seed"]["seed"], told["seed"]["exact"]) == ("made_with_model", seeds[0], True)


def test_the_recipe_in_a_file_is_followed_and_a_changed_pixel_is_not_equal(server: Server) -> None:
    (file,) = files(post(server, "generations", prompt="cat", seed=5))
    answer = found(server, file)
    assert answer["recipe"] == {"status": "equal", "pixels": 48, "equal_pixels": 48}
    assert answer["verdict"] == "made_with_model"
    pixels = decode(file).copy()
    pixels[3, 3] ^= 255
    answer = found(server, written(pixels), recipe=json.dumps(recipe_of(file)))
    assert answer["recipe"] == {"status": "differs", "pixels": 48, "equal_pixels": 47}
    assert (answer["seed"]["status"], answer["seed"]["exact"]) == ("found", False)


def test_a_seed_that_javascript_would_round_is_text_in_a_recipe(server: Server) -> None:
    spoken = server.speak(response_format="flac", seed=2**53).content
    with av.open(io.BytesIO(spoken)) as file:
        assert json.loads(file.metadata["comment"])["seed"] == "9007199254740992"
    assert found(server, spoken, text=str(SPEECH["input"]))["recipe"]["status"] == "equal"


def test_a_sentence_is_found_whatever_it_says(keyed_server: Server, server: Server) -> None:
    spoken = keyed_server.speak(model="shaped", response_format="flac", seed=None)
    answer = found(keyed_server, spoken.content, recipe="{}")
    assert answer["verdict"] == "made_here"
    assert answer["seed"]["seed"] == int(spoken.headers["x-seed"])
    assert answer["recipe"]["status"] == "not_tried"
    assert found(server, spoken.content, recipe="{}")["seed"]["status"] == "not_tried"
    changed = server.speak(response_format="flac", speed=1.5, pronunciations={"planks": "P L AE1 N K S"})
    assert found(server, changed.content, text=SPEECH["input"])["recipe"]["status"] == "equal"
    told = found(server, spoken.content)  # by the seed in its tags
    assert told["verdict"] == "made_with_model"


@pytest.mark.parametrize(("text", "voice"), [("The birch canoe slid.", "ann"), ("It slid. Is it late?", "ann+bob")])
def test_a_sound_is_made_again_from_its_manifest(server: Server, text: str, voice: str) -> None:
    spoken = server.speak(model="shaped", response_format="wav", seed=8, input=text, voice=voice)
    manifest = httpx.get(f"{server.url}/v1/jobs/{spoken.headers['x-job-id']}/manifest").text
    answer = found(server, spoken.content, recipe=manifest)
    assert answer["recipe"]["status"] == "equal"
    assert answer["verdict"] == "made_with_model"


def test_a_sound_of_8_khz_is_close_to_its_recipe_and_to_no_other_whatever_the_form_of_its_voice(server: Server) -> None:
    said: dict[str, Any] = {"model": "shaped", "voice": {"ann": 2, "bob": 1}, "pitch": 12}
    spoken = server.speak(**said, response_format="wav", sample_rate=8000, seed=8).content
    for seed, status in ((8, "close"), (9, "differs")):
        recipe = json.dumps(said | {"seed": seed})
        assert found(server, spoken, text=SPEECH["input"], recipe=recipe)["recipe"]["status"] == status


def test_a_picture_is_made_again_from_its_manifest(server: Server) -> None:
    best = post(server, "generations", **BEST | {"n": 1}, seed=7)
    assert best.json()["data"][0]["seed"] != 7, "not the first candidate"
    edited = post(server, "edits")
    for response, status in ((best, "equal"), (edited, "not_tried")):
        manifest = httpx.get(f"{server.url}/v1/jobs/{response.headers['x-job-id']}/manifest").text
        (file,) = files(response)
        assert found(server, file, recipe=manifest)["recipe"]["status"] == status


def test_detections_keep_no_slot_of_speech(serve: Serve) -> None:
    with serve(provenance_key=KEY, interactive_slots=1) as server, ThreadPoolExecutor(2) as pool:
        assert server.speak(seed=None).status_code == 200, "so that there are seeds to try, for ten seconds"
        examined = [pool.submit(detect, server, recording(5.0)) for _ in range(2)]
        jobs = awaited(lambda: len(jobs := httpx.get(f"{server.url}/v1/jobs").json()["data"]) == 3 and jobs)
        assert server.speak().status_code == 200
        assert not any(answer.done() for answer in examined), "speech has waited"
        for job in jobs[:2]:
            assert httpx.post(f"{server.url}/v1/jobs/{job['id']}/cancel").status_code == 200
        assert [answer.result().status_code for answer in examined] == [409, 409]


def test_noise_is_nobodys(keyed_server: Server) -> None:
    answer = found(keyed_server, written(noise("rgb")), model="rgb")
    assert answer["seed"]["status"] == "not_found"
    assert answer["verdict"] == "no_evidence"


def test_a_job_has_the_same_answer(keyed_server: Server) -> None:
    (file,), _ = drawn(keyed_server)
    form = {"model": "rgb"}
    url = f"{keyed_server.url}/v1/detect"
    accepted = httpx.post(url, data=form, files={"file": ("a", file)}, headers=ASYNC, timeout=60.0)
    assert accepted.status_code == 202
    job = keyed_server.ended(accepted.json()["id"])
    assert (job["status"], job["kind"]) == ("completed", "detection")
    content = httpx.get(f"{keyed_server.url}/v1/jobs/{job['id']}/content").json()
    assert content["verdict"] == "made_here"
    assert KEY not in json.dumps(content) + accepted.text + "".join(map(str, keyed_server.log))


def test_a_key_is_bound_to_the_file_and_not_to_its_pixels(server: Server) -> None:
    (bare,), _ = drawn(server)
    with Image.open(io.BytesIO(bare)) as image:
        image.save(other := io.BytesIO(), "PNG", compress_level=1)
    url, key = f"{server.url}/v1/detect", {"idempotency-key": secrets.token_urlsafe(24)}
    for file, status in ((bare, 200), (other.getvalue(), 422), (bare, 200)):
        assert httpx.post(url, files={"file": ("a", file)}, headers=key, timeout=60.0).status_code == status


BOMB = chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "a huge picture": png(60_000, 60_000, BOMB, chunk(b"IEND", b"")),
    "cut short": png(8, 6, BOMB[:40]),
    "a text bomb": png(8, 6, chunk(b"zTXt", b"recipe\0\0" + zlib.compress(bytes(80 << 20))), BOMB),
    "4 GB of sound": b"RIFF\xff\xff\xff\xffWAVE"
    b"fmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\xf0\xff\xfe\x7e",
    "4 GB of PNG": b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR",
    "4 GB of WebP": b"RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\xff",
    "a JPEG without an end": b"\xff\xd8\xff\xe1\xff\xffExif\0\0",
    "an MP3 of tags": b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
    "FLAC of nothing": b"fLaC\x80\xff\xff\xff",
    "Ogg of nothing": b"OggS" + bytes(40),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_the_name_of_the_field(server: Server, name: str) -> None:
    with server.unharmed():
        check_envelope(detect(server, HOSTILE[name]), 400, param="file")


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("model", {"model": "nobody"}), ("model", {"model": "tiny"}), ("seed", {"seed": -1}), ("seed", {"seed": 2**63}),
        ("search", {"search": 1 << 25}), ("recipe", {"recipe": "no JSON"}), ("recipe", {"recipe": "[1]"}),
        ("recipe", {"recipe": "[" * 60_000}), ("recipe", {"recipe": r'{"a": "\ud800"}'}), ("voices", {"voices": "ann"}),
    ],
)  # fmt: skip
def test_fields_that_cannot_be_used_are_named(server: Server, param: str, fields: dict[str, Any]) -> None:
    (file,), _ = drawn(server)
    response = detect(server, file, **fields)
    assert response.status_code in (400, 404)
    assert response.json()["error"]["param"] == param


def test_seeds_come_from_the_key_over_every_transport(keyed_server: Server) -> None:
    counters = set(keyed_seeds(KEY.encode(), 0, 100_000).tolist())
    seeds = [int(keyed_server.speak(seed=None).headers["x-seed"])]
    seeds.append(int(keyed_server.generate(seed=None).headers["x-seed"]))
    eleven = httpx.post(f"{keyed_server.url}/v1/text-to-speech/ann", json={"text": "Hello."}, timeout=60.0)
    seeds.append(int(eleven.headers["x-seed"]))
    seeds += drawn(keyed_server)[1]
    with watching(keyed_server) as watch:
        watch.generate(seed=None)
        seeds.append(int(watch.answer()[0]["seed"]))
    with talking(keyed_server) as talk:
        talk.speak("Hello.", seed=None)
        seeds.append(int(talk.heard[0].start["seed"]))
    assert len(set(seeds)) == len(seeds) == 6, "no seed twice"
    assert set(seeds) <= counters
    assert int(keyed_server.speak(seed=7).headers["x-seed"]) == 7


# Servers with a certificate: every finished file is signed, and is otherwise the one that others give.


DETACHED = ("opus", "aac", "pcm")


@pytest.fixture(scope="module")
def signing(shared: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, str]:
    """A server that signs, and its certificates."""
    certificate, key = make_trial_chain(tmp_path_factory.mktemp("signing"), "Signing")
    return shared(signing_cert=str(certificate), signing_key=str(key)), certificate.read_text()


@pytest.fixture(scope="module")
def signed(signing: tuple[Server, str]) -> Server:
    return signing[0]


def _job(server: Server, **changes: Any) -> str:
    return finished(server, SPEECH | changes)


def _report(data: bytes, media_type: str, manifest: bytes | None = None, trusted: str = "") -> SignatureReport:
    report = read(data, media_type, manifest=manifest, trusted=trusted)
    assert report is not None
    return report


def _media_type(response: httpx.Response) -> str:
    return response.headers["content-type"].partition(";")[0]


@pytest.mark.parametrize("form", ["wav", "mp3", "flac", *DETACHED])
def test_the_file_of_a_job_is_signed(form: str, signing: tuple[Server, str], server: Server) -> None:
    (signed, trusted), rate = signing, 24000
    job = _job(signed, response_format=form, sample_rate=rate)
    content = get(signed, job)
    plain = get(server, _job(server, response_format=form, sample_rate=rate)).content
    manifest = None
    if _media_type(content) in EMBEDDED:
        assert "link" not in content.headers
        assert get(signed, job, "manifest.c2pa").json()["error"]["code"] == "no_c2pa_manifest"
    else:
        link = f'</v1/jobs/{job}/manifest.c2pa>; rel="c2pa-manifest"; type="application/c2pa"'
        assert content.headers["link"] == link
        beside = get(signed, job, "manifest.c2pa")
        assert _media_type(beside) == "application/c2pa"
        manifest = beside.content
        assert content.content == plain
    report = _report(content.content, _media_type(content), manifest, trusted)
    assert (report.valid, report.trusted, report.altered) == (True, True, False)
    assert (report.signer, report.source) == ("Signing", "trainedAlgorithmicMedia")
    description = get(signed, job, "manifest").json()
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert report.recipe == {
        "model": "tiny", "model_sha256": description["model_sha256"], "engine": description["engine"], "voice": "ann",
        "seed": 7, "temperature": description["request"]["temperature"], "job": job,
        "manifest_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
    }  # fmt: skip
    assert description["output"]["sha256"] == hashlib.sha256(plain).hexdigest()


def test_a_signed_file_has_one_signature_however_often_it_is_asked_for(signed: Server) -> None:
    job = _job(signed, response_format="flac")
    whole = get(signed, job)
    assert get(signed, job).content == whole.content
    assert whole.headers["etag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert get(signed, job, range="bytes=1000-").content == whole.content[1000:]


def test_verification_goes_by_the_media(signed: Server, server: Server) -> None:
    manifest = get(signed, _job(signed, response_format="mp3"), "manifest").json()
    for one in (signed, server):
        found = httpx.post(f"{one.url}/v1/verify", json=manifest, timeout=60).json()
        assert (found["equal"], found["differs"]) == (True, [])
        assert found["actual_sha256"] == found["expected_sha256"] == manifest["output"]["sha256"]


@pytest.mark.parametrize("form", DETACHED)
def test_a_stream_that_has_no_place_for_a_manifest_is_the_file_that_the_link_is_for(form: str, signed: Server) -> None:
    response = signed.speak(response_format=form)
    link = response.headers["link"].partition(">")[0].removeprefix("<")
    manifest = httpx.get(signed.url + link).content
    assert _report(response.content, _media_type(response), manifest).valid


@pytest.mark.parametrize("form", ["wav", "mp3", "flac"])
def test_a_stream_is_as_without_signatures_and_its_file_is_signed(form: str, signed: Server, server: Server) -> None:
    response = signed.speak(response_format=form)
    assert response.content == server.speak(response_format=form).content
    assert "link" not in response.headers
    assert read(response.content, _media_type(response)) is None
    content = get(signed, response.headers["x-job-id"])
    assert _report(content.content, _media_type(content)).valid


@pytest.mark.parametrize("form", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("delivery", ["b64_json", "url"])
def test_pictures_are_signed_each_with_its_own_seed(form: str, delivery: str, signed: Server, server: Server) -> None:
    changes = {"output_format": form, "response_format": delivery, "n": 2}
    response, plain = (post(one, "generations", **changes) for one in (signed, server))
    made = files(response)
    for data, other, entry in zip(made, files(plain), response.json()["data"], strict=True):
        report = _report(data, f"image/{form}")
        assert (report.valid, report.altered, report.signer) == (True, False, "Signing")
        assert report.recipe is not None
        assert report.recipe["seed"] == entry["seed"]
        assert np.array_equal(decode(data), decode(other))
        assert (found(signed, data)["verdict"], found(server, data)["verdict"] == "made_here") == ("made_here", False)
        assert form == "jpeg" or found(signed, data)["recipe"]["status"] == "equal"
    archive = get(signed, response.headers["x-job-id"])
    with zipfile.ZipFile(io.BytesIO(archive.content)) as members:
        assert [members.read(name) for name in members.namelist()] == made
    description = get(signed, response.headers["x-job-id"], "manifest").json()
    assert description["output"]["sha256"] == hashlib.sha256(get(server, plain.headers["x-job-id"]).content).hexdigest()


def test_an_upload_keeps_its_manifest_in_what_is_made_from_it(signed: Server) -> None:
    picture = files(post(signed, "generations", output_format="webp"))[0]
    image = base64.b64encode(picture).decode()
    response = post(signed, "completions", image=image, n=2)
    for data in files(response):
        report = _report(data, "image/png")
        assert (report.valid, report.ingredients) == (True, ["upload"])
        assert report.source == "compositeWithTrainedAlgorithmicMedia"
    sound = base64.b64encode(get(signed, _job(signed)).content).decode()
    continued = signed.generate(headers=ASYNC, prompt_audio=sound, duration=0.2)
    assert signed.ended(continued.json()["id"])["status"] == "completed"
    report = _report(get(signed, continued.json()["id"]).content, "audio/wav")
    assert (report.valid, report.ingredients, report.source) == (True, ["upload"], "trainedAlgorithmicMedia")


def test_an_upload_with_a_damaged_manifest_is_refused_and_names_the_field(signed: Server, server: Server) -> None:
    data = written(noise("rgb"))
    damaged = data[:33] + chunk(b"caBX", b"x" * 100) + data[33:]  # behind the header
    error = check_envelope(post(signed, "completions", image=damaged), 400, "image")
    assert error["code"] == "invalid_manifest"
    assert post(server, "completions", image=damaged).status_code == 200


@pytest.mark.slow
def test_after_the_certificate_has_expired_nothing_is_handed_out_unsigned_and_nothing_is_lost(
    serve: Serve, tmp_path: Path
) -> None:
    key, life = ec.generate_private_key(ec.SECP256R1()), datetime.timedelta(seconds=30)
    paths = {"signing_cert": tmp_path / "cert.pem", "signing_key": tmp_path / "key.pem"}
    paths["signing_cert"].write_bytes(certificate(key, end=life))
    paths["signing_key"].write_bytes(key_pem(key))
    expiry = time.monotonic() + life.total_seconds()
    settings = {name: str(path) for name, path in paths.items()} | {"data_dir": str(tmp_path / "data")}
    with serve(**settings) as server:
        before, after = (_job(server, seed=seed) for seed in (1, 2))
        kept = get(server, before).content
        assert _report(kept, "audio/wav").valid
        time.sleep(max(0.0, expiry - time.monotonic()) + 2)
        refused = get(server, after)
        assert (refused.status_code, refused.json()["error"]["code"]) == (500, "signing_failed")
        assert refused.headers["x-job-id"] == after
        assert get(server, before).content == kept
        pictures = post(server, "generations")
        assert (pictures.status_code, pictures.json()["error"]["code"]) == (500, "signing_failed")
        assert server.speak().status_code == 200
        assert server.stop() == 0
    paths["signing_cert"].write_bytes(certificate(key))
    with serve(**settings) as server:
        for job in (after, pictures.headers["x-job-id"]):
            content = get(server, job)
            assert _report(content.content, _media_type(content)).valid


def test_a_server_without_a_certificate_signs_nothing(server: Server) -> None:
    job = _job(server, response_format="opus")
    content, manifest = get(server, job), get(server, job, "manifest.c2pa")
    assert "link" not in content.headers
    assert (manifest.status_code, manifest.json()["error"]["code"]) == (404, "no_c2pa_manifest")
    assert "not signed" in manifest.json()["error"]["message"]


def test_sound_in_json_is_the_signed_file(signed: Server) -> None:
    response = signed.speak(stream_format="json", response_format="mp3", timestamps=["word"])
    sound = base64.b64decode(response.json()["audio"])
    assert _report(sound, "audio/mpeg").recipe == _report(get(signed, response.headers["x-job-id"]).content, "").recipe
    assert sound == get(signed, response.headers["x-job-id"]).content
    assert response.json()["words"]


def test_a_picture_that_has_grown_is_signed_and_those_before_it_are_not(signed: Server) -> None:
    response = post(signed, "generations", stream=True, partial_images=1)
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    pictures = {event["type"]: base64.b64decode(event["b64_json"]) for event in events}
    assert read(pictures["image_generation.partial_image"], "image/png") is None
    assert _report(pictures["image_generation.completed"], "image/png").valid
    assert pictures["image_generation.completed"] == get(signed, response.headers["x-job-id"]).content
