"""What the routes of pictures refuse: one table. tests/service/test_requests.py has the wrong values of every field of
JSON bodies, test_uploads.py the files."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.api.job_requests import check_envelope
from tests.service.images.pictures import BEST, FORMS, KEPT, draw, mask_of, noise, post, same, written
from tests.service.servers import Server

ELF: dict[str, Any] = {"model": "palette", "prompt": "elf"}
ORCS: dict[str, Any] = {"model": "palette", "prompt": "orc", "sheet": "arms"}
ALPHA = np.zeros((8, 8, 4), np.uint8)
REFUSED: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "generations": [
        ({"n": 0}, "n", "greater_than_equal"),
        *(({"prompt": name}, "prompt", words) for name, words in (
            ("cats", "nearest: cat"), ("cob", "nearest: cow"), ("a dog", "nearest: dog"),
            ("zzz", "it has cat, dog, cow"))),
        ({"prompt": None, "class": "cats"}, "class", "nearest: cat"),
        ({"model": "binary", "prompt": "thre"}, "prompt", "Three"),
        ({"model": "subclasses", "prompt": "rwen"}, "prompt", "nearest: wren"),
        ({"model": "subclasses", "prompt": "zzz"}, "prompt", "no such class, style or subclass; it has Birds, Bea"),
        (ELF | {"prompt": "elff"}, "prompt", "palette has no such species, garment or weapon; nearest: elf (species)"),
        (ELF | {"prompt": "elf, axes"}, "prompt", "(name 2 of 2); nearest: axe (weapon)"),
        (ELF | {"prompt": "elf, zzz"}, "prompt", "it has elf, orc, imp"),
        (ELF | {"prompt": "elf, orc"}, "prompt", "two values of species"),
        ({"best_of": 2}, "best_of", "model_not_capable"), (BEST | {"n": 3}, "best_of", "invalid_value"),
        *((BEST | {"best_of": wrong}, "best_of", "") for wrong in (9, 0, True)),
        (BEST | {"stream": True, "partial_images": 1}, "best_of", "conflict"),
        (ORCS | {"sheet": "walk"}, "sheet", "invalid_value"), (ORCS | {"n": 2}, "n", "conflict"),
        (ORCS | {"stream": True}, "stream", "conflict"), (ORCS | {"prompt": "robe"}, "prompt", "conflict"),
        (ORCS | {"size": "1376x1376"}, "size", "invalid_size"),
        (ORCS | {"model": "grey", "prompt": None}, "sheet", "model_not_capable"), (ORCS | {"sheet": ""}, "sheet", ""),
        *((ELF | {"palette": palette}, "palette", words) for palette, words in (
            ("amiga", "no palette is called 'amiga'"), ("../../etc/passwd", "no palette is called"),
            (["#000000"], "it has 1 colours"), (["#000000", "red"], "must be a"),
            ([f"#{number:06x}" for number in range(256)], "255"), (7, "must be a name, or a list"),
            ({}, "must be a name, or a list"))),
    ],
    "completions": [
        ({"image": None}, "image", "missing_parameter"), ({"image": "data:,"}, "image", ""),
        ({"prompt": None}, "prompt", "missing_parameter"),
        ({"prompt": "zebra", "stream": True}, "prompt", "class_not_found"),
        ({"partial_images": 2, "stream": False}, "partial_images", "needs_stream"),
        ({"stream": True, "response_format": "url"}, "response_format", "conflict"),
        ({"model": "palette", "prompt": "orc", "sheet": "arms"}, "sheet", "conflict"),
        *(({"model": model}, "model", "model_not_capable") for model in ("tiny", "free", "autoencoder", "portraits")),
    ],
    "interpolations": [
        ({"stream": True}, "stream", "unknown_parameter"),
        ({"partial_images": 1}, "partial_images", "unknown_parameter"), ({"to": "cows"}, "to", "nearest: cow"),
        ({"to": [0.0] * 6}, "to", "5 numbers, not 6"),
        (ELF | {"prompt": None, "from": "elf, orc", "to": "imp"}, "from", "two values of species"),
    ],
    "edits": [
        ({"mask": None}, "mask", "missing_parameter"), ({"mask": mask_of(KEPT | True)}, "mask", "invalid_mask"),
        ({"mask": mask_of(KEPT & False)}, "mask", "invalid_mask"),
        *(({"mask": file}, "mask", "invalid_image") for file in (
            ALPHA[..., :3], ALPHA[:7], written(ALPHA)[:-20], b"GIF89a" + bytes(40), b"")),
        ({"image": b"\x89PNG\r\n\x1a\n" + bytes(80)}, "image", "invalid_image"),
        ({"image": noise("rgb")}, "image", "invalid_image"), ({"prompt": None}, "prompt", "missing_parameter"),
        ({"prompt": "a castle"}, "prompt", "class_not_found"), ({"model": "rgb"}, "model", "model_not_capable"),
        ({"model": "frog"}, "model", "model_not_found"), ({"n": 11}, "n", ""), ({"rows": 4}, "rows", ""),
        ({"sheet": "run"}, "sheet", "conflict"), ({"input_fidelity": "middle"}, "input_fidelity", ""),
    ],
    "reconstructions": [
        *(({"model": model}, "model", "model_not_capable") for model in ("portraits", "rgb", "tiny")),
        *(({name: value}, name, "") for name, value in {
            "n": "two", "seed": "1.5", "temperature": "nan", "size": "7x7", "stream": "perhaps", "partial_images": "2",
            "guidance": "2", "background": "transparent"}.items()),
    ],
    "portraits": [({"model": model}, "model", "model_not_capable") for model in ("autoencoder", "grey")],
    "encodings": [({"model": "rgb"}, "model", "model_not_capable")],
    "likelihood": [
        ({"model": "nothing"}, "model", "model_not_found"), *(({"model": model}, "model", "") for model in (None, "")),
        *(({"model": model}, "model", "model_not_capable") for model in ("tiny", "free")),
        *(({name: value}, name, "") for name, value in {
            "class": "zebra", "style": "pencil", "map": "perhaps", "prompt": "dog", "voice": "ann",
            "asked_class": "dog"}.items()),
        *(({"class": value}, "class", "") for value in ("x" * 257, ["cat", "dog"])),
        ({"model": "palette", "class": "elf, orc"}, "class", "conflict"),
        ({"model": "grey", "class": "cat"}, "class", ""),
        *(({"model": model, "style": "oil"}, "style", "style_not_found") for model in ("grey", "binary")),
    ],
}  # fmt: skip
"""For each route: changes of its standard request, the field that is named, and the code, or words of the message."""
HOSTILE = [b"", b"GIF89a", written(noise("autoencoder"))[:60], written(noise("binary"))]
for name in ("reconstructions", "encodings"):
    REFUSED[name] += [({"image": file}, "image", "invalid_image") for file in HOSTILE]
    REFUSED[name].append(({"image": None, "model": (None, "autoencoder")}, "image", ""))
REFUSED["likelihood"].append(({"file": None, "image": ("a.png", HOSTILE[-1])}, "file", ""))
for name in FORMS:
    field = "file" if name == "likelihood" else "image"
    REFUSED[name] += [({field: (None, "text")}, field, ""), ({"other": ("a.png", b"a")}, "other", "")]


@pytest.mark.parametrize("route", REFUSED)
def test_what_is_refused_is_named(server: Server, route: str) -> None:
    with server.unharmed():
        for changes, param, code in REFUSED[route]:
            response = post(server, route, **changes)
            assert response.status_code in (400, 404), (changes, response.text)
            found = response.json()["error"]
            error = check_envelope(response, 404 if found["code"] == "model_not_found" else 400, param)
            assert code in ("", error["code"]) or code in error["message"], (changes, error)
            assert "zzz" not in error["message"]
        assert same(draw(server), draw(server))


def test_bodies_over_the_limit(server: Server) -> None:
    check_envelope(post(server, "completions", image="A" * (33 << 20)), 413, None)
    check_envelope(post(server, "likelihood", file=bytes(33 << 20)), 413, None)
    check_envelope(post(server, "generations", prompt="A" * (2 << 20)), 413, None)
    check_envelope(post(server, "completions", image="A" * (2 << 20)), 400, "image")  # uploads may be larger


def test_wrong_queries_for_classes(server: Server) -> None:
    url = f"{server.url}/v1/images/classes"
    check_envelope(httpx.get(f"{url}?model=frog"), 404, "model")
    check_envelope(httpx.get(f"{url}?embeddings=perhaps"), 400, "embeddings")
