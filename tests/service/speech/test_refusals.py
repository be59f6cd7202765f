"""What is refused at every door of speech, and the field that it names.

tests/service/test_requests.py has the wrong values of every field.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ancestral.catalog.catalog import Catalog, CatalogConfig, load_catalog
from ancestral.errors import InvalidRequest
from ancestral.service.settings import Settings
from ancestral.service.speech.requests import speech_job
from ancestral.service.speech.schemas import SpeechRequest
from ancestral.service.ws.messages import checked
from tests.service.api.envelope import check_envelope
from tests.service.servers import Server
from tests.service.speech.elevenlabs.support import FIRST, PCM, error, open_stream, say
from tests.service.speech.sounds import in_base64, recording, score
from tests.service.toys import GENERATION, SPEECH
from tests.service.ws_client import CONFIG, LONG, speak, talking, whole

SSML = {"input_format": "ssml"}
DOCTYPE = '<!DOCTYPE speak [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><speak>&b;</speak>'


@pytest.fixture(scope="module")
def catalog(zoo: Path) -> Catalog:
    return load_catalog(CatalogConfig((zoo,)))


@pytest.mark.parametrize(
    ("fields", "param", "code", "told"),
    [
        ({"input": DOCTYPE, **SSML}, "input", "", ""),
        ({"input": "<speak>" + "<p>" * 1000, **SSML}, "input", "", ""),
        ({"input": "<speak><audio src='x'/></speak>", **SSML}, "input", "", ""),
        ({"input": "<speak>" + "a " * 4096, **SSML}, "input", "", ""),
        ({"input": "<speak>Hello.</speak>"}, "input", "", ""),
        ({"input": "[[QQ]]"}, "input", "", ""),
        ({"input": "[[AE12]]"}, "input", "", ""),
        ({"input": "<speak><phoneme alphabet='x-arpabet' ph='K1'/></speak>", **SSML}, "input", "", ""),
        ({"input": "[pause:99s]"}, "input", "", ""),
        ({"input_format": "html"}, "input_format", "", ""),
        ({"input": "a " * 2048, "pronunciations": {"a": "AA1 " * 63 + "AA1"}}, "input", "", ""),  # 124 928 phonemes
        ({"pronunciations": {"Nginx": "QQ"}}, "pronunciations", "", ""),
        ({"pronunciations": {"Nginx": "K AE21"}}, "pronunciations", "", ""),
        ({"pronunciations": {f"w{number}": "K" for number in range(501)}}, "pronunciations", "", ""),
        ({"pronunciations": {"a": "K" * 257}}, "pronunciations.a", "", ""),
        ({"voice": "ann(2)+nobody(1)"}, "voice", "", ""),
        ({"voice": "ann(0)+bob(1)"}, "voice", "", ""),
        ({"voice": "ann(1)+ann(1)"}, "voice", "", ""),
        ({"voice": {"ann": "2"}}, "voice", "", ""),
        ({"voice": {}}, "voice", "", ""),
        ({"voice": {"ann": -1, "bob": 1}}, "voice", "", ""),
        ({"model": "broken", "input": "<speak><prosody pitch='+2st'>a</prosody></speak>", **SSML}, "input", "", ""),
        ({"input": "No! [voice:zoe] No!"}, "input", "voice_not_found", "'[voice:zoe]' (a voice, at position 4): "),
        ({"input": "No! [voice:] No!"}, "input", "voice_not_found", "at position 4"),
        ({"input": "No! [voice:ann"}, "input", "unsupported_text", "is incomplete"),
        ({"voice": "ANNA", "voices": {"ANNA": "ann"}}, "voice", "voice_not_found", "tiny has no such voice"),
        ({"voices": {"ANNA": "zoe"}}, "voices", "voice_not_found", "voices: ANNA: tiny has no such voice"),
        ({"voices": {"A:B": "ann"}}, "voices", "invalid_value", "none of them a colon"),
        ({"voices": {"ANNA": "ann(0)"}}, "voices", "invalid_value", "positive number"),
        (
            {"input": '<speak>\n<voice name="zoe">No!</voice></speak>', **SSML}, "input", "voice_not_found",
            "<voice name>: 'zoe' (line 2, column 1): tiny has no such voice; it has ann, bob",
        ),
        ({"input": '<speak><voice gender="x">No!</voice></speak>', **SSML}, "input", "unsupported_text", "gender"),
        ({"input": "<speak>[voice:ann] No!</speak>", **SSML}, "input", "unsupported_text", "<voice name>"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_followed(
    catalog: Catalog, fields: dict[str, Any], param: str, code: str, told: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        speech_job(catalog, Settings(), checked(SpeechRequest, SPEECH | fields))
    refused = caught.value
    assert (refused.param, code in ("", refused.code)) == (param, True)
    assert told in refused.message


THEIRS = {"text": "Hello.", "model_id": "tiny"}
ANN = "text-to-speech/ann/stream"


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("audio/speech", SPEECH | {"input": "[[QQ]]"}, 400, "input"),
        ("audio/speech", SPEECH | {"model": "free"}, 400, "model"),
        ("audio/speech", SPEECH | {"timestamps": ["word"]}, 400, "timestamps"),
        ("audio/speech", SPEECH | {"timestamps": ["syllable"], "stream_format": "sse"}, 400, "timestamps.0"),
        ("audio/speech", SPEECH | {"model": "broken", "input": "A vision.", "stream_format": "json"}, 500, None),
        ("audio/speech", SPEECH | {"input": in_base64(recording(59.0))}, 413, None),
        ("audio/generations", GENERATION | {"timestamps": ["word"], "stream_format": "sse"}, 400, "timestamps"),
        ("audio/generations", GENERATION | {"duration": 0}, 400, "duration"),
        ("audio/generations", GENERATION | {"model": "tiny"}, 400, "model"),
        ("audio/generations", GENERATION | {"prompt_audio": in_base64(recording()[:-300])}, 400, "prompt_audio"),
        ("audio/generations", GENERATION | {"prompt_audio": in_base64(recording(61.0, 4000))}, 400, "prompt_audio"),
        (ANN, THEIRS | {"text": "слово"}, 400, "text"),
        ("text-to-speech/nobody/stream", THEIRS, 400, "voice_id"),
        ("text-to-speech/nobody/stream", {"text": "Hello."}, 404, "voice_id"),
        (ANN, THEIRS | {"model_id": "eleven_nothing"}, 404, "model_id"),
        (ANN, THEIRS | {"model_id": "free"}, 400, "model_id"),
        (ANN, THEIRS | {"previous_request_ids": ["a"]}, 400, "previous_request_ids"),
        (ANN, THEIRS | {"voice_settings": {"speed": 9}}, 400, "voice_settings.speed"),
        (ANN, THEIRS | {"pronunciation_dictionary_locators": ["a"]}, 400, "pronunciation_dictionary_locators"),
        (f"{ANN}?output_format=ulaw_16000", THEIRS, 400, "output_format"),
        (f"{ANN}?enable_logging=false", THEIRS, 400, "enable_logging"),
        (f"{ANN}?speed=2", THEIRS, 400, "speed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_over_http(server: Server, path: str, body: dict[str, Any], status: int, param: str | None) -> None:
    refused = check_envelope(httpx.post(f"{server.url}/v1/{path}", json=body, timeout=60), status, param)
    assert refused["message"].startswith(f"{param}: " if param else "")
    assert refused["code"] == "model_not_capable" or body.get("model", "tiny") == "tiny" or param != "model"


FREE = {"model": "free", "voice": "ann"}
SPOKEN = {"model": "tiny", "voice": "ann"}


@pytest.mark.parametrize(
    ("fields", "file", "status", "param", "told"),
    [
        ({"model": "nothing", "voice": "ann"}, recording(), 404, "model", ""),
        ({"voice": "ann"}, recording(), 400, "model", ""),
        ({"model": "free"}, recording(), 400, "voice", ""),
        ({"model": "free", "voice": "nobody"}, recording(), 400, "voice", ""),
        (FREE | {"voice": ["ann", "ann"]}, recording(), 400, "voice", ""),
        (FREE | {"language": "en"}, recording(), 400, "language", ""),
        (FREE | {"text": "Hello."}, recording(), 400, "text", ""),
        (SPOKEN, recording(), 400, "text", ""),
        (SPOKEN | {"text": "你好"}, recording(), 400, "text", ""),
        (SPOKEN | {"text": "a" * 4097}, recording(), 400, "text", ""),
        (SPOKEN | {"text": "The birch canoe slid."}, recording(0.05), 400, "file", "too short"),
        (FREE, b"", 400, "file", ""),
        (FREE, b"nothing", 400, "file", ""),
        (FREE, recording()[:-100], 400, "file", ""),
        (FREE, recording(61.0, 4000), 400, "file", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_form_of_a_likelihood(
    server: Server, fields: dict[str, Any], file: bytes, status: int, param: str, told: str
) -> None:
    assert told in check_envelope(score(server, fields, file), status, param)["message"]


def test_bodies_that_are_no_form(server: Server) -> None:
    url = f"{server.url}/v1/audio/likelihood"
    for body in ({"data": FREE}, {"json": FREE}, {}):
        check_envelope(httpx.post(url, **body), 415, None)
    check_envelope(httpx.post(f"{server.url}/v1/audio/generations", data=SPEECH), 415, None)  # which wants JSON
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        check_envelope(httpx.post(url, content=b"--y\r\n", headers={"content-type": kind}), 400, None)
    check_envelope(httpx.post(url, data=FREE, files={"sound": recording()}), 400, "file")
    many = [(name, ("a.wav", recording())) for name in ("file", "other")]
    check_envelope(httpx.post(url, data=FREE, files=many), 400, "other")
    text = {name: (None, value) for name, value in (FREE | {"file": "text"}).items()}
    check_envelope(httpx.post(url, files=text), 400, "file")


# The native websocket

WRONG: list[tuple[str | bytes, str | None, str]] = [
    ("", None, "json_invalid"),
    ("{", None, "json_invalid"),
    ("[" * 5000, None, "json_invalid"),
    ('{"type": ' + "9" * 5000 + "}", "type", "unknown_message"),
    ("[]", None, "invalid_type"),
    ("null", None, "invalid_type"),
    (b"\x00\x01", None, "invalid_type"),
    ("{}", "type", "unknown_message"),
    ('{"type": "audio.start"}', "type", "unknown_message"),
    ('{"type": ["input.text"]}', "type", "unknown_message"),
    ('{"type": "input.text"}', "text", "missing_parameter"),
    ('{"type": "input.text", "text": ""}', "text", "string_too_short"),
    ('{"type": "input.text", "text": 5}', "text", "string_type"),
    ('{"type": "input.text", "text": "\\ud800"}', "text", "string_unicode"),
    ('{"type": "input.text", "text": "a", "flush": true}', "flush", "unknown_parameter"),
    (json.dumps({"type": "input.text", "text": "a" * 4097}), "text", "string_too_long"),
    (json.dumps({"type": "input.text", "text": "a" * 70000}), None, "message_too_large"),
    ('{"type": "input.done", "text": "a"}', "text", "unknown_parameter"),
    (json.dumps({"type": "session.config"} | CONFIG), "type", "wrong_order"),
]


def test_wrong_messages_are_named_and_the_session_goes_on(server: Server) -> None:
    with talking(server) as talk:
        talk.configure()
        for frame, param, code in WRONG:
            talk.connection.send(frame)
            told = talk.error()
            assert (told["param"], told["code"]) == (param, code)
        talk.write("Hello.")
        talk.finish()
    assert talk.sound == whole(server, "Hello.")


def test_a_wrong_config_is_named_and_another_may_follow(server: Server) -> None:
    with talking(server) as talk:
        for kind, fields in (
            ("input.text", {"text": "Hello."}), ("input.done", {}), ("input.cancel", {}),
            ("session.resume", {"api_key": "any"}),
        ):  # fmt: skip
            talk.say(kind, **fields)  # the config comes first
            assert talk.error()["code"] == "wrong_order"
        for change, param in (
            ({"model": "none"}, "model"), ({"model": "free"}, "model"), ({"voice": "nobody"}, "voice"),
            ({"response_format": "opus", "sample_rate": 44100}, "sample_rate"), ({"speed": 5}, "speed"),
            ({"model": "broken", "pitch": 1.0}, "pitch"), ({"model": "broken", "intonation": 0.0}, "intonation"),
            ({"stream_format": "sse"}, "stream_format"), ({"voices": {"ANNA": "zoe"}}, "voices"),
        ):  # fmt: skip
            talk.configure(**change)
            assert talk.error()["param"] == param
        speak(talk, "[voice:zoe] No! ", "[voice:bob] No!")
        (told,) = [told["error"] for told in talk.others[-2:] if told["type"] == "error"]
        assert (told["param"], told["code"]) == ("text", "voice_not_found")
    assert talk.sound == whole(server, "No!", voice="bob")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("model=tiny", "model"),
        ("session_id=a", "from_sample"),
        ("from_sample=1", "session_id"),
        ("session_id=a&from_sample=-1", "from_sample"),
        ("session_id=a&from_sample=x", "from_sample"),
        ("session_id=a&session_id=b&from_sample=1", "session_id"),
    ],
)
def test_a_wrong_url_of_a_websocket(server: Server, query: str, param: str) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(server, f"?{query}"):
        pass
    response = refused.value.response
    assert response.status_code == 400
    assert json.loads(response.body or b"")["error"]["param"] == param


# ElevenLabs' websockets: an error is the end of the connection

ONE, MANY = "stream-input", "multi-stream-input"


@pytest.mark.parametrize(
    ("route", "query", "messages", "code", "named"),
    [
        (ONE, "output_format=ulaw_16000", [FIRST], "literal_error", "output_format: "),
        (MANY, "output_format=ulaw_16000", [FIRST], "literal_error", "output_format: "),
        (ONE, "model_id=eleven_turbo_v2_5", [FIRST], "model_not_found", "model: "),
        (ONE, "model_id=free", [FIRST], "model_not_capable", "model: "),
        (ONE, "seed=1&seed=2", [FIRST], "invalid_value", "seed: "),
        (ONE, "single_use_token=a", [FIRST], "unknown_parameter", "single_use_token: "),
        (ONE, PCM, ["no"], "json_invalid", "The message is not JSON"),
        (ONE, PCM, [[]], "invalid_type", "A message is"),
        (ONE, PCM, [{}], "missing_parameter", "text"),
        (ONE, PCM, [{"text": None}], "string_type", "text"),
        (ONE, PCM, [{"text": "a", "voice": "bob"}], "unknown_parameter", "voice"),
        (ONE, PCM, [{"text": "a", "voice_settings": {"stability": 2}}], "less_than_equal", "voice_settings.stability"),
        (ONE, PCM, [{"text": "a", "voice_settings": {"speed": 5}}], "less_than_equal", "voice_settings.speed"),
        (ONE, PCM, [{"text": "a", "voice_settings": {"pitch": 1}}], "unknown_parameter", "voice_settings.pitch"),
        (ONE, PCM, [{"text": "a", "generation_config": {"chunk_length_schedule": [1]}}], "", "generation_config"),
        (ONE, PCM, [{"text": "a", "pronunciation_dictionary_locators": []}], "", "pronunciation_dictionary_locators"),
        (ONE, PCM, [FIRST, {"text": "a", "voice_settings": {"speed": 1}}], "unknown_parameter", "voice_settings"),
        (ONE, PCM, [FIRST, {"text": "слово. ", "flush": True}], "unsupported_text", "text: "),
        (ONE, PCM, [FIRST, {"text": "Hello\0world. ", "flush": True}], "unsupported_text", "text: "),
        (ONE, PCM, [FIRST, {"text": 'Wait <break time="1s"/> now. ', "flush": True}], "unsupported_text", "text: "),
        (ONE, PCM, [FIRST, {"text": "x" * 4097}], "string_too_long", "text: "),
        (ONE, PCM, [FIRST, {"text": LONG}, {"text": ""}, {"text": "More."}], "wrong_order", ""),
        (ONE, "model_id=broken", [FIRST, {"text": "A vision. "}, {"text": ""}], "internal_error", ""),
        (MANY, PCM, [{"text": "a", "voice": "bob"}], "unknown_parameter", "voice: "),
        (MANY, PCM, [{"text": 1}], "string_type", "text: "),
        (MANY, PCM, [{"text": "a", "context_id": ""}], "string_too_short", "context_id: "),
    ],
)
def test_elevenlabs_websockets(
    server: Server, route: str, query: str, messages: list[Any], code: str, named: str
) -> None:
    with open_stream(server, query, route=route) as connection:
        with suppress(ConnectionClosed):  # it may be over before
            for message in messages:
                connection.send(message if isinstance(message, str) else json.dumps(message))
        told = error(connection)
    assert code in ("", told["error"])
    assert told["message"].startswith(named)


@pytest.mark.parametrize("query", ["", "model_id=tiny"])
def test_an_unknown_voice_of_a_stream_input(server: Server, query: str) -> None:
    with open_stream(server, query, voice="nobody") as connection:
        say(connection, FIRST)
        told = error(connection)
    assert told["error"] == "voice_not_found"
    assert "ann" in told["message"]
