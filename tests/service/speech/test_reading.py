"""How a text is read, and by whom: phonemes, pauses, lexicons, SSML, mixed voices, casts; the same at every door."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock
from urllib.parse import quote, unquote

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError

from ancestral.catalog.catalog import Catalog, read_lexicon
from ancestral.catalog.seeds import part_seed
from ancestral.speech import timestamps
from ancestral.speech.sampler import Timing
from ancestral.speech.timestamps import captions, cues
from ancestral_models.entries import ModelError
from ancestral_models.text import InputFormat, Sentence, UnsupportedText, Word, parse_text, phonemize
from ancestral_models.text.phonemes import viseme_of
from ancestral_service.errors import NotReady
from ancestral_service.speech import timeline
from ancestral_service.speech.timeline import Timeline
from tests.service.api.job_requests import check_envelope, made, verify
from tests.service.servers import Server
from tests.service.speech.sounds import events_of
from tests.service.ws_client import begun, resumed, spoken, whole

NGINX = {"Nginx": "EH1 N JH IH0 N EH1 K S"}
SSML = {"input_format": "ssml"}


def test_the_same_words_sound_the_same_however_they_are_written(server: Server) -> None:
    given = whole(server, "Use [[EH1 N JH IH0 N EH1 K S]] now.")
    ssml = '<speak>Use <phoneme alphabet="x-arpabet" ph="EH1 N JH IH0 N EH1 K S">Nginx</phoneme> now.</speak>'
    assert whole(server, "Use Nginx now.", pronunciations=NGINX) == whole(server, ssml, **SSML) == given
    assert whole(server, "Use Nginx now.") != given
    aliases = {"nyc": "alias: New York", "new haven": "HH AH0 L OW1", "three": "alias:2.5"}
    assert whole(server, "NYC's New Haven, three.", pronunciations=aliases) == whole(
        server, "New York's [[HH AH0 L OW1]], 2.5."
    )
    longer = server.speak(input="a " * 2000, pronunciations={"a": "alias:" + "a " * 100})
    assert (longer.status_code, longer.json()["error"]["param"]) == (400, "input")
    empty = server.speak(pronunciations={"a": "alias: "})
    assert (empty.status_code, empty.json()["error"]["param"]) == (400, "pronunciations")


def test_instructions_say_it_as_tags_do(server: Server) -> None:
    for instructions, text, left in (
        ("Whisper, please.", "[whispers] No! [voice:bob] [whispers] No!", ""),
        (
            "Slow and in a PIRATE's voice; don't be loud",
            "[slowly] No! [voice:bob] [slowly] No!",
            "pirate's, don't be loud",
        ),
    ):
        found = server.speak(input="No! [voice:bob] No!", instructions=instructions)
        assert found.content == server.speak(input=text).content
        assert unquote(found.headers.get("x-skipped", "")) == left
    both = server.speak(input="No!", instructions="Speak quickly: fast, excited and quiet.")
    ssml = '<speak><prosody rate="1.375" pitch="+2st">No!</prosody></speak>'
    louder = server.speak(input=ssml, instructions="quietly", **SSML)
    assert both.content == louder.content != server.speak(input=ssml, **SSML).content
    assert (
        server.speak(input="[normal] No!", instructions="whisper").content
        == server.speak(input="[whispers] No!").content
    )
    for instructions in ("Be yourself.", "Don't whisper.", "[pause]"):
        refused = server.speak(instructions=instructions)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "instructions")
    manifest = made(server, input="No!", instructions="whisper")
    assert manifest["request"]["instructions"] == "whisper"
    assert verify(server, manifest).json()["equal"]


def test_a_mix_is_exact_and_weights_that_scale_give_the_same_bytes(server: Server) -> None:
    mixed = server.speak(voice="ann(2)+bob(1)")
    assert mixed.headers["x-voice"] == "ann(2)+bob(1)"
    for voice in ("bob(2)+ann(4)", {"ann": 2, "bob": 1}, {"bob": 0.5, "ann": 1}):
        assert server.speak(voice=voice).content == mixed.content
    others = [server.speak(voice=voice).content for voice in ("ann", "bob", "ann(1)+bob(2)")]
    assert len({mixed.content, *others}) == 4
    assert server.speak(voice={"ann": 1}).content == others[0]


def test_a_manifest_says_all_that_was_read(server: Server) -> None:
    lexicon = {"voice": "bob(2)+ann(4)", "input": "Nginx and more.", "pronunciations": NGINX | {"unused": "K"}}
    manifest = made(server, **lexicon)
    assert manifest["request"]["voice"] == "ann(2)+bob(1)"
    assert manifest["request"]["pronunciations"] == NGINX
    assert verify(server, manifest).json()["equal"]
    manifest = made(server, input="No!\nCARA: Is it late?\n[voice:bob] No!", voices=CAST)
    assert manifest["request"]["voices"] == CAST
    assert verify(server, manifest).json()["equal"]
    other = manifest | {"request": manifest["request"] | {"voices": CAST | {"CARA": "ann"}}}
    assert not verify(server, other).json()["equal"]


def test_phonemize_shows_what_is_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(**query: str) -> httpx.Response:
        return httpx.get(f"{server.url}/v1/audio/phonemize", params=query)

    (sentence,) = ask(text="Hi [pause:1s] [[K AE1 T]].").json()["sentences"]
    assert sentence["text"] == "hi, K AE1 T."
    assert sentence["phonemes"] == "sil HH AY1 , K AE1 T ."
    assert [item.get("seconds") for item in sentence["items"]] == [None, 1.0, None, None]
    slow = ask(text="<speak><prosody rate='50%'>Hi</prosody></speak>", **SSML).json()
    assert slow["sentences"][0]["items"][0]["rate"] == 0.5
    refused = ask(text="<!DOCTYPE speak><speak>Hi</speak>", **SSML)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "text")
    assert ask(input="[sighs] Say мир, мир.", voice="ann").json()["skipped"] == ["мир", "[sighs]"]
    for param, query in (
        ("text", {}), ("input", {"input": "мир"}), ("voice", {"text": "Hi", "voice": "zed"}),
        ("input", {"text": "One", "input": "Two"}),
    ):  # fmt: skip
        refused = ask(**query)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    british = SimpleNamespace(language="en-GB")
    monkeypatch.setattr(Catalog, "model_and_voice", lambda _, model, voice: (model, british))
    (sentence,) = ask(input="Z", voice="ann").json()["sentences"]
    assert sentence["phonemes"] == "sil Z EH1 D ."


def test_words_in_other_scripts_are_skipped_and_named(server: Server) -> None:
    assert "x-skipped" not in server.speak(input="Hi.").headers
    for count, length in ((20, 4), (5, 70)):  # 20 words, and 2 KiB
        words = [chr(0x430 + n) * length for n in range(21)]
        named = server.speak(input=f"Hi {' '.join(words)}").headers["x-skipped"].split(", ")
        assert [unquote(word) for word in named] == [word[:60] for word in words[:count]]
    tagged = server.speak(input="[laughs] [whispers] Hi.")
    assert (tagged.status_code, unquote(tagged.headers["x-skipped"])) == (200, "[laughs]")
    cast = server.speak(input="[voice:ann] мир [voice:bob] Hi.")
    assert (cast.status_code, cast.headers["x-skipped"]) == (200, quote("мир"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"ok": "K", "Nginx": "QQ"}', "Nginx"),
        ('{"Nginx": 1}', "Nginx"),
        ('{"Nginx": "K", "Nginx": "K"}', "given twice"),
        ("[", "JSON"),
        ("[]", "object"),
    ],
)
def test_a_wrong_lexicon_of_a_deployment_names_its_entry(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "lexicon.json"
    file.write_text(content)
    with pytest.raises(ModelError, match="pronunciations: ") as refused:
        read_lexicon(file)
    assert named in str(refused.value)


def test_the_lexicon_of_a_deployment_is_read(tmp_path: Path) -> None:
    file = tmp_path / "lexicon.json"
    file.write_text(json.dumps(NGINX))
    assert read_lexicon(file).entries == NGINX
    assert read_lexicon(None).entries == {}
    namespace = 'xmlns="http://www.w3.org/2005/01/pronunciation-lexicon"'
    phoneme = f'<phoneme alphabet="x-arpabet">{NGINX["Nginx"]}</phoneme>'
    pls = tmp_path / "lexicon.pls"
    pls.write_text(f"<lexicon {namespace}><lexeme><grapheme>Nginx</grapheme>{phoneme}</lexeme></lexicon>")
    assert read_lexicon(pls).entries == NGINX


# Several voices in one text

CAST = {"ANNA": "ann", "OLD BEN": "bob", "CARA": "ann(1)+bob(2)"}
LINES = ("It is late.", "No!", "Is the canoe here?", "Dr. Smith slid on the planks.", "He paid $3.50 for it.")
TURNS = [(list(CAST)[number * 2 % 3], f"{LINES[number % 5]}") for number in range(40)]
SCRIPT = "".join(f"{name}: {line}\n" for name, line in TURNS)
MARKED = "".join(f"[voice:{CAST[name]}]{line} " for name, line in TURNS)
PLAY = "".join(f'<voice name="{name}">{line}</voice>' for name, line in TURNS[1:])


def said(server: Server, *parts: tuple[str, str]) -> list[bytes]:
    """Each text, spoken by its voice as a text of its own, with the seed of its sentence."""
    return [whole(server, text, voice=voice, seed=part_seed(7, i)) for i, (voice, text) in enumerate(parts)]


@pytest.fixture(scope="module")
def turns(server: Server) -> list[bytes]:
    return said(server, *((CAST[name], line) for name, line in TURNS))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (SCRIPT, {"voices": CAST}),
        (MARKED, {}),
        (f"<speak>{TURNS[0][1]} <s>{PLAY}</s></speak>", {"voices": CAST} | SSML),
    ],
)
def test_every_turn_is_what_its_voice_says_alone(
    server: Server, turns: list[bytes], text: str, fields: dict[str, Any]
) -> None:
    assert len(set(turns)) == 40  # by seed and by voice
    assert whole(server, text, **fields) == b"".join(turns)


def test_a_nested_voice_goes_back_to_the_one_around_it(server: Server) -> None:
    document = '<speak>No! <voice name="bob">No! <voice name="CARA">No!</voice> No! </voice>No!</speak>'
    expected = said(server, *((voice, "No!") for voice in ("ann", "bob", CAST["CARA"], "bob", "ann")))
    assert whole(server, document, **SSML, voices=CAST) == b"".join(expected)


def test_a_session_says_a_script_in_pieces(server: Server, turns: list[bytes]) -> None:
    pieces = (SCRIPT[start : start + 61] for start in range(0, len(SCRIPT), 61))
    talk = spoken(server, *pieces, voices=CAST, timestamps=["word"])
    assert talk.sound == b"".join(turns)
    assert len(talk.heard) > 1
    words = [(word["speaker"], word["word"]) for heard in talk.heard.values() for word in heard.start["words"]]
    last = ("late", "no", "here", "planks", "it")
    assert [name for name, word in words if word in last] == [
        name for name, line in TURNS for word in re.findall(r"\b(?:late|No|here|planks|It|it)\b", line)
    ]


def test_a_voice_stays_until_the_next_one_or_the_end_of_the_input(server: Server) -> None:
    with begun(server, "No! [voice:bob] No! ", "Is it late? ", "Late. ANNA: No! ", voices={"ANNA": "ann"}) as talk:
        talk.finish()
        talk.write("No! ")
        talk.finish()
    by_bob = [("bob", text) for text in ("No!", "Is it late?", "Late.", "ANNA: No!")]
    assert talk.sound == b"".join(said(server, ("ann", "No!"), *by_bob, ("ann", "No!")))


def test_times_and_captions_name_the_speaker(server: Server) -> None:
    text = "No!\nANNA: It is late.\nNo!\nOLD BEN: <5 km."
    url = f"{server.url}/v1/jobs/{server.speak(input=text, voices=CAST).headers['x-job-id']}"
    told = httpx.get(f"{url}/timestamps").json()
    assert [(word["speaker"], told["text"][word["text_start"] : word["text_end"]]) for word in told["words"]] == [
        ("ann", "No"), ("ANNA", "It"), ("ANNA", "is"), ("ANNA", "late"), ("ANNA", "No"), ("OLD BEN", "<"),
        ("OLD BEN", "<"), ("OLD BEN", "5 km"), ("OLD BEN", "5 km"),
    ]  # fmt: skip
    for form, expected in (
        ("vtt", ["<v ann>No!", "<v ANNA>It is late.", "<v ANNA>No!", "<v OLD BEN>&lt;5 km."]),
        ("srt", ["ann: No!", "ANNA: It is late.", "ANNA: No!", "OLD BEN: <5 km."]),
    ):
        captions = httpx.get(f"{url}/captions", params={"format": form}).text
        assert re.findall(r"-->.*\n(.*)\n", captions) == expected
    one = server.speak(input="[voice:ann] No!", stream_format="json", timestamps=["word"]).json()
    assert set(one["words"][0]) == {"word", "start", "end"}  # one voice is not named


# When words, phonemes and characters are said, and captions: from the lengths of phonemes, and over the wire.


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


def times(text: str, form: InputFormat = "text") -> list[timestamps.SentenceTimes]:
    """The sentences of a text in which each phoneme takes a tenth of a second."""
    script, offset = parse_text(text, form), 0
    sentences, found = phonemize(script), []
    for sentence, parts in zip(sentences, timestamps.written_parts(script.written, sentences), strict=True):
        timing = Timing.of(np.arange(1, len(sentence.phones) + 1) * PHONEME_SAMPLES)
        words = tuple((offset + start, offset + end) for start, end in timing.words(sentence))
        found.append(timestamps.SentenceTimes(sentence, parts, (offset, offset + timing.length), words, ()))
        offset += timing.length
    return found


def test_times_that_cannot_be_read_are_an_error_as_sound_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "PATIENCE_SECONDS", 0.0)
    broker = AsyncMock()
    broker.timings.side_effect = RedisConnectionError
    plan = Mock(written="Yes.", sentences=phonemize(parse_text("Yes.")))
    with pytest.raises(NotReady):
        asyncio.run(Timeline(broker, Mock(), plan, RATE).all())


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
    found = timestamps.written(sentences)
    assert "".join(found.characters) == text
    assert [start for start, _ in found.spans] == starts
    assert captions(sentences, RATE, "srt") == "\n".join(f"{n}\n{cue}\n" for n, cue in enumerate(subrip, 1))


def test_tags_and_directives_are_not_shown() -> None:
    document = (
        '<speak><s>R&amp;D <break time="1s"/>at <sub alias="World Wide Web">WWW</sub>.</s>'
        '<s><sub alias="now"></sub> <say-as interpret-as="characters">B2</say-as></s></speak>'
    )
    sentences = times(document, "ssml")
    assert "".join(timestamps.written(sentences).characters) == "\n\nR&D at WWW.\n\n\n\n B2\n\n"
    assert [cue.text for cue in cues(sentences, RATE)] == ["R&D at WWW.", "B2"]
    plain = times("one [pause:2s] [[T UW1]] three [pause:1s]")
    assert [(cue.text, cue.start, cue.end) for cue in cues(plain, RATE)] == [("one T UW1 three", 0.1, 1.0)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It tore it in half. Москва was far.", ["It tore it in half.", "Москва was far."]),
        ("It was Москва. Was it far?", ["It was Москва.", "Was it far?"]),
        ("“It was late.” “Москва” was far.", ["“It was late.”", "“Москва” was far."]),
        ("It was late.\n\n— Yes.", ["It was late.", "— Yes."]),
        ("It was Москва\nМосква. Was it far?", ["It was Москва Москва.", "Was it far?"]),
    ],
)
def test_a_skipped_word_is_shown_with_its_sentence(text: str, shown: list[str]) -> None:
    assert [cue.text for cue in cues(times(text), RATE)] == shown


def test_a_number_of_many_sentences_belongs_to_the_first() -> None:
    sentences = times("Say " + "1" * 100 + " twice. Once more.")
    assert len(sentences) > 3
    assert "".join(timestamps.written(sentences).characters) == "Say " + "1" * 100 + " twice. Once more."
    assert [cue.text for cue in cues(sentences, RATE)] == ["Say", "1" * 100, "twice.", "Once more."]


PIECES = ["Hello", "$5", "3/4/2020,", "…", "really?", "Dr.", "e.g.", "—", "No!", "😀", "A&B", "\n\n", "1,000.", "(x)"]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map(" ".join))
def test_every_character_has_a_time(text: str) -> None:
    try:
        sentences = times(text)
    except UnsupportedText:
        return
    assert "".join(timestamps.written(sentences).characters) == text
    for alignment in (timestamps.written(sentences), timestamps.normalized(sentences)):
        edges = [sample for span in alignment.spans for sample in span]
        assert edges == sorted(edges)
        assert edges[-1] == sentences[-1].span[1] or len(sentences) > 1
    assert all(cue.start <= cue.end for cue in cues(sentences, RATE))


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
    assert sum(p["end"] - p["start"] for p in phonemes) == sum(w["end"] - w["start"] for w in words)
    assert [p["phoneme"] for p in phonemes[:6]] == ["D", "AA1", "K", "T", "ER0", "AE1"]
    assert [(v["start"], v["end"]) for v in visemes] == [(p["start"], p["end"]) for p in phonemes]
    assert [(v["viseme"], v["viseme_id"]) for v in visemes] == [viseme_of(p["phoneme"]) for p in phonemes]


def test_sse_has_the_times_of_the_job_at_the_rate_of_its_bytes(server: Server, job: str) -> None:
    request, rate = {"input": TEXT, "response_format": "pcm"}, 24000
    events, sound = events_of(server.speak(**request, stream_format="sse", timestamps=["word", "phoneme", "viseme"]))
    assert sound == server.speak(**request).content
    told = [event for event in events if event["type"] == "speech.audio.timestamps"]
    assert (len(told), events[0]) == (3, told[0])
    assert {name: [entry for event in told for entry in event[name]] for name in NAMES} == times_of(job, rate)
    assert {event["sample_rate"] for event in told} == {rate}
    events, _ = events_of(server.speak(**request, stream_format="sse", timestamps=["phoneme"]))
    assert set(events[0]) == {"type", "sample_rate", "phonemes"}


def test_utterances_of_a_session_have_the_times_of_the_job(server: Server, job: str) -> None:
    talk = spoken(server, TEXT, timestamps=["word", "phoneme", "viseme"], sample_rate=24000)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    offset = 0
    for heard in talk.heard.values():
        for name in NAMES:
            edges = [{edge: entry[edge] + offset for edge in ("start", "end")} for entry in heard.start[name]]
            found[name] += [entry | own for entry, own in zip(heard.start[name], edges, strict=True)]
        offset += len(heard.sound) // 2
    assert found == times_of(job, 24000)
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
    check_envelope(httpx.get(url, params={"format": "ass"}), 400, "format")
    for response in (webvtt, subrip):
        again = httpx.get(response.url, headers={"if-none-match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert webvtt.headers["etag"] != subrip.headers["etag"]


def test_a_job_without_words(server: Server) -> None:
    job = server.generate(duration=0.1).headers["x-job-id"]
    for name in ("timestamps", "captions"):
        assert check_envelope(httpx.get(f"{server.url}/v1/jobs/{job}/{name}"), 409, None)["code"] == "no_words"


def test_a_session_resumes_within_a_script(server: Server, turns: list[bytes]) -> None:
    with begun(server, SCRIPT[:700], voices=CAST) as talk:
        talk.until_bytes(60_000)
        talk.write(SCRIPT[700:])
        talk.say("input.done")
        # Sound of the second message: a connection that is reset loses what the server has not read yet.
        talk.until_bytes(sum(map(len, turns[: SCRIPT[:700].count("\n") + 1])) + 10_000)
        talk.vanish()
    sample = len(talk.sound) // 2 - 3000
    assert talk.sound[: 2 * sample] + resumed(server, talk, sample).sound == b"".join(turns)
