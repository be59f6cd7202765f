"""`WS /v1/text-to-speech/{voice_id}/stream-input` and `multi-stream-input`, as ElevenLabs' clients speak them.

tests/service/speech/test_refusals.py has wrong queries and messages.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise
from typing import Any
from unittest.mock import AsyncMock, Mock

import av
import httpx
import numpy as np
import pytest
import soundfile
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from ancestral.catalog.seeds import part_seed
from ancestral.errors import InvalidRequest
from ancestral_service.speech.elevenlabs.websockets import Context
from ancestral_service.ws import MAX_ERRORS
from tests.service.refusals import rows
from tests.service.servers import Server
from tests.service.speech.elevenlabs.support import FIRST, PCM, Listener, Spoken, error, hear, open_stream, say, spoken
from tests.service.ws_client import LONG, Client, jobs, whole
from tests.waiting import eventually

END = {"text": ""}
FOUND = {"model": "broken"}
"""Where none is named: the first that speaks."""


def speak(server: Server, *messages: dict[str, object], query: str = PCM, voice: str = "ann") -> bytes:
    """The sound of a connection of its own."""
    with open_stream(server, query, voice) as connection:
        say(connection, *messages, END)
        return spoken(connection).sound


def frames(mp3: bytes) -> bytes:
    """An MP3 without the tag before its frames."""
    assert mp3.startswith(b"ID3")
    return mp3[10 + sum(byte << shift for byte, shift in zip(mp3[6:10], (21, 14, 7, 0), strict=True)) :]


@pytest.mark.parametrize(
    ("query", "form", "rate"),
    [
        ("&output_format=pcm_22050", "pcm", 22050),
        ("", "mp3", 44100),
        ("&output_format=mp3_24000_48", "mp3", 24000),
        ("&output_format=ulaw_8000", "ulaw_8000", 8000),
        ("&output_format=opus_48000_64", "opus", 48000),
    ],
)
def test_formats(server: Server, query: str, form: str, rate: int) -> None:
    found = speak(server, FIRST, {"text": LONG}, query=f"model_id=tiny&seed=7{query}")
    expected = whole(server, LONG, response_format=form, sample_rate=rate)
    if form == "opus":  # another page structure
        assert np.array_equal(*(soundfile.read(io.BytesIO(data))[0] for data in (found, expected)))
    else:
        assert found == (frames(expected) if form == "mp3" else expected)


def test_utterances_are_one_mp3(server: Server) -> None:
    """A tag between two of them would be damage to decoders that read a stream, such as LiveKit's."""
    with open_stream(server, "model_id=tiny&output_format=mp3_44100_128&seed=7") as connection:
        for text in ("The birch canoe slid. ", "Is it late?"):
            say(connection, *([FIRST] if text.endswith(" ") else []), {"text": text, "flush": True})
        say(connection, END)
        heard = spoken(connection)
    assert len(heard.alignments) == 2
    assert b"ID3" not in heard.sound
    with av.open(io.BytesIO(heard.sound), format="mp3", options={"probesize": "32"}) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    parts = [whole(server, "The birch canoe slid. "), whole(server, "Is it late?", seed=part_seed(7, 1))]
    assert samples >= sum(map(len, parts)) // 2 * 44100 / 16000


DEFAULTS = (
    f"{PCM}&inactivity_timeout=60&enable_logging=true&enable_ssml_parsing=false&apply_text_normalization=auto"
    "&optimize_streaming_latency=3&sync_alignment=false&apply_language_text_normalization=false&auto_mode=false"
    "&language_code=en"
)
"""What their clients send."""
WORDS = [{"text": f"{word} ", "try_trigger_generation": True} for word in LONG.split()]


