"""`POST /v1/detect`: a server finds what it has made, and nothing else; seeds are drawn from the provenance key."""

from __future__ import annotations

import base64
import io
import json
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from ancestral.catalog.seeds import keyed_seeds, part_seed
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import watching
from tests.service.servers import Server
from tests.service.toys import ASYNC, SPEECH
from tests.service.ws_client import speak, talking

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
    body = {"model": "rgb", "prompt": "any", "response_format": "b64_json", **fields}
    response = httpx.post(f"{server.url}/v1/images/generations", json=body, timeout=60.0)
    assert response.status_code == 200, response.text
    made = response.json()["data"]
    return [stripped(entry["b64_json"]) for entry in made], [int(entry["seed"]) for entry in made]


def stripped(text: str) -> bytes:
    file = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        Image.fromarray(np.asarray(image)).save(file, "PNG")
    return file.getvalue()


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
        assert (said["status"], said["seed"], said["part"]) == ("found", seed, part)
        assert part_seed(counters[said["counter"]], part) == seed
        assert said["p_value"] < 1e-6
        assert said["exact"] is True
        assert said["agreeing"] == said["symbols"]
        assert len(said["agreement"]) == 6
    answer = found(other_server, files[0], model="rgb")
    assert (answer["seed"]["status"], answer["verdict"] == "made_here") == ("not_found", False)
    assert answer["seed"]["complete"] is True
    answer = found(server, files[0], model="rgb")
    assert answer["seed"]["status"] == "not_tried"
    assert "no provenance key" in answer["seed"]["reason"]
    told = found(server, files[0], model="rgb", seed=seeds[0])
    assert (told["verdict"], told["seed"]["seed"], told["seed"]["exact"]) == ("made_with_model", seeds[0], True)
    assert found(server, files[0], model="rgb", seed=seeds[0] + 1)["seed"]["status"] == "not_found"


def test_the_recipe_in_a_file_is_followed_and_a_changed_pixel_is_not_equal(server: Server) -> None:
    body = {"model": "rgb", "prompt": "cat", "seed": 5, "response_format": "b64_json"}
    made = httpx.post(f"{server.url}/v1/images/generations", json=body, timeout=60.0).json()["data"][0]
    file = base64.b64decode(made["b64_json"])
    answer = found(server, file)
    assert answer["recipe"] == {"status": "equal", "pixels": 48, "equal_pixels": 48}
    assert answer["verdict"] == "made_with_model"
    with Image.open(io.BytesIO(file)) as image:
        pixels = np.asarray(image).copy()
        recipe = image.info["recipe"]
    pixels[3, 3] ^= 255
    changed = io.BytesIO()
    Image.fromarray(pixels).save(changed, "PNG")
    answer = found(server, changed.getvalue(), recipe=recipe)
    assert answer["recipe"] == {"status": "differs", "pixels": 48, "equal_pixels": 47}
    assert (answer["seed"]["status"], answer["seed"]["exact"]) == ("found", False)


def test_a_sentence_is_found_whatever_it_says(keyed_server: Server, server: Server) -> None:
    spoken = keyed_server.speak(model="shaped", response_format="flac", seed=None)
    answer = found(keyed_server, spoken.content, recipe="{}")
    assert answer["verdict"] == "made_here"
    assert answer["seed"]["seed"] == int(spoken.headers["x-seed"])
    assert answer["seed"]["offset_seconds"] == 0.0
    assert len(answer["seed"]["agreement"]) > 1
    assert answer["recipe"]["status"] == "not_tried"
    assert found(server, spoken.content, recipe="{}")["seed"]["status"] == "not_tried"
    told = found(server, spoken.content)  # by the seed in its tags
    assert told["verdict"] == "made_with_model"


def test_a_sound_is_made_again_from_its_manifest(server: Server) -> None:
    spoken = server.speak(model="shaped", response_format="wav", seed=8)
    manifest = httpx.get(f"{server.url}/v1/jobs/{spoken.headers['x-job-id']}/manifest").text
    answer = found(server, spoken.content, recipe=manifest)
    assert answer["recipe"]["status"] == "equal"
    assert answer["verdict"] == "made_with_model"


def test_noise_is_nobodys(keyed_server: Server) -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    answer = found(keyed_server, file.getvalue(), model="rgb")
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


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


BOMB = chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
XML = (
    b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>"
    + b"".join(b"<!ENTITY %c '%s'>" % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
    + b"]><x>&j;</x>"
)
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


def test_xml_in_a_picture_is_not_expanded(server: Server) -> None:
    (file,), _ = drawn(server)
    ends = file.index(b"IDAT") - 4
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XML)
    answer = found(server, file[:ends] + xmp + file[ends:], model="rgb")
    assert answer["signature"]["status"] in ("none", "not_tried")


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("model", {"model": "nobody"}),
        ("model", {"model": "tiny"}),
        ("seed", {"seed": -1}),
        ("seed", {"seed": 2**63}),
        ("search", {"search": 1 << 25}),
        ("recipe", {"recipe": "no JSON"}),
        ("recipe", {"recipe": "[1]"}),
        ("recipe", {"recipe": "[" * 60_000}),
        ("voices", {"voices": "ann"}),
    ],
)
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
        speak(talk, "Hello.", seed=None)
        seeds.append(int(talk.heard[0].start["seed"]))
    client = openai.OpenAI(base_url=f"{keyed_server.url}/v1", api_key="any", max_retries=0)
    body = {name: value for name, value in SPEECH.items() if name != "seed"} | {"stream_format": "json"}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/audio/speech", "body": body}
    file = client.files.create(file=("a.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=line["url"], completion_window="24h")  # type: ignore[call-overload]
    while (batch := client.batches.retrieve(batch.id)).status in ("in_progress", "validating", "finalizing"):
        time.sleep(0.1)
    answer = json.loads(client.files.content(batch.output_file_id).text)
    seeds.append(int(answer["response"]["body"]["seed"]))
    assert len(set(seeds)) == len(seeds) == 7, "no seed twice"
    assert set(seeds) <= counters
    assert int(keyed_server.speak(seed=7).headers["x-seed"]) == 7
