"""`POST /v1/images/completions`: given rows are kept as they are, the network draws the rest."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ancestral.catalog.seeds import part_seed
from ancestral.models.engines.images.request import Edit, ImageStreamRequest
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import (
    Pixels,
    base64_of,
    engine_of,
    image_of,
    noise,
    post,
    random_symbols,
    same,
    seeds,
    shown,
    visible,
    written,
)
from tests.service.servers import Server
from tests.service.toys import PICTURES


def complete(server: Server, image: str | bytes | Pixels | None = None, **changes: Any) -> httpx.Response:
    """Complete a picture, by default noise."""
    pixels = noise("rgb") if image is None else image
    data = written(pixels) if isinstance(pixels, np.ndarray) else pixels
    return post(server, "completions", image=base64_of(data) if isinstance(data, bytes) else data, **changes)


@pytest.mark.parametrize("model", PICTURES)
@pytest.mark.parametrize("rows", [1, 3, 5, 6])
@pytest.mark.every_engine
def test_the_rest_is_the_networks(server: Server, zoo: Path, engine: str, model: str, rows: int) -> None:
    spec, network, image = PICTURES[model], engine_of(zoo, model, engine), noise(model)
    h = network.embed_labels([None] * len(spec.conditions)) if spec.conditions else None
    given = random_symbols(model)
    kept = np.repeat(np.arange(spec.height) < rows, spec.width).reshape(spec.height, spec.width)
    how: dict[str, Any] = {"edit": Edit(given, kept)} if spec.draws_edits else {"given": given[:rows]}
    drawn = network.draw([ImageStreamRequest(part_seed(7, index), 1.0, h, **how) for index in range(2)])
    wanted = visible(model, drawn)
    prompt = "any" if spec.conditions else None
    response = complete(server, image, model=model, prompt=prompt, rows=rows, n=2)
    assert same(shown(response), list(wanted))
    assert np.array_equal(wanted[:, :rows], [image[:rows]] * 2)
    given_symbols, all_symbols = 2 * rows * spec.width * spec.channels, 2 * spec.dims
    assert response.json()["usage"] == {
        "input_tokens": given_symbols,
        "output_tokens": all_symbols - given_symbols,
        "total_tokens": all_symbols,
        "input_tokens_details": {"image_tokens": given_symbols, "text_tokens": 0},
    }


def test_the_rest_of_a_picture_of_a_class_is_of_no_kind_unless_one_is_named(server: Server, zoo: Path) -> None:
    network, image = engine_of(zoo, "subclasses"), noise("subclasses")
    for prompt, labels in (("birds", [0, None, None]), ("owl", [0, None, 0])):
        wanted = network.draw([ImageStreamRequest(7, 1.0, network.embed_labels(labels), image[:3])])
        response = complete(server, image, model="subclasses", prompt=prompt, rows=3)
        assert same(shown(response), list(wanted))
        assert set(response.json()["data"][0]) == {"b64_json", "seed"}


def test_what_is_given_decides(server: Server) -> None:
    pictures = shown(complete(server, n=3))
    assert all(np.array_equal(pixels[:2], noise("rgb")[:2]) for pixels in pictures)
    assert len({pixels.tobytes() for pixels in pictures}) == 3
    other = shown(complete(server, noise("rgb", seed=1), n=3))
    assert not any(np.array_equal(one[2:], two[2:]) for one, two in zip(pictures, other, strict=True))
    below = noise("rgb")
    below[2:] = 0  # what is not kept does not matter
    assert same(shown(complete(server, below, n=3)), pictures)
    assert not same(shown(complete(server, n=3, prompt="cat")), pictures)
    response = complete(server, n=3)
    for seed, pixels in zip(seeds(response), pictures, strict=True):
        assert same(shown(complete(server, seed=seed)), [pixels])


@pytest.mark.parametrize(("model", "half"), [("rgb", 3), ("binary", 4), ("grey", 3)])
def test_half_is_the_default(server: Server, model: str, half: int) -> None:
    changes = {"model": model, "prompt": None if model == "grey" else "any"}
    answers = [complete(server, noise(model), rows=rows, **changes) for rows in (None, half)]
    assert same(*(shown(answer) for answer in answers))
    assert answers[0].json()["usage"] == answers[1].json()["usage"]


def test_all_rows_given_are_returned_unchanged(server: Server) -> None:
    response = complete(server, rows=6)
    assert same(shown(response), [noise("rgb")])
    assert response.json()["usage"]["output_tokens"] == 0


@pytest.mark.parametrize("model", ["rgb", "binary", "grey", "diagonal"])
@pytest.mark.parametrize("scale", [2, 5])
def test_a_larger_picture_is_averaged(server: Server, model: str, scale: int) -> None:
    spec, changes = PICTURES[model], {"model": model, "prompt": None if model == "grey" else "any", "rows": 5}
    large = noise(model, scale)
    cells = large.reshape(spec.height, scale, spec.width, scale, spec.channels).mean((1, 3))
    kept = shown(complete(server, large, **changes))[0][:5].astype(int)
    if spec.levels == 2:
        assert np.array_equal(kept, (cells[:5] > 127.4) * 255)
    else:
        assert np.abs(kept - cells[:5]).max() <= 0.6
    exact = noise(model).repeat(scale, 0).repeat(scale, 1)
    assert same(shown(complete(server, exact, **changes)), shown(complete(server, noise(model), **changes)))


def test_what_the_server_drew_comes_back(server: Server) -> None:
    (drawn,) = post(server, "generations", size="40x30", output_format="webp").json()["data"]
    (kept,) = shown(complete(server, base64.b64decode(drawn["b64_json"]), rows=6, size="40x30"))
    assert np.array_equal(kept, shown(post(server, "generations", size="40x30"))[0])


@pytest.mark.parametrize("head", ["data:image/png;base64,", "data:;base64,", "data:image/png;charset=x;base64,"])
def test_data_urls_are_accepted(server: Server, head: str) -> None:
    assert same(shown(complete(server, head + base64_of(written(noise("rgb"))))), shown(complete(server)))


@pytest.mark.parametrize(("form", "options"), [("WEBP", {"lossless": True}), ("JPEG", {"quality": 100})])
def test_webp_and_jpeg_files_are_accepted(server: Server, form: str, options: dict[str, Any]) -> None:
    smooth = np.full((6, 8, 3), 90, np.uint8)
    (pixels,) = shown(complete(server, written(smooth, form, **options)))
    assert np.abs(pixels[:2].astype(int) - 90).max() <= 2


def test_colours_become_those_of_the_model(server: Server) -> None:
    grey = noise("binary")
    colour = image_of(grey).convert("RGB")
    plain = shown(complete(server, grey, model="binary", prompt="one"))
    for image in (colour, colour.convert("RGBA"), colour.convert("P"), colour.convert("1"), colour.convert("LA")):
        assert same(shown(complete(server, written(image), model="binary", prompt="one")), plain)
    transparent = image_of(noise("rgb")).convert("RGBA")
    transparent.putalpha(0)  # lies on white
    (pixels,) = shown(complete(server, written(transparent)))
    assert np.all(pixels[:2] == 255)


def test_an_image_is_required(server: Server) -> None:
    assert check_envelope(post(server, "completions"), 400, "image")["code"] == "missing_parameter"
    error = check_envelope(complete(server, prompt=None), 400, "prompt")
    assert error["code"] == "missing_parameter"
    check_envelope(complete(server, "data:,"), 400, "image")


def test_a_body_over_the_limit(server: Server) -> None:
    image = "A" * (33 << 20)
    check_envelope(complete(server, image), 413, None)
    check_envelope(post(server, "generations", prompt="A" * (2 << 20)), 413, None)
    check_envelope(complete(server, "A" * (2 << 20)), 400, "image")  # uploads may be larger than other bodies
