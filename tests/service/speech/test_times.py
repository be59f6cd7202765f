"""When words, phonemes and characters are said, and captions: from the lengths of phonemes, and over the wire."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ancestral.models.text import InputFormat, Sentence, UnsupportedText, Word, parse_text, phonemize
from ancestral.models.text.visemes import viseme_of
from ancestral.service.speech.alignment import Alignment, normalized, written
from ancestral.service.speech.captions import captions, cues
from ancestral.service.speech.text_parts import written_parts
from ancestral.service.speech.timestamps import SentenceTimes
from ancestral.speech.timing import Timing
from tests.service.api.envelope import check_envelope
from tests.service.servers import Server
from tests.service.speech.sounds import events_of
from tests.service.ws_client import spoken

RATE = 1000
PHONEME_SAMPLES = 100


def test_pauses_belong_to_no_word() -> None:
    sentence = Sentence((Word("yes", ("Y", "EH1", "S"), (0, 3)), ",", Word("no", ("N", "OW1"), (5, 7)), "."))
    timing = Timing.of(np.cumsum([4, 2, 3, 1, 5, 2, 2, 6]) * 160)
    assert timing.words(sentence) == [(640, 1600), (2400, 3040)]
    assert timing.phonemes(sentence) == [
        ("Y", (640, 960)), ("EH1", (960, 1440)), ("S", (1440, 1600)), ("N", (2400, 2720)), ("OW1", (2720, 3040)),
    ]  # fmt: skip
    assert timing.length == 4000
    assert Timing.load(timing.dump()) == timing
    touching = Sentence((Word("the", ("DH", "AX0"), (0, 3)), Word("cat", ("K", "AE1", "T"), (4, 7)), "."))
    assert Timing.of(np.arange(1, 8)).words(touching) == [(1, 3), (3, 6)]


def times(text: str, form: InputFormat = "text") -> list[SentenceTimes]:
    """The sentences of a text in which each phoneme takes a tenth of a second."""
    script, offset = parse_text(text, form), 0
    sentences, found = phonemize(script), []
    for sentence, parts in zip(sentences, written_parts(script.written, sentences), strict=True):
        timing = Timing.of(np.arange(1, len(sentence.phones) + 1) * PHONEME_SAMPLES)
        words = tuple((offset + start, offset + end) for start, end in timing.words(sentence))
        found.append(SentenceTimes(sentence, parts, (offset, offset + timing.length), words, ()))
        offset += timing.length
    return found


@pytest.mark.parametrize(
    ("text", "starts", "subrip"),
    [
        (
            # sil; five, 3 phonemes; to, 2; ten kilometers per hour, 16; a pause; for example, 10; three square …, 13
            "5-10 km/h, e.g. 3 m² of H2O.",
            [100, 400, 600, 828, 1057, 1285, 1514, 1742, 1971, 2200, 2250, 2300, 2550, 2800, 3050, 3300, 3300, 3625,
             3950, 4275, 4600, 4600, 4700, 4800, 4800, 5000, 5200, 5300],
            ["00:00:00,100 --> 00:00:05,300\n5-10 km/h, e.g. 3 m² of H2O."],
        ),
        (
            "The API of V2 is “new”.",
            [100, 166, 233, 300, 300, 433, 566, 700, 700, 800, 900, 900, 1100, 1300, 1300, 1400, 1500, 1500, 1500,
             1600, 1700, 1800, 1850],
            ["00:00:00,100 --> 00:00:01,800\nThe API of V2 is “new”."],
        ),
        (
            "Dr. Ann (😀😀) paid $5.20 — on 3 March 1847. Really?!",
            [100, 266, 433, 600, 600, 666, 733, 800, 900, 900, 1800, 1833, 1866, 1900, 1975, 2050, 2125, 2200, 2200,
             2640, 3080, 3520, 3960, 4400, 4433, 4466, 4500, 4600, 4700, 4700, 4908, 5116, 5325, 5533, 5741, 5950, 6158,
             6366, 6575, 6783, 6991, 7200, 7250, 7400, 7466, 7533, 7600, 7666, 7733, 7800, 7850],
            [
                "00:00:00,100 --> 00:00:04,700\nDr. Ann (😀😀) paid $5.20 — on",  # a date is not parted
                "00:00:04,700 --> 00:00:07,200\n3 March 1847.",
                "00:00:07,400 --> 00:00:07,800\nReally?!",
            ],
        ),
    ],
)  # fmt: skip
def test_every_character_as_it_was_written_in_time(text: str, starts: list[int], subrip: list[str]) -> None:
    sentences = times(text)
    found = written(sentences)
    assert "".join(found.characters) == text
    assert [start for start, _ in found.spans] == starts
    assert captions(sentences, RATE, "srt") == "\n".join(f"{n}\n{cue}\n" for n, cue in enumerate(subrip, 1))


def test_tags_and_directives_are_not_shown() -> None:
    document = (
        '<speak><s>R&amp;D <break time="1s"/>at <sub alias="World Wide Web">WWW</sub>.</s>'
        '<s><sub alias="now"></sub> <say-as interpret-as="characters">B2</say-as></s></speak>'
    )
    sentences = times(document, "ssml")
    assert "".join(written(sentences).characters) == "\n\nR&D at WWW.\n\n\n\n B2\n\n"
    assert [cue.text for cue in cues(sentences, RATE)] == ["R&D at WWW.", "B2"]
    plain = times("one [pause:2s] [[T UW1]] three [pause:1s]")
    assert [(cue.text, cue.start, cue.end) for cue in cues(plain, RATE)] == [("one T UW1 three", 0.1, 1.0)]


def test_a_number_of_many_sentences_belongs_to_the_first() -> None:
    sentences = times("Say " + "1" * 100 + " twice. Once more.")
    assert len(sentences) > 3
    assert "".join(written(sentences).characters) == "Say " + "1" * 100 + " twice. Once more."
    assert [cue.text for cue in cues(sentences, RATE)] == ["Say", "1" * 100, "twice.", "Once more."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No!Yes", ["No!", "Yes"]),
        ('"No!" "Yes"', ['"No!" ', '"Yes"']),
        ("  a -- (b)", ["  a -- (b)"]),
        ("Hi. [pause:1s]", ["Hi. ", ""]),
    ],
)
def test_marks_belong_to_the_word_before_them(text: str, expected: list[str]) -> None:
    assert ["".join(part.text for part in sentence.written) for sentence in times(text)] == expected


PIECES = ["Hello", "$5", "3/4/2020,", "…", "really?", "Dr.", "e.g.", "—", "No!", "😀", "A&B", "\n\n", "1,000.", "(x)"]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map(" ".join))
def test_every_character_has_a_time(text: str) -> None:
    try:
        sentences = times(text)
    except UnsupportedText:
        return
    assert "".join(written(sentences).characters) == text
    for alignment in (written(sentences), normalized(sentences)):
        edges = [sample for span in alignment.spans for sample in span]
        assert edges == sorted(edges)
        assert edges[-1] == sentences[-1].span[1] or len(sentences) > 1
    assert all(cue.start <= cue.end for cue in cues(sentences, RATE))


def test_characters_of_a_word_share_its_time() -> None:
    (sentence,) = times("Hi, Ann.")
    alignment: Alignment = written([sentence])
    assert "".join(alignment.characters) == "Hi, Ann."
    (hi, ann) = sentence.word_spans
    assert (alignment.spans[0][0], alignment.spans[1][1]) == hi
    assert (alignment.spans[4][0], alignment.spans[6][1]) == ann
    assert (alignment.spans[2][0], alignment.spans[3][1]) == (hi[1], ann[0])
    assert alignment.spans[7] == (ann[1], sentence.span[1])


def test_what_is_read_otherwise_has_the_times_of_its_words() -> None:
    sentences = times("5-10 km/h, e.g. 3 m² of API.")
    read = "five to ten kilometers per hour, for example three square meters of A P I. "

    def span(alignment: Alignment, part: str) -> tuple[int, int]:
        first = "".join(alignment.characters).index(part)
        return alignment.spans[first][0], alignment.spans[first + len(part) - 1][1]

    assert "".join(normalized(sentences).characters) == read
    for part, words in {
        "5": "five", "-": "to", "10 km/h": "ten kilometers per hour", "e.g.": "for example",
        "3 m²": "three square meters", "of": "of", "API": "A P I",
    }.items():  # fmt: skip
        assert span(written(sentences), part) == span(normalized(sentences), words)


def test_captions_have_the_text_as_it_was_written() -> None:
    sentences = times("Dr. Ann has <2 & 3> canoes. Is it late?")
    assert captions(sentences, RATE, "vtt").splitlines()[:4] == [
        "WEBVTT", "", "00:00:00.100 --> 00:00:03.800", "Dr. Ann has &lt;2 &amp; 3&gt; canoes.",
    ]  # fmt: skip
    lines = captions(sentences, RATE, "srt").splitlines()
    assert lines[:3] == ["1", "00:00:00,100 --> 00:00:03,800", "Dr. Ann has <2 & 3> canoes."]
    assert (lines[4], lines[6]) == ("2", "Is it late?")


def test_a_long_sentence_has_several_captions_of_two_lines_at_most() -> None:
    text = "The birch canoe slid on the smooth planks and the juice of lemons makes fine punch for all who came here."
    found = list(cues(times(text), RATE))
    assert len(found) > 1
    assert " ".join(cue.text.replace("\n", " ") for cue in found) == text
    assert all(len(line) <= 42 for cue in found for line in cue.text.splitlines())
    assert all(cue.end - cue.start <= 6.0 for cue in found)
    assert all(before.end <= after.start for before, after in pairwise(found))


# Over the wire

TEXT = "Dr. Ann slid. Is it late? No!"
NAMES = ("words", "phonemes", "visemes")


@pytest.fixture(scope="module")
def job(server: Server) -> str:
    """The URL of a job that says the text."""
    return f"{server.url}/v1/jobs/{server.speak(input=TEXT).headers['x-job-id']}"


def times_of(job: str, rate: int) -> dict[str, list[dict[str, Any]]]:
    """What a job tells, at this rate, without where words were written."""

    def at_rate(entry: dict[str, Any]) -> dict[str, Any]:
        edges = {name: round(entry[name] * rate / 16000) for name in ("start", "end")}
        return {name: value for name, value in entry.items() if not name.startswith("text_")} | edges

    told = httpx.get(f"{job}/timestamps").json()
    return {name: [at_rate(entry) for entry in told[name]] for name in NAMES}


def test_words_of_a_job(job: str) -> None:
    found, samples = httpx.get(f"{job}/timestamps").json(), httpx.get(job).json()["samples_total"]
    assert (found["object"], found["job"], found["sample_rate"], found["complete"]) == (
        "timestamps", job.rpartition("/")[2], 16000, True,
    )  # fmt: skip
    words, phonemes, visemes = (found[name] for name in NAMES)
    assert [word["word"] for word in words] == ["doctor", "ann", "slid", "is", "it", "late", "no"]
    assert 0 < words[0]["start"] < words[-1]["end"] < samples
    for timed in (words, phonemes):
        assert all(entry["start"] < entry["end"] for entry in timed)
        assert all(before["end"] <= after["start"] for before, after in pairwise(timed))
    for word in words:  # phonemes fill the words
        inner = [phoneme for phoneme in phonemes if word["start"] <= phoneme["start"] < word["end"]]
        assert (inner[0]["start"], inner[-1]["end"]) == (word["start"], word["end"])
    assert sum(p["end"] - p["start"] for p in phonemes) == sum(w["end"] - w["start"] for w in words)
    assert [p["phoneme"] for p in phonemes[:6]] == ["D", "AA1", "K", "T", "ER0", "AE1"]
    assert [(v["start"], v["end"]) for v in visemes] == [(p["start"], p["end"]) for p in phonemes]
    assert [(v["viseme"], v["viseme_id"]) for v in visemes] == [viseme_of(p["phoneme"]) for p in phonemes]


@pytest.mark.parametrize("form", ["mp3", "pcm"])
def test_sse_has_the_times_of_the_job_at_the_rate_of_its_bytes(server: Server, job: str, form: str) -> None:
    request, rate = {"input": TEXT, "response_format": form}, 24000 if form == "pcm" else 16000
    events, sound = events_of(server.speak(**request, stream_format="sse", timestamps=["word", "phoneme", "viseme"]))
    assert sound == server.speak(**request).content
    told = [event for event in events if event["type"] == "speech.audio.timestamps"]
    assert (len(told), events[0]) == (3, told[0])
    assert {name: [entry for event in told for entry in event[name]] for name in NAMES} == times_of(job, rate)
    assert {event["sample_rate"] for event in told} == {rate}
    events, _ = events_of(server.speak(**request, stream_format="sse", timestamps=["phoneme"]))
    assert set(events[0]) == {"type", "sample_rate", "phonemes"}


@pytest.mark.parametrize("rate", [16000, 24000])
def test_utterances_of_a_session_have_the_times_of_the_job(server: Server, job: str, rate: int) -> None:
    talk = spoken(server, TEXT, timestamps=["word", "phoneme", "viseme"], sample_rate=rate)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    offset = 0
    for heard in talk.heard.values():
        for name in NAMES:
            edges = [{edge: entry[edge] + offset for edge in ("start", "end")} for entry in heard.start[name]]
            found[name] += [entry | own for entry, own in zip(heard.start[name], edges, strict=True)]
        offset += len(heard.sound) // 2
    assert found == times_of(job, rate)
    for wanted, told in (([], set()), (["phoneme"], {"phonemes"})):
        for heard in spoken(server, TEXT, timestamps=wanted).heard.values():
            assert set(NAMES) & set(heard.start) == told


def test_json_has_the_times_of_the_job(server: Server, job: str) -> None:
    request = {"input": TEXT, "response_format": "wav"}
    response, plain = server.speak(**request, stream_format="json", timestamps=["word"]), server.speak(**request)
    found = response.json()
    assert set(found) == {"object", "audio", "audio_format", "sample_rate", "seed", "words", "usage"}
    assert base64.b64decode(found["audio"]) == plain.content
    assert (found["audio_format"], found["sample_rate"], found["seed"]) == ("audio/wav", 16000, 7)
    assert found["words"] == times_of(job, 16000)["words"]
    assert found["usage"]["output_tokens"] == (len(plain.content) - 44) // 2
    for name in ("x-seed", "x-model", "x-voice", "x-engine", "x-model-sha256"):
        assert response.headers[name] == plain.headers[name]
    assert not set(NAMES) & server.speak(stream_format="json").json().keys()
    found = server.generate(stream_format="json", duration=0.2).json()
    assert base64.b64decode(found["audio"]) == server.generate(duration=0.2).content


def test_words_of_a_job_say_where_they_were_written(server: Server) -> None:
    response = server.speak(input="<speak>😀 <break/>5-10&#160;km &amp; API.</speak>", input_format="ssml")
    found = httpx.get(f"{server.url}/v1/jobs/{response.headers['x-job-id']}/timestamps").json()
    text = found["text"]
    assert text == "😀 5-10 km & API."
    assert [(word["word"], text[word["text_start"] : word["text_end"]]) for word in found["words"]] == [
        ("grinning", "😀"), ("face", "😀"), ("five", "5"), ("to", "-"), ("ten", "10 km"),
        ("kilometers", "10 km"), ("and", "&"), ("A", "API"), ("P", "API"), ("I", "API"),
    ]  # fmt: skip


def test_captions_are_valid_vtt_and_srt(server: Server, job: str) -> None:
    url = f"{job}/captions"
    webvtt, subrip = httpx.get(url), httpx.get(url, params={"format": "srt"})
    assert webvtt.headers["content-type"] == "text/vtt; charset=utf-8"
    assert subrip.headers["content-type"] == "application/x-subrip; charset=utf-8"
    cues = [cue.split("\n") for cue in webvtt.text.removesuffix("\n").split("\n\n")]
    assert (cues[0], [text for _, text in cues[1:]]) == (["WEBVTT"], ["Dr. Ann slid.", "Is it late?", "No!"])
    words = times_of(job, 16000)["words"]  # a cue lasts from its first to its last word
    edges = [f"00:00:{words[n]['start'] / 16000:06.3f} --> 00:00:{words[m]['end'] / 16000:06.3f}" for n, m in
             ((0, 2), (3, 5), (6, 6))]  # fmt: skip
    assert [times for times, _ in cues[1:]] == edges
    assert subrip.text == "\n".join(
        f"{n}\n{times.replace('.', ',')}\n{text}\n" for n, (times, text) in enumerate(cues[1:], 1)
    )
    check_envelope(httpx.get(url, params={"format": "ass"}), 400, "format")
    for response in (webvtt, subrip):
        again = httpx.get(response.url, headers={"if-none-match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert webvtt.headers["etag"] != subrip.headers["etag"]


def test_a_job_without_words(server: Server) -> None:
    job = server.generate(duration=0.1).headers["x-job-id"]
    for name in ("timestamps", "captions"):
        assert check_envelope(httpx.get(f"{server.url}/v1/jobs/{job}/{name}"), 409, None)["code"] == "no_words"
