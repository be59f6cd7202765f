"""`POST /v1/images/generations`: pictures of a class, in every form and size, and what their seeds promise."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from ancestral.catalog.seeds import part_seed
from ancestral.models.engines.images.request import ImageStreamRequest
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import (
    DRAWING,
    classes_of,
    decode,
    draw,
    engine_of,
    events,
    files,
    post,
    same,
    seeds,
    shown,
    visible,
)
from tests.service.servers import Server
from tests.service.toys import PICTURES

FORMS = ("png", "webp", "jpeg")


@pytest.mark.every_engine(quick=True)
def test_the_response_has_pictures_usage_and_headers(server: Server, engine: str) -> None:
    response = post(server, "generations", n=2)
    assert response.status_code == 200
    found = response.json()
    assert set(found) == {"created", "data", "output_format", "size", "usage"}
    assert [set(entry) for entry in found["data"]] == [{"b64_json", "seed"}] * 2
    assert (found["output_format"], found["size"]) == ("png", "8x6")
    assert found["usage"] == {
        "input_tokens": 1,
        "output_tokens": 2 * 6 * 8 * 3,
        "total_tokens": 1 + 2 * 6 * 8 * 3,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 1},
    }
    assert response.headers["x-seed"] == "7"
    assert response.headers["x-engine"] == engine
    assert response.headers["x-model-sha256"] == httpx.get(f"{server.url}/v1/models/rgb").json()["sha256"]
    job = httpx.get(f"{server.url}/v1/jobs/{response.headers['x-job-id']}").json()
    assert (job["status"], job["samples_done"], job["created_at"]) == ("completed", 2 * 6 * 8 * 3, found["created"])


@pytest.mark.parametrize("model", PICTURES)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.every_engine(quick=True)
def test_the_pictures_are_the_networks(server: Server, zoo: Path, engine: str, model: str, temperature: float) -> None:
    spec, network = PICTURES[model], engine_of(zoo, model, engine)
    requests = []
    for seed in (part_seed(7, index) for index in range(3)):
        labels = network.draw_labels([1, *[None] * (len(spec.conditions) - 1)], seed) if spec.conditions else []
        requests.append(ImageStreamRequest(seed, temperature, network.embed_labels(labels) if labels else None))
    prompt = classes_of(model)[1] if spec.conditions else None
    found = draw(server, model=model, prompt=prompt, n=3, temperature=temperature)
    assert same(found, list(visible(model, network.draw(requests))))
    channels = 4 if spec.transparent else spec.channels
    assert (found[0].shape, found[0].dtype) == ((spec.height, spec.width, channels), np.uint8)


@pytest.mark.parametrize("model", ["rgb", "binary", "diagonal"])
@pytest.mark.every_engine(quick=True)
def test_guided_pictures_are_the_networks_and_a_class_that_is_any_has_nothing_to_be_led_from(
    server: Server, zoo: Path, engine: str, model: str
) -> None:
    spec, network = PICTURES[model], engine_of(zoo, model, engine)
    h, free = (network.embed_labels([label, 1][: len(spec.conditions)]) for label in (2, None))
    wanted = network.draw(
        [ImageStreamRequest(part_seed(7, i), 1.0, h, guidance=3.0, unconditional=free) for i in range(3)]
    )
    style = "crayon" if "style" in spec.named else None
    asked = {"model": model, "prompt": classes_of(model)[2], "n": 3, "style": style}
    found = draw(server, **asked, guidance=3.0)
    assert same(found, list(wanted * np.uint8(255 // (spec.levels - 1))))
    plain = draw(server, **asked)
    assert not same(found, plain)
    assert same(draw(server, **asked, guidance=1.0), plain)
    assert same(draw(server, **(asked | {"prompt": "any"}), guidance=3.0), draw(server, **(asked | {"prompt": "any"})))


@pytest.mark.every_engine(quick=True)
def test_a_picture_of_a_class_is_of_a_kind_that_its_seed_draws_and_its_name_alone_gives_it_again(
    server: Server, zoo: Path
) -> None:
    network, subclasses = engine_of(zoo, "subclasses"), {"model": "subclasses", "style": "oil", "guidance": 1.5}
    kinds = PICTURES["subclasses"].named["subclass"]
    response = post(server, "generations", prompt="birds", n=10, **subclasses)
    told = [entry["revised_prompt"] for entry in response.json()["data"]]
    assert len(set(told)) > 1
    assert set(told) <= {"owl", "wren", "heron"}
    away = network.embed_labels([None, 0, None])
    hs = [network.embed_labels([0, 0, kinds.index(kind)]) for kind in told]
    pairs = zip(seeds(response), hs, strict=True)
    wanted = network.draw([ImageStreamRequest(seed, h=h, guidance=1.5, unconditional=away) for seed, h in pairs])
    assert same(shown(response), list(wanted))
    for seed, kind, pixels in list(zip(seeds(response), told, shown(response), strict=True))[:3]:
        alone = post(server, "generations", prompt=kind.upper(), seed=seed, **subclasses)
        assert same(shown(alone), [pixels])
        assert "revised_prompt" not in alone.json()["data"][0]
        (finished,) = events(post(server, "generations", prompt="birds", seed=seed, stream=True, **subclasses))
        assert finished["revised_prompt"] == kind


def test_a_class_without_kinds_has_none(server: Server) -> None:
    (entry,) = post(server, "generations", model="subclasses", prompt="stones").json()["data"]
    assert set(entry) == {"b64_json", "seed"}


def test_an_unknown_class_is_told_the_nearest_kind(server: Server) -> None:
    error = check_envelope(post(server, "generations", model="subclasses", prompt="rwen"), 400, "prompt")
    assert "nearest: wren" in error["message"]
    error = check_envelope(post(server, "generations", model="subclasses", prompt="zzz"), 400, "prompt")
    assert error["message"].endswith("subclasses has no such class, style or subclass; it has Birds, Beasts, Stones")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["url", "b64_json"])
@pytest.mark.parametrize("model", ["rgb", "binary"])
def test_forms_and_ways(server: Server, form: str, way: str, model: str) -> None:
    changes = {"model": model, "prompt": "any", "n": 2}
    response = post(server, "generations", response_format=way, output_format=form, **changes)
    assert response.json()["output_format"] == form
    for file, plain in zip(files(response), draw(server, **changes), strict=True):
        with Image.open(io.BytesIO(file)) as image:
            assert image.format == form.upper()
        pixels = decode(file)
        if form == "jpeg":
            assert pixels.shape == plain.shape
            assert np.abs(pixels.astype(int) - plain).mean() < 12
        else:  # a WebP is never grey
            assert np.array_equal(pixels, np.broadcast_to(plain, pixels.shape))


def test_urls_are_the_default(server: Server) -> None:
    response = post(server, "generations", response_format=None)
    (entry,) = response.json()["data"]
    assert set(entry) == {"url", "seed"}
    assert entry["url"].startswith(f"{server.url}/v1/images/files/{response.headers['x-job-id']}/0.png?token=")
    assert same(shown(response), draw(server))


def test_each_seed_alone_gives_the_same_picture(server: Server) -> None:
    response = post(server, "generations", n=10)
    found = shown(response)
    assert len({pixels.tobytes() for pixels in found}) == 10
    assert seeds(response) == [part_seed(7, index) for index in range(10)]
    for pixels, seed in zip(found, seeds(response), strict=True):
        assert same(draw(server, seed=seed), [pixels])


def test_the_seed_decides(server: Server) -> None:
    first, again, other = (files(post(server, "generations", seed=seed, n=3)) for seed in (1, 1, 2))
    assert first == again
    assert not set(first) & set(other)
    drawn = [post(server, "generations", seed=None) for _ in range(2)]
    assert drawn[0].headers["x-seed"] != drawn[1].headers["x-seed"]
    assert int(drawn[0].headers["x-seed"]) == seeds(drawn[0])[0]
    assert same(draw(server, seed=seeds(drawn[0])[0]), shown(drawn[0]))
    assert not same(draw(server, temperature=0.5), draw(server))
    largest = post(server, "generations", seed=str(2**63 - 1), n=2)
    assert seeds(largest) == [str(2**63 - 1), part_seed(2**63 - 1, 1)]
    assert same(draw(server, seed=2**63 - 1, n=2), shown(largest))


@pytest.mark.every_engine(quick=True)
def test_temperature_0_takes_the_most_likely(server: Server) -> None:
    one, other = (draw(server, temperature=0, seed=seed, n=2) for seed in (1, 2))
    assert same(one, other)
    assert np.array_equal(one[0], one[1])


@pytest.mark.parametrize(("scale", "form", "way"), [(2, "png", "url"), (512, "webp", "b64_json")])
def test_sizes_are_larger_pixels(server: Server, scale: int, form: str, way: str) -> None:
    size = f"{8 * scale}x{6 * scale}"
    response = post(server, "generations", size=size, output_format=form, response_format=way)
    assert response.json()["size"] == size
    (large,), (small,) = shown(response), draw(server)
    assert np.array_equal(large, small.repeat(scale, 0).repeat(scale, 1))


def test_auto_is_the_models_size(server: Server) -> None:
    assert same(draw(server, size="auto"), draw(server))


@pytest.mark.parametrize("size", ["8x5", "1x1", "4104x3078", "256x256"])
def test_a_size_between(server: Server, size: str) -> None:
    error = check_envelope(post(server, "generations", size=size), 400, "size")
    assert error["code"] == "invalid_size"
    assert " draws 8x6, and nothing smaller;" in error["message"]
    near = error["message"].rpartition(" like ")[2]
    assert post(server, "generations", size=near).json()["size"] == near


def test_how_a_class_is_asked_for(server: Server) -> None:
    plain = draw(server)
    for asked in ({"prompt": "DOG"}, {"prompt": " Dog\n"}, {"prompt": None, "class": "dOg"}):
        assert same(draw(server, **asked), plain)
    pictures = [draw(server, prompt=name)[0].tobytes() for name in ("cat", "dog", "cow", "any")]
    assert len(set(pictures)) == 4
    assert same(draw(server, prompt="ANY"), draw(server, **{"prompt": None, "class": "any"}))
    assert same(draw(server, model="binary", prompt="two"), draw(server, model="binary", prompt="Two"))


def test_how_a_style_is_asked_for(server: Server) -> None:
    plain = draw(server)
    assert same(draw(server, style="any"), plain)
    oil, crayon = (draw(server, style=style) for style in ("Oil", "CRAYON"))
    assert len({pictures[0].tobytes() for pictures in (plain, oil, crayon)}) == 3
    usage = post(server, "generations", style="oil").json()["usage"]
    assert usage["input_tokens_details"] == {"image_tokens": 0, "text_tokens": 2}
    assert post(server, "generations", prompt="any").json()["usage"]["input_tokens"] == 0


def test_a_model_without_classes(server: Server) -> None:
    assert draw(server, model="grey", prompt=None)[0].shape == (6, 5, 1)


@pytest.mark.parametrize("field", ["prompt", "class"])
@pytest.mark.parametrize(
    ("name", "nearest"),
    [("cats", "nearest: cat"), ("cob", "nearest: cow"), ("a dog", "nearest: dog"), ("zebra", "it has cat, dog, cow")],
)
def test_an_unknown_class_is_told_the_nearest(server: Server, field: str, name: str, nearest: str) -> None:
    error = check_envelope(post(server, "generations", **{"prompt": None, field: name}), 400, field)
    assert error["code"] == "class_not_found"
    assert nearest in error["message"]


def test_names_keep_their_case_where_they_are_told(server: Server) -> None:
    error = check_envelope(post(server, "generations", model="binary", prompt="thre"), 400, "prompt")
    assert "Three" in error["message"]


def test_a_wrong_value_is_named(server: Server) -> None:
    """tests/service/test_requests.py has those of every field."""
    for param, value, code in (("n", 0, "greater_than_equal"), ("style", "pencil", "style_not_found")):
        assert check_envelope(post(server, "generations", **{param: value}), 400, param)["code"] == code


@pytest.mark.parametrize("body", [b"", b"[]"])
@pytest.mark.parametrize("route", ["generations", "completions", "interpolations"])
def test_a_body_that_is_no_json_object_is_refused(server: Server, route: str, body: bytes) -> None:
    url, headers = f"{server.url}/v1/images/{route}", {"content-type": "application/json"}
    check_envelope(httpx.post(url, content=body, headers=headers), 400, None)
    check_envelope(httpx.post(url, content=json.dumps(DRAWING)), 415, None)
