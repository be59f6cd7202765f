"""OpenAI's client for Python, unchanged, draws pictures."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import httpx
import openai
import pytest
from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent, ImagesResponse

from tests.service.images.pictures import decode, draw, same
from tests.service.servers import Server

SEED = {"seed": 7}


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """A client that tries once."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_pictures_in_base64(client: openai.OpenAI, server: Server) -> None:
    found = client.images.generate(
        model="rgb", prompt="dog", n=2, response_format="b64_json", size="16x12", extra_body=SEED
    )
    check_types(found)
    assert (found.size, found.output_format) == ("16x12", "png")
    assert found.created > 1_700_000_000
    assert found.data is not None
    pictures = [decode(base64.b64decode(image.b64_json or "")) for image in found.data]
    assert same(pictures, draw(server, n=2, size="16x12"))
    assert all(image.url is None for image in found.data)
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens) == (1, 2 * 6 * 8 * 3)
    assert found.usage.total_tokens == found.usage.input_tokens + found.usage.output_tokens
    assert found.usage.input_tokens_details.text_tokens == 1


def check_types(found: ImagesResponse) -> None:
    """The client builds its objects without looking; this looks."""
    ImagesResponse.model_validate(found.model_dump(), strict=True)


def test_pictures_under_urls(client: openai.OpenAI, server: Server) -> None:
    found = client.images.generate(model="rgb", prompt="Dog", output_format="webp", extra_body=SEED)
    check_types(found)
    assert found.data is not None
    (image,) = found.data
    assert image.b64_json is None
    assert image.url is not None
    assert same([decode(httpx.get(image.url).content)], draw(server))
    assert found.output_format == "webp"


@pytest.mark.parametrize("partial_images", [0, 3])
def test_openai_streams_partial_pictures(client: openai.OpenAI, server: Server, partial_images: int) -> None:
    stream = client.images.generate(
        model="rgb", prompt="dog", stream=True, partial_images=partial_images, extra_body=SEED
    )
    *partial, last = stream
    assert len(partial) == partial_images
    for number, event in enumerate(partial):
        assert isinstance(event, ImageGenPartialImageEvent)
        ImageGenPartialImageEvent.model_validate(event.model_dump(), strict=True)
        assert event.partial_image_index == number
        assert decode(base64.b64decode(event.b64_json)).shape == (6, 8, 3)
    assert isinstance(last, ImageGenCompletedEvent)
    ImageGenCompletedEvent.model_validate(last.model_dump(), strict=True)
    assert same([decode(base64.b64decode(last.b64_json))], draw(server))
    assert (last.size, last.quality, last.background, last.output_format) == ("8x6", "auto", "opaque", "png")
    assert last.usage.output_tokens == 6 * 8 * 3
    assert last.created_at > 1_700_000_000


def test_openai_async_client_draws(server: Server) -> None:
    async def paint() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
            whole = await client.images.generate(model="rgb", prompt="dog", response_format="b64_json", extra_body=SEED)
            assert whole.data is not None
            stream = await client.images.generate(
                model="rgb", prompt="dog", stream=True, partial_images=1, extra_body=SEED
            )
            events = [event async for event in stream]
            return [whole.data[0].b64_json or "", events[-1].b64_json]

    one, other = asyncio.run(paint())
    assert one == other
    assert same([decode(base64.b64decode(one))], draw(server))


def test_what_was_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="rgb", prompt="a dog on a bicycle")
    assert (caught.value.param, caught.value.code) == ("prompt", "class_not_found")
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="rgb", prompt="dog", size="1024x1024")
    assert (caught.value.param, caught.value.code) == ("size", "invalid_size")
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="rgb", prompt="dog", quality="hd")
    assert (caught.value.param, caught.value.code) == ("quality", "literal_error")
    with pytest.raises(openai.NotFoundError) as missing:
        client.images.generate(model="gpt-image-1", prompt="dog")
    assert missing.value.code == "model_not_found"
