"""`WS /v1/audio/speech/stream`: sessions that go on over a new connection, from any sample, and how they end."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from ancestral.service.cli.local.embedded import EmbeddedRedis
from tests.service.scrapes import Scrape
from tests.service.servers import Serve, ServeProcess, Server, redis_of
from tests.service.ws_client import LONG, SpeechConnection, begun, jobs, resumed, small_window, speak, talking, whole
from tests.waiting import eventually


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
        ({"sample_rate": 24000}, 0.0),
        ({"sample_rate": 24000}, 0.5),
        ({"sample_rate": 16000}, 0.1),
        ({"response_format": "wav", "sample_rate": 24000}, 0.0),
        ({"response_format": "wav", "sample_rate": 24000}, 0.5),
        ({"response_format": "wav", "sample_rate": 16000}, 1.0),
        ({"response_format": "alaw_8000", "sample_rate": 8000}, 0.5),
        ({"response_format": "alaw_8000", "sample_rate": 8000}, 1.0),
        ({"model": "shaped", "voice": "bob"}, 0.1),  # which filters an excitation
        ({"model": "shaped", "voice": "bob"}, 1.0),
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


@pytest.mark.parametrize("form", ["mp3", "opus"])
def test_an_utterance_of_another_format_comes_again(server: Server, form: str) -> None:
    with begun(server, "One. ", response_format=form) as talk:
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
    assert rest.heard[1].sound == whole(server, LONG, response_format=form, seed=talk.heard[1].start["seed"])


def test_samples_are_counted_over_all_utterances(server: Server) -> None:
    texts = ("One. ", "Two three. ", "Four five six. ")
    with begun(server) as talk:
        for text in texts:
            talk.write(text)
            talk.until("audio.done")
        talk.finish()
        talk.vanish()
    everything = whole(server, "".join(texts))
    lengths = [len(heard.sound) // 2 for heard in talk.heard.values()]
    for sample in (0, lengths[0] - 1, lengths[0], lengths[0] + 1, sum(lengths) - 1, sum(lengths)):
        rest = resumed(server, talk, sample)
        assert rest.sound == everything[2 * sample :]
    assert not rest.heard
    assert refused(server, query_of(talk, sum(lengths) + 1))["param"] == "from_sample"


def test_text_that_was_heard_is_kept(server: Server) -> None:
    with begun(server, "The birch canoe slid. The smo") as talk:
        talk.until("audio.done")
        talk.vanish()
    with talking(server, f"?{query_of(talk, len(talk.sound) // 2)}") as rest:
        assert rest.session["received_characters"] == len("The birch canoe slid. The smo")
        rest.write("oth planks.")
        rest.finish()
    assert talk.sound + rest.sound == whole(server, "The birch canoe slid. The smooth planks.")


def test_what_was_cancelled_does_not_come_back(server: Server) -> None:
    with begun(server, LONG, speed=0.25) as talk:
        talk.until_bytes(1)
        talk.say("input.cancel")
        talk.until("audio.cancelled")
        before = len(talk.sound) // 2
        talk.write("Again.")
        talk.finish()
        talk.vanish()
    for sample, skipped in ((before, 0), (before // 2, 0), (before + 10, 20)):
        assert resumed(server, talk, sample).sound == talk.heard[1].sound[skipped:]


def test_jobs_of_a_lost_connection_give_up_their_slots(serve: Serve) -> None:
    with serve(interactive_slots=1, max_queued_streams=0) as own:
        with begun(own, LONG, speed=0.25) as talk:
            talk.say("input.done")
            talk.until_bytes(1)
            assert own.speak().status_code == 429
            talk.vanish()
        eventually(lambda: own.speak().status_code == 200)
        rest = resumed(own, talk, len(talk.sound) // 2)
        assert talk.sound + rest.sound == whole(own, LONG, speed=0.25)


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


@pytest.mark.parametrize("how", ["closed", "left", "left while the server sends", "closed elsewhere", "left elsewhere"])
def test_a_session_that_has_ended_is_gone(server: Server, how: str) -> None:
    """The client's close frame counts, although sending fails before it is received."""

    def left() -> int:
        return sum(line["message"] == "websocket" and line["code"] == 1000 for line in server.log)

    with talking(server) as first:
        speak(first, "One.")
        query, before = query_of(first, 0), left()
        with talking(server, f"?{query}" if "elsewhere" in how else "") as second:
            if "elsewhere" in how:
                second.finish()
            else:
                speak(second, "Hello. ")
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


def test_an_unknown_session(server: Server) -> None:
    assert refused(server, "session_id=session_0&from_sample=0")["param"] == "session_id"


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
