"""`WS /v1/audio/speech/stream`: text in pieces, sound as it is sampled, cancelling, slow readers, limits and keys."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ancestral.catalog.seeds import part_seed
from ancestral_service.cli.local.embedded import EmbeddedRedis
from ancestral_service.errors import Overloaded
from tests.service.scrapes import Scrape
from tests.service.servers import Serve, ServeProcess, Server, redis_of
from tests.service.ws_client import LONG, SpeechConnection, begun, jobs, resumed, small_window, spoken, talking, whole
from tests.waiting import eventually

CLAUSES = ("When the ships came in from the north, ", "the old harbour was quiet, and nobody said a word.")


def test_the_messages_of_one_utterance(server: Server) -> None:
    with talking(server) as talk:
        assert set(talk.session) == {"type", "session_id", "received_characters"}
        talk.speak("The birch canoe slid.", sample_rate=None)
    assert [told["type"] for told in talk.others] == ["session.done"]
    (heard,) = talk.heard.values()
    assert heard.start == {"type": "audio.start", "utterance": 0, "format": "pcm", "sample_rate": 24000, "seed": 7}
    assert heard.done == {
        "type": "audio.done", "utterance": 0, "total_bytes": len(heard.sound), "samples": len(heard.sound) // 2,
        "sha256": hashlib.sha256(heard.sound).hexdigest(),
    }  # fmt: skip
    assert heard.sound == whole(server, "The birch canoe slid.", sample_rate=None)
    with talking(server) as talk:
        talk.speak("Hi мир.")
    (heard,) = talk.heard.values()
    assert heard.start["skipped"] == ["мир"]


@pytest.mark.parametrize(("form", "rate"), [("wav", None), ("mp3", 24000)])
def test_a_session_has_the_bytes_of_http(server: Server, form: str, rate: int | None) -> None:
    config = {"response_format": form, "sample_rate": rate}
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


def test_pieces_are_the_samples_of_the_whole(server: Server) -> None:
    text = f"{LONG} [slowly] I met Dr. Smith at 5 p.m. today... He paid $3.14, e.g. for tea"
    talk = spoken(server, *text)
    assert talk.sound == whole(server, text)
    assert len(talk.heard) > 1


def test_an_utterance_can_be_asked_for_again_by_its_seed(server: Server) -> None:
    with begun(server) as talk:
        for number, text in enumerate(("One. ", "Two three. Four. ", "Five. ")):
            talk.utter(text)
            heard = talk.heard[number]
            assert heard.sound == whole(server, text, seed=heard.start["seed"])
    assert [heard.start["seed"] for heard in talk.heard.values()] == [part_seed(7, n) for n in (0, 1, 3)]
    (heard,) = spoken(server, "Hello.", seed=None).heard.values()
    assert heard.sound == whole(server, "Hello.", seed=heard.start["seed"])


def test_cancel_stops_what_is_said_and_the_session_goes_on(server: Server) -> None:
    with begun(server, LONG * 4, "Never to be heard", speed=0.25) as talk:
        talk.until_bytes(1)
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        assert talk.heard[0].done is None
        talk.utter("Again. ")
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
            talk.utter(*texts)
        talk.finish()
    assert talk.sound == whole(server, "The birch canoe slid. Is it late?")


def test_a_long_sentence_begins_before_its_end_and_a_resumed_one_is_the_same(server: Server) -> None:
    first, rest = CLAUSES
    with begun(server, first + "the old ", chunk_length_schedule=[30, 100]) as talk:
        talk.until("audio.done")  # before the sentence ends
        talk.utter("harbour was quiet, ", "and nobody said ", "a word.")
        talk.vanish()
    parts = [whole(server, text, seed=part_seed(7, n)) for n, text in enumerate((first, rest))]
    assert [heard.sound for heard in talk.heard.values()] == parts
    again = resumed(server, talk, 100)
    assert again.sound == b"".join(parts)[200:]
    assert [heard.start["seed"] for heard in again.heard.values()] == [7, part_seed(7, 1)]


@pytest.mark.slow
def test_a_client_that_stalls_is_left(serve: Serve) -> None:
    with serve(stall_seconds=1) as own:
        # A client that does not read hears no answer to its pings either.
        with talking(own, sock=small_window(own), ping_interval=None) as slow:
            slow.configure(speed=0.25)
            slow.write(*[LONG] * 4)
            slow.say("input.done")
            eventually(lambda: any(line["message"] == "websocket" for line in own.log))
            assert slow.closed() == 1008
        rest = resumed(own, slow, len(slow.sound) // 2)
        assert slow.sound + rest.sound == whole(own, LONG * 4, speed=0.25)


# Errors, limits and keys; wrong messages are in tests/service/speech/test_refusals.py


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
    with begun(server, "Hello.", "x" * 4096, flush_after_ms=2000) as talk:
        assert talk.error()["code"] == "too_much_text"
        talk.until("audio.done")  # what came before it is spoken, though nothing comes after it
    with begun(server, f"Hello. {'x' * 4089}", voices={"ANNA": "bob"}, chunk_length_schedule=[]) as talk:
        talk.say("input.done")
        assert talk.error()["param"] == "text"  # which is longer with who speaks it
        talk.until("session.done")


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


@pytest.fixture(scope="module")
def narrow(serve: Serve) -> Iterator[Server]:
    """A server that has room for one."""
    with serve(interactive_slots=1, max_queued_streams=0) as server:
        yield server


def test_overload_is_told_and_passes(narrow: Server) -> None:
    with talking(narrow) as first, talking(narrow) as second:
        first.configure(speed=0.25)
        first.write(LONG * 8)
        first.until_bytes(1)
        second.configure()
        with pytest.MonkeyPatch.context() as patch:
            full = partial(Overloaded, retry_after=600)
            patch.setattr("ancestral_service.broker.clients.Overloaded", lambda message, **_: full(message))
            second.write("Hello.")
            second.say("input.done")
            error = second.error()
        assert (error["code"], error["type"], error["retry_after"]) == ("overloaded", "rate_limit_error", 600)
        second.say("input.cancel")
        second.write("Hello.")
        second.say("input.done")
        assert 1 <= second.error()["retry_after"] < 600, "new text does not wait for the old one's time"
        first.say("input.cancel")
        second.until("session.done")
        assert second.sound == whole(narrow, "Hello.")
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
        talk.speak(*LONG)
        assert [told["type"] for told in talk.others] == ["session.done"]
        talk.vanish()
    query, other = f"?session_id={talk.session['session_id']}&from_sample=0", {"xi-api-key": keys["speech-limited"]}
    with talking(keyed, additional_headers=other) as limited:
        limited.configure()
        limited.utter("One. ")
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
    for fields in ({}, {"api_key": "wrong"}, {"api_key": "ключ"}):
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
    headers = {"authorization": f"Bearer {mine}"}
    assert heard + rest.sound == whole(keyed, "The birch canoe slid. ", headers)
    assert mine not in str(keyed.log)


# `WS /v1/audio/speech/stream`: sessions that go on over a new connection, from any sample, and how they end.


def query_of(talk: SpeechConnection, sample: int) -> str:
    """Where a session goes on."""
    return f"session_id={talk.session['session_id']}&from_sample={sample}"


def refused(server: Server, query: str) -> dict[str, Any]:
    """Why a session cannot be resumed."""
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream?{query}", proxy=None) as connection:
        talk = SpeechConnection(connection)
        assert talk.closed() == 1008
    error: dict[str, Any] = talk.others[-1]["error"]
    return error


@pytest.mark.parametrize(
    ("config", "share"),
    [
        ({"sample_rate": 24000}, 0.5),
        ({"sample_rate": 16000}, 0.1),
        ({"response_format": "wav", "sample_rate": 24000}, 0.0),
        ({"response_format": "wav", "sample_rate": 16000}, 1.0),
        ({"response_format": "alaw_8000", "sample_rate": 8000}, 0.5),
        ({"model": "shaped", "voice": "bob"}, 0.1),  # which filters an excitation
    ],
)
def test_a_lost_connection_goes_on_at_the_sample(server: Server, config: dict[str, Any], share: float) -> None:
    form = config.get("response_format")
    header, width = 44 if form == "wav" else 0, 1 if form == "alaw_8000" else 2
    with begun(server, LONG, **config) as talk:
        talk.say("input.done")
        talk.until_bytes(20_000)
        talk.vanish()
    sample = int((len(talk.sound) - header) // width * share)
    rest = resumed(server, talk, sample)
    kept = talk.sound[: header + width * sample] if sample else b""
    assert kept + rest.sound == whole(server, LONG, **config)
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
                talk.write(LONG)
            talk.say("input.done")
            while len(talk.sound) < 100_000 and talk.hear() != {"type": "session.done"}:
                pass
            talk.vanish()
        sound += talk.sound
        query = f"?{query_of(talk, len(sound) // 2)}"
        if talk.others:
            break
    assert sound == whole(server, LONG, speed=0.5)


def test_an_utterance_of_another_format_comes_again(server: Server) -> None:
    with begun(server, "One. ", response_format="mp3") as talk:
        talk.until("audio.done")
        talk.write(LONG)
        talk.say("input.done")
        talk.until("audio.start")
        talk.until_bytes(len(talk.sound) + 1000)
        talk.vanish()
    first = talk.heard[0].done
    assert first is not None
    rest = resumed(server, talk, first["samples"] + 100)
    assert list(rest.heard) == [1]
    assert rest.heard[1].sound.startswith(talk.heard[1].sound)
    assert rest.heard[1].sound == whole(server, LONG, response_format="mp3", seed=talk.heard[1].start["seed"])


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_cancel_right_after_a_resumption(server: Server, share: float) -> None:
    with begun(server, LONG * 4, speed=0.25) as talk:
        talk.until_bytes(200_000)
        talk.vanish()
    heard = int(len(talk.sound) // 2 * share)
    with talking(server, f"?{query_of(talk, heard)}") as second:
        second.say("input.cancel")
        second.until("audio.cancelled")
        heard += len(second.sound) // 2
        second.utter("Again. ")
        second.vanish()
    again = second.heard[1]
    assert again.sound == whole(server, "Again. ", speed=0.25, seed=again.start["seed"])
    assert resumed(server, talk, heard + 100).sound == again.sound[200:]


@pytest.mark.parametrize("leave", [SpeechConnection.vanish, lambda talk: talk.connection.close()])
def test_text_that_was_heard_is_kept(server: Server, leave: Callable[[SpeechConnection], None]) -> None:
    with begun(server, "The birch canoe slid. The smo") as talk:
        talk.until("audio.done")
        leave(talk)
    with talking(server, f"?{query_of(talk, len(talk.sound) // 2)}") as rest:
        assert rest.session["received_characters"] == len("The birch canoe slid. The smo")
        rest.write("oth planks.")
        rest.finish()
    assert talk.sound + rest.sound == whole(server, "The birch canoe slid. The smooth planks.")


def test_jobs_of_a_lost_connection_give_up_their_slots(narrow: Server) -> None:
    with begun(narrow, LONG, speed=0.25) as talk:
        talk.say("input.done")
        talk.until_bytes(1)
        assert narrow.speak().status_code == 429
        talk.vanish()
    eventually(lambda: narrow.speak().status_code == 200)
    rest = resumed(narrow, talk, len(talk.sound) // 2)
    assert talk.sound + rest.sound == whole(narrow, LONG, speed=0.25)


def test_a_cancelled_job_is_not_revived_when_its_session_is_resumed(serve: Serve) -> None:
    def unfinished() -> float:
        """Jobs that count against the limits of their owners."""
        now = Scrape()
        now.add(httpx.get(f"{server.url}/metrics").text)
        return now.of("ancestral_unfinished_jobs")

    with serve(concurrent_streams=2) as server:
        for _ in range(2):
            with talking(server, sock=small_window(server)) as talk:
                talk.configure(speed=0.25)
                talk.write(LONG)
                talk.until_bytes(1000)
                (job,) = [each["id"] for each in jobs(server) if each["status"] == "in_progress"]
                talk.vanish()
            eventually(lambda: unfinished() == 0)  # it is suspended
            cancelled = httpx.post(f"{server.url}/v1/jobs/{job}/cancel")
            assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
            with talking(server, f"?{query_of(talk, len(talk.sound) // 2)}") as talk:
                assert talk.error()["code"]
            assert unfinished() == 0
        assert server.speak().status_code == 200


def test_a_second_connection_takes_the_session_over(server: Server) -> None:
    with begun(server, LONG * 2, speed=0.25) as first:
        first.until_bytes(1000)
        with talking(server, f"?{query_of(first, 0)}") as second:
            second.until_bytes(1000)
            assert first.closed() == 4409
            second.finish()
    assert second.sound == whole(server, LONG * 2, speed=0.25)


@pytest.mark.parametrize("how", ["closed", "left while the server sends", "left elsewhere"])
def test_a_session_that_has_ended_is_gone(server: Server, how: str) -> None:
    """The client's close frame counts, although sending fails before it is received."""

    def left() -> int:
        return sum(line["message"] == "websocket" and line["code"] == 1000 for line in server.log)

    with talking(server) as first:
        first.speak("One.")
        query, before = query_of(first, 0), left()
        with talking(server, f"?{query}" if "elsewhere" in how else "") as second:
            if "elsewhere" in how:
                second.finish()
            else:
                second.speak("Hello. ")
                query = query_of(second, 0)
            if "closed" in how:
                second.say("session.close")
                assert second.closed() == 1000
            for _ in range(10 if "sends" in how else 0):
                second.say("nonsense")  # each is answered with an error
        eventually(lambda: left() > before)  # the session ends after the close frame has been answered
        if "elsewhere" in how:  # although the first has noticed nothing of the second
            assert first.closed() == 4409
    assert refused(server, query)["code"] == "session_not_found"


