"""Times of words and phonemes in answers over HTTP, and captions."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.service.api.envelope import check_envelope
from tests.service.servers import Server
from tests.service.toys import ASYNC, SPEECH

TEXT = "Dr. Ann slid. Is it late? No!"
WORDS = ["doctor", "ann", "slid", "is", "it", "late", "no"]


def job_times(server: Server, job: str) -> dict[str, Any]:
    """The times that a job tells, without where words were written."""
    found: dict[str, Any] = httpx.get(f"{server.url}/v1/jobs/{job}/timestamps").json()
    words = [{name: word[name] for name in ("word", "start", "end")} for word in found["words"]]
    return found | {"words": words}


def at_rate(times: list[dict[str, Any]], rate: int) -> list[dict[str, Any]]:
    """Times at the model's rate, at another rate."""
    return [
        {name: round(value * rate / 16000) if name in ("start", "end") else value for name, value in entry.items()}
        for entry in times
    ]


@pytest.mark.parametrize("form", ["mp3", "pcm"])
def test_sse_has_the_times_of_the_job_at_the_rate_of_its_bytes(server: Server, form: str) -> None:
    request = {"input": TEXT, "response_format": form}
    response = server.speak(**request, stream_format="sse", timestamps=["word", "phoneme", "viseme"])
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")
    assert sound == server.speak(**request).content
    times = [event for event in events if event["type"] == "speech.audio.timestamps"]
    assert len(times) == 3
    assert events[0] is times[0]
    rate = 24000 if form == "pcm" else 16000
    told = job_times(server, response.headers["x-job-id"])
    for name in ("words", "phonemes", "visemes"):
        assert [entry for event in times for entry in event[name]] == at_rate(told[name], rate)
    assert [entry["word"] for entry in told["words"]] == WORDS
    assert {event["sample_rate"] for event in times} == {rate}


def test_events_have_what_was_requested(server: Server) -> None:
    response = server.speak(input=TEXT, stream_format="sse", timestamps=["phoneme"])
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]
    assert set(events[0]) == {"type", "sample_rate", "phonemes"}


def test_json_has_the_times_of_the_job(server: Server) -> None:
    request = {"input": TEXT, "response_format": "wav"}
    response = server.speak(**request, stream_format="json", timestamps=["word"])
    found = response.json()
    assert set(found) == {"object", "audio", "audio_format", "sample_rate", "seed", "words", "usage"}
    plain = server.speak(**request)
    assert base64.b64decode(found["audio"]) == plain.content
    assert (found["audio_format"], found["sample_rate"], found["seed"]) == ("audio/wav", 16000, 7)
    assert found["words"] == job_times(server, response.headers["x-job-id"])["words"]
    assert found["usage"]["output_tokens"] == (len(plain.content) - 44) // 2
    for name in ("x-seed", "x-model", "x-voice", "x-engine", "x-model-sha256"):
        assert response.headers[name] == plain.headers[name]


def test_json_without_times(server: Server) -> None:
    assert not {"words", "phonemes"} & server.speak(stream_format="json").json().keys()
    found = server.generate(stream_format="json", duration=0.2).json()
    assert base64.b64decode(found["audio"]) == server.generate(duration=0.2).content


def test_times_have_no_place_in_audio(server: Server) -> None:
    check_envelope(server.speak(timestamps=["word"]), 400, "timestamps")
    check_envelope(server.speak(timestamps=["syllable"], stream_format="sse"), 400, "timestamps.0")
    check_envelope(server.generate(timestamps=["word"], stream_format="sse"), 400, "timestamps")


def test_a_job_that_fails_has_no_json(server: Server) -> None:
    response = server.speak(model="broken", input="A vision.", stream_format="json", timestamps=["word"])
    check_envelope(response, 500, None)


def test_words_of_a_job_say_where_they_were_written(server: Server) -> None:
    response = server.speak(input="<speak>😀 <break/>5-10&#160;km &amp; API.</speak>", input_format="ssml")
    found = httpx.get(f"{server.url}/v1/jobs/{response.headers['x-job-id']}/timestamps").json()
    text = found["text"]
    assert text == "😀 5-10 km & API."
    assert [(word["word"], text[word["text_start"] : word["text_end"]]) for word in found["words"]] == [
        ("grinning", "😀"), ("face", "😀"), ("five", "5"), ("to", "-"), ("ten", "10 km"),
        ("kilometers", "10 km"), ("and", "&"), ("A", "API"), ("P", "API"), ("I", "API"),
    ]  # fmt: skip


def test_captions_are_valid_vtt_and_srt(server: Server) -> None:
    job = httpx.post(f"{server.url}/v1/audio/speech", json=SPEECH | {"input": TEXT}, headers=ASYNC).json()["id"]
    server.ended(job)
    url = f"{server.url}/v1/jobs/{job}/captions"
    webvtt, subrip = httpx.get(url), httpx.get(url, params={"format": "srt"})
    assert webvtt.headers["content-type"] == "text/vtt; charset=utf-8"
    assert subrip.headers["content-type"] == "application/x-subrip; charset=utf-8"
    assert webvtt.text.startswith("WEBVTT\n\n00:00:00.")
    assert [line for line in webvtt.text.splitlines() if line and "-->" not in line][1:] == [
        "Dr. Ann slid.", "Is it late?", "No!",
    ]  # fmt: skip
    assert subrip.text.replace(",", ".").count("-->") == 3
    check_envelope(httpx.get(url, params={"format": "ass"}), 400, "format")
    for response in (webvtt, subrip):
        again = httpx.get(response.url, headers={"if-none-match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert webvtt.headers["etag"] != subrip.headers["etag"]


def test_a_caption_lasts_from_its_first_to_its_last_word(server: Server) -> None:
    text = "5-10 km/h, e.g. 3 m²."
    job = server.speak(input=text, stream_format="sse", timestamps=["word"]).headers["x-job-id"]
    told = job_times(server, job)
    times = [told["words"][0]["start"] / told["sample_rate"], told["words"][-1]["end"] / told["sample_rate"]]
    begin, end = (f"00:00:{seconds:06.3f}".replace(".", ",") for seconds in times)
    subrip = httpx.get(f"{server.url}/v1/jobs/{job}/captions", params={"format": "srt"}).text
    assert subrip == f"1\n{begin} --> {end}\n{text}\n"


def test_a_job_without_words_has_no_captions(server: Server) -> None:
    job = server.generate(duration=0.1).headers["x-job-id"]
    assert check_envelope(httpx.get(f"{server.url}/v1/jobs/{job}/captions"), 409, None)["code"] == "no_words"
