"""`POST /v1/text-to-speech/{voice_id}` and what belongs to it, as ElevenLabs' clients use it."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.service.api.envelope import check_envelope
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
def test_audio_has_the_bytes_of_the_native_route(server: Server, path: str) -> None:
    response = post(server, path)
    assert response.content == whole(server, TEXT)
    assert response.headers["content-type"] == "audio/pcm"
    assert (response.headers["x-model"], response.headers["x-voice"], response.headers["x-seed"]) == (
        "tiny",
        "ann",
        "7",
    )
    assert post(server, path, query="").content == whole(server, TEXT, response_format="mp3", sample_rate=44100)
    opus = post(server, path, query="output_format=opus_48000_64")
    assert opus.content == whole(server, TEXT, response_format="opus", sample_rate=48000)
    alaw = post(server, path, query="output_format=alaw_8000")
    assert alaw.headers["content-type"] == "audio/x-alaw-basic"
    assert alaw.content == whole(server, TEXT, response_format="alaw_8000", sample_rate=None)


def test_the_voice_finds_its_model(server: Server) -> None:
    assert post(server, model_id=None).headers["x-model"] == "broken"


def test_speed_is_used_and_other_settings_are_accepted(server: Server) -> None:
    settings = {"speed": 0.5, "stability": 0.5, "similarity_boost": 0.8, "style": 0.0, "use_speaker_boost": True}
    response = post(
        server, voice_settings=settings, apply_text_normalization="auto", language_code="en", previous_text="A."
    )
    assert response.content == whole(server, TEXT, speed=0.5)
    seeds = {post(server, seed=None).headers["x-seed"] for _ in range(2)}
    assert len(seeds) == 2


def check_alignment(alignment: dict[str, Any], text: str, seconds: float) -> None:
    starts, ends = alignment["character_start_times_seconds"], alignment["character_end_times_seconds"]
    assert "".join(alignment["characters"]) == text
    assert len(starts) == len(ends) == len(text)
    assert all(start <= end for start, end in zip(starts, ends, strict=True))
    assert all(before <= after for before, after in pairwise(starts))
    assert (starts[0] > 0, ends[-1]) == (True, pytest.approx(seconds, abs=1e-5))


def test_with_timestamps(server: Server) -> None:
    found = post(server, "/with-timestamps").json()
    audio = base64.b64decode(found["audio_base64"])
    assert audio == whole(server, TEXT)
    check_alignment(found["alignment"], TEXT, len(audio) / 32000)
    check_alignment(found["normalized_alignment"], "doctor ann slid. is it late? no! ", len(audio) / 32000)


def test_what_is_read_otherwise_has_the_times_of_its_words(server: Server) -> None:
    written, read = (
        "5-10 km/h, e.g. 3 m² of API.",
        "five to ten kilometers per hour, for example three square meters of A P I. ",
    )
    found = post(server, "/with-timestamps", text=written).json()

    def span(name: str, whole: str, part: str) -> tuple[float, float]:
        assert "".join(found[name]["characters"]) == whole
        first, last = whole.index(part), whole.index(part) + len(part) - 1
        starts, ends = (found[name][f"character_{edge}_times_seconds"] for edge in ("start", "end"))
        return starts[first], ends[last]

    for part, words in {
        "5": "five", "-": "to", "10 km/h": "ten kilometers per hour", "e.g.": "for example",
        "3 m²": "three square meters", "of": "of", "API": "A P I",
    }.items():  # fmt: skip
        assert span("alignment", written, part) == span("normalized_alignment", read, words)


def test_stream_with_timestamps(server: Server) -> None:
    response = post(server, "/stream/with-timestamps")
    lines = [json.loads(line) for line in response.text.splitlines()]
    audio = b"".join(base64.b64decode(line["audio_base64"]) for line in lines)
    assert audio == whole(server, TEXT)
    assert len(lines) > 3
    together: dict[str, list[Any]] = {}
    for alignment in (line["alignment"] for line in lines if line["alignment"]):
        for name, values in alignment.items():
            together.setdefault(name, []).extend(values)
    check_alignment(together, TEXT, len(audio) / 32000)
    assert together == post(server, "/with-timestamps").json()["alignment"]


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"text": "слово"}, 400, "text"),
        ({"voice": "nobody"}, 400, "voice_id"),
        ({"voice": "nobody", "model_id": None}, 404, "voice_id"),
        ({"model_id": "eleven_nothing"}, 404, "model_id"),
        ({"model_id": "free"}, 400, "model_id"),
        ({"previous_request_ids": ["a"]}, 400, "previous_request_ids"),
        ({"voice_settings": {"speed": 9}}, 400, "voice_settings.speed"),
        ({"query": "output_format=ulaw_16000"}, 400, "output_format"),
        ({"query": "enable_logging=false"}, 400, "enable_logging"),
        ({"query": "speed=2"}, 400, "speed"),
        ({"pronunciation_dictionary_locators": ["a"]}, 400, "pronunciation_dictionary_locators"),
    ],
)
def test_a_wrong_field_is_named_in_elevenlabs_words(
    server: Server, changes: dict[str, Any], status: int, param: str
) -> None:
    check_envelope(post(server, "/stream", **changes), status, param)


def test_voices_are_listed_in_elevenlabs_shape(server: Server) -> None:
    voices = httpx.get(f"{server.url}/v1/voices").json()["voices"]
    assert [voice["voice_id"] for voice in voices] == ["ann", "bob"]
    assert voices[0]["labels"] == {"language": "en", "gender": "none"}
    assert voices[0]["category"] == "premade"
    assert voices[0]["preview_url"].endswith("/v1/audio/voices/ann/preview")


def test_models_in_their_shape(server: Server) -> None:
    url = f"{server.url}/v1/models"
    found = httpx.get(url, headers={"xi-api-key": "any"}).json()
    assert [model["model_id"] for model in found] == ["broken", "shaped", "tiny"]
    assert all(model["can_do_text_to_speech"] for model in found)
    assert found[0]["languages"] == [{"language_id": "en", "name": "en"}]
    assert httpx.get(url, headers={"authorization": "Bearer any"}).json()["object"] == "list"