@pytest.mark.parametrize(
    ("query", "voice", "messages", "text", "config"),
    [
        (PCM, "ann", [FIRST, *WORDS], LONG, {}),
        ("output_format=pcm_16000&seed=7", "bob", [FIRST, {"text": "Hello."}], "Hello.", {"voice": "bob"} | FOUND),
        (
            DEFAULTS, "ann",
            [
                {"text": " ", "try_trigger_generation": True,
                 "voice_settings": {"stability": 0.5, "similarity_boost": 0.8, "style": 0.0, "use_speaker_boost": True,
                                    "speed": 1.0},
                 "generation_config": {"chunk_length_schedule": [120, 160, 250, 290]}},
                {"text": "Hello. ", "flush": False},
            ],
            "Hello. ", {},
        ),
    ],
    ids=["words", "the voice finds its model", "the defaults of clients"],
)  # fmt: skip
def test_messages_have_the_sound_of_the_whole(
    server: Server, query: str, voice: str, messages: list[Any], text: str, config: dict[str, Any]
) -> None:
    assert speak(server, *messages, query=query, voice=voice) == whole(server, text, **config)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (PCM, {"text": "The birch canoe slid. "}),
        (PCM, {"text": "The birch canoe", "flush": True}),
        (PCM, {"text": "The birch canoe slid."}),  # nothing comes after it
        (f"{PCM}&auto_mode=true", {"text": "The birch canoe"}),
    ],
)
def test_what_sounds_before_the_end_of_the_text(server: Server, query: str, message: dict[str, Any]) -> None:
    with open_stream(server, query) as connection:
        say(connection, FIRST, message)
        expected, sound = whole(server, message["text"]), b""
        while len(sound) < len(expected):  # the client says nothing
            sound += base64.b64decode(hear(connection)["audio"])
        assert sound == expected
        say(connection, END)
        assert spoken(connection).sound == b""


def test_chunk_length_schedule_says_when_a_sentence_begins(server: Server) -> None:
    config = {"generation_config": {"chunk_length_schedule": [30.0]}}
    with open_stream(server) as connection:
        say(connection, FIRST | config, {"text": "When the ships came in from the north, the old "})
        assert hear(connection)["audio"]
    text = "When the ships came in from the north, the old men ran."
    late = {"generation_config": {"chunk_length_schedule": [100]}}
    assert speak(server, FIRST | late, {"text": text}) == whole(server, text)


def test_inactivity_ends_it(server: Server) -> None:
    query = f"{PCM}&inactivity_timeout=1"
    with open_stream(server, query) as silent, open_stream(server, query) as begun:
        say(begun, FIRST)
        for connection in (silent, begun):
            assert error(connection)["error"] == "input_timeout_exceeded"


def test_an_error_ends_it_though_no_more_text_comes(server: Server) -> None:
    with open_stream(server) as connection:
        say(connection, {"text": "[voice:nobody]Hello."})
        assert error(connection)["message"].startswith("text: ")


@pytest.mark.parametrize("route", ["stream-input", "multi-stream-input"])
def test_a_key_is_taken_from_header_or_first_message(keyed: Server, keys: dict[str, str], route: str) -> None:
    header, field = {"xi-api-key": keys["elevenlabs"]}, {"xi_api_key": keys["elevenlabs"]}
    end = {"close_context": True} if route == "multi-stream-input" else END
    of_a_proxy = {"authorization": "Basic dXNlcjpwYXNz"}
    for headers, first in ((header, {}), ({}, field), (header, field), (of_a_proxy, field)):
        with open_stream(keyed, route=route, additional_headers=headers) as connection:
            say(connection, {"text": "Hello. "} | first, end)
            assert hear(connection)["audio"]
    for unknown in ({}, {"xi_api_key": "wrong"}):
        with open_stream(keyed, route=route) as connection:
            say(connection, {"text": " "} | unknown)
            assert error(connection)["error"] == "invalid_api_key"
    with (
        pytest.raises(InvalidStatus) as refused,
        open_stream(keyed, route=route, additional_headers={"xi-api-key": "wrong"}),
    ):
        pass
    assert refused.value.response.status_code == 401


TEXT = "Dr. Ann has 2 canoes. Is it late? No!"


