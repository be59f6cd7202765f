"""`WS /v1/audio/speech/stream`: text in pieces, sound as it is sampled, and what becomes of lost connections."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from service.catalog.seeds import part_seed
from service.cli.local.embedded import EmbeddedRedis
from tests.service.processes import redis_of
from tests.service.support import Server
from tests.service.ws_client import (
    CONFIG,
    LONG,
    SECONDS,
    SpeechConnection,
    eventually,
    small_window,
    talking,
    whole,
)

FORMS = ("pcm", "wav", "flac", "mp3", "opus", "aac")
Serve = Callable[..., AbstractContextManager[Server]]


def speak(talk: SpeechConnection, *texts: str, **config: object) -> None:
    """Say it all, and hear it to the end."""
    talk.configure(**config)
    for text in texts:
        talk.say("input.text", text=text)
    talk.say("input.done")
    talk.until("session.done")


def jobs(server: Server) -> list[dict[str, Any]]:
    """The newest jobs."""
    found: list[dict[str, Any]] = httpx.get(f"{server.url}/v1/jobs", params={"limit": 20}).json()["data"]
    return found


def test_the_messages_of_one_utterance(server: Server) -> None:
    with talking(server) as talk:
        assert set(talk.session) == {"type", "session_id", "received_characters"}
        speak(talk, "The birch canoe slid.", sample_rate=None)
    assert [told["type"] for told in talk.others] == ["session.done"]
    (heard,) = talk.heard.values()
    assert heard.start == {"type": "audio.start", "utterance": 0, "format": "pcm", "sample_rate": 24000, "seed": 7}
    assert heard.done == {
        "type": "audio.done",
        "utterance": 0,
        "total_bytes": len(heard.sound),
        "samples": len(heard.sound) // 2,
        "sha256": hashlib.sha256(heard.sound).hexdigest(),
    }
    assert heard.sound == whole(server, "The birch canoe slid.", sample_rate=None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rate", [pytest.param(16000, marks=pytest.mark.slow), 24000, None])
def test_every_format_is_that_of_http(server: Server, form: str, rate: int | None) -> None:
    with talking(server) as talk:
        speak(talk, LONG, response_format=form, sample_rate=rate)
    (heard,) = talk.heard.values()
    assert heard.sound == whole(server, LONG, response_format=form, sample_rate=rate)
    assert heard.done is not None
    assert heard.done["sha256"] == hashlib.sha256(heard.sound).hexdigest()


def test_progress_is_told_every_second_of_sound(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, LONG)
    (heard,) = talk.heard.values()
    total = len(heard.sound) // 2
    counts = [told["samples"] for told in heard.progress]
    assert len(counts) in (total // 16000 - 1, total // 16000)
    assert all(16000 <= later - earlier < 32000 for earlier, later in zip([0, *counts], counts, strict=False))
    assert all(told["real_time_factor"] > 0 for told in heard.progress)
    assert heard.progress[-1]["total_samples_estimate"] >= heard.progress[-1]["samples"]


@pytest.mark.parametrize("size", [1, 3, 10, 37, 1000])
def test_pieces_are_the_samples_of_the_whole(server: Server, size: int) -> None:
    text = f"{LONG} I met Dr. Smith at 5 p.m. today... He paid $3.14, e.g. for tea"
    with talking(server) as talk:
        speak(talk, *(text[start : start + size] for start in range(0, len(text), size)))
    assert talk.sound == whole(server, text)
    assert len(talk.heard) > 1 or size == 1000


def test_an_utterance_can_be_asked_for_again_by_its_seed(server: Server) -> None:
    with talking(server) as talk:
        talk.configure()
        for number, text in enumerate(("One. ", "Two three. Four. ", "Five. ")):
            talk.say("input.text", text=text)
            talk.until("audio.done")
            heard = talk.heard[number]
            assert heard.sound == whole(server, text, seed=heard.start["seed"])
    assert [heard.start["seed"] for heard in talk.heard.values()] == [part_seed(7, n) for n in (0, 1, 3)]


def test_a_sentence_sounds_while_the_next_is_written(server: Server) -> None:
    with talking(server) as talk:
        talk.configure()
        talk.say("input.text", text="The birch canoe slid. The smooth pl")
        talk.until("audio.done")
        talk.say("input.text", text="anks. ")
        talk.until("audio.done")
        talk.say("input.done")
        talk.until("session.done")
    assert talk.sound == whole(server, "The birch canoe slid. The smooth planks. ")


def test_no_more_than_two_jobs_of_a_session_are_unfinished(server: Server) -> None:
    with talking(server) as talk:
        talk.configure(speed=0.25)
        for _ in range(12):
            talk.say("input.text", text=LONG)
        talk.until("audio.start")
        unfinished = [job for job in jobs(server) if job["status"] in ("queued", "in_progress")]
        assert 1 <= len(unfinished) <= 2
        talk.say("input.cancel")
        talk.until("audio.cancelled")


def test_a_drawn_seed_is_told(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, "Hello.", seed=None)
    (heard,) = talk.heard.values()
    assert heard.sound == whole(server, "Hello.", seed=heard.start["seed"])


def test_a_session_may_go_on_after_its_end(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, "One. Two")
        talk.say("input.text", text="Three.")
        talk.say("input.done")
        talk.until("session.done")
        talk.say("input.done")
        talk.until("session.done")
    assert talk.heard[2].sound == whole(server, "Three.", seed=part_seed(7, 2))


# Cancelling


def test_cancel_stops_what_is_said_and_the_session_goes_on(server: Server) -> None:
    with talking(server) as talk:
        talk.configure(speed=0.25)
        talk.say("input.text", text=LONG * 4)
        talk.say("input.text", text="Never to be heard")
        talk.until_bytes(1)
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        assert talk.heard[0].done is None
        talk.say("input.text", text="Again. ")
        talk.until("audio.done")
        talk.say("input.done")
        talk.until("session.done")
    assert talk.heard[1].sound == whole(server, "Again. ", speed=0.25, seed=talk.heard[1].start["seed"])
    assert len(talk.heard) == 2
    assert eventually(lambda: all(job["status"] != "in_progress" for job in jobs(server)))
    assert "cancelled" in [job["status"] for job in jobs(server)]


def test_cancel_with_nothing_to_cancel(server: Server) -> None:
    with talking(server) as talk:
        talk.configure()
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        talk.say("input.text", text="Hello.")
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        talk.say("input.done")
        talk.until("session.done")
    assert not talk.heard


# Lost connections


def resumed(server: Server, first: SpeechConnection, sample: int) -> SpeechConnection:
    """The rest of a session, from a sample on; the connection is lost once more.

    What was said just before a connection is lost may be lost with it, so the client says again that it has said all.
    """
    with talking(server, f"?session_id={first.session['session_id']}&from_sample={sample}") as talk:
        assert talk.session["session_id"] == first.session["session_id"]
        talk.say("input.done")
        talk.until("session.done")
        talk.vanish()
    return talk


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


@pytest.mark.parametrize("form", ["pcm", "wav"])
@pytest.mark.parametrize("rate", [pytest.param(16000, marks=pytest.mark.slow), 24000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_lost_connection_goes_on_at_the_sample(server: Server, form: str, rate: int, share: float) -> None:
    header = 44 if form == "wav" else 0
    with talking(server) as talk:
        talk.configure(response_format=form, sample_rate=rate)
        talk.say("input.text", text=LONG)
        talk.say("input.done")
        talk.until_bytes(20_000)
        talk.vanish()
    sample = int((len(talk.sound) - header) // 2 * share)
    rest = resumed(server, talk, sample)
    kept = talk.sound[: header + 2 * sample] if sample else b""
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


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac"])
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


def test_a_redis_that_is_killed_meanwhile_is_not_heard(serve: Serve) -> None:
    with serve() as own, talking(own) as talk:
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
def test_another_server_goes_on_where_one_was_killed(serve: Serve, tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as valkey, serve(redis_url=valkey.url) as first, serve(redis_url=valkey.url) as second:
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


def test_a_session_that_was_left_when_all_was_said_is_gone(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, "Hello.")
    error = refused(server, f"from_sample=0&session_id={talk.session['session_id']}")
    assert error["code"] == "session_not_found"


# Clients that do not read


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


# What is refused


@pytest.mark.parametrize(
    ("frame", "param", "code"),
    [
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
    ],
)
def test_wrong_messages_are_named_and_the_session_goes_on(
    server: Server, frame: str | bytes, param: str | None, code: str
) -> None:
    with talking(server) as talk:
        talk.configure()
        talk.connection.send(frame)
        error = talk.error()
        assert (error["param"], error["code"]) == (param, code)
        talk.say("input.text", text="Hello.")
        talk.say("input.done")
        talk.until("session.done")
    assert talk.sound == whole(server, "Hello.")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": "none"}, "model"),
        ({"model": "free"}, "model"),
        ({"model": None}, "model"),
        ({"voice": "nobody"}, "voice"),
        ({"voice": 5}, "voice"),
        ({"response_format": "midi"}, "response_format"),
        ({"response_format": "opus", "sample_rate": 44100}, "sample_rate"),
        ({"sample_rate": 12345}, "sample_rate"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"speed": 5}, "speed"),
        ({"pitch": 13}, "pitch"),
        ({"intonation": 2.5}, "intonation"),
        ({"model": "broken", "pitch": 1.0}, "pitch"),
        ({"model": "broken", "intonation": 0.0}, "intonation"),
        ({"stream_format": "sse"}, "stream_format"),
    ],
)
def test_a_wrong_config_is_named_and_another_may_follow(server: Server, change: dict[str, object], param: str) -> None:
    with talking(server) as talk:
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


@pytest.mark.parametrize("text", ["Ни слова.", "…", "  ?!", "Hello\0world.", 'Wait <break time="1s"/> now.'])
def test_text_that_cannot_be_spoken(server: Server, text: str) -> None:
    with talking(server) as talk:
        talk.configure()
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


# Who may


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


def test_keys(keyed: Server, keys: dict[str, str]) -> None:
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
