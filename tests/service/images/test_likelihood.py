"""`POST /v1/images/likelihood`: the figures and the map are the network's, whatever file the picture came in."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import (
    Pixels,
    classes_of,
    engine_of,
    image_of,
    noise,
    post,
    random_symbols,
    shown,
    written,
)
from tests.service.servers import Server
from tests.service.toys import ASYNC, PICTURES, sampled_by

URL = "/v1/images/likelihood"


def score(
    server: Server, file: bytes | Pixels | None = None, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    """Score a picture, by default noise, under `rgb`."""
    pixels = noise("rgb") if file is None else file
    data = written(pixels) if isinstance(pixels, np.ndarray) else pixels
    form = {name: value for name, value in ({"model": "rgb"} | fields).items() if value is not None}
    return httpx.post(server.url + URL, data=form, files={"file": ("a.png", data)}, headers=headers, timeout=60)


@pytest.mark.parametrize("model", PICTURES)
@pytest.mark.parametrize("asked", [None, 1])
@pytest.mark.every_engine
def test_the_figures_are_the_networks(server: Server, zoo: Path, engine: str, model: str, asked: int | None) -> None:
    spec, network, image = PICTURES[model], engine_of(zoo, model, engine), noise(model)
    if asked is not None and not spec.conditions:
        return
    h = network.embed_labels([asked, *[None] * (len(spec.conditions) - 1)])[None] if spec.conditions else None
    nats = network.score(random_symbols(model)[None], h)
    name = None if asked is None else classes_of(model)[asked].upper()
    response = score(server, image, model=model, **{"class": name})
    assert response.status_code == 200, response.text
    assert response.headers["x-engine"] == sampled_by(model, engine)
    assert response.headers["x-model-sha256"] == httpx.get(f"{server.url}/v1/models/{model}").json()["sha256"]
    found = response.json()
    assert set(found) == {"bits_per_dim", "nats", "dims"} | ({"palette_distance"} if spec.palette else set())
    assert found.get("palette_distance", 0.0) == 0.0
    assert found["dims"] == spec.dims
    assert found["nats"] == pytest.approx(-nats.sum(), abs=1e-3)
    assert found["bits_per_dim"] == pytest.approx(-nats.mean() / math.log(2), abs=1e-6)


def test_what_it_shows_matters(server: Server) -> None:
    found = [score(server, **{"class": name}).json()["nats"] for name in (None, "", "any", "cat", "dog", "cow")]
    assert found[0] == found[1] == found[2]  # in a form, what is empty is not there
    assert len(set(found)) == 4
    styles = [score(server, style=style).json()["nats"] for style in (None, "any", "oil", "crayon")]
    assert styles[0] == styles[1]
    assert len(set(styles)) == 3
    drawn = shown(post(server, "generations", prompt="cat", n=10))
    right, wrong = (
        [score(server, pixels, **{"class": name}).json()["nats"] for pixels in drawn] for name in ("cat", "cow")
    )
    assert sum(right) < sum(wrong)


@pytest.mark.parametrize("model", PICTURES)
def test_the_map_shows_the_bits_of_each_pixel(server: Server, zoo: Path, engine: str, model: str) -> None:
    spec, network, image = PICTURES[model], engine_of(zoo, model, engine), noise(model)
    h = network.embed_labels([None] * len(spec.conditions))[None] if spec.conditions else None
    nats = network.score(random_symbols(model)[None], h)[0]
    answer = score(server, image, model=model, map="true").json()
    assert set(answer) - {"palette_distance"} == {"bits_per_dim", "nats", "dims", "map"}
    with Image.open(io.BytesIO(base64.b64decode(answer["map"]))) as found:
        assert (found.format, found.mode, found.size) == ("PNG", "L", (spec.width, spec.height))
        brightness = np.asarray(found).astype(float)
    white = math.ceil(math.log2(spec.levels)) * spec.channels
    wanted = np.clip(-nats.sum(2) / math.log(2) / white, 0, 1) * 255
    assert np.abs(brightness - wanted).max() <= 0.6


def test_no_map_unless_it_is_asked_for(server: Server) -> None:
    for value in ("false", "0"):
        assert "map" not in score(server, map=value).json()
    check_envelope(score(server, map="perhaps"), 400, "map")


def test_the_file_does_not_matter(server: Server) -> None:
    plain = score(server).json()
    image = noise("rgb")
    for data in (
        written(image, "WEBP", lossless=True),
        written(image_of(image).convert("RGBA")),
        written(image.repeat(3, 0).repeat(3, 1)),
        written(image, "PNG", compress_level=0),
    ):
        assert score(server, data).json() == plain
    assert score(server, noise("rgb", seed=1)).json() != plain


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nothing"}, 404, "model"),
        ({"model": None}, 400, "model"),
        ({"model": ""}, 400, "model"),
        ({"model": "tiny"}, 400, "model"),
        ({"model": "free"}, 400, "model"),
        ({"class": "zebra"}, 400, "class"),
        ({"class": "x" * 257}, 400, "class"),
        ({"style": "pencil"}, 400, "style"),
        ({"prompt": "dog"}, 400, "prompt"),
        ({"asked_class": "dog"}, 400, "asked_class"),
        ({"voice": "ann"}, 400, "voice"),
        ({"class": ["cat", "dog"]}, 400, "class"),
    ],
)
def test_a_bad_field_is_named(server: Server, fields: dict[str, Any], status: int, param: str) -> None:
    check_envelope(score(server, **fields), status, param)


def test_a_model_without_classes(server: Server) -> None:
    assert score(server, noise("grey"), model="grey").status_code == 200
    check_envelope(score(server, noise("grey"), model="grey", **{"class": "cat"}), 400, "class")
    check_envelope(score(server, noise("grey"), model="grey", style="oil"), 400, "style")
    check_envelope(score(server, noise("binary"), model="binary", style="oil"), 400, "style")


def test_bodies_that_are_no_form(server: Server) -> None:
    url = server.url + URL
    check_envelope(httpx.post(url, data={"model": "rgb"}), 415, None)
    check_envelope(httpx.post(url, json={"model": "rgb"}), 415, None)
    check_envelope(httpx.post(url), 415, None)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        check_envelope(httpx.post(url, content=b"--y\r\n", headers={"content-type": kind}), 400, None)
    check_envelope(httpx.post(url, data={"model": "rgb"}, files={"image": written(noise("rgb"))}), 400, "file")
    many = [(name, ("a.png", written(noise("rgb")))) for name in ("file", "other")]
    check_envelope(httpx.post(url, data={"model": "rgb"}, files=many), 400, "other")
    text = {name: (None, value) for name, value in {"model": "rgb", "file": "text"}.items()}
    check_envelope(httpx.post(url, files=text), 400, "file")
    check_envelope(score(server, bytes(33 << 20)), 413, None)


def test_an_asynchronous_likelihood_has_the_figures_of_a_direct_one(server: Server) -> None:
    response = score(server, headers=ASYNC, map="true")
    assert response.status_code == 202
    where = server.url + response.headers["location"]
    assert server.ended(response.json()["id"])["status"] == "completed"
    content = httpx.get(f"{where}/content")
    assert content.headers["content-type"] == "application/json"
    assert content.json() == score(server, map="true").json()
    assert check_envelope(httpx.get(f"{where}/manifest"), 409, None)["code"] == "no_manifest"


def test_the_same_key_is_the_same_job(server: Server) -> None:
    headers = {"idempotency-key": "image-likelihood-1"}
    first, second = (score(server, headers=headers) for _ in range(2))
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert first.json() == second.json()
    check_envelope(score(server, noise("rgb", seed=1), headers), 422, "Idempotency-Key")
    check_envelope(score(server, headers=headers, map="true"), 422, "Idempotency-Key")
