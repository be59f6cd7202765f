"""`POST /v1/text-to-speech/{voice_id}` and what belongs to it, as ElevenLabs' clients use it."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.service.servers import Server
from tests.service.ws_client import whole

TEXT = "Dr. Ann slid. Is it late? No!"
BODY = {"text": TEXT, "model_id": "tiny", "seed": 7}


def post(server: Server, path: str = "", query: str = "output_format=pcm_16000", **changes: Any) -> httpx.Response:
    """POST the standard request, changed; a change to None takes the field out."""
    voice = changes.pop("voice", "ann")
    body = {name: value for name, value in (BODY | changes).items() if value is not None}
    return httpx.post(f"{server.url}/v1/text-to-speech/{voice}{path}?{query}", json=body, timeout=60)


@pytest.mark.parametrize("path", ["", "/stream"])
@pytest.mark.parametrize(
    ("query", "kind", "form", "rate"),
    [
        ("output_format=pcm_16000", "audio/pcm", "pcm", 16000),
        ("", "audio/mpeg", "mp3", 44100),
        ("output_format=opus_48000_64", "audio/ogg", "opus", 48000),
        ("output_format=alaw_8000", "audio/x-alaw-basic", "alaw_8000", None),
    ],
)
def test_audio_has_the_bytes_of_the_native_route(
    server: Server, path: str, query: str, kind: str, form: str, rate: int | None
) -> None:
    response = post(server, path, query, voice="bob(2)+ann(4)", voice_settings={"speed": 0.5, "stability": 0.5})
    expected = {"response_format": form, "sample_rate": rate, "voice": "ann(2)+bob(1)", "speed": 0.5}
    assert response.content == whole(server, TEXT, **expected)
    headers = (response.headers[name] for name in ("content-type", "x-model", "x-voice", "x-seed"))
    assert tuple(headers) == (kind, "tiny", "ann(2)+bob(1)", "7")


def test_the_voice_finds_its_model_and_a_seed_is_drawn(server: Server) -> None:
    assert post(server, model_id=None).headers["x-model"] == "broken"
    assert len({post(server, seed=None).headers["x-seed"] for _ in range(2)}) == 2


def test_settings_that_change_nothing_are_accepted(server: Server) -> None:
    settings = {"stability": 0.5, "similarity_boost": 0.8, "style": 0.0, "use_speaker_boost": True}
    more = {"apply_text_normalization": "auto", "language_code": "en", "previous_text": "A."}
    assert post(server, voice_settings=settings, **more).content == whole(server, TEXT)


def check_alignment(alignment: dict[str, Any], text: str, seconds: float) -> None:
    starts, ends = alignment["character_start_times_seconds"], alignment["character_end_times_seconds"]
    assert "".join(alignment["characters"]) == text
    assert len(starts) == len(ends) == len(text)
    assert all(start <= end for start, end in zip(starts, ends, strict=True))
    assert all(before <= after for before, after in pairwise(starts))
    assert (starts[0] > 0, ends[-1]) == (True, pytest.approx(seconds, abs=1e-5))


def test_timestamps(server: Server) -> None:
    found = post(server, "/with-timestamps").json()
    audio = base64.b64decode(found["audio_base64"])
    assert audio == whole(server, TEXT)
    check_alignment(found["alignment"], TEXT, len(audio) / 32000)
    check_alignment(found["normalized_alignment"], "doctor ann slid. is it late? no! ", len(audio) / 32000)
    lines = [json.loads(line) for line in post(server, "/stream/with-timestamps").text.splitlines()]
    assert b"".join(base64.b64decode(line["audio_base64"]) for line in lines) == audio
    assert len(lines) > 1  # how many depends on how fast it is sampled
    together: dict[str, list[Any]] = {}
    for alignment in (line["alignment"] for line in lines if line["alignment"]):
        for name, values in alignment.items():
            together.setdefault(name, []).extend(values)
    assert together == found["alignment"]


def test_voices_and_models_are_listed_in_elevenlabs_shape(server: Server) -> None:
    voices = httpx.get(f"{server.url}/v1/voices").json()["voices"]
    assert [voice["voice_id"] for voice in voices] == ["ann", "bob"]
    assert voices[0]["labels"] == {"language": "en", "gender": "none"}
    assert voices[0]["category"] == "premade"
    assert voices[0]["preview_url"].endswith("/v1/audio/voices/ann/preview")
    url = f"{server.url}/v1/models"
    found = httpx.get(url, headers={"xi-api-key": "any"}).json()
    assert [model["model_id"] for model in found] == ["broken", "shaped", "tiny"]
    assert all(model["can_do_text_to_speech"] for model in found)
    assert found[0]["languages"] == [{"language_id": "en", "name": "en"}]
    assert httpx.get(url, headers={"authorization": "Bearer any"}).json()["object"] == "list"