@pytest.mark.parametrize("sync", [False, True])
def test_characters_have_times(server: Server, sync: bool) -> None:
    with open_stream(server, f"{PCM}&sync_alignment={str(sync).lower()}") as connection:
        say(connection, FIRST, {"text": TEXT}, END)
        found = spoken(connection)
    assert found.sound == whole(server, " " + TEXT)
    assert found.text("alignment").strip() == TEXT
    assert found.text("normalizedAlignment") == "doctor ann has two canoes. is it late? no! "
    for name in ("alignment", "normalizedAlignment"):
        end = check_times(found, name, sync=sync)
        assert end == pytest.approx(1000 * len(found.sound) / 32000, abs=len(found.alignments))


def check_times(found: Spoken, name: str, *, sync: bool) -> int:
    """The end of the last character, in milliseconds from the start of the sound."""
    offset = 0
    for alignment in (message[name] for message in found.alignments):
        starts, durations = alignment["charStartTimesMs"], alignment["charDurationsMs"]
        assert len(alignment["chars"]) == len(starts) == len(durations)
        assert starts[0] >= (offset if sync else 0)
        end = starts[-1] + durations[-1]
        offset = end if sync else offset + end
    return offset


# Several contexts on one connection


def multi(server: Server, query: str = PCM, **options: Any) -> AbstractContextManager[ClientConnection]:
    """A connection."""
    return open_stream(server, query, route="multi-stream-input", **options)


def close(*names: str) -> list[dict[str, object]]:
    """The messages that end these contexts."""
    return [{"context_id": name, "close_context": True} for name in names]


def text(name: str) -> str:
    return f"The birch canoe number {name} slid. Is it late? No!"


