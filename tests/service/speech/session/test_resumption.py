"""`WS /v1/audio/speech/stream`: sessions that go on over a new connection, from any sample."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ancestral.service.cli.local.embedded import EmbeddedRedis
from tests.service.servers import Serve, ServeProcess, Server, redis_of
from tests.service.ws_client import (
    LONG,
    SECONDS,
    SpeechConnection,
    eventually,
    resumed,
    speak,
    talking,
    whole,
)


@contextmanager
def leaving(server: Server, query: str = "") -> Iterator[SpeechConnection]:
    """A connection that the client leaves with 1000, and the end of its session, which comes after the answer."""

    def left() -> int:
        return sum(line["message"] == "websocket" and line["code"] == 1000 for line in server.log)

    before = left()
    with talking(server, query) as talk:
        yield talk
    assert eventually(lambda: left() > before)


def refused(server: Server, query: str) -> dict[str, Any]:
    """Why a session cannot be resumed."""
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream?{query}", proxy=None) as connection:
        told: dict[str, Any] = {}
        with suppress(ConnectionClosed):
            while True:
                told = json.loads(connection.recv(timeout=SECONDS))
        assert connection.protocol.close_code == 1008
    error: dict[str, Any] = told["error"]
    return error


@pytest.mark.parametrize(
    ("form", "rate"),
    [
        pytest.param("pcm", 16000, marks=pytest.mark.slow),
        pytest.param("wav", 16000, marks=pytest.mark.slow),
        ("pcm", 24000),
        ("wav", 24000),
        ("alaw_8000", 8000),
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_lost_connection_goes_on_at_the_sample(server: Server, form: str, rate: int, share: float) -> None:
    header, width = 44 if form == "wav" else 0, 1 if form == "alaw_8000" else 2
    with talking(server) as talk:
        talk.configure(response_format=form, sample_rate=rate)
        talk.say("input.text", text=LONG)
        talk.say("input.done")
        talk.until_bytes(20_000)
        talk.vanish()
    sample = int((len(talk.sound) - header) // width * share)
    rest = resumed(server, talk, sample)
    kept = talk.sound[: header + width * sample] if sample else b""
    assert kept + rest.sound == whole(server, LONG, response_format=form, sample_rate=rate)
    done = rest.heard[0].done
    assert done is not None
    assert done["sha256"] == hashlib.sha256(kept + rest.sound).hexdigest()
    assert done["total_bytes"] == len(kept + rest.sound)


def test_a_connection_may_be_lost_again_and_again(server: Server) -> None:
    sound, query = b"", ""
    while True:
        with talking(server, query) as talk:
            if not query:
                talk.configure(speed=0.5)
                talk.say("input.text", text=LONG)
                query = f"?session_id={talk.session['session_id']}&from_sample="
            talk.say("input.done")
            while len(talk.sound) < 100_000 and talk.hear() != {"type": "session.done"}:
                pass
            talk.vanish()
        sound += talk.sound
        query = f"{query.partition('from_sample=')[0]}from_sample={len(sound) // 2}"
        if talk.others:
            break
    assert sound == whole(server, LONG, speed=0.5)


@pytest.mark.parametrize("form", ["mp3", "opus"])
def test_an_utterance_of_another_format_comes_again(server: Server, form: str) -> None:
    with talking(server) as talk:
        talk.configure(response_format=form)
        talk.say("input.text", text="One. ")
        talk.until("audio.done")
        talk.say("input.text", text=LONG)
        talk.say("input.done")
        talk.until("audio.start")
        talk.until_bytes(len(talk.sound) + 1000)
        talk.vanish()
    first = talk.heard[0].done
    assert first is not None
    rest = resumed(server, talk, first["samples"] + 100)
    assert list(rest.heard) == [1]
    assert rest.heard[1].sound.startswith(talk.heard[1].sound)
    assert rest.heard[1].sound == whole(server, LONG, response_format=form, seed=talk.heard[1].start["seed"])


def test_samples_are_counted_over_all_utterances(server: Server) -> None:
    texts = ("One. ", "Two three. ", "Four five six. ")
    with talking(server) as talk:
        talk.configure()
        for text in texts:
            talk.say("input.text", text=text)
            talk.until("audio.done")
        talk.say("input.done")
        talk.until("session.done")
        talk.vanish()
    everything = whole(server, "".join(texts))
    lengths = [len(heard.sound) // 2 for heard in talk.heard.values()]
    for sample in (0, lengths[0] - 1, lengths[0], lengths[0] + 1, sum(lengths) - 1, sum(lengths)):
        rest = resumed(server, talk, sample)
        assert rest.sound == everything[2 * sample :]
    assert not rest.heard


def test_text_that_was_heard_is_kept(server: Server) -> None:
    with talking(server) as talk:
        talk.configure()
        talk.say("input.text", text="The birch canoe slid. The smo")
        talk.until("audio.done")
        talk.vanish()
    query = f"?session_id={talk.session['session_id']}&from_sample={len(talk.sound) // 2}"
    with talking(server, query) as rest:
        assert rest.session["received_characters"] == len("The birch canoe slid. The smo")
        rest.say("input.text", text="oth planks.")
        rest.say("input.done")
        rest.until("session.done")
    assert talk.sound + rest.sound == whole(server, "The birch canoe slid. The smooth planks.")


def test_what_was_cancelled_does_not_come_back(server: Server) -> None:
    with talking(server) as talk:
        talk.configure(speed=0.25)
        talk.say("input.text", text=LONG)
        talk.until_bytes(1)
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        before = len(talk.sound) // 2
        talk.say("input.text", text="Again.")
        talk.say("input.done")
        talk.until("session.done")
        talk.vanish()
    rest = resumed(server, talk, before)
    assert rest.sound == talk.heard[1].sound
    assert resumed(server, talk, before // 2).sound == talk.heard[1].sound
    assert resumed(server, talk, before + 10).sound == talk.heard[1].sound[20:]


def test_jobs_of_a_lost_connection_give_up_their_slots(serve: Serve) -> None:
    with serve(interactive_slots=1, max_queued_streams=0) as own:
        with talking(own) as talk:
            talk.configure(speed=0.25)
            talk.say("input.text", text=LONG)
            talk.say("input.done")
            talk.until_bytes(1)
            assert own.speak().status_code == 429
            talk.vanish()
        assert eventually(lambda: own.speak().status_code == 200)
        rest = resumed(own, talk, len(talk.sound) // 2)
        assert talk.sound + rest.sound == whole(own, LONG, speed=0.25)


def test_a_second_connection_takes_the_session_over(server: Server) -> None:
    with talking(server) as first:
        first.configure(speed=0.25)
        first.say("input.text", text=LONG * 2)
        first.until_bytes(1000)
        with talking(server, f"?session_id={first.session['session_id']}&from_sample=0") as second:
            second.until_bytes(1000)
            with pytest.raises(ConnectionClosed) as closed:
                first.until("never")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4409
            second.say("input.done")
            second.until("session.done")
    assert second.sound == whole(server, LONG * 2, speed=0.25)


@pytest.mark.parametrize("ends", ["session.close", "1000"])
def test_a_session_that_a_second_connection_ends_is_over_for_the_first(server: Server, ends: str) -> None:
    with talking(server) as first:
        first.configure()
        first.say("input.text", text="One.")
        first.say("input.done")
        first.until("session.done")
        query = f"session_id={first.session['session_id']}&from_sample=0"
        with leaving(server, f"?{query}") as second:
            second.say("input.done")
            second.until("session.done")
            if ends == "session.close":
                second.say("session.close")
                with pytest.raises(ConnectionClosed):
                    second.until("never")
        with pytest.raises(ConnectionClosed) as closed:  # although it has noticed nothing of the second
            first.until("never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4409
    assert refused(server, query)["code"] == "session_not_found"


def test_a_redis_that_is_killed_meanwhile_is_not_heard(serve_process: ServeProcess) -> None:
    with serve_process() as own, talking(own) as talk:
        talk.configure(speed=0.25)
        talk.say("input.text", text=LONG)
        talk.until_bytes(1)
        with redis_of(own) as redis:
            os.kill(redis.info("server")["process_id"], signal.SIGKILL)
        talk.say("input.text", text=LONG)
        talk.say("input.done")
        talk.until("session.done")
        assert talk.sound == whole(own, LONG * 2, speed=0.25)


@pytest.mark.slow
def test_another_server_goes_on_where_one_was_killed(serve_process: ServeProcess, serve: Serve, tmp_path: Path) -> None:
    with (
        EmbeddedRedis(tmp_path) as valkey,
        serve_process(redis_url=valkey.url) as first,
        serve(redis_url=valkey.url) as second,
    ):
        with talking(first) as talk:
            talk.configure(speed=0.25)
            talk.say("input.text", text=LONG + "The smooth")
            talk.until_bytes(1)
            first.stop(signal.SIGKILL)
        query = f"?session_id={talk.session['session_id']}&from_sample={len(talk.sound) // 2}"
        with talking(second, query) as rest:
            rest.say("input.text", text=" planks.")
            rest.say("input.done")
            rest.until("session.done")
        assert talk.sound + rest.sound == whole(second, LONG + "The smooth planks.", speed=0.25)


@pytest.mark.parametrize(
    ("query", "param"),
    [("session_id=session_0&from_sample=0", "session_id"), ("mine&from_sample=99999999", "from_sample")],
)
def test_what_cannot_be_resumed_is_said(server: Server, query: str, param: str) -> None:
    with talking(server) as talk:
        speak(talk, "Hello.")
        talk.vanish()
    query = query.replace("mine", f"session_id={talk.session['session_id']}")
    assert refused(server, query)["param"] == param


def test_a_session_that_was_closed_is_gone(server: Server) -> None:
    with talking(server) as talk:
        talk.configure()
        talk.say("input.text", text="Hello. ")
        talk.until("audio.done")
        talk.say("session.close")
        with pytest.raises(ConnectionClosed) as closed:
            talk.until("never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
    error = refused(server, f"from_sample=0&session_id={talk.session['session_id']}")
    assert error["code"] == "session_not_found"


def test_a_session_that_is_left_while_the_server_sends_is_gone(server: Server) -> None:
    """The client's close frame counts, although sending fails before it is received."""
    for _ in range(5):
        with leaving(server) as talk:
            speak(talk, "Hello.")
            for _ in range(10):
                talk.say("nonsense")  # each is answered with an error
        error = refused(server, f"from_sample=0&session_id={talk.session['session_id']}")
        assert error["code"] == "session_not_found"


def test_a_session_that_was_left_when_all_was_said_is_gone(server: Server) -> None:
    with leaving(server) as talk:
        speak(talk, "Hello.")
    error = refused(server, f"from_sample=0&session_id={talk.session['session_id']}")
    assert error["code"] == "session_not_found"
