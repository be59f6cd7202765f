"""OpenAI's client for Python, unchanged, draws and edits pictures. It builds its objects without looking: these tests
look."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImagesResponse,
)

from tests.service.images.pictures import KEPT, files, mask_of, noise, post, written
from tests.service.servers import Server

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


def test_answers(client: openai.OpenAI, server: Server) -> None:
    sent = client.images.generate(**DOG, n=2, response_format="b64_json", size="16x12")
    linked = client.images.generate(**DOG, output_format="webp")
    edited = client.images.edit(**EDIT, n=2, size="16x16", response_format="b64_json")
    for found in (sent, linked, edited):
        ImagesResponse.model_validate(found.model_dump(), strict=True)
        assert found.created > 1_700_000_000
    assert (sent.size, sent.output_format, linked.output_format) == ("16x12", "png", "webp")
    for found, wanted in (
        (sent, post(server, "generations", n=2, size="16x12")),
        (edited, post(server, "edits", n=2, size="16x16")),
    ):
        assert [base64.b64decode(image.b64_json or "") for image in found.data or []] == files(wanted)
        assert all(image.url is None for image in found.data or [])
        assert found.usage is not None
        assert found.usage.model_dump(exclude_none=True) == wanted.json()["usage"]
    (image,) = linked.data or []
    assert (image.b64_json, bool(image.url)) == (None, True)


@pytest.mark.parametrize("partial_images", [0, 3])
def test_streams(client: openai.OpenAI, server: Server, partial_images: int) -> None:
    how: dict[str, Any] = {"stream": True, "partial_images": partial_images}
    for stream, route, unfinished, finished in (
        (client.images.generate(**DOG, **how), "generations", ImageGenPartialImageEvent, ImageGenCompletedEvent),
        (client.images.edit(**EDIT, **how), "edits", ImageEditPartialImageEvent, ImageEditCompletedEvent),
    ):
        *partial, last = stream
        assert [event.partial_image_index for event in partial] == list(range(partial_images))
        for event, kind in ((last, finished), *((one, unfinished) for one in partial)):
            assert isinstance(event, kind)
            kind.model_validate(event.model_dump(), strict=True)
        assert [base64.b64decode(last.b64_json)] == files(post(server, route))
        assert last.quality == "auto"


def test_what_was_wrong(client: openai.OpenAI) -> None:
    for changes, param, code in (
        ({"prompt": "a dog on a bicycle"}, "prompt", "class_not_found"),
        ({"size": "1024x1024"}, "size", "invalid_size"),
        ({"quality": "hd"}, "quality", "literal_error"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(**DOG | changes)
        assert (caught.value.param, caught.value.code) == (param, code)
    with pytest.raises(openai.NotFoundError) as missing:
        client.images.generate(model="gpt-image-1", prompt="dog")
    assert missing.value.code == "model_not_found"
