"""`POST /v1/images/reconstructions`, `/portraits` and `/encodings`: pictures from the vector of an uploaded one."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ancestral.catalog.seeds import part_seed
from ancestral.models.engines.images.request import ImageStreamRequest
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import (
    SPECS,
    Pixels,
    decode,
    engine_of,
    noise,
    random_symbols,
    same,
    seeds,
    shown,
    visible,
    written,
)
from tests.service.servers import Server
from tests.service.toys import ASYNC, ENCODED, sampled_by

ROUTES = {"autoencoder": "reconstructions", "portraits": "portraits"}
"""Where each model draws."""


def send(
    server: Server,
    route: str,
    file: bytes | Pixels | None = None,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> httpx.Response:
    """Send a form with a picture, by default noise of the model's size."""
    form = {name: value for name, value in ({"model": "autoencoder"} | fields).items() if value is not None}
    pixels = noise(form["model"] if form.get("model") in SPECS else "autoencoder") if file is None else file
    data = written(pixels) if isinstance(pixels, np.ndarray) else pixels
    files = {"image": ("a.png", data)}
    return httpx.post(f"{server.url}/v1/images/{route}", data=form, files=files, headers=headers, timeout=60)


def redraw(server: Server, model: str = "autoencoder", **fields: Any) -> httpx.Response:
    return send(server, ROUTES[model], **({"model": model, "seed": 7, "response_format": "b64_json"} | fields))


def encode(server: Server, model: str = "autoencoder", **fields: Any) -> list[float]:
    response = send(server, "encodings", model=model, **fields)
    assert response.status_code == 200, response.text
    return response.json()["data"][0]["embedding"]


@pytest.mark.parametrize("model", ENCODED)
@pytest.mark.every_engine
def test_pictures_are_the_networks(server: Server, zoo: Path, engine: str, model: str) -> None:
    spec, network = ENCODED[model], engine_of(zoo, model)
    h = network.encode(random_symbols(model))
    drawn = network.draw([ImageStreamRequest(part_seed(7, index), 0.8, h) for index in range(3)])
    response = redraw(server, model, n=3, temperature=0.8)
    assert same(shown(response), list(visible(model, drawn)))
    assert len({picture.tobytes() for picture in drawn}) == 3, "each is drawn anew"
    assert response.headers["x-engine"] == sampled_by(model, engine)
    assert response.json()["usage"] == {
        "input_tokens": spec.dims,
        "output_tokens": 3 * spec.dims,
        "total_tokens": 4 * spec.dims,
        "input_tokens_details": {"image_tokens": spec.dims, "text_tokens": 0},
    }
    assert response.json().get("palette_distance") == (0.0 if spec.palette else None)


def test_what_is_uploaded_decides(server: Server) -> None:
    one, two = (shown(redraw(server, file=noise("autoencoder", seed=seed))) for seed in (0, 1))
    assert not same(one, two)
    large = noise("autoencoder").repeat(3, 0).repeat(3, 1)
    assert same(shown(redraw(server, file=large)), one), "a multiple of the size"
    response = redraw(server, n=2, size="16x12")
    assert decode(base64.b64decode(response.json()["data"][0]["b64_json"])).shape[:2] == (12, 16)
    assert same(shown(redraw(server, seed=seeds(response)[1])), [shown(redraw(server, n=2))[1]])


@pytest.mark.parametrize("model", ENCODED)
@pytest.mark.every_engine
def test_the_vector_is_the_encoders(server: Server, zoo: Path, model: str) -> None:
    spec = ENCODED[model]
    response = send(server, "encodings", model=model)
    wanted = [float(number) for number in engine_of(zoo, model).encode(random_symbols(model))]
    answer = response.json()
    distance = {"palette_distance": 0.0} if spec.palette else {}
    assert answer == distance | {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": wanted}],
        "model": model,
        "usage": {"prompt_tokens": spec.dims, "total_tokens": spec.dims},
    }
    assert len(wanted) == spec.condition_channels
    assert model != "portraits" or math.isclose(sum(number**2 for number in wanted), 1.0, abs_tol=1e-6)


@pytest.mark.parametrize("model", ENCODED)
def test_from_one_picture_to_another(server: Server, zoo: Path, model: str) -> None:
    network = engine_of(zoo, model)
    begin, end = (encode(server, model, file=noise(model, seed=seed)) for seed in (0, 1))
    body = {"model": model, "from": begin, "to": end, "steps": 3, "seed": 7, "response_format": "b64_json"}
    response = httpx.post(f"{server.url}/v1/images/interpolations", json=body, timeout=60)
    h, other = np.array(begin, np.float32), np.array(end, np.float32)
    between = [h, ((h.astype(np.float64) + other) / 2).astype(np.float32), other]
    assert same(shown(response), list(visible(model, network.draw([ImageStreamRequest(7, 1.0, h) for h in between]))))
    assert same(shown(redraw(server, model))[:1], shown(response)[:1]), "the first is a reconstruction"


