"""Sounds that tests send, and what is inside those that they receive."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import soundfile
from numpy.typing import NDArray

from ancestral_models.audio.mu_law import to_int16
from tests.service.servers import Server


def recording(seconds: float = 0.333, rate: int = 16000, form: str = "WAV", seed: int = 0) -> bytes:
    """Noise, in a file."""
    wave = np.random.default_rng(seed).normal(0.0, 0.1, int(seconds * rate))
    file = io.BytesIO()
    soundfile.write(file, to_int16(wave.astype(np.float32)), rate, format=form, subtype="PCM_16")
    return file.getvalue()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def samples_of(data: bytes, rate: int = 16000) -> NDArray[np.int16]:
    """The samples of a file, which has this rate."""
    samples, found = soundfile.read(io.BytesIO(data), dtype="int16")
    assert found == rate
    return samples


def events_of(response: httpx.Response) -> tuple[list[dict[str, Any]], bytes]:
    """Server-sent events, and the sound in them."""
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]
    return events, b"".join(base64.b64decode(e["audio"]) for e in events if e["type"] == "speech.audio.delta")


def score(
    server: Server, fields: dict[str, Any], file: bytes | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """POST a recording to be scored."""
    files = {"file": ("a.wav", recording() if file is None else file)}
    return httpx.post(f"{server.url}/v1/audio/likelihood", data=fields, files=files, headers=headers, timeout=60)
