"""The model that ships, through the server: every voice speaks."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ancestral import models
from tests.service.servers import Serve, Server

BUNDLED = Path(models.__file__).with_name("zoo")
TEXTS = {
    "en": "The birch canoe slid on the smooth planks.",
    "es": "La canoa de abedul se deslizó por las tablas lisas.",
    "fr": "Le canot de bouleau glissa sur les planches lisses.",
    "it": "La canoa di betulla scivolò sulle assi lisce.",
    "pt": "A canoa de bétula deslizou sobre as tábuas lisas.",
}


@pytest.fixture(scope="module")
def bundled(serve: Serve) -> Iterator[Server]:
    """A server with the bundled models."""
    with serve(models_dir=str(BUNDLED)) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(("model", "count"), [("wavenet-en", 6), ("wavenet-multilingual", 20)])
def test_every_voice_speaks(bundled: Server, model: str, count: int) -> None:
    voices = json.loads((BUNDLED / model / "model.json").read_text())["voices"]
    assert len(voices) == count
    sounds = set()
    for voice in voices:
        text = TEXTS[voice["language"].partition("-")[0]]
        response = bundled.speak(model=model, voice=voice["id"], input=text)
        assert response.status_code == 200, response.text
        samples, rate = soundfile.read(io.BytesIO(response.content))
        assert rate == 16000
        assert 1.5 < len(samples) / rate < 8
        assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.5
        sounds.add(response.content)
    assert len(sounds) == len(voices)
