"""Pictures over HTTP are those that the engine draws, however a request is put; their seeds, files, sizes, colours, and
the best of candidates; and what OpenAI's client makes of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImagesResponse,
)
from PIL import Image

from ancestral.catalog.palettes import colours_of, nearest
from ancestral.catalog.seeds import part_seed
from ancestral.images.decoding import decode_picture
from ancestral.requests import MAX_STEPS
from ancestral_models.architectures.classifier import ClassifierSpec
from ancestral_models.checkpoint import load as load_checkpoint
from ancestral_models.classification import PictureClassifier
from ancestral_models.engines.images.engine import ImageStreamRequest
from ancestral_models.spec import rgba
from tests.service.images.pictures import (
    BEST,
    KEPT,
    Pixels,
    classes_of,
    decode,
    draw,
    engine_of,
    entries,
    files,
    mask_of,
    noise,
    post,
    recipe_of,
    same,
    seeds,
    shown,
    usage,
    visible,
    written,
)
from tests.service.servers import Server
from tests.service.toys import PICTURES, sampled_by

Labels = list[int | None]
ELF: dict[str, Any] = {"model": "palette", "prompt": "elf"}
SPEC = PICTURES["palette"]


# What the engine draws

DRAWN: list[tuple[str, dict[str, Any], Labels, Labels | None]] = [
    *((model, {"prompt": (*classes_of(model), None, None)[1], "temperature": 0.7}, [1], None) for model in PICTURES),
    ("rgb", {"prompt": "dog", "temperature": 0.0}, [1], None),
    ("rgb", {"prompt": "cow", "style": "crayon", "guidance": 3.0}, [2, 1], [None, 1]),
    ("rgb", {"prompt": "any", "guidance": 3.0}, [None], None),
    ("diagonal", {"prompt": "Satin", "guidance": 3.0}, [2], [None]),
    ("subclasses", {"prompt": "birds", "style": "oil", "guidance": 1.5}, [0, 0], [None, 0, None]),
    ("subclasses", {"prompt": "WREN"}, [0, None, 1], None), ("subclasses", {"prompt": "stones"}, [2], None),
    ("palette", {"prompt": "any", "guidance": 2.0}, [], [None] * 3),
    ("palette", {"prompt": "orc, axe", "guidance": 2.0}, [1, None, 1], [None] * 3),
    ("palette", {"prompt": "robe, imp", "guidance": 2.0}, [2, 0], [None] * 3),
    ("palette", {"prompt": "elf, robe, no weapon"}, [0, 0, 2], None),
]  # fmt: skip
"""Model, request, its labels, and those that guidance leads away from."""


@pytest.mark.parametrize(("model", "fields", "labels", "away"), DRAWN)
@pytest.mark.every_engine(quick=True)
def test_pictures_are_the_networks(
    server: Server, zoo: Path, engine: str, model: str, fields: dict[str, Any], labels: Labels, away: Labels | None
) -> None:
    spec, network = PICTURES[model], engine_of(zoo, model, engine)
    body = {"model": model, "n": 5} | fields
    response = post(server, "generations", **body)
    named: Labels = (labels + [None] * 3)[: len(spec.conditions)]
    all_labels = [network.draw_labels(named, seed) for seed in seeds(response)]
    how: dict[str, Any] = {"temperature": fields.get("temperature", 1.0)}
    if away is not None:
        how |= {"guidance": fields["guidance"], "unconditional": network.embed_labels(away)}
    hs = [network.embed_labels(one) if spec.conditions else None for one in all_labels]
    wanted = network.draw([ImageStreamRequest(seed, h=h, **how) for seed, h in zip(seeds(response), hs, strict=True)])
    assert same(shown(response), list(visible(model, wanted)))
    assert seeds(response) == [part_seed(7, index) for index in range(5)]
    assert response.headers["x-engine"] == sampled_by(model, engine)
    assert response.json()["usage"] == usage(0, 5 * spec.dims, sum(label is not None for label in named))
    if fields.get("temperature") == 0.0 and not spec.label_rows:
        assert len({picture.tobytes() for picture in wanted}) == 1, "the most likely, whatever the seed"
    for entry, picture, one in zip(entries(response), shown(response), all_labels, strict=True):
        drawn = {
            values[label]
            for values, label, given in zip(spec.conditions, one, named, strict=True)
            if label is not None and given is None
        }
        told = entry.get("revised_prompt")
        assert (told is None) == (not drawn)
        if told is not None:
            assert drawn <= {*told.split(", ")}
            again = post(server, "generations", **body | {"prompt": told, "n": 1, "seed": entry["seed"]})
            assert same(shown(again), [picture])


INTERPOLATED: list[tuple[str, dict[str, Any], Labels, Labels, Labels | None]] = [
    *(("rgb", {"steps": steps, "style": "crayon", "temperature": 0.5}, [0, 1], [2, 1], None)
      for steps in (2, MAX_STEPS)),
    ("rgb", {"style": "crayon", "guidance": 2.0}, [0, 1], [2, 1], [None, 1]),
    ("rgb", {"from": "any"}, [None, None], [2, None], None),
    ("binary", {"from": "ONE", "to": "Three", "steps": None}, [0], [2], None),
    ("subclasses", {"from": "WREN", "to": "beasts"}, [0, None, 1], [1, None, None], None),
    ("palette", {"from": "elf, robe", "to": "orc, axe", "guidance": 1.5}, [0, 0, None], [1, None, 1], [None] * 3),
]  # fmt: skip


@pytest.mark.parametrize(("model", "fields", "first", "last", "away"), INTERPOLATED)
def test_interpolations_are_the_networks(
    server: Server, zoo: Path, model: str, fields: dict[str, Any], first: Labels, last: Labels, away: Labels | None
) -> None:
    network, steps = engine_of(zoo, model), fields.get("steps", 3) or 8
    one, other = network.embed_labels(first), network.embed_labels(last)
    how: dict[str, Any] = {"temperature": fields.get("temperature", 1.0)}
    if away is not None:
        how |= {"guidance": fields["guidance"], "unconditional": network.embed_labels(away)}
    hs = [np.asarray(one * (1 - share) + other * share, np.float32) for share in np.linspace(0, 1, steps)]
    response = post(server, "interpolations", model=model, **fields)
    assert same(shown(response), list(visible(model, network.draw([ImageStreamRequest(7, h=h, **how) for h in hs]))))
    assert seeds(response) == [7] * steps
    assert response.json()["usage"]["output_tokens"] == steps * PICTURES[model].dims


def classes(server: Server, **query: str) -> list[dict[str, Any]]:
    response = httpx.get(f"{server.url}/v1/images/classes", params=query)
    assert response.json()["object"] == "list"
    return entries(response)


def test_names_are_listed_with_their_vectors(server: Server, zoo: Path) -> None:
    listed = classes(server, embeddings="true")
    fields = {"id", "object", "model", "embedding"}
    for entry in listed:
        assert set(entry) - {"thumbnail_url"} == fields | ({"class"} if entry["object"] == "kind" else set())
    assert [(entry["model"], entry["object"], entry["id"]) for entry in listed] == [
        (model, {"subclass": "kind"}.get(attribute, attribute), name)
        for model in ("binary", "diagonal", "palette", "rgb", "subclasses")
        for attribute, names in PICTURES[model].attributes
        for name in names
    ]
    of = {entry["id"]: entry["class"] for entry in listed if entry["object"] == "kind"}
    assert of == {"owl": "Birds", "wren": "Birds", "fox": "Beasts", "heron": "Birds"}
    network, own = engine_of(zoo, "palette"), classes(server, model="palette", embeddings="true")
    labels = [(place, label) for place, values in enumerate(SPEC.conditions) for label in range(len(values))]
    for entry, (place, label) in zip(own, labels, strict=True):
        assert entry in listed
        by_name: list[Any] = [None] * len(SPEC.conditions)
        by_name[place] = label
        by_vector = [np.array(entry["embedding"], np.float32), *[None] * (len(SPEC.conditions) - 1)]
        np.testing.assert_allclose(network.embed_labels(by_vector), network.embed_labels(by_name), atol=1e-6)
    plain = classes(server)
    assert [entry | {"embedding": None} for entry in listed] == [entry | {"embedding": None} for entry in plain]
    assert not any("embedding" in entry for entry in plain)
    assert classes(server, model="tiny") == []


def test_vectors_are_ends_as_names_are(server: Server) -> None:
    plain = shown(post(server, "interpolations"))
    vectors = {entry["id"]: entry["embedding"] for entry in classes(server, model="rgb", embeddings="true")}
    cat, cow = vectors["cat"], vectors["cow"]
    for ends in ({"from": cat}, {"to": cow}, {"from": cat, "to": cow}):
        assert same(shown(post(server, "interpolations", **ends)), plain)
    middle = np.mean([cat, cow], axis=0).tolist()
    assert same(shown(post(server, "interpolations", steps=2, to=middle))[1:], plain[1:2])
    assert len(shown(post(server, "interpolations", **{"from": [0] * 5, "to": [1, -1, 1e6, -1e6, 0.5]}))) == 3


# What is said in other words, and what is not


@pytest.mark.parametrize(
    ("plain", "others"),
    [
        ({}, [{"prompt": "DOG"}, {"prompt": " Dog\n"}, {"prompt": None, "class": "dOg"}, {"style": "any"},
              {"size": "auto"}, {"guidance": 1.0}, {"background": "opaque"}, {"best_of": 1},
              {"background": "auto", "moderation": "low", "quality": "auto", "user": "u1"}]),
        ({"style": "crayon"}, [{"prompt": "dog, crayon"}, {"prompt": "crayon, dog", "style": "CRAYON"}]),
        ({"prompt": "any"}, [{"prompt": None, "class": "ANY"}, {"prompt": "any", "guidance": 3.0}]),
        ({"model": "palette", "prompt": "elf, robe, axe"},
         [{"prompt": prompt} for prompt in ("Axe,ELF , robe", "any, elf, robe, axe,", "elf, elf, robe, axe")]),
    ],
)  # fmt: skip
def test_the_same_in_other_words(server: Server, plain: dict[str, Any], others: list[dict[str, Any]]) -> None:
    wanted = draw(server, **plain, n=2)
    for other in others:
        assert same(draw(server, **plain | other, n=2), wanted), other


def test_seeds(server: Server) -> None:
    """Each alone gives its picture again; one that is not given is drawn, and told; large ones survive JavaScript."""
    response = post(server, "generations", n=10)
    assert len({picture.tobytes() for picture in shown(response)}) == 10
    for picture, seed in zip(shown(response), seeds(response), strict=True):
        assert same(draw(server, seed=seed), [picture])
    for route in ("generations", "interpolations"):
        one, other = (post(server, route, seed=None) for _ in range(2))
        assert int(one.headers["x-seed"]) == seeds(one)[0] != seeds(other)[0]
        assert files(post(server, route, seed=seeds(one)[0])) == files(one)
    largest = post(server, "generations", seed=str(2**63 - 1), n=2)
    assert seeds(largest) == [str(2**63 - 1), part_seed(2**63 - 1, 1)]
    assert same(draw(server, seed=2**63 - 1, n=2), shown(largest))


# Answers and files


def test_an_answer(server: Server) -> None:
    response = post(server, "generations", n=2)
    found = response.json()
    assert set(found) == {"created", "data", "output_format", "size", "usage"}
    assert [set(entry) for entry in entries(response)] == [{"b64_json", "seed"}] * 2
    assert (found["output_format"], found["size"], response.headers["x-seed"]) == ("png", "8x6", "7")


@pytest.mark.parametrize("form", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("model", ["rgb", "binary"])
def test_formats(server: Server, form: str, model: str) -> None:
    changes = {"model": model, "prompt": "any", "n": 2}
    sent, linked = (
        post(server, "generations", response_format=way, output_format=form, **changes) for way in ("b64_json", "url")
    )
    assert sent.json()["output_format"] == form
    assert files(linked) == files(sent)
    assert httpx.get(entries(linked)[0]["url"]).headers["content-type"] == f"image/{form}"
    for file, plain in zip(files(sent), draw(server, **changes), strict=True):
        with Image.open(io.BytesIO(file)) as image:
            assert image.format == form.upper()
        pixels = decode(file)
        if form == "jpeg":
            assert pixels.shape == plain.shape
            assert np.abs(pixels.astype(int) - plain).mean() < 12
        else:  # a WebP is never grey
            assert np.array_equal(pixels, np.broadcast_to(plain, pixels.shape))


@pytest.mark.parametrize(("asked", "scale", "form"), [({}, 2, "png"), ({}, 512, "webp"), (ELF, 40, "png")])
def test_sizes_are_larger_pixels(server: Server, asked: dict[str, Any], scale: int, form: str) -> None:
    (small,) = draw(server, **asked)
    size = f"{small.shape[1] * scale}x{small.shape[0] * scale}"
    response = post(server, "generations", **asked, size=size, output_format=form)
    assert response.json()["size"] == size
    assert np.array_equal(shown(response)[0], small.repeat(scale, 0).repeat(scale, 1))


RECIPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "generations": ({"n": 3, "style": "oil", "guidance": 2.0}, {"prompt": "dog", "style": "oil", "guidance": 2.0}),
    "completions": ({"n": 2}, {"prompt": "dog", "rows": 2, "guidance": 1.0}),
    "interpolations": ({}, {"from": "cat", "to": "cow", "steps": 3, "step": 2, "guidance": 1.0}),
    "edits": ({"n": 2}, {"prompt": "axe", "guidance": 1.0, "background": "transparent"}),
    "reconstructions": ({"n": 2}, {}),
}
"""For each route: changes of the standard request, and what the recipe of the last picture has besides."""


@pytest.mark.parametrize("route", RECIPES)
def test_a_png_says_how_to_make_it_again(server: Server, route: str) -> None:
    changes, expected = RECIPES[route]
    response = post(server, route, temperature=0.9, **changes)
    data = files(response)[-1]
    recipe = recipe_of(data)
    again = {name: value for name, value in recipe.items() if name not in ("model_sha256", "prompt_sha256", "step")}
    if route in ("completions", "edits", "reconstructions"):
        assert len(recipe.pop("prompt_sha256")) == 64
    if route == "edits":
        again["mask"] = base64.b64decode(recipe.pop("mask"))
    sha256 = response.headers["x-model-sha256"]
    always = {"model": again["model"], "model_sha256": sha256, "seed": seeds(response)[-1], "temperature": 0.9}
    assert recipe == always | expected
    assert files(post(server, route, **again))[-1] == data


# Transparency and colours


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_a_png_is_indexed_with_the_palette_of_the_model(server: Server) -> None:
    clear, opaque = (
        files(post(server, "generations", **ELF, background=background, size="24x24"))[0]
        for background in ("transparent", "opaque")
    )
    for data, least in ((clear, 0), (opaque, 255)):
        image = opened(data)
        assert (image.mode, image.size, image.convert("RGBA").getextrema()[3]) == ("P", (24, 24), (least, 255))
        assert np.array_equal(np.asarray(image)[::3, ::3], np.asarray(opened(clear))[::3, ::3]), "the same indices"
    palette = np.array(opened(clear).getpalette()[: 3 * SPEC.levels], np.uint8).reshape(-1, 3)
    assert np.array_equal(palette, rgba(SPEC)[:, :3])
    assert (opened(clear).info["transparency"], "transparency" in opened(opaque).info) == (0, False)
    assert [recipe_of(data).get("background") for data in (clear, opaque)] == ["transparent", "opaque"]
    white = decode(clear).copy()
    white[white[..., 3] == 0] = 255
    assert np.array_equal(decode(opaque), white[..., :3])


@pytest.mark.parametrize(("form", "channels"), [("png", 4), ("webp", 4), ("jpeg", 3)])
def test_the_background_is_transparent_where_it_can_be(server: Server, form: str, channels: int) -> None:
    for background, found in ((None, channels), ("auto", channels), ("opaque", 3)):
        assert draw(server, **ELF, output_format=form, background=background)[0].shape == (8, 8, found)


def colours_in(palette: str | list[str]) -> Pixels:
    return colours_of(palette if isinstance(palette, str) else tuple(palette))


def mapped(pixels: Pixels, palette: str | list[str]) -> Pixels:
    """A picture ``[H, W, 3 or 4]`` in the nearest colours of a palette; nothing is behind what is transparent."""
    colours = colours_in(palette)
    found = pixels.copy()
    found[..., :3] = colours[nearest(np.ascontiguousarray(pixels[..., :3]), colours)]
    return np.where(pixels[..., 3:] == 0, np.uint8(0), found) if pixels.shape[2] == 4 else found


@pytest.mark.parametrize(
    ("asked", "palette"),
    [
        (ELF | {"n": 2}, "game-boy"), (ELF, ["#204060", "#ffe0a0"]), (ELF | {"output_format": "webp"}, "game-boy"),
        (ELF | {"background": "opaque"}, "game-boy"), ({}, "pico-8"), ({"model": "grey", "prompt": None}, "1-bit"),
    ],
)  # fmt: skip
def test_pictures_in_the_nearest_colours_of_a_palette(
    server: Server, asked: dict[str, Any], palette: str | list[str]
) -> None:
    response = post(server, "generations", **asked, palette=palette)
    plain = [np.broadcast_to(one, (*one.shape[:2], max(one.shape[2], 3))) for one in draw(server, **asked)]
    found = [np.where(one[..., 3:] == 0, np.uint8(0), one) if one.shape[2] == 4 else one for one in shown(response)]
    assert same(found, [mapped(one, palette) for one in plain])
    if asked.get("output_format") is None and found[0].shape[2] == 4:
        image, colours = opened(files(response)[-1]), colours_in(palette)
        assert (image.mode, image.info["transparency"]) == ("P", 0)
        own = np.array(image.getpalette("RGB")).reshape(-1, 3)[1 : len(colours) + 1]
        assert np.array_equal(own, colours)
        recipe = recipe_of(files(response)[-1])
        assert recipe.pop("palette") == palette
        del recipe["model_sha256"]
        assert files(post(server, "generations", **recipe, palette=palette)) == files(response)[-1:]


# The best of candidates, and what pictures show


@pytest.fixture(scope="module")
def classifier(zoo: Path) -> PictureClassifier:
    saved = load_checkpoint(zoo / "palette" / "classifier")
    return PictureClassifier(saved.spec_as(ClassifierSpec), saved.tensors)


def symbols_of(found: list[bytes]) -> Pixels:
    return np.stack([decode_picture(file, SPEC, "file")[0] for file in found])


@pytest.mark.every_engine(quick=True)
@pytest.mark.parametrize("prompt", [BEST["prompt"], "orc"])
def test_the_best_of_candidates(server: Server, classifier: PictureClassifier, prompt: str) -> None:
    """The one that the classifier finds most probable for all that it was drawn for; its seed alone gives it again."""
    every = post(server, "generations", model="palette", prompt=prompt, n=8)
    drawn_for = [entry.get("revised_prompt", prompt).split(", ") for entry in entries(every)]
    logs = classifier.log_probabilities(symbols_of(files(every)))
    scores = [
        sum(part[row, values.index(name)] for part, (_, values) in zip(logs, SPEC.attributes, strict=True)
            for name in names if name in values)
        for row, names in enumerate(drawn_for)
    ]  # fmt: skip
    best = [int(np.argmax(scores[first : first + 4])) + first for first in (0, 4)]
    response = post(server, "generations", **BEST | {"prompt": prompt})
    assert files(response) == [files(every)[index] for index in best]
    assert seeds(response) == [seeds(every)[index] for index in best]
    assert response.headers["x-seed"] == "7", "the request's"
    assert recipe_of(files(response)[1])["seed"] == seeds(response)[1]
    assert response.json()["usage"] == every.json()["usage"], "all candidates are counted"
    names = [name for name, _ in SPEC.attributes]
    for entry, values in zip(entries(response), classifier.shown(symbols_of(files(response))), strict=True):
        assert entry["attributes"] == {
            name: {"value": one.value, "probability": round(one.probability, 3)}
            for name, one in zip(names, values, strict=True)
        }


# OpenAI's client for Python, unchanged. It builds its objects without looking: these tests look.

SEED: dict[str, Any] = {"extra_body": {"seed": 7}}
DOG: dict[str, Any] = {"model": "rgb", "prompt": "dog"} | SEED
EDIT: dict[str, Any] = {
    "model": "palette", "prompt": "axe", "image": ("a.png", written(noise("palette"))),
    "mask": ("m.png", mask_of(KEPT)), "input_fidelity": "high", "quality": "auto",
} | SEED  # fmt: skip


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """A client that tries once."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_openai_answers(client: openai.OpenAI, server: Server) -> None:
    sent = client.images.generate(**DOG, n=2, response_format="b64_json", size="16x12")
    linked = client.images.generate(**DOG, output_format="webp")
    edited = client.images.edit(**EDIT, n=2, size="16x16", response_format="b64_json")
    for found in (sent, linked, edited):
        ImagesResponse.model_validate(found.model_dump(), strict=True)
        assert found.created > 1_700_000_000
    assert (sent.size, sent.output_format, linked.output_format) == ("16x12", "png", "webp")
    alone = post(server, "generations", n=2, size="16x12"), post(server, "edits", n=2, size="16x16")
    for found, wanted in zip((sent, edited), alone, strict=True):
        assert [base64.b64decode(image.b64_json or "") for image in found.data or []] == files(wanted)
        assert all(image.url is None for image in found.data or [])
        assert found.usage is not None
        assert found.usage.model_dump(exclude_none=True) == wanted.json()["usage"]
    (image,) = linked.data or []
    assert (image.b64_json, bool(image.url)) == (None, True)


def test_openai_streams(client: openai.OpenAI, server: Server) -> None:
    how: dict[str, Any] = {"stream": True, "partial_images": 3}
    for stream, route, unfinished, finished in (
        (client.images.generate(**DOG, **how), "generations", ImageGenPartialImageEvent, ImageGenCompletedEvent),
        (client.images.edit(**EDIT, **how), "edits", ImageEditPartialImageEvent, ImageEditCompletedEvent),
    ):
        *partial, last = stream
        assert [event.partial_image_index for event in partial] == [0, 1, 2]
        for event, kind in ((last, finished), *((one, unfinished) for one in partial)):
            assert isinstance(event, kind)
            kind.model_validate(event.model_dump(), strict=True)
        assert [base64.b64decode(last.b64_json)] == files(post(server, route))
        assert last.quality == "auto"