def test_contexts_are_spoken_side_by_side(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        for name in ("1", "2"):
            say(connection, {"text": " ", "context_id": name, "voice_settings": {"speed": 1.0}})
        for pieces in zip(*(re.findall(".{1,7}", text(name)) for name in ("1", "2")), strict=True):
            say(connection, *({"text": piece, "context_id": name} for name, piece in zip("12", pieces, strict=True)))
        say(connection, *close("2", "1"))
        listener.until("1", "2")
        for name in ("1", "2"):
            assert listener.sound(name) == whole(server, " " + text(name))
            # A sentence that was waited for too long is an utterance of its own, with a space at its end.
            assert listener.heard[name].text("alignment").split() == text(name).split()
        say(connection, {"text": "Hello. "}, {"text": "", "flush": True}, {"close_context": True})
        listener.until(None)  # a context needs no name
        assert listener.sound(None) == whole(server, "Hello. ")
        for words in ("Hello.", "Goodbye."):  # a name can be used again
            again = Listener(connection)
            say(connection, {"text": words, "context_id": "1"}, *close("1"))
            again.until("1")
            assert again.sound("1") == whole(server, words)
        for name in ("1", "2"):
            say(connection, {"text": text(name), "context_id": name, "flush": True})
        # It closes after what was flushed and closed, and after what it says itself.
        say(connection, *close("1", "2"), {"text": text("3"), "context_id": "3", "close_socket": True})
        last = Listener(connection)
        last.until("1", "2", "3")
        assert [last.sound(name) for name in "123"] == [whole(server, text(name)) for name in "123"]
        assert Client(connection).closed() == 1000


@pytest.mark.parametrize("message", [{"flush": True}, {"close_context": True}, {"text": "", "flush": True}])
def test_an_unknown_context_is_answered(server: Server, message: dict[str, Any]) -> None:
    with multi(server) as connection:
        say(connection, {"text": "", "context_id": "b"}, {"context_id": "b", **message})
        answer = hear(connection)
        assert (answer["error"], answer["contextId"]) == ("context_not_found", "b")
        say(connection, {"text": "Hello.", "context_id": "a"}, *close("a", "a"))
        Listener(connection).until("a")
        say(connection, *close("a"), {"close_socket": True})  # it has ended: no error
        assert Client(connection).closed() == 1000


def test_many_wrong_messages_in_a_row_end_it(server: Server) -> None:
    with multi(server) as connection:
        say(connection, *close("a") * (MAX_ERRORS - 1), {"text": ""}, *close("a") * MAX_ERRORS)
        found = [hear(connection)["error"] for _ in range(2 * MAX_ERRORS - 1)]
        assert set(found) == {"context_not_found"}
        assert (Client(connection).closed(), connection.protocol.close_reason) == (1008, "too many errors")


def test_a_second_close_cancels(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        say(connection, {"text": LONG, "context_id": "a"}, {"text": "Hello.", "context_id": "b"})
        while not listener.sound("a"):
            listener.hear()
        say(connection, *close("a", "a", "b"))
        listener.until("a", "b")
        assert len(listener.sound("a")) < len(whole(server, LONG))
        assert listener.sound("b") == whole(server, "Hello.")
    eventually(lambda: not [job for job in jobs(server) if job["status"] in ("queued", "in_progress")])


def test_an_error_ends_its_context_alone(server: Server) -> None:
    with multi(server, "model_id=broken&output_format=pcm_16000&seed=7") as connection:
        listener = Listener(connection)
        say(
            connection,
            {"text": "слово. ", "context_id": "a", "flush": True},
            {"text": "Hello.", "context_id": "b"},
            {"text": "More.", "context_id": "b", "voice_settings": {"speed": 1.0}},
            {"text": "", "context_id": "e", "voice_settings": {"speed": 2.0}},
            {"text": "Hello.", "context_id": "e"},
            {"text": "A vision. ", "context_id": "d"},
            {"text": "Hello.", "context_id": "c"},
            *close("c", "d", "e"),
        )
        listener.until("a", "b", "c", "d", "e")
        assert listener.failed == {"a": "unsupported_text", "b": "wrong_order", "d": "internal_error"}
        assert listener.sound("c") == whole(server, "Hello.", model="broken")
        assert listener.sound("e") == whole(server, "Hello.", model="broken", speed=2.0)
        settings = {"text": "", "context_id": "f", "voice_settings": {"speed": 2.0}}
        say(connection, {"text": "Hello.", "context_id": "f", "voice_settings": None}, settings)
        listener.until("f")
        assert listener.failed.pop("f") == "wrong_order"
        say(connection, *close("f"))
        listener.until("f")
        assert listener.sound("f") == whole(server, "Hello.", model="broken")
        listener = Listener(connection)
        more = [str(number) for number in range(64, 65 + MAX_ERRORS)]
        for number in (*range(64), *more):
            say(connection, {"text": " ", "context_id": str(number)})
        listener.until(more[-1])  # the others are not closed with them
        assert listener.failed == dict.fromkeys(more, "too_many_contexts")
    for query, voice, code in (("", "nobody", "voice_not_found"), ("model_id=free", "ann", "model_not_capable")):
        with multi(server, query, voice=voice) as connection:
            listener = Listener(connection)
            say(connection, {"text": "Hello.", "context_id": "a"})
            listener.until("a")
            assert listener.failed == {"a": code}


def test_the_last_message_of_a_context_comes_to_a_slow_reader() -> None:
    sent = list[dict[str, Any]]()

    async def send_json(message: dict[str, Any]) -> None:
        await asyncio.sleep(0.01)  # as where much is unsent
        sent.append(message)

    async def run(end: Callable[[Context], Awaitable[None]]) -> None:
        context = Context("a", Mock(), Mock(send_json=send_json), sync=False)
        says, waits = partial(end, context), partial(asyncio.sleep, 60)
        context.runner = Mock(send_utterances=says, maintain=waits, on_disconnect=AsyncMock())
        await context.run()

    asyncio.run(run(lambda context: context.finished()))
    asyncio.run(run(lambda context: context.failed(InvalidRequest("no", code="no"))))
    assert [(message.get("isFinal"), message.get("error")) for message in sent] == [(True, None), (None, "no")]


def test_keep_alive_keeps_a_context_alive(server: Server) -> None:
    with multi(server, f"{PCM}&inactivity_timeout=1") as connection:
        listener = Listener(connection)
        say(connection, {"text": "Hello", "context_id": "a"}, {"text": "Hello", "context_id": "b"})
        while "b" not in listener.final:
            say(connection, {"text": "", "context_id": "a"})
            try:
                message = connection.recv(timeout=0.2)
            except TimeoutError:
                continue
            assert '"contextId": "b"' in str(message)
            listener.final.add("b")
        say(connection, *close("a"))
        listener.until("a")
        assert listener.sound("a") == whole(server, "Hello")
        assert error(connection)["error"] == "input_timeout_exceeded"


# `POST /v1/text-to-speech/{voice_id}` and what belongs to it, as ElevenLabs' clients use it.


SAID = "Dr. Ann slid. Is it late? No!"
BODY = {"text": SAID, "model_id": "tiny", "seed": 7}


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
        ("output_format=wav_44100", "audio/wav", "wav", 44100),  # over HTTP alone
    ],
)
def test_audio_has_the_bytes_of_the_native_route(
    server: Server, path: str, query: str, kind: str, form: str, rate: int | None
) -> None:
    response = post(server, path, query, voice="bob(2)+ann(4)", voice_settings={"speed": 0.5, "stability": 0.5})
    expected = {"response_format": form, "sample_rate": rate, "voice": "ann(2)+bob(1)", "speed": 0.5}
    assert response.content == whole(server, SAID, **expected)
    headers = (response.headers[name] for name in ("content-type", "x-model", "x-voice", "x-seed"))
    assert tuple(headers) == (kind, "tiny", "ann(2)+bob(1)", "7")


