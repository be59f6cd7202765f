"""`WS /v1/audio/speech/stream`: text in pieces, sound as it is sampled, and what becomes of lost connections."""

from __future__ import annotations

import hashlib

import pytest

from ancestral.catalog.seeds import part_seed
from tests.service.servers import Server
from tests.service.ws_client import (
    LONG,
    eventually,
    jobs,
    speak,
    talking,
    whole,
)


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


@pytest.mark.parametrize(("form", "rate"), [("wav", None), ("mp3", 24000), ("opus", None), ("ulaw_8000", None)])
def test_audio_in_another_format_has_the_bytes_of_http(server: Server, form: str, rate: int | None) -> None:
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
    assert [count // 16000 for count in counts] == list(range(1, len(counts) + 1)), "at the first piece after each"
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


CLAUSES = ("When the ships came in from the north, ", "the old harbour was quiet, and nobody said a word.")


def test_a_sentence_with_nothing_after_it_is_spoken_when_nothing_comes(server: Server) -> None:
    with talking(server) as talk:
        talk.configure(flush_after_ms=200)
        talk.say("input.text", text="The birch canoe slid.")
        talk.until("audio.done")
        talk.say("input.text", text=" Is it")
        talk.say("input.text", text=" late?")
        talk.until("audio.done")
        talk.say("input.done")
        talk.until("session.done")
    assert talk.sound == whole(server, "The birch canoe slid. Is it late?")
    with talking(server) as talk:
        talk.configure(flush_after_ms=0)
        talk.say("input.text", text="The birch canoe slid.")
        with pytest.raises(TimeoutError):
            talk.connection.recv(timeout=1)
        talk.say("input.text", text="com is an address.")
        talk.say("input.done")
        talk.until("session.done")
    assert talk.sound == whole(server, "The birch canoe slid.com is an address.")


def test_a_long_sentence_begins_before_its_end_and_a_resumed_one_is_the_same(server: Server) -> None:
    first, rest = CLAUSES
    with talking(server) as talk:
        talk.configure(chunk_length_schedule=[30, 100])
        talk.say("input.text", text=first + "the old ")
        talk.until("audio.done")  # before the sentence ends
        for word in ("harbour was quiet, ", "and nobody said ", "a word."):
            talk.say("input.text", text=word)
        talk.until("audio.done")
        talk.vanish()
    with talking(server, f"?session_id={talk.session['session_id']}&from_sample=100") as again:
        again.say("input.done")
        again.until("session.done")
    parts = [whole(server, text, seed=part_seed(7, n)) for n, text in enumerate((first, rest))]
    assert [heard.sound for heard in talk.heard.values()] == parts
    assert again.sound == b"".join(parts)[200:]
    assert [heard.start["seed"] for heard in again.heard.values()] == [7, part_seed(7, 1)]
