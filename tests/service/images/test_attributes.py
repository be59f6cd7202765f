"""Models with several attributes and with a palette: prompts that are lists, what seeds draw, transparency, uploads."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from ancestral.images.decoding import decode_picture
from ancestral.images.pixels import UNDRAWN, BatchDecoder
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.palette import pixels_of, rgba
from tests.service.api.envelope import check_envelope
from tests.service.images.job_requests import content, manifest_of, submit, verify
from tests.service.images.pictures import (
    base64_of,
    decode,
    draw,
    engine_of,
    events,
    files,
    noise,
    post,
    random_symbols,
    same,
    seeds,
    shown,
    visible,
    written,
)
from tests.service.images.websocket_client import watching
from tests.service.servers import Server
from tests.service.toys import PICTURES

DOLL: dict[str, Any] = {"model": "palette", "prompt": "elf"}
SPEC = PICTURES["palette"]


def labels_of(prompt: str) -> list[int | None]:
    names = prompt.split(", ")
    return [next((i for i, value in enumerate(values) if value in names), None) for values in SPEC.conditions]


@pytest.mark.parametrize("prompt", ["any", "elf", "orc, axe", "robe, imp"])
@pytest.mark.every_engine
def test_seeds_draw_what_is_not_named_and_tell_it(server: Server, zoo: Path, engine: str, prompt: str) -> None:
    network = engine_of(zoo, "palette", engine)
    response = post(server, "generations", model="palette", prompt=prompt, n=6, guidance=2.0)
    told = [entry.get("revised_prompt", prompt) for entry in response.json()["data"]]
    for seed, text in zip(seeds(response), told, strict=True):
        assert labels_of(text) == network.draw_labels(labels_of(prompt), seed)
        assert {*prompt.split(", ")} - {"any"} <= {*text.split(", ")}
    free = network.embed_labels([None] * 3)
    requests = [
        ImageStreamRequest(seed, h=network.embed_labels(labels_of(text)), guidance=2.0, unconditional=free)
        for seed, text in zip(seeds(response), told, strict=True)
    ]
    assert same(shown(response), list(visible("palette", network.draw(requests))))
    assert response.json()["usage"]["input_tokens"] == (0 if prompt == "any" else len(prompt.split(", ")))
    again = post(server, "generations", model="palette", prompt=told[0], seed=seeds(response)[0], guidance=2.0)
    assert same(shown(again), shown(response)[:1])
    assert labels_of(again.json()["data"][0].get("revised_prompt", told[0])) == labels_of(told[0])


def test_names_come_in_any_order_and_case(server: Server) -> None:
    plain = draw(server, model="palette", prompt="elf, robe, no weapon", n=2)
    for prompt in ("No Weapon,ELF , robe", "any, elf, robe, no weapon,", "elf, elf, robe, no weapon"):
        assert same(draw(server, model="palette", prompt=prompt, n=2), plain)
    response = post(server, "generations", model="palette", prompt="elf, robe, no weapon")
    assert set(response.json()["data"][0]) == {"b64_json", "seed", "attributes"}, "nothing is left to draw"


@pytest.mark.parametrize(
    ("prompt", "code", "words"),
    [
        ("elff", "class_not_found", "palette has no such species, garment or weapon; nearest: elf (species)"),
        ("elf, axes", "class_not_found", "(name 2 of 2); nearest: axe (weapon)"),
        ("elf, zzz", "class_not_found", "it has elf, orc, imp"),
        ("elf, orc", "conflict", "two values of species"),
    ],
)
def test_what_is_wrong_in_a_list_is_named(server: Server, prompt: str, code: str, words: str) -> None:
    error = check_envelope(post(server, "generations", model="palette", prompt=prompt), 400, "prompt")
    assert error["code"] == code
    assert words in error["message"]
    assert "zzz" not in error["message"]
    check_envelope(post(server, "interpolations", model="palette", **{"from": prompt, "to": "imp"}), 400, "from")
    form = {"model": "palette", "class": prompt}
    file = {"file": ("a.png", written(noise("palette")))}
    check_envelope(httpx.post(f"{server.url}/v1/images/likelihood", data=form, files=file), 400, "class")


def test_a_style_may_stand_in_the_prompt(server: Server) -> None:
    assert same(draw(server, prompt="dog, crayon"), draw(server, prompt="dog", style="crayon"))
    assert same(draw(server, prompt="crayon, dog", style="crayon"), draw(server, prompt="dog", style="crayon"))


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_a_png_is_indexed_with_the_palette_of_the_model(server: Server) -> None:
    (file,), (opaque,) = (
        files(post(server, "generations", **DOLL, background=background, size="24x24"))
        for background in ("transparent", "opaque")
    )
    for data, mode in ((file, "RGBA"), (opaque, "RGB")):
        image = opened(data)
        assert (image.mode, image.size) == ("P", (24, 24))
        assert image.convert("RGBA").getextrema()[3] == ((0, 255) if mode == "RGBA" else (255, 255))
        assert np.array_equal(np.asarray(image)[::3, ::3], np.asarray(opened(file))[::3, ::3]), "the same indices"
    palette = np.array(opened(file).getpalette()[: 3 * SPEC.levels], np.uint8).reshape(-1, 3)
    assert np.array_equal(palette, rgba(SPEC)[:, :3])
    assert (opened(file).info["transparency"], "transparency" in opened(opaque).info) == (0, False)
    recipes = [json.loads(opened(data).info["recipe"]) for data in (file, opaque)]
    assert [recipe.get("background") for recipe in recipes] == ["transparent", None]
    assert recipes[0]["prompt"] == "elf"
    white = decode(file).copy()
    white[white[..., 3] == 0] = 255
    assert np.array_equal(decode(opaque), white[..., :3])


@pytest.mark.parametrize(("form", "channels"), [("png", 4), ("webp", 4), ("jpeg", 3)])
def test_the_background_is_transparent_where_it_can_be(server: Server, form: str, channels: int) -> None:
    for background in (None, "auto"):
        (file,) = files(post(server, "generations", **DOLL, output_format=form, background=background))
        assert decode(file).shape == (8, 8, channels)
    (file,) = files(post(server, "generations", **DOLL, output_format=form, background="opaque"))
    assert decode(file).shape == (8, 8, 3)
    assert same(draw(server, prompt="dog", background="opaque"), draw(server, prompt="dog"))


def test_the_largest_size_is_forty_times_and_more(server: Server) -> None:
    (large,), (small,) = draw(server, **DOLL, size="320x320"), draw(server, **DOLL)
    assert np.array_equal(large, small.repeat(40, 0).repeat(40, 1))


@pytest.mark.every_engine
def test_rows_over_the_websocket_and_in_events_are_rgba(server: Server) -> None:
    (whole,) = draw(server, **DOLL)
    with watching(server) as watch:
        watch.generate(**DOLL, coarse=True)
        assert watch.told()["channels"] == 4
        assert watch.told() == {"type": "image.coarse", "width": 2, "height": 2}
        coarse = watch.connection.recv(timeout=30)
        assert isinstance(coarse, bytes)
        assert np.array_equal(np.frombuffer(coarse, np.uint8).reshape(2, 2, 4), whole[2::4, 2::4])
        while isinstance(watch.connection.recv(timeout=30), bytes):
            pass
        watch.generate(**DOLL)
        assert same(watch.pictures(), [whole])
        watch.generate(**DOLL, background="opaque")
        assert same(watch.pictures(), draw(server, **DOLL, background="opaque"))
    partial, finished = events(post(server, "generations", **DOLL, stream=True, partial_images=1))
    assert {partial["background"], finished["background"]} == {"transparent"}
    assert "palette_distance" not in finished
    assert np.array_equal(decode(base64.b64decode(finished["b64_json"])), whole)
    there = decode(base64.b64decode(partial["b64_json"]))
    assert np.array_equal(there[:4], whole[:4])


@pytest.mark.parametrize("transparent", [True, False])
def test_rows_that_are_not_sampled_yet_are_grey(transparent: bool) -> None:
    batch, symbols = BatchDecoder(SPEC, 2, transparent=transparent), random_symbols("palette")
    assert batch.channels == (4 if transparent else 3)
    rows = batch(np.stack([symbols[:3], symbols[:3]], axis=1).reshape(-1))
    assert rows.shape == (3, 2, 8, batch.channels)
    assert not batch.complete
    seen = visible("palette", symbols) if transparent else pixels_of(symbols, SPEC)
    assert np.array_equal(batch.pixels[1, :3], seen[:3])
    assert (batch.pixels[:, 3:, :, :3] == UNDRAWN).all()
    assert (batch.pixels[:, 3:, :, 3:] == 255).all()


def score(server: Server, data: bytes) -> dict[str, Any]:
    file = {"file": ("a.png", data)}
    response = httpx.post(f"{server.url}/v1/images/likelihood", data={"model": "palette"}, files=file, timeout=60)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_an_upload_gets_the_nearest_colours_and_is_told_how_far_they_were(server: Server) -> None:
    exact = noise("palette")
    plain = score(server, written(exact))
    assert plain["palette_distance"] == 0.0
    assert plain["dims"] == 64
    off = exact.copy()
    opaque = off[..., 3] == 255
    off[opaque & (off[..., 0] > 99), 0] -= 9
    off[opaque & (exact[..., 0] <= 99), 0] += 9
    found = score(server, written(off))
    assert found["palette_distance"] == pytest.approx(np.sqrt(81 / 3), abs=1e-3)
    assert found["nats"] == plain["nats"]
    for changed in (written(exact.repeat(3, 0).repeat(3, 1)), written(exact, "WEBP", lossless=True, exact=True)):
        assert score(server, changed) == plain
    answer = post(server, "completions", **DOLL, image=base64_of(written(off)), rows=3)
    assert answer.json()["palette_distance"] == found["palette_distance"]
    assert np.array_equal(shown(answer)[0][:3], exact[:3])
    (event,) = events(post(server, "completions", **DOLL, image=base64_of(written(off)), rows=3, stream=True))
    assert event["palette_distance"] == found["palette_distance"]


def test_what_the_server_drew_comes_back_with_either_background(server: Server) -> None:
    for background in ("transparent", "opaque"):
        (file,) = files(post(server, "generations", **DOLL, background=background, size="16x16", seed=3))
        found = post(server, "completions", **DOLL, image=base64_of(file), rows=8, background=background)
        assert found.json()["palette_distance"] == 0.0
        kept = shown(found)[0]
        drawn = draw(server, **DOLL, background=background, seed=3)[0]
        assert np.array_equal(kept, drawn)


def test_pure_white_is_the_background_of_a_picture_without_transparency() -> None:
    symbols = random_symbols("palette")
    symbols[symbols == 3] = 0
    seen = visible("palette", symbols)
    flat = np.where(seen[..., 3:] == 0, np.uint8(255), seen)[..., :3]
    assert np.array_equal(decode_picture(written(flat), SPEC, "file")[0], symbols)
    seen[0, 0] = (255, 255, 255, 255)
    assert decode_picture(written(seen), SPEC, "file")[0][0, 0, 0] == 3, "in one with transparency it is white"


def test_values_are_listed_attribute_by_attribute(server: Server, zoo: Path) -> None:
    listed = httpx.get(f"{server.url}/v1/images/classes?model=palette&embeddings=true").json()["data"]
    assert [(entry["object"], entry["id"]) for entry in listed] == [
        (name, value) for name, values in SPEC.attributes for value in values
    ]
    network = engine_of(zoo, "palette")
    for entry, labels in ((listed[1], [1, None, None]), (listed[3], [None, 0, None]), (listed[7], [None, None, 2])):
        vector = np.array(entry["embedding"], np.float32)
        np.testing.assert_allclose(network.embed_labels([vector, None, None]), network.embed_labels(labels), atol=1e-6)


def test_interpolation_goes_between_lists(server: Server, zoo: Path) -> None:
    network = engine_of(zoo, "palette")
    begin, end = network.embed_labels([0, 0, None]), network.embed_labels([1, None, 1])
    hs = [np.asarray(begin * (1.0 - share) + end * share, np.float32) for share in (0.0, 0.5, 1.0)]
    free = network.embed_labels([None] * 3)
    wanted = network.draw([ImageStreamRequest(7, h=h, guidance=1.5, unconditional=free) for h in hs])
    ends = {"from": "elf, robe", "to": "orc, axe"}
    found = post(server, "interpolations", model="palette", steps=3, guidance=1.5, **ends)
    assert same(shown(found), list(visible("palette", wanted)))
    assert json.loads(opened(files(found)[0]).info["recipe"])["from"] == "elf, robe"


@pytest.mark.parametrize("background", [None, "opaque"])
def test_a_job_is_the_same_picture_and_is_verified(server: Server, background: str | None) -> None:
    job = submit(server, **DOLL, n=1, response_format=None, background=background)
    assert content(server, job).content == files(post(server, "generations", **DOLL, background=background))[0]
    assert verify(server, manifest_of(server, job)).json()["equal"] is True


def test_the_command_line_takes_lists_and_backgrounds(
    ancestral: Callable[..., Any], server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    words = ("--model", "palette", "--seed", "7", "-o", str(path))
    done = ancestral("draw", "elf, robe", *words)
    assert done.returncode == 0, done.stderr
    (entry,) = post(server, "generations", model="palette", prompt="elf, robe").json()["data"]
    assert f"seed 7: {entry['revised_prompt']}".encode() in done.stderr
    assert path.read_bytes() == base64.b64decode(entry["b64_json"])
    assert ancestral("draw", "elf, robe", *words, "--background", "opaque").returncode == 0
    assert (
        path.read_bytes()
        == files(post(server, "generations", model="palette", prompt="elf, robe", background="opaque"))[0]
    )
