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
from tests.service.support import Server, running

BUNDLED = Path(models.__file__).with_name("zoo")
MODEL = "wavenet-en"
TEXT = "The birch canoe slid on the smooth planks."


@pytest.fixture(scope="module")
def bundled(environment: dict[str, str]) -> Iterator[Server]:
    """A server with the bundled models."""
    with running(environment, models_dir=str(BUNDLED)) as server:
        yield server


@pytest.mark.slow
def test_every_voice_speaks(bundled: Server) -> None:
    voices = json.loads((BUNDLED / MODEL / "model.json").read_text())["voices"]
    assert len(voices) >= 4
    sounds = set()
    for voice in voices:
        response = bundled.speak(model=MODEL, voice=voice["id"], input=TEXT)
        assert response.status_code == 200, response.text
        samples, rate = soundfile.read(io.BytesIO(response.content))
        assert rate == 16000
        assert 1.5 < len(samples) / rate < 8
        assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.5
        sounds.add(response.content)
    assert len(sounds) == len(voices)
