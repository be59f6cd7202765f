"""The model that ships, through the server: every voice speaks, faster than real time."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import models
from tests.service.support import Server, running

BUNDLED = Path(models.__file__).with_name("zoo")
MODEL = "wavenet-en"
TEXT = "The birch canoe slid on the smooth planks."

pytestmark = pytest.mark.skipif(not (BUNDLED / MODEL).is_dir(), reason="the model is not in this checkout")


@pytest.fixture(scope="module")
def bundled(environment: dict[str, str]) -> Iterator[Server]:
    """A server with the bundled models."""
    with running(environment, models_dir=str(BUNDLED)) as server:
        yield server


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


def test_it_is_faster_than_real_time(bundled: Server) -> None:
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        response = bundled.speak(model=MODEL, voice="joe", input=TEXT)
        seconds = soundfile.info(io.BytesIO(response.content)).duration
        best = max(best, seconds / (time.perf_counter() - start))
    assert best > 1.0
