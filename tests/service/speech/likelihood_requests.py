"""Requests for the likelihood of a recording."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import soundfile

from tests.service.servers import Server


def recording(seconds: float = 0.333, rate: int = 16000) -> bytes:
    wave = np.random.default_rng(0).normal(0.0, 0.1, int(seconds * rate)).clip(-1, 1)
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def score(
    server: Server, fields: dict[str, Any], file: bytes | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    files = {"file": ("a.wav", recording() if file is None else file)}
    return httpx.post(f"{server.url}/v1/audio/likelihood", data=fields, files=files, headers=headers, timeout=60)
