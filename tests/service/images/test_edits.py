"""`POST /v1/images/edits`: what the mask keeps is kept exactly, the network draws the rest given all of that."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from numpy.typing import NDArray
from openai.types import ImageEditCompletedEvent, ImageEditPartialImageEvent, ImagesResponse
from PIL import Image

from ancestral.catalog.seeds import part_seed
from ancestral.models.engines.images.request import Edit, ImageStreamRequest
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import (
    Pixels,
    base64_of,
    decode,
    engine_of,
    events,
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
from tests.service.toys import ASYNC, PICTURES, sampled_by

KEPT = np.ones((8, 8), bool)
KEPT[2:6, 3:7] = False
"""All but a square in the middle."""
FIELDS = {"model": "palette", "prompt": "axe", "seed": "7", "response_format": "b64_json"}


def mask_of(kept: NDArray[np.bool_], scale: int = 1) -> bytes:
    """A file that is transparent where nothing is kept; its colours do not matter."""
    pixels = np.random.default_rng(2).integers(0, 256, (*kept.shape, 4)).astype(np.uint8)
    pixels[..., 3] = np.where(kept, 255, 0)
    return written(pixels.repeat(scale, 0).repeat(scale, 1))


def edit(
    server: Server,
    image: bytes | Pixels | None = None,
    mask: bytes | NDArray[np.bool_] | None = KEPT,
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> httpx.Response:
    """Edit a picture, by default noise; a change to None takes the field out."""
    pixels = noise("palette") if image is None else image
    files = {"image": ("a.png", written(pixels) if isinstance(pixels, np.ndarray) else pixels)}
    if mask is not None:
        files["mask"] = ("mask.png", mask_of(mask) if isinstance(mask, np.ndarray) else mask)
    form = {name: value for name, value in (FIELDS | changes).items() if value is not None}
    return httpx.post(f"{server.url}/v1/images/edits", data=form, files=files, headers=headers, timeout=60.0)


@pytest.mark.every_engine
def test_the_region_is_the_networks_and_the_rest_is_kept(server: Server, zoo: Path, engine: str) -> None:
    network, spec = engine_of(zoo, "palette", engine), PICTURES["palette"]
    labels = [None, None, 1]
    request = ImageStreamRequest(7, 0.9, network.embed_labels(labels), edit=Edit(random_symbols("palette"), KEPT))
    guided = {"guidance": 2.0, "unconditional": network.unconditional(labels)}
    drawn = network.draw([ImageStreamRequest(**(vars(request) | guided | {"seed": part_seed(7, n)})) for n in range(2)])
    response = edit(server, n=2, temperature=0.9, guidance=2)
    pictures = shown(response)
    assert same(pictures, list(visible("palette", drawn)))
    assert all(np.array_equal(picture[KEPT], noise("palette")[KEPT]) for picture in pictures)
    assert not np.array_equal(*pictures)
    assert response.headers["x-engine"] == sampled_by("palette", engine)
    kept = 2 * int(KEPT.sum())
    assert response.json()["usage"] == {
        "input_tokens": kept + 1,
        "output_tokens": 2 * spec.dims - kept,
        "total_tokens": 2 * spec.dims + 1,
        "input_tokens_details": {"image_tokens": kept, "text_tokens": 1},
    }
    assert response.json()["palette_distance"] == 0.0


def test_every_pixel_outside_of_any_mask_is_kept(server: Server) -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        image, kept = noise("palette", seed=seed), rng.random((8, 8)) < 0.5
        (picture,) = shown(edit(server, image, kept, seed=seed, prompt="any"))
        assert np.array_equal(picture[kept], image[kept])


def test_what_is_kept_decides_and_what_is_not_does_not(server: Server) -> None:
    pictures = shown(edit(server, n=3))
    hidden, other = noise("palette"), noise("palette", seed=1)
    hidden[~KEPT] = other[~KEPT]
    assert same(shown(edit(server, hidden, n=3)), pictures)
    drawn = shown(edit(server, other, n=3))
    assert not all(np.array_equal(one[~KEPT], two[~KEPT]) for one, two in zip(drawn, pictures, strict=True))
    assert not same(shown(edit(server, n=3, prompt="elf, robe, staff")), pictures)
    response = edit(server, n=3)
    for seed, picture in zip(seeds(response), pictures, strict=True):
        assert same(shown(edit(server, seed=seed)), [picture])


def test_larger_files_and_partly_opaque_masks(server: Server) -> None:
    pictures = shown(edit(server))
    assert same(shown(edit(server, noise("palette").repeat(3, 0).repeat(3, 1), mask_of(KEPT, 5))), pictures)
    opacity = np.where(KEPT, 128, 127).astype(np.uint8)
    pixels = np.dstack([np.zeros((8, 8, 3), np.uint8), opacity])
    assert same(shown(edit(server, mask=written(pixels))), pictures)
    assert same(shown(edit(server, mask=written(pixels, "WEBP", lossless=True))), pictures)


def test_a_completion_is_an_edit_that_keeps_the_first_rows(server: Server) -> None:
    kept = np.repeat(np.arange(8) < 5, 8).reshape(8, 8)
    completed = post(
        server, "completions", model="palette", prompt="axe", rows=5, image=base64_of(written(noise("palette")))
    )
    assert same(shown(completed), shown(edit(server, mask=kept)))


def test_a_stream_has_the_events_of_edits(server: Server) -> None:
    *partial, last = events(edit(server, stream="true", partial_images=2))
    assert [event["type"] for event in partial] == ["image_edit.partial_image"] * 2
    assert last["type"] == "image_edit.completed"
    assert same([decode(base64.b64decode(last["b64_json"]))], shown(edit(server)))


def test_openai_edits_a_picture(server: Server) -> None:
    image, mask = written(noise("palette")), mask_of(KEPT)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        found = client.images.edit(
            model="palette", image=("a.png", image), mask=("m.png", mask), prompt="axe", n=2, size="16x16",
            response_format="b64_json", input_fidelity="high", quality="auto", extra_body={"seed": 7},
        )  # fmt: skip
        ImagesResponse.model_validate(found.model_dump(), strict=True)
        assert found.data is not None
        pictures = [decode(base64.b64decode(picture.b64_json or "")) for picture in found.data]
        assert same(pictures, shown(edit(server, n=2, size="16x16")))
        stream = client.images.edit(
            model="palette", image=("a.png", image), mask=("m.png", mask), prompt="axe", stream=True, partial_images=1,
            extra_body={"seed": 7},
        )  # fmt: skip
        partial, last = stream
    assert isinstance(partial, ImageEditPartialImageEvent)
    assert isinstance(last, ImageEditCompletedEvent)
    ImageEditCompletedEvent.model_validate(last.model_dump(), strict=True)
    assert same([decode(base64.b64decode(last.b64_json))], shown(edit(server)))


def test_a_job_its_manifest_and_its_verification(server: Server) -> None:
    job = edit(server, headers=ASYNC, n=2).json()["id"]
    assert server.ended(job)["status"] == "completed"
    manifest = httpx.get(f"{server.url}/v1/jobs/{job}/manifest").json()
    assert manifest["request"].keys() >= {"mask", "prompt", "seed"}
    assert "image" not in manifest["request"]
    check_envelope(httpx.post(f"{server.url}/v1/verify", json=manifest), 400, "request.image")
    manifest["request"]["image"] = base64_of(written(noise("palette")))
    verified = httpx.post(f"{server.url}/v1/verify", json=manifest, timeout=60.0)
    assert verified.json()["equal"] is True, verified.text
    manifest["request"]["image"] = base64_of(written(noise("palette", seed=1)))
    check_envelope(httpx.post(f"{server.url}/v1/verify", json=manifest), 400, "request.image")


def test_a_file_says_how_to_make_it_again(server: Server) -> None:
    response = edit(server)
    with Image.open(io.BytesIO(base64.b64decode(response.json()["data"][0]["b64_json"]))) as image:
        recipe = json.loads(image.info["recipe"])
    assert recipe["prompt_sha256"]
    again = edit(server, mask=base64.b64decode(recipe["mask"]), seed=recipe["seed"], prompt=recipe["prompt"])
    assert same(shown(again), shown(response))


ALPHA = np.zeros((8, 8, 4), np.uint8)


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"mask": None}, "mask", "missing_parameter"),
        ({"mask": KEPT | True}, "mask", "invalid_mask"),
        ({"mask": KEPT & False}, "mask", "invalid_mask"),
        ({"mask": written(ALPHA[..., :3])}, "mask", "invalid_image"),
        ({"mask": written(ALPHA[:7])}, "mask", "invalid_image"),
        ({"mask": written(ALPHA)[:-20]}, "mask", "invalid_image"),
        ({"mask": b"GIF89a" + bytes(40)}, "mask", "invalid_image"),
        ({"mask": b""}, "mask", "invalid_image"),
        ({"image": b"\x89PNG\r\n\x1a\n" + bytes(80)}, "image", "invalid_image"),
        ({"image": noise("rgb")}, "image", "invalid_image"),
        ({"prompt": None}, "prompt", "missing_parameter"),
        ({"prompt": "a castle"}, "prompt", "class_not_found"),
        ({"model": "rgb"}, "model", "model_not_capable"),
        ({"model": "frog"}, "model", "model_not_found"),
        ({"n": 11}, "n", None),
        ({"rows": 4}, "rows", None),
        ({"sheet": "run"}, "sheet", "conflict"),
        ({"input_fidelity": "middle"}, "input_fidelity", None),
    ],
)
def test_a_field_that_is_wrong_is_named(server: Server, changes: dict[str, Any], field: str, code: str | None) -> None:
    response = edit(server, **changes)
    error = check_envelope(response, 404 if code == "model_not_found" else 400, field)
    assert code is None or error["code"] == code
