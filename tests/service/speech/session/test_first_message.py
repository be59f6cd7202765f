"""`WS /v1/audio/speech/stream`: the key in the first message, and the times of words."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from ancestral.models.text.visemes import viseme_of
from tests.service.servers import Server
from tests.service.toys import ASYNC, SPEECH
from tests.service.ws_client import CONFIG, SpeechConnection, speak, talking

TEXT = "The birch canoe slid. Is it late? No!"
WORDS = ["the", "birch", "canoe", "slid", "is", "it", "late", "no"]
Word = dict[str, Any]


def check_words(words: list[Word], samples: int) -> None:
    assert [word["word"] for word in words] == WORDS
    assert words[0]["start"] > 0
    assert words[-1]["end"] < samples
    assert all(word["start"] < word["end"] for word in words)
    assert all(before["end"] <= word["start"] for before, word in itertools.pairwise(words))


def check_phonemes(phonemes: list[Word], words: list[Word]) -> None:
    """Each lies in a word, and they fill the words."""
    assert all(before["end"] <= after["start"] for before, after in itertools.pairwise(phonemes))
    for word in words:
        inner = [phoneme for phoneme in phonemes if word["start"] <= phoneme["start"] < word["end"]]
        assert (inner[0]["start"], inner[-1]["end"]) == (word["start"], word["end"])
    assert sum(p["end"] - p["start"] for p in phonemes) == sum(w["end"] - w["start"] for w in words)


def test_the_key_is_in_the_first_message(keyed: Server, keys: dict[str, str]) -> None:
    mine = keys["first-message"]
    with talking(keyed) as talk:
        speak(talk, "The birch canoe slid.", api_key=mine)
        assert talk.others[-1]["type"] == "session.done"
    assert mine not in str(keyed.log)


def test_a_wrong_key_ends_the_connection(keyed: Server) -> None:
    for fields in ({}, {"api_key": "wrong"}):
        with talking(keyed) as talk:
            talk.say("session.config", **CONFIG, **fields)
            assert talk.error()["code"] == "invalid_api_key"
            with pytest.raises(ConnectionClosedError) as end:
                talk.hear()
            assert end.value.rcvd is not None
            assert end.value.rcvd.code == 1008


def test_a_session_is_resumed_by_its_own_key_only(keyed: Server, keys: dict[str, str]) -> None:
    mine, other = keys["first-message"], keys["elevenlabs"]
    with talking(keyed) as talk:
        talk.say("session.config", **CONFIG, api_key=mine)
        talk.say("input.text", text="The birch canoe slid. ")
        talk.until_bytes(1000)
        session, heard = talk.session["session_id"], talk.sound[: len(talk.sound) // 2 * 2]
        talk.vanish()
    url = f"ws://127.0.0.1:{keyed.port}/v1/audio/speech/stream?session_id={session}&from_sample={len(heard) // 2}"
    with connect(url, proxy=None) as connection:
        talk = SpeechConnection(connection)
        talk.say("session.resume", api_key=other)
        assert talk.error()["code"] == "session_not_found"
    with connect(url, proxy=None) as connection:
        talk = SpeechConnection(connection)
        talk.say("session.resume", api_key=mine)
        talk.until("session.created")
        talk.say("input.done")
        talk.until("session.done")
    request = SPEECH | CONFIG | {"input": "The birch canoe slid. "}
    headers = {"authorization": f"Bearer {mine}"}
    assert heard + talk.sound == httpx.post(f"{keyed.url}/v1/audio/speech", json=request, headers=headers).content


def test_nothing_to_resume(server: Server) -> None:
    with talking(server) as talk:
        talk.say("session.resume", api_key="any")
        assert talk.error()["code"] == "wrong_order"


def test_words_of_an_utterance(server: Server) -> None:
    for rate in (16000, 24000):
        with talking(server) as talk:
            speak(talk, TEXT, timestamps=["word"], sample_rate=rate)
        words: list[Word] = []
        samples = 0
        for heard in talk.heard.values():
            words += [
                {**word, "start": samples + word["start"], "end": samples + word["end"]}
                for word in heard.start["words"]
            ]
            samples += len(heard.sound) // 2
        check_words(words, samples)


def test_phonemes_of_an_utterance(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, TEXT, timestamps=["phoneme", "word"])
    for heard in talk.heard.values():
        check_phonemes(heard.start["phonemes"], heard.start["words"])
    with talking(server) as talk:
        speak(talk, TEXT, timestamps=["phoneme"])
    assert all("words" not in heard.start for heard in talk.heard.values())


def test_visemes_of_an_utterance(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, TEXT, timestamps=["viseme", "phoneme"])
    for heard in talk.heard.values():
        phonemes, visemes = heard.start["phonemes"], heard.start["visemes"]
        assert [(v["start"], v["end"]) for v in visemes] == [(p["start"], p["end"]) for p in phonemes]
        assert [(v["viseme"], v["viseme_id"]) for v in visemes] == [viseme_of(p["phoneme"]) for p in phonemes]


def test_no_words_unless_they_are_wanted(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, TEXT)
    assert all("words" not in heard.start for heard in talk.heard.values())


def test_words_of_a_job(server: Server) -> None:
    job = httpx.post(f"{server.url}/v1/audio/speech", json=SPEECH | {"input": TEXT}, headers=ASYNC).json()["id"]
    server.ended(job)
    found = httpx.get(f"{server.url}/v1/jobs/{job}/timestamps").json()
    assert {name: found[name] for name in ("object", "job", "sample_rate", "complete")} == {
        "object": "timestamps", "job": job, "sample_rate": 16000, "complete": True,
    }  # fmt: skip
    check_words(found["words"], httpx.get(f"{server.url}/v1/jobs/{job}").json()["samples_total"])
    assert [phoneme["phoneme"] for phoneme in found["phonemes"][:6]] == ["DH", "AX0", "B", "ER1", "CH", "K"]
    check_phonemes(found["phonemes"], found["words"])


def test_a_job_without_words(server: Server) -> None:
    job = server.generate(duration=0.1).headers["x-job-id"]
    answer = httpx.get(f"{server.url}/v1/jobs/{job}/timestamps")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_words")