def test_settings_that_change_nothing_are_accepted(server: Server) -> None:
    settings = {"stability": 0.5, "similarity_boost": 0.8, "style": 0.0, "use_speaker_boost": True}
    more = {"apply_text_normalization": "auto", "language_code": "en", "previous_text": "A."}
    assert post(server, voice_settings=settings, **more).content == whole(server, SAID)


def check_alignment(alignment: dict[str, Any], text: str, seconds: float) -> None:
    starts, ends = alignment["character_start_times_seconds"], alignment["character_end_times_seconds"]
    assert "".join(alignment["characters"]) == text, alignment["characters"]
    assert len(starts) == len(ends) == len(text)
    assert (starts[0] > 0, ends[-1]) == (True, pytest.approx(seconds, abs=1e-5))


def test_timestamps(server: Server) -> None:
    found = post(server, "/with-timestamps").json()
    audio = base64.b64decode(found["audio_base64"])
    assert audio == whole(server, SAID)
    check_alignment(found["alignment"], SAID, len(audio) / 32000)
    check_alignment(found["normalized_alignment"], "doctor ann slid. is it late? no! ", len(audio) / 32000)
    lines = [json.loads(line) for line in post(server, "/stream/with-timestamps").text.splitlines()]
    assert b"".join(base64.b64decode(line["audio_base64"]) for line in lines) == audio
    assert len(lines) > 1  # how many depends on how fast it is sampled
    together: dict[str, list[Any]] = {}
    for alignment in (line["alignment"] for line in lines if line["alignment"]):
        for name, values in alignment.items():
            together.setdefault(name, []).extend(values)
    assert together == found["alignment"]


DIALOGUE = [("ann", "Dr. Ann slid. "), ("bob", "Is it late?"), ("bob", "No!"), ("ann", "Yes.\n")]


