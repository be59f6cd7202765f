"""Make the previews of the bundled models: ``python -m deploy.previews``, after their weights have changed.

A server with the bundled models says a sentence in every voice and draws every value of every attribute, from one seed.
The files are written beside the models: ``models/zoo/MODEL/previews/VOICE.mp3`` and ``…/VALUE.png``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from ancestral.catalog.catalog import BUNDLED
from ancestral_models.entries import ModelEntry, discover
from ancestral_models.text.languages.language import primary
from bench.listeners import serving

SEED: Final = 7
GREETINGS: Final = {
    "en": "Hello, this is {}.", "es": "Hola, soy {}.", "fr": "Bonjour, je suis {}.", "it": "Ciao, sono {}.",
    "pt": "Olá, eu sou {}.", "hi": "नमस्ते, मैं {} हूँ।",
}  # fmt: skip
SECONDS: Final = 3.0
"""Seconds of a preview of a model without text."""


def post(url: str, body: Mapping[str, Any]) -> bytes:
    """The response to a request with a JSON body."""
    request = Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=300) as response:
        content: bytes = response.read()
    return content


def make(url: str, directory: Path) -> int:
    """Write the previews of the models in a directory. Returns how many.

    Args:
        url: of a server that has these models.
        directory: with one directory for each model.
    """
    written = 0
    for entry in discover(directory):
        for voice in entry.voices:
            body = {"model": entry.id, "voice": voice.id, "seed": SEED, "response_format": "mp3"}
            if entry.kind == "speech":
                greeting = GREETINGS[primary(voice.language)].format(voice.name.partition(" ")[0])
                data = post(f"{url}/v1/audio/speech", body | {"input": greeting})
            else:
                data = post(f"{url}/v1/audio/generations", body | {"duration": SECONDS})
            written += _write(entry, f"{voice.id}.mp3", data)
        with urlopen(f"{url}/v1/images/classes?model={entry.id}", timeout=60) as response:
            values = json.load(response)["data"]
        for value in {value["id"] for value in values}:
            body = {"model": entry.id, "prompt": value, "seed": SEED, "response_format": "b64_json"}
            pictures = json.loads(post(f"{url}/v1/images/generations", body))["data"]
            written += _write(entry, f"{value}.png", base64.b64decode(pictures[0]["b64_json"]))
    return written


def _write(entry: ModelEntry, name: str, data: bytes) -> int:
    file = entry.preview(name)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    return 1


if __name__ == "__main__":
    with serving() as port:
        print(f"{make(f'http://127.0.0.1:{port}', BUNDLED)} previews")