def test_the_likelihood_is_that_given_its_own_vector(server: Server, zoo: Path) -> None:
    network, symbols = engine_of(zoo, "autoencoder"), random_symbols("autoencoder")
    files = {"file": ("a.png", written(noise("autoencoder")))}
    response = httpx.post(f"{server.url}/v1/images/likelihood", data={"model": "autoencoder"}, files=files, timeout=60)
    nats = network.score(symbols[None], network.encode(symbols)[None])
    assert response.json()["nats"] == pytest.approx(-nats.sum(), abs=1e-3)


@pytest.mark.parametrize(
    ("route", "model"),
    [
        ("reconstructions", "portraits"), ("portraits", "autoencoder"), ("reconstructions", "rgb"),
        ("portraits", "grey"), ("encodings", "rgb"), ("reconstructions", "tiny"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_is_refused(server: Server, route: str, model: str) -> None:
    error = check_envelope(send(server, route, model=model), 400, "model")
    assert error["code"] == "model_not_capable"


@pytest.mark.parametrize("model", ENCODED)
def test_nothing_is_drawn_without_a_picture(server: Server, model: str) -> None:
    for route, more in (("generations", {}), ("completions", {"image": base64.b64encode(b"a").decode()})):
        response = httpx.post(f"{server.url}/v1/images/{route}", json={"model": model} | more, timeout=60)
        assert check_envelope(response, 400, "model")["code"] == "model_not_capable"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"n": "two"}, "n"), ({"seed": "1.5"}, "seed"), ({"temperature": "nan"}, "temperature"),
        ({"size": "7x7"}, "size"), ({"stream": "perhaps"}, "stream"), ({"partial_images": "2"}, "partial_images"),
        ({"guidance": "2"}, "guidance"), ({"background": "transparent"}, "background"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named(server: Server, fields: dict[str, Any], field: str) -> None:
    check_envelope(redraw(server, **fields), 400, field)


@pytest.mark.parametrize("route", ["reconstructions", "encodings"])
@pytest.mark.parametrize("file", [b"", b"GIF89a", written(noise("autoencoder"))[:60], written(noise("binary"))])
def test_hostile_files_are_refused(server: Server, route: str, file: bytes) -> None:
    with server.unharmed():
        response = send(server, route, file=file)
    assert check_envelope(response, 400, "image")["code"] == "invalid_image"


def test_a_file_is_required(server: Server) -> None:
    for route in ("reconstructions", "encodings"):
        form = {"model": (None, "autoencoder")}
        response = httpx.post(f"{server.url}/v1/images/{route}", files=form, timeout=60)
        check_envelope(response, 400, "image")
        response = httpx.post(f"{server.url}/v1/images/{route}", files=form | {"image": (None, "text")}, timeout=60)
        check_envelope(response, 400, "image")


def test_a_stream_shows_them_grow(server: Server) -> None:
    response = redraw(server, n=2, stream="true", partial_images="1", response_format=None)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    assert [event["type"].split(".")[1] for event in events] == ["partial_image"] * 2 + ["completed"] * 2
    finished = [decode(base64.b64decode(event["b64_json"])) for event in events[2:]]
    assert same(finished, shown(redraw(server, n=2)))


@pytest.mark.parametrize("model", ENCODED)
def test_a_job_its_manifest_and_its_verification(server: Server, model: str) -> None:
    accepted = redraw(server, model, n=2, headers=ASYNC)
    assert accepted.status_code == 202, accepted.text
    with server.client() as client:
        job = accepted.json()["id"]
        client.get(f"/v1/jobs/{job}/events")
        manifest = client.get(f"/v1/jobs/{job}/manifest").json()
        assert "image" not in manifest["request"]
        missing = client.post("/v1/verify", json=manifest)
        check_envelope(missing, 400, "request.image")
        image = base64.b64encode(written(noise(model))).decode()
        verified = client.post("/v1/verify", json=manifest | {"request": manifest["request"] | {"image": image}})
        assert verified.json()["equal"], verified.text
        other = base64.b64encode(written(noise(model, seed=1))).decode()
        differs = client.post("/v1/verify", json=manifest | {"request": manifest["request"] | {"image": other}})
        check_envelope(differs, 400, "request.image")


def test_a_file_says_how_to_make_it_again(server: Server) -> None:
    from PIL import Image

    (entry,) = redraw(server).json()["data"]
    with Image.open(io.BytesIO(base64.b64decode(entry["b64_json"]))) as image:
        recipe = json.loads(image.info["recipe"])
    assert set(recipe) == {"model", "model_sha256", "seed", "temperature", "prompt_sha256"}
