"""What is refused at every door of speech, and the field that it names.

tests/service/test_requests.py has the wrong values of every field.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ancestral.catalog.catalog import Catalog
from ancestral.errors import AncestralError
from ancestral.requests import SpeechRequest
from ancestral_service.jobs.planning import speech_job
from ancestral_service.settings import Settings
from ancestral_service.ws import checked
from tests.service.api.job_requests import check_envelope
from tests.service.refusals import at_the_door, rows
from tests.service.servers import Server
from tests.service.speech.elevenlabs.support import PCM, error, open_stream
from tests.service.speech.sounds import in_base64, recording, score
from tests.service.toys import GENERATION, SPEECH
from tests.service.ws_client import begun, talking, whole

FREE = {"model": "free", "voice": "ann"}
VALID = {
    "audio/speech": SPEECH, "audio/generations": GENERATION, "text-to-speech": {"text": "Hello.", "model_id": "tiny"},
}  # fmt: skip


MANY = json.dumps({"pronunciations": {f"w{number}": "K" for number in range(501)}})


@at_the_door("request", (MANY, "pronunciations -"))
def test_a_request_that_cannot_be_followed(catalog: Catalog, sent: str, told: str) -> None:
    param, code, *message = told.split(" ", 2)
    with pytest.raises(AncestralError) as caught:
        speech_job(catalog, Settings(), checked(SpeechRequest, SPEECH | json.loads(sent)))
    refused = caught.value
    assert (refused.param, code in ("-", refused.code)) == (param, True)
    assert "".join(message) in refused.message


BROKEN, LONG = in_base64(recording()[:-300]), in_base64(recording(61.0, 4000))


@at_the_door(
    "http",
    (f'audio/speech {{"input": "{in_base64(recording(59.0))}"}}', "413 -"),
    (f'audio/generations {{"prompt_audio": "{BROKEN}"}}', "400 prompt_audio"),
    (f'audio/generations {{"prompt_audio": "{LONG}"}}', "400 prompt_audio"),
)
def test_over_http(server: Server, sent: str, told: str) -> None:
    (path, changes), (status, param) = sent.split(" ", 1), told.split()
    (valid,) = (VALID[name] for name in VALID if path.startswith(name))
    body = {name: value for name, value in (valid | json.loads(changes)).items() if value is not None}
    response = httpx.post(f"{server.url}/v1/{path}", json=body, timeout=60)
    refused = check_envelope(response, int(status), None if param == "-" else param)
    assert refused["message"].startswith("" if param == "-" else f"{param}: ")
    assert param != "model" or refused["code"] == "model_not_capable"


@at_the_door("likelihood")
def test_the_form_of_a_likelihood(server: Server, sent: str, told: str) -> None:
    status, param = told.split()
    check_envelope(score(server, json.loads(sent)), int(status), param)


def test_bodies_that_are_no_form_or_have_no_recording(server: Server) -> None:
    for url in (f"{server.url}/v1/{kind}/likelihood" for kind in ("images", "audio")):
        for body in ({"data": FREE}, {"json": FREE}, {}):
            check_envelope(httpx.post(url, **body), 415, None)
        for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
            check_envelope(httpx.post(url, content=b"--y\r\n", headers={"content-type": kind}), 400, None)
    check_envelope(httpx.post(f"{server.url}/v1/audio/generations", data=SPEECH), 415, None)  # which wants JSON
    check_envelope(httpx.post(url, data=FREE, files={"sound": recording()}), 400, "file")
    many = [(name, ("a.wav", recording())) for name in ("file", "other")]
    check_envelope(httpx.post(url, data=FREE, files=many), 400, "other")
    text = {name: (None, value) for name, value in (FREE | {"file": "text"}).items()}
    check_envelope(httpx.post(url, files=text), 400, "file")
    for file in (b"", b"nothing", recording()[:-100], recording(61.0, 4000)):
        check_envelope(score(server, FREE, file), 400, "file")
    spoken = {"model": "tiny", "voice": "ann", "text": "The birch canoe slid."}
    assert "too short" in check_envelope(score(server, spoken, recording(0.05)), 400, "file")["message"]


# The native websocket


def test_wrong_messages_are_named_and_the_session_goes_on(server: Server) -> None:
    with begun(server) as talk:
        for sent, told in (*rows("message"), (b"\x00\x01", "- invalid_type")):
            talk.connection.send(sent)
            refused = talk.error()
            assert [refused["param"] or "-", refused["code"]] == told.split(), sent
        talk.write("Hello.")
        talk.finish()
    assert talk.sound == whole(server, "Hello.")


def test_a_wrong_config_is_named_and_another_may_follow(server: Server) -> None:
    first: dict[str, dict[str, Any]] = {
        "input.text": {"text": "Hello."}, "input.done": {}, "input.cancel": {}, "session.resume": {"api_key": "any"},
    }  # fmt: skip
    with talking(server) as talk:
        for kind, fields in first.items():  # the config comes first
            talk.say(kind, **fields)
            assert talk.error()["code"] == "wrong_order"
        for sent, param in rows("config"):
            talk.configure(**json.loads(sent))
            assert talk.error()["param"] == param
        talk.speak("[voice:zoe] No! ", "[voice:bob] No!")
        (refused,) = [told["error"] for told in talk.others[-2:] if told["type"] == "error"]
        assert (refused["param"], refused["code"]) == ("text", "voice_not_found")
    assert talk.sound == whole(server, "No!", voice="bob")


@at_the_door("url")
def test_a_wrong_url_of_a_websocket(server: Server, sent: str, told: str) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(server, f"?{sent}"):
        pass
    response = refused.value.response
    assert response.status_code == 400
    assert json.loads(response.body or b"")["error"]["param"] == told


# ElevenLabs' websockets: an error is the end of the connection


@at_the_door("elevenlabs")
def test_elevenlabs_websockets(server: Server, sent: str, told: str) -> None:
    (url, messages), (code, *message) = sent.split(" ", 1), told.split(" ", 1)
    route, query = url.split("?")
    with open_stream(server, query or PCM, route=route) as connection:
        with suppress(ConnectionClosed):  # it may be over before
            for each in json.loads(messages):
                connection.send(each if isinstance(each, str) else json.dumps(each))
        refused = error(connection)
    assert code in ("-", refused["error"])
    assert refused["message"].startswith("".join(message))
