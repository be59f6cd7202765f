"""`WS /v1/audio/speech/stream`: text in pieces, sound as it is sampled, cancelling, slow readers, limits and keys."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ancestral.catalog.seeds import part_seed
from tests.service.servers import Serve, Server
from tests.service.toys import SPEECH
from tests.service.ws_client import (
    CONFIG,
    LONG,
    SpeechConnection,
    begun,
    jobs,
    resumed,
    small_window,
    speak,
    spoken,
    talking,
    whole,
)
from tests.waiting import eventually

CLAUSES = ("When the ships came in from the north, ", "the old harbour was quiet, and nobody said a word.")


def test_the_messages_of_one_utterance(server: Server) -> None:
    with talking(server) as talk:
        assert set(talk.session) == {"type", "session_id", "received_characters"}
        speak(talk, "The birch canoe slid.", sample_rate=None)
    assert [told["type"] for told in talk.others] == ["session.done"]
    (heard,) = talk.heard.values()
    assert heard.start == {"type": "audio.start", "utterance": 0, "format": "pcm", "sample_rate": 24000, "seed": 7}
    assert heard.done == {
        "type": "audio.done", "utterance": 0, "total_bytes": len(heard.sound), "samples": len(heard.sound) // 2,
        "sha256": hashlib.sha256(heard.sound).hexdigest(),
    }  # fmt: skip
    assert heard.sound == whole(server, "The birch canoe slid.", sample_rate=None)


@pytest.mark.parametrize(
    "config",
    [
        {"response_format": "wav", "sample_rate": None},
        {"response_format": "mp3", "sample_rate": 24000},
        {"response_format": "opus", "sample_rate": None},
        {"response_format": "ulaw_8000", "sample_rate": None},
        {"pitch": 4.0, "intonation": 0.0},
    ],
)
def test_a_session_has_the_bytes_of_http(server: Server, config: dict[str, Any]) -> None:
    (heard,) = spoken(server, LONG, **config).heard.values()
    assert heard.sound == whole(server, LONG, **config) != whole(server, LONG)
    assert heard.done is not None
    assert heard.done["sha256"] == hashlib.sha256(heard.sound).hexdigest()


def test_progress_is_told_every_second_of_sound(server: Server) -> None:
    (heard,) = spoken(server, LONG).heard.values()
    counts, seconds = [told["samples"] for told in heard.progress], len(heard.sound) // 32000
    assert len(counts) in (seconds - 1, seconds)
    assert [count // 16000 for count in counts] == list(range(1, len(counts) + 1)), "at the first piece after each"
    assert all(told["real_time_factor"] > 0 for told in heard.progress)
    assert heard.progress[-1]["total_samples_estimate"] >= heard.progress[-1]["samples"]


@pytest.mark.parametrize("size", [1, 10, 37, 1000])
def test_pieces_are_the_samples_of_the_whole(server: Server, size: int) -> None:
    text = f"{LONG} I met Dr. Smith at 5 p.m. today... He paid $3.14, e.g. for tea"
    talk = spoken(server, *(text[start : start + size] for start in range(0, len(text), size)))
    assert talk.sound == whole(server, text)
    assert len(talk.heard) > 1 or size == 1000


def test_an_utterance_can_be_asked_for_again_by_its_seed(server: Server) -> None:
    with begun(server) as talk:
        for number, text in enumerate(("One. ", "Two three. Four. ", "Five. ")):
            talk.write(text)
            talk.until("audio.done")
            heard = talk.heard[number]
            assert heard.sound == whole(server, text, seed=heard.start["seed"])
    assert [heard.start["seed"] for heard in talk.heard.values()] == [part_seed(7, n) for n in (0, 1, 3)]
    (heard,) = spoken(server, "Hello.", seed=None).heard.values()
    assert heard.sound == whole(server, "Hello.", seed=heard.start["seed"])


def test_a_sentence_sounds_while_the_next_is_written(server: Server) -> None:
    with begun(server) as talk:
        for text in ("The birch canoe slid. The smooth pl", "anks. "):
            talk.write(text)
            talk.until("audio.done")
        talk.finish()
    assert talk.sound == whole(server, "The birch canoe slid. The smooth planks. ")


def test_a_session_may_go_on_after_its_end(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, "One. Two")
        talk.write("Three.")
        talk.finish()
        talk.finish()
    assert talk.heard[2].sound == whole(server, "Three.", seed=part_seed(7, 2))


def test_cancel_stops_what_is_said_and_the_session_goes_on(server: Server) -> None:
    with begun(server, LONG * 4, "Never to be heard", speed=0.25) as talk:
        talk.until_bytes(1)
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        assert talk.heard[0].done is None
        talk.write("Again. ")
        talk.until("audio.done")
        for text in ((), ("Hello.",)):  # nothing to cancel, or nothing that has begun
            talk.write(*text)
            talk.say("input.cancel")
            talk.until("audio.cancelled")
        talk.finish()
    assert talk.heard[1].sound == whole(server, "Again. ", speed=0.25, seed=talk.heard[1].start["seed"])
    assert len(talk.heard) == 2
    eventually(lambda: all(job["status"] != "in_progress" for job in jobs(server)))
    assert "cancelled" in [job["status"] for job in jobs(server)]


def test_a_sentence_with_nothing_after_it_is_spoken_when_nothing_comes(server: Server) -> None:
    with begun(server, flush_after_ms=200) as talk:
        for texts in (("The birch canoe slid.",), (" Is it", " late?")):
            talk.write(*texts)
            talk.until("audio.done")
        talk.finish()
    assert talk.sound == whole(server, "The birch canoe slid. Is it late?")
    with begun(server, "The birch canoe slid.", flush_after_ms=0) as talk:
        with pytest.raises(TimeoutError):
            talk.connection.recv(timeout=1)
        talk.write("com is an address.")
        talk.finish()
    assert talk.sound == whole(server, "The birch canoe slid.com is an address.")


def test_a_long_sentence_begins_before_its_end_and_a_resumed_one_is_the_same(server: Server) -> None:
    first, rest = CLAUSES
    with begun(server, first + "the old ", chunk_length_schedule=[30, 100]) as talk:
        talk.until("audio.done")  # before the sentence ends
        talk.write("harbour was quiet, ", "and nobody said ", "a word.")
        talk.until("audio.done")
        talk.vanish()
    parts = [whole(server, text, seed=part_seed(7, n)) for n, text in enumerate((first, rest))]
    assert [heard.sound for heard in talk.heard.values()] == parts
    again = resumed(server, talk, 100)
    assert again.sound == b"".join(parts)[200:]
    assert [heard.start["seed"] for heard in again.heard.values()] == [7, part_seed(7, 1)]


# Slow readers


def patient(server: Server) -> Iterator[SpeechConnection]:
    """A client that says much, and reads when it is told to."""
    # A client that does not read hears no answer to its pings either.
    with talking(server, sock=small_window(server), ping_interval=None) as talk:
        talk.configure(speed=0.25)
        talk.write(*[LONG] * 4)
        talk.say("input.done")
        yield talk


@pytest.mark.slow
def test_a_slow_reader_holds_up_itself_only(server: Server) -> None:
    for slow in patient(server):
        slow.until("audio.start")
        url = f"{server.url}/v1/jobs/{jobs(server)[0]['id']}"

        def paused(url: str = url) -> bool:
            before = httpx.get(url).json()["samples_done"]
            time.sleep(0.7)
            return bool(before == httpx.get(url).json()["samples_done"])

        eventually(paused)
        assert httpx.get(url).json()["status"] == "in_progress"
        assert spoken(server, LONG).sound == whole(server, LONG)
        slow.until("session.done")
        assert slow.sound == whole(server, LONG * 4, speed=0.25)


@pytest.mark.slow
def test_a_client_that_stalls_is_left(serve: Serve) -> None:
    with serve(stall_seconds=1) as own:
        for slow in patient(own):
            eventually(lambda: any(line["message"] == "websocket" for line in own.log))
            assert slow.closed() == 1008
        rest = resumed(own, slow, len(slow.sound) // 2)
        assert slow.sound + rest.sound == whole(own, LONG * 4, speed=0.25)


@pytest.mark.slow
def test_sound_made_ahead_waits_for_a_reader_who_takes_his_time(serve: Serve) -> None:
    with serve(stall_seconds=4, ahead_seconds=1) as own:
        for slow in patient(own):
            began = time.monotonic()
            while time.monotonic() - began < 8:  # twice as long as a client may take nothing
                slow.hear()
                time.sleep(0.02)
            slow.until("session.done")
            assert slow.sound == whole(own, LONG * 4, speed=0.25)


# Errors, limits and keys; wrong messages are in tests/service/speech/test_refusals.py


def test_no_text_between_done_and_done(server: Server) -> None:
    with begun(server, LONG, speed=0.25) as talk:
        talk.say("input.done")
        talk.write("More.")
        assert talk.error()["code"] == "wrong_order"
        talk.until("session.done")
    assert talk.sound == whole(server, LONG, speed=0.25)


def test_too_much_text_is_refused_and_nothing_else(server: Server) -> None:
    text = ("The birch canoe slid on. " * 164)[:4096]
    with begun(server, "x" * 4000, "x" * 97) as talk:
        error = talk.error()
        assert (error["param"], error["code"]) == ("text", "too_much_text")
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        talk.write(text)
        talk.finish()
    assert talk.sound == whole(server, text)


def test_text_that_cannot_be_spoken(server: Server) -> None:
    with begun(server) as talk:
        for text in ("Ни слова.", "…", "Hello\0world.", 'Wait <break time="1s"/> now.'):
            talk.write(text)
            talk.say("input.done")
            error = talk.error()
            assert (error["param"], error["code"]) == ("text", "unsupported_text")
            assert error["message"].startswith("text: ")
            talk.until("session.done")
        talk.write("Hello. (")
        talk.finish()
    assert talk.sound == whole(server, "Hello.")


def test_a_job_that_fails_takes_no_other_with_it(server: Server) -> None:
    with begun(server, "Hello. ", model="broken") as talk:
        talk.until("audio.done")
        talk.write("A vision. ")
        assert talk.error()["type"] == "server_error"
        talk.write("Good bye.")
        talk.finish()
    assert sorted(talk.heard) == [0, 2]
    assert talk.heard[2].sound == whole(server, "Good bye.", model="broken", seed=part_seed(7, 2))


def test_too_many_errors_end_the_connection(server: Server) -> None:
    with talking(server) as talk:
        for _ in range(20):
            talk.connection.send("no")
        assert talk.closed() == 1008
    assert len(talk.others) == 20


def test_overload_is_told_and_passes(serve: Serve) -> None:
    with serve(interactive_slots=1, max_queued_streams=0) as own, talking(own) as first, talking(own) as second:
        first.configure(speed=0.25)
        first.write(LONG * 8)
        first.until_bytes(1)
        second.configure()
        second.write("Hello.")
        second.say("input.done")
        error = second.error()
        assert (error["code"], error["type"]) == ("overloaded", "rate_limit_error")
        assert error["retry_after"] >= 1
        first.say("input.cancel")
        second.until("session.done")
        assert second.sound == whole(own, "Hello.")
        assert not [told for told in first.others if told["type"] == "error"]


def test_a_key_in_a_header(keyed: Server, keys: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(keyed, additional_headers={"authorization": "Bearer wrong"}):
        pass
    response = refused.value.response
    assert response.status_code == 401
    assert response.headers["x-request-id"]
    assert b'"invalid_api_key"' in (response.body or b"")
    headers = {"authorization": f"Bearer {keys['speech']}", "x-request-id": "mine-1"}
    with talking(keyed, additional_headers=headers) as talk:
        assert talk.connection.response is not None
        assert talk.connection.response.headers["x-request-id"] == "mine-1"
        speak(talk, *LONG)
        assert [told["type"] for told in talk.others] == ["session.done"]
        talk.vanish()
    query, other = f"?session_id={talk.session['session_id']}&from_sample=0", {"xi-api-key": keys["speech-limited"]}
    with talking(keyed, additional_headers=other) as limited:
        limited.configure()
        limited.write("One. ")
        limited.until("audio.done")
        limited.write("Two. ")
        error = limited.error()
        assert error["code"] == "rate_limited"
        assert 1 <= error["retry_after"] <= 60
    url = f"ws://127.0.0.1:{keyed.port}/v1/audio/speech/stream{query}"
    with connect(url, proxy=None, additional_headers=other) as connection:
        assert SpeechConnection(connection).error()["code"] == "session_not_found"
    with talking(keyed, query, additional_headers={"xi-api-key": keys["speech"]}) as rest:
        rest.until("session.done")
    assert rest.sound == talk.sound


def test_a_key_in_the_first_message(keyed: Server, keys: dict[str, str]) -> None:
    mine = keys["first-message"]
    for fields in ({}, {"api_key": "wrong"}):
        with begun(keyed, **fields) as talk:
            assert talk.error()["code"] == "invalid_api_key"
            assert talk.closed() == 1008
    with begun(keyed, "The birch canoe slid. ", api_key=mine) as talk:
        talk.until_bytes(1000)
        talk.vanish()
    heard = talk.sound[: len(talk.sound) // 2 * 2]
    query = f"session_id={talk.session['session_id']}&from_sample={len(heard) // 2}"
    for key in (keys["elevenlabs"], mine):
        with connect(f"ws://127.0.0.1:{keyed.port}/v1/audio/speech/stream?{query}", proxy=None) as connection:
            rest = SpeechConnection(connection)
            rest.say("session.resume", api_key=key)
            if key != mine:
                assert rest.error()["code"] == "session_not_found"
            else:
                rest.until("session.created")
                rest.finish()
    request, headers = SPEECH | CONFIG | {"input": "The birch canoe slid. "}, {"authorization": f"Bearer {mine}"}
    assert heard + rest.sound == httpx.post(f"{keyed.url}/v1/audio/speech", json=request, headers=headers).content
    assert mine not in str(keyed.log)
