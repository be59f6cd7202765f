"""`WS /v1/audio/speech/stream`: slow readers, wrong messages, limits, overload and keys."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ancestral.catalog.seeds import part_seed
from tests.service.servers import Serve, Server
from tests.service.ws_client import (
    CONFIG,
    LONG,
    SpeechConnection,
    eventually,
    jobs,
    resumed,
    small_window,
    speak,
    talking,
    whole,
)


def patient(server: Server) -> Iterator[SpeechConnection]:
    """A client that says much, and reads when it is told to."""
    # A client that does not read hears no answer to its pings either.
    with talking(server, sock=small_window(server), ping_interval=None) as talk:
        talk.configure(speed=0.25)
        for _ in range(4):
            talk.say("input.text", text=LONG)
        talk.say("input.done")
        yield talk


@pytest.mark.slow
def test_a_slow_reader_holds_up_itself_only(server: Server) -> None:
    for slow in patient(server):
        slow.until("audio.start")
        mine = jobs(server)[-1 if len(jobs(server)) == 1 else 0]["id"]

        def done(job: str = mine) -> int:
            return int(httpx.get(f"{server.url}/v1/jobs/{job}").json()["samples_done"])

        def paused() -> bool:
            before = done()
            time.sleep(0.7)
            return done() == before

        assert eventually(paused)
        found = httpx.get(f"{server.url}/v1/jobs/{mine}").json()
        assert found["status"] == "in_progress"
        with talking(server) as quick:
            speak(quick, LONG)
        assert quick.sound == whole(server, LONG)
        slow.until("session.done")
        assert slow.sound == whole(server, LONG * 4, speed=0.25)


@pytest.mark.slow
def test_a_client_that_stalls_is_left(serve: Serve) -> None:
    with serve(stall_seconds=1) as own:
        for slow in patient(own):
            assert eventually(lambda: any(line["message"] == "websocket" for line in own.log))
            with pytest.raises(ConnectionClosed) as closed:
                slow.until("never")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
        rest = resumed(own, slow, len(slow.sound) // 2)
        assert slow.sound + rest.sound == whole(own, LONG * 4, speed=0.25)


@pytest.mark.slow
def test_sound_made_ahead_waits_for_a_reader_who_takes_his_time(serve: Serve) -> None:
    with serve(stall_seconds=4, ahead_seconds=1) as own, talking(own, sock=small_window(own)) as talk:
        talk.configure(speed=0.25)
        for _ in range(4):
            talk.say("input.text", text=LONG)
        talk.say("input.done")
        began = time.monotonic()
        while time.monotonic() - began < 8:  # twice as long as a client may take nothing
            talk.hear()
            time.sleep(0.02)
        talk.until("session.done")
        assert talk.sound == whole(own, LONG * 4, speed=0.25)


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
            error = talk.error()
            assert (error["param"], error["code"]) == (param, code)
        talk.say("input.text", text="Hello.")
        talk.say("input.done")
        talk.until("session.done")
    assert talk.sound == whole(server, "Hello.")


def test_a_wrong_config_is_named_and_another_may_follow(server: Server) -> None:
    """tests/service/test_requests.py has the wrong values of every field."""
    with talking(server) as talk:
        for change, param in (
            ({"model": "none"}, "model"),
            ({"model": "free"}, "model"),
            ({"voice": "nobody"}, "voice"),
            ({"response_format": "opus", "sample_rate": 44100}, "sample_rate"),
            ({"speed": 5}, "speed"),
            ({"model": "broken", "pitch": 1.0}, "pitch"),
            ({"model": "broken", "intonation": 0.0}, "intonation"),
            ({"stream_format": "sse"}, "stream_format"),
        ):
            talk.configure(**change)
            assert talk.error()["param"] == param
        speak(talk, "Hello.")
    assert talk.sound == whole(server, "Hello.")


def test_the_pitch_of_a_session(server: Server) -> None:
    with talking(server) as talk:
        talk.configure(pitch=4.0, intonation=0.0)
        speak(talk, "Hello.")
    assert talk.sound == whole(server, "Hello.", pitch=4.0, intonation=0.0)
    assert talk.sound != whole(server, "Hello.")


@pytest.mark.parametrize("kind", ["input.text", "input.done", "input.cancel"])
def test_the_config_comes_first(server: Server, kind: str) -> None:
    with talking(server) as talk:
        talk.say(kind, **({"text": "Hello."} if kind == "input.text" else {}))
        assert talk.error()["code"] == "wrong_order"


def test_no_text_between_done_and_done(server: Server) -> None:
    with talking(server) as talk:
        talk.configure(speed=0.25)
        talk.say("input.text", text=LONG)
        talk.say("input.done")
        talk.say("input.text", text="More.")
        assert talk.error()["code"] == "wrong_order"
        talk.until("session.done")
    assert talk.sound == whole(server, LONG, speed=0.25)


def test_too_much_text_is_refused_and_nothing_else(server: Server) -> None:
    text = ("The birch canoe slid on. " * 164)[:4096]
    with talking(server) as talk:
        talk.configure()
        talk.say("input.text", text="x" * 4000)
        talk.say("input.text", text="x" * 97)
        error = talk.error()
        assert (error["param"], error["code"]) == ("text", "too_much_text")
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        talk.say("input.text", text=text)
        talk.say("input.done")
        talk.until("session.done")
    assert talk.sound == whole(server, text)


def test_text_that_cannot_be_spoken(server: Server) -> None:
    with talking(server) as talk:
        talk.configure()
        for text in ("Ни слова.", "…", "  ?!", "Hello\0world.", 'Wait <break time="1s"/> now.'):
            talk.say("input.text", text=text)
            talk.say("input.done")
            error = talk.error()
            assert (error["param"], error["code"]) == ("text", "unsupported_text")
            assert error["message"].startswith("text: ")
            talk.until("session.done")
        talk.say("input.text", text="Hello. (")
        talk.say("input.done")
        talk.until("session.done")
    assert talk.sound == whole(server, "Hello.")


def test_a_job_that_fails_takes_no_other_with_it(server: Server) -> None:
    with talking(server) as talk:
        talk.configure(model="broken")
        talk.say("input.text", text="Hello. ")
        talk.until("audio.done")
        talk.say("input.text", text="A vision. ")
        assert talk.error()["type"] == "server_error"
        talk.say("input.text", text="Good bye.")
        talk.say("input.done")
        talk.until("session.done")
    assert sorted(talk.heard) == [0, 2]
    assert talk.heard[2].sound == whole(server, "Good bye.", model="broken", seed=part_seed(7, 2))


def test_too_many_errors_end_the_connection(server: Server) -> None:
    with talking(server) as talk:
        for _ in range(20):
            talk.connection.send("no")
        with pytest.raises(ConnectionClosed) as closed:
            talk.until("never")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert len(talk.others) == 20


def test_overload_is_told_and_passes(serve: Serve) -> None:
    with serve(interactive_slots=1, max_queued_streams=0) as own, talking(own) as first, talking(own) as second:
        first.configure(speed=0.25)
        first.say("input.text", text=LONG * 8)
        first.until_bytes(1)
        second.configure()
        second.say("input.text", text="Hello.")
        second.say("input.done")
        error = second.error()
        assert (error["code"], error["type"]) == ("overloaded", "rate_limit_error")
        assert error["retry_after"] >= 1
        first.say("input.cancel")
        second.until("session.done")
        assert second.sound == whole(own, "Hello.")
        assert not [told for told in first.others if told["type"] == "error"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("?model=tiny", "model"),
        ("?session_id=a", "from_sample"),
        ("?from_sample=1", "session_id"),
        ("?session_id=a&from_sample=-1", "from_sample"),
        ("?session_id=a&from_sample=x", "from_sample"),
        ("?session_id=a&session_id=b&from_sample=1", "session_id"),
    ],
)
def test_a_wrong_url_is_refused(server: Server, query: str, param: str) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(server, query):
        pass
    response = refused.value.response
    assert response.status_code == 400
    assert json.loads(response.body or b"")["error"]["param"] == param


def test_keys_limits_and_sessions_of_other_callers(keyed: Server, keys: dict[str, str]) -> None:
    mine, other = keys["speech"], keys["speech-limited"]
    wrong = {"authorization": "Bearer wrong"}
    with pytest.raises(InvalidStatus) as refused, talking(keyed, additional_headers=wrong):
        pass
    response = refused.value.response
    assert response.status_code == 401
    assert response.headers["x-request-id"]
    assert json.loads(response.body or b"")["error"]["code"] == "invalid_api_key"
    headers = {"authorization": f"Bearer {mine}", "x-request-id": "mine-1"}
    with talking(keyed, additional_headers=headers) as talk:
        assert talk.connection.response is not None
        assert talk.connection.response.headers["x-request-id"] == "mine-1"
        speak(talk, *LONG)
        assert [told["type"] for told in talk.others] == ["session.done"]
        talk.vanish()
    with talking(keyed, additional_headers={"xi-api-key": other}) as limited:
        limited.configure()
        limited.say("input.text", text="One. ")
        limited.until("audio.done")
        limited.say("input.text", text="Two. ")
        error = limited.error()
        assert error["code"] == "rate_limited"
        assert 1 <= error["retry_after"] <= 60
    query = f"?session_id={talk.session['session_id']}&from_sample=0"
    url = f"ws://127.0.0.1:{keyed.port}/v1/audio/speech/stream{query}"
    with connect(url, proxy=None, additional_headers={"xi-api-key": other}) as connection:
        assert json.loads(connection.recv(timeout=30))["error"]["code"] == "session_not_found"
    with talking(keyed, query, additional_headers={"xi-api-key": mine}) as rest:
        rest.until("session.done")
    assert rest.sound == talk.sound
