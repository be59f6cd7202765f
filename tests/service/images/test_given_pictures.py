"""What is made of a picture that is sent: the rest of it, another region, pictures from its vector, the vector, and its
likelihood. All of it is the network's; what is kept is kept exactly."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ancestral.catalog.catalog import CatalogConfig, load_catalog
from ancestral.catalog.seeds import MAX_SEED, part_seed
from ancestral.images.drawing import MaskedPicture
from ancestral.images.planning import class_drawing, completion, edit
from ancestral.requests import Draw, EditRequest
from ancestral_models.engines.images.engine import Edit, ImageStreamRequest
from ancestral_service.jobs.planning import image_job
from ancestral_service.settings import Settings
from tests.service.images.pictures import (
    KEPT,
    SPECS,
    base64_of,
    classes_of,
    engine_of,
    entries,
    files,
    mask_of,
    noise,
    post,
    random_symbols,
    same,
    seeds,
    shown,
    usage,
    visible,
    written,
)
from tests.service.servers import Server
from tests.service.toys import ENCODED, PICTURES, sampled_by

Labels = list[int | None]


# The rest of a picture, or a region of it


@pytest.mark.parametrize(
    ("model", "prompt", "labels", "rows"),
    [
        *((model, "any", [], rows) for model in PICTURES for rows in (1, 3, 5)),
        ("subclasses", "birds", [0], 3), ("subclasses", "owl", [0, None, 0], 3),
    ],
)  # fmt: skip
@pytest.mark.every_engine
def test_the_rest_is_the_networks(
    server: Server, zoo: Path, engine: str, model: str, prompt: str, labels: Labels, rows: int
) -> None:
    """What of a class is not named stays open: no seed draws it."""
    spec, network, image = PICTURES[model], engine_of(zoo, model, engine), noise(model)
    named = (labels + [None] * 3)[: len(spec.conditions)]
    h = network.embed_labels(named) if spec.conditions else None
    kept = np.repeat(np.arange(spec.height) < rows, spec.width).reshape(spec.height, spec.width)
    symbols = random_symbols(model)
    how: dict[str, Any] = {"edit": Edit(symbols, kept)} if spec.draws_edits else {"given": symbols[:rows]}
    wanted = visible(model, network.draw([ImageStreamRequest(part_seed(7, n), 1.0, h, **how) for n in range(2)]))
    asked = prompt if spec.conditions else None
    response = post(server, "completions", model=model, prompt=asked, rows=rows, n=2)
    assert same(shown(response), list(wanted))
    assert np.array_equal(wanted[:, :rows], [image[:rows]] * 2)
    given, names = 2 * rows * spec.width * spec.channels, sum(label is not None for label in labels)
    assert response.json()["usage"] == usage(given, 2 * spec.dims - given, names)
    assert set(entries(response)[0]) - {"attributes"} == {"b64_json", "seed"}


@pytest.mark.every_engine
def test_a_region_is_the_networks(server: Server, zoo: Path, engine: str) -> None:
    network, spec, labels = engine_of(zoo, "palette", engine), PICTURES["palette"], [None, None, 1]
    guided = {"guidance": 2.0, "unconditional": network.unconditional(labels)}
    how: dict[str, Any] = {"h": network.embed_labels(labels), "edit": Edit(random_symbols("palette"), KEPT)} | guided
    drawn = network.draw([ImageStreamRequest(part_seed(7, n), 0.9, **how) for n in range(2)])
    response = post(server, "edits", n=2, temperature=0.9, guidance=2)
    assert same(shown(response), list(visible("palette", drawn)))
    assert not np.array_equal(*shown(response))
    assert response.headers["x-engine"] == sampled_by("palette", engine)
    kept = 2 * int(KEPT.sum())
    assert response.json()["usage"] == usage(kept, 2 * spec.dims - kept, 1)
    assert response.json()["palette_distance"] == 0.0


def test_a_key_is_bound_to_the_hashes_of_files(zoo: Path) -> None:
    """The body becomes JSON on the event loop."""
    files = {"image": base64_of(written(noise("palette"))), "mask": base64_of(mask_of(KEPT))}
    request = EditRequest.model_validate({"model": "palette", "prompt": "axe"} | files)
    body = image_job(load_catalog(CatalogConfig((zoo,))), Settings(), request).body
    assert all(body[name] == hashlib.sha256(files[name].encode()).hexdigest() for name in files)


def test_what_keeps_a_part_has_a_guidance_of_its_own(zoo: Path) -> None:
    model = load_catalog(CatalogConfig((zoo,))).image_model("palette", "image_edit")
    model = replace(model, entry=replace(model.entry, edit_guidance=3.0))
    masked = MaskedPicture(random_symbols("palette"), KEPT)
    for options, guidances in ((Draw(seed=1), (1.0, 3.0, 3.0)), (Draw(seed=1, guidance=2.0), (2.0, 2.0, 2.0))):
        drawings = (
            class_drawing(model, "axe", 1, options),
            completion(model, masked.symbols[:2], None, "axe", 1, options),
            edit(model, masked, "axe", 1, options),
        )
        assert tuple(drawing.guidance for drawing in drawings) == guidances


def test_every_pixel_outside_of_any_mask_is_kept(server: Server) -> None:
    rng = np.random.default_rng(0)
    for seed in (*range(20), MAX_SEED):
        image, kept = noise("palette", seed=seed % 20), rng.random((8, 8)) < 0.5
        (picture,) = shown(post(server, "edits", image=image, mask=mask_of(kept), seed=seed, prompt="any"))
        assert np.array_equal(picture[kept], image[kept])


def test_what_is_kept_decides_and_what_is_not_does_not(server: Server) -> None:
    pictures, other = shown(post(server, "edits", n=3)), noise("palette", seed=1)
    hidden = np.where(KEPT[..., None], noise("palette"), other)
    assert same(shown(post(server, "edits", image=hidden, n=3)), pictures)
    drawn = shown(post(server, "edits", image=other, n=3))
    assert not all(np.array_equal(one[~KEPT], two[~KEPT]) for one, two in zip(drawn, pictures, strict=True))
    assert not same(shown(post(server, "edits", n=3, prompt="elf, robe, staff")), pictures)


def test_larger_files_and_partly_opaque_masks(server: Server) -> None:
    wanted = shown(post(server, "edits"))
    larger = noise("palette").repeat(3, 0).repeat(3, 1)
    partly = np.dstack([np.zeros((8, 8, 3), np.uint8), np.where(KEPT, 128, 127).astype(np.uint8)])
    webp = written(partly, "WEBP", lossless=True)
    for image, mask in ((larger, mask_of(KEPT, 5)), (noise("palette"), partly), (noise("palette"), webp)):
        assert same(shown(post(server, "edits", image=image, mask=mask)), wanted)


@pytest.mark.parametrize("head", ["data:image/png;base64,", "data:;base64,", "data:image/png;charset=x;base64,"])
def test_data_urls_are_accepted(server: Server, head: str) -> None:
    image = head + base64_of(written(noise("rgb")))
    assert files(post(server, "completions", image=image)) == files(post(server, "completions"))


def test_an_upload_gets_the_nearest_colours_and_is_told_how_far_they_were(server: Server) -> None:
    exact = noise("palette")
    off, reds = exact.copy(), exact[..., 0].astype(int)
    off[..., 0] = np.where(exact[..., 3] == 255, np.where(reds > 99, reds - 9, reds + 9), reds)
    plain, found = (post(server, "likelihood", model="palette", file=image).json() for image in (exact, off))
    assert (plain["palette_distance"], plain["dims"]) == (0.0, 64)
    assert found["palette_distance"] == pytest.approx(np.sqrt(81 / 3), abs=1e-3)
    assert found["nats"] == plain["nats"]
    for same_picture in (exact.repeat(3, 0).repeat(3, 1), written(exact, "WEBP", lossless=True, exact=True)):
        assert post(server, "likelihood", model="palette", file=same_picture).json() == plain
    answer = post(server, "completions", model="palette", prompt="elf", image=off, rows=3)
    assert answer.json()["palette_distance"] == found["palette_distance"]
    assert np.array_equal(shown(answer)[0][:3], exact[:3])


# From its vector


@pytest.mark.parametrize(("model", "route"), [("autoencoder", "reconstructions"), ("portraits", "portraits")])
@pytest.mark.every_engine
def test_pictures_of_a_vector_are_the_networks(server: Server, zoo: Path, engine: str, model: str, route: str) -> None:
    spec, network = ENCODED[model], engine_of(zoo, model)
    h = network.encode(random_symbols(model))
    drawn = network.draw([ImageStreamRequest(part_seed(7, index), 0.8, h) for index in range(3)])
    assert len({picture.tobytes() for picture in drawn}) == 3, "each is drawn anew"
    response = post(server, route, n=3, temperature=0.8)
    assert same(shown(response), list(visible(model, drawn)))
    assert seeds(response) == [part_seed(7, index) for index in range(3)]
    assert response.headers["x-engine"] == sampled_by(model, engine)
    assert response.json()["usage"] == usage(spec.dims, 3 * spec.dims, 0)
    distance = {"palette_distance": 0.0} if spec.palette else {}
    assert response.json().get("palette_distance") == distance.get("palette_distance")
    larger = post(server, route, image=noise(model).repeat(3, 0).repeat(3, 1), n=3, temperature=0.8, size="16x12")
    assert same([picture[::2, ::2] for picture in shown(larger)], shown(response))
    assert set(np.unique(shown(post(server, route, palette="1-bit", background="opaque"))[0])) <= {0, 255}

    begin, end = (post(server, "encodings", model=model, image=noise(model, seed=seed)).json() for seed in (0, 1))
    assert begin == distance | {
        "object": "list", "model": model, "usage": {"prompt_tokens": spec.dims, "total_tokens": spec.dims},
        "data": [{"object": "embedding", "index": 0, "embedding": [float(number) for number in h]}],
    }  # fmt: skip
    assert len(h) == spec.condition_channels
    assert model != "portraits" or math.isclose(sum(float(number) ** 2 for number in h), 1.0, abs_tol=1e-6)
    one, other = (np.array(found["data"][0]["embedding"]) for found in (begin, end))
    between = [np.asarray(h, np.float32) for h in (one, (one + other) / 2, other)]
    wanted = network.draw([ImageStreamRequest(7, 1.0, h) for h in between])
    found = post(server, "interpolations", model=model, **{"from": one.tolist(), "to": other.tolist()})
    assert same(shown(found), list(visible(model, wanted)))


# Its likelihood

SCORED: list[tuple[str, dict[str, Any], Labels]] = [
    *((model, {}, []) for model in SPECS),
    *((model, {"class": classes_of(model)[1].upper()}, [1]) for model in PICTURES if classes_of(model)),
    ("rgb", {"class": "", "style": "any"}, []), ("rgb", {"class": "any", "style": "oil"}, [None, 0]),
    ("palette", {"class": "elf, axe"}, [0, None, 1]), ("grey", {"class": "any"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("model", "fields", "labels"), SCORED)
@pytest.mark.every_engine
def test_the_likelihood_is_the_networks(
    server: Server, zoo: Path, engine: str, model: str, fields: dict[str, Any], labels: Labels
) -> None:
    spec, network, symbols = SPECS[model], engine_of(zoo, model, engine), random_symbols(model)
    h = network.embed_labels((labels + [None] * 3)[: len(spec.conditions)]) if spec.conditions else None
    h = network.encode(symbols) if model in ENCODED else h
    nats = network.score(symbols[None], None if h is None else h[None])[0]
    response = post(server, "likelihood", model=model, **fields, map="true")
    assert response.status_code == 200, response.text
    assert response.headers["x-engine"] == sampled_by(model, engine)
    found = response.json()
    drawn = found.pop("map")
    assert found == post(server, "likelihood", model=model, **fields, map="0").json(), "no map unless it is asked for"
    assert set(found) == {"bits_per_dim", "nats", "dims"} | ({"palette_distance"} if spec.palette else set())
    assert (found["dims"], found.get("palette_distance", 0.0)) == (spec.dims, 0.0)
    assert found["nats"] == pytest.approx(-nats.sum(), abs=1e-3)
    assert found["bits_per_dim"] == pytest.approx(-nats.mean() / math.log(2), abs=1e-6)
    with Image.open(io.BytesIO(base64.b64decode(drawn))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (spec.width, spec.height))
        brightness = np.asarray(image).astype(float)
    white = math.ceil(math.log2(spec.levels)) * spec.channels
    wanted = np.clip(-nats.sum(2) / math.log(2) / white, 0, 1) * 255
    assert np.abs(brightness - wanted).max() <= 0.6
