"""What ``ancestral serve`` prints on a terminal once it is ready: where it is, what it serves, a request to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

import click

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import ANY, ImageModel, Model

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on


def address_of(host: str, port: int) -> str:
    """The URL of a server that listens there, as its own machine reaches it."""
    host = _ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def banner(catalog: Catalog, url: str, *, page: bool, keys: bool, colours: bool) -> str:
    """The text, several lines.

    Args:
        catalog: the models to list.
        url: of the server.
        page: whether it serves the page.
        keys: whether requests need an API key.
        colours: whether to highlight with ANSI escapes.
    """
    rows = [(model.entry.id, _summary(model)) for model in catalog.models.values()]
    width = max(len(name) for name, _ in rows)
    title = f"Ancestral is ready: {url}"
    lines = [
        "",
        click.style(title, bold=True) if colours else title,
        *([f"  Page               {url}/"] if page else []),
        f"  API documentation  {url}/docs",
        "",
        *(f"  {name:<{width}}  {summary}" for name, summary in rows),
        "",
        "Try it:",
        *(f"  {line}" for line in _example(catalog, url, keys=keys)),
        "",
        "Ctrl-C stops the server.",
        "",
    ]
    return "\n".join(lines)


def _summary(model: Model) -> str:
    if isinstance(model, ImageModel):
        return f"pictures, {model.size} pixels"
    voices = ", ".join(voice.id for voice in model.entry.voices)
    return f"{'speech' if 'speech' in model.capabilities else 'sound without text'}, voices {voices}"


def _example(catalog: Catalog, url: str, *, keys: bool) -> list[str]:
    """A curl command for the first model."""
    model = next(iter(catalog.models.values()))
    if model.needs_upload:
        route = "portraits" if "image_portrait" in model.capabilities else "reconstructions"
        form = [f"  -F model={model.entry.id} -F image=@picture.png"]
        return [f"curl {shlex.quote(f'{url}/v1/images/{route}')} -o picture.json \\", *_key(keys=keys), *form]
    body: dict[str, object] = {"model": model.entry.id}
    if isinstance(model, ImageModel):
        body |= {"prompt": ANY} if model.spec.attributes else {}
        return _curl(f"{url}/v1/images/generations", body, "picture.json", keys=keys)
    body |= {"voice": model.entry.voices[0].id, "response_format": "wav"}
    if "speech" in model.capabilities:
        return _curl(f"{url}/v1/audio/speech", body | {"input": "Hello, world."}, "hello.wav", keys=keys)
    return _curl(f"{url}/v1/audio/generations", body | {"duration": 3}, "sound.wav", keys=keys)


def _curl(url: str, body: Mapping[str, object], output: str, *, keys: bool) -> list[str]:
    data = shlex.quote(json.dumps(body, separators=(",", ":")))
    return [
        f"curl {shlex.quote(url)} -o {output} -H 'content-type: application/json' \\",
        *_key(keys=keys),
        f"  -d {data}",
    ]


def _key(*, keys: bool) -> list[str]:
    return ['  -H "authorization: Bearer $KEY" \\'] if keys else []