@pytest.mark.slow
def test_a_redis_that_is_killed_meanwhile_is_not_heard(serve_process: ServeProcess) -> None:
    with serve_process() as own, talking(own) as talk:
        talk.configure(speed=0.25)
        talk.write(LONG)
        talk.until_bytes(1)
        with redis_of(own) as redis:
            os.kill(redis.info("server")["process_id"], signal.SIGKILL)
        talk.write(LONG)
        talk.finish()
        assert talk.sound == whole(own, LONG * 2, speed=0.25)


@pytest.mark.slow
def test_another_server_goes_on_where_one_was_killed(serve_process: ServeProcess, serve: Serve, tmp_path: Path) -> None:
    with (
        EmbeddedRedis(tmp_path) as valkey,
        serve_process(redis_url=valkey.url) as first,
        serve(redis_url=valkey.url) as second,
    ):
        with begun(first, LONG + "The smooth", speed=0.25) as talk:
            talk.until_bytes(1)
            first.stop(signal.SIGKILL)
        with talking(second, f"?{query_of(talk, len(talk.sound) // 2)}") as rest:
            rest.write(" planks.")
            rest.finish()
        assert talk.sound + rest.sound == whole(second, LONG + "The smooth planks.", speed=0.25)


def test_samples_are_counted_over_all_utterances(server: Server) -> None:
    texts = ("One. ", "Two three. ", "Four five six. ")
    with begun(server) as talk:
        for text in texts:
            talk.utter(text)
        talk.finish()
        talk.vanish()
    everything = whole(server, "".join(texts))
    lengths = [len(heard.sound) // 2 for heard in talk.heard.values()]
    for sample in (0, lengths[0] - 1, lengths[0], lengths[0] + 1, sum(lengths) - 1, sum(lengths)):
        rest = resumed(server, talk, sample)
        assert rest.sound == everything[2 * sample :]
    assert not rest.heard
    assert refused(server, query_of(talk, sum(lengths) + 1))["param"] == "from_sample"