def test_a_dialogue(server: Server) -> None:
    """It is one text with several voices; its times say who speaks."""
    inputs = [{"voice_id": voice, "text": text} for voice, text in DIALOGUE]

    def converse(path: str = "", **changes: Any) -> httpx.Response:
        url = f"{server.url}/v1/text-to-dialogue{path}?output_format=pcm_16000"
        body = {"inputs": inputs, "model_id": "tiny", "seed": 7, "settings": {"stability": 0.5}}
        return httpx.post(url, json=body | changes, timeout=60.0)

    text = "".join(f"[voice:{voice}]{said}" for voice, said in DIALOGUE)
    expected = whole(server, text)
    assert converse().content == converse("/stream").content == expected
    found = converse("/with-timestamps").json()
    assert base64.b64decode(found["audio_base64"]) == expected
    check_alignment(found["alignment"], " ".join(said.strip() for _, said in DIALOGUE) + "\n", len(expected) / 32000)
    segments = found["voice_segments"]
    assert [segment["voice_id"] for segment in segments] == ["ann", "bob", "bob", "ann"]
    assert [segment["dialogue_input_index"] for segment in segments] == [0, 1, 2, 3]
    assert all(a["end_time_seconds"] <= b["start_time_seconds"] for a, b in pairwise(segments))
    characters = found["alignment"]["characters"]
    assert [
        "".join(characters[s["character_start_index"] : s["character_end_index"]]).strip() for s in segments
    ] == [said.strip() for _, said in DIALOGUE]  # fmt: skip
    streamed = converse("/stream/with-timestamps")
    assert "content-disposition" not in streamed.headers
    lines = [json.loads(line) for line in streamed.text.splitlines()]
    assert b"".join(base64.b64decode(line["audio_base64"]) for line in lines) == expected
    heard = [segment for line in lines for segment in line["voice_segments"]]
    assert [(s["voice_id"], s["start_time_seconds"]) for s in heard] == [
        (s["voice_id"], s["start_time_seconds"]) for s in segments
    ]
    alike = converse("/with-timestamps", inputs=[inputs[0], inputs[0]]).json()["voice_segments"]
    assert [(segment["voice_id"], segment["dialogue_input_index"]) for segment in alike] == [("ann", 0), ("ann", 1)]
    assert converse(model_id="nope").json()["error"]["param"] == "model_id"
    too_long = json.dumps({"inputs": [{"voice_id": "ann", "text": "a" * 3000}] * 40})
    for sent, param in (*rows("dialogue"), (too_long, "inputs")):
        refused = converse(**json.loads(sent))
        assert refused.status_code == 400, refused.text
        assert refused.json()["error"]["param"] == param


def test_what_clients_ask_of_voices_models_and_callers(server: Server) -> None:
    def get(path: str, **query: Any) -> Any:
        return httpx.get(server.url + path, params=query, headers={"xi-api-key": "any"}).json()

    voices = get("/v1/voices")["voices"]
    assert [voice["voice_id"] for voice in voices] == ["ann", "bob"]
    assert voices[0]["labels"] == {"language": "en", "gender": "none"}
    assert voices[0]["category"] == "premade"
    assert voices[0]["preview_url"].endswith("/v1/audio/voices/ann/preview")
    assert get("/v1/voices/bob") == get("/v1/voices/BOB") == voices[1]
    assert get("/v1/voices/eve")["error"]["param"] == "voice_id"
    whole_list = get("/v2/voices")
    assert whole_list == {"voices": voices, "has_more": False, "total_count": 2, "next_page_token": None}
    first = get("/v2/voices", page_size=1)
    assert (first["voices"], first["has_more"], first["total_count"]) == (voices[:1], True, 2)
    assert get("/v2/voices", page_size=1, next_page_token=first["next_page_token"])["voices"] == voices[1:]
    assert get("/v2/voices", search="BOB", gender="NONE", language="EN")["voices"] == voices[1:]
    assert get("/v2/voices", language="fr")["voices"] == []
    for param, value in (("sort", "name"), ("next_page_token", "next")):
        assert get("/v2/voices", **{param: value})["error"]["param"] == param
    user = get("/v1/user")
    assert user["subscription"] == get("/v1/user/subscription")
    assert user["subscription"]["tier"] == "self-hosted"
    models = get("/v1/models")
    assert [model["model_id"] for model in models] == ["broken", "shaped", "tiny"]
    assert all(model["can_do_text_to_speech"] for model in models)
    assert models[0]["languages"] == [{"language_id": "en", "name": "en"}]
    other = httpx.get(f"{server.url}/v1/models", headers={"authorization": "Bearer any"})
    assert other.json()["object"] == "list"
