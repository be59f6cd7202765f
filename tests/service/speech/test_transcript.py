"""Which words belong to which part of a text, and the times of its characters and captions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ancestral.models.text import PhonemeSequence, UnsupportedText, parse_text, phonemize
from ancestral.service.speech.alignment import Alignment, normalized, written
from ancestral.service.speech.captions import captions, cues
from ancestral.service.speech.timestamps import SentenceTimes
from ancestral.service.speech.timing import Timing
from ancestral.service.speech.transcript import transcribe

RATE = 16000
PHONEME_SAMPLES = 1600


def parts(text: str) -> list[tuple[str, str]]:
    """What is spoken of each token, and its words."""
    return [
        (token.text[token.before : token.before + token.spoken], " ".join(sentence.words[token.first : token.last]))
        for sentence in transcribe(parse_text(text))
        for token in sentence.written
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there.", [("Hello", "hello"), ("there", "there")]),
        ("(Dr. Ann)", [("Dr", "doctor"), ("Ann", "ann")]),
        ("$5.20 now", [("$5.20", "five dollars and twenty cents"), ("now", "now")]),
        ("fun — really", [("fun", "fun"), ("", ""), ("really", "really")]),
        ("😀 great", [("😀", "grinning face"), ("great", "great")]),
        ("a twenty-one-year-old", [("a", "a"), ("twenty-one-year-old", "twenty one year old")]),
        ("It's 50%.", [("It's", "it's"), ("50%", "fifty percent")]),
    ],
)
def test_words_are_found_in_the_text(text: str, expected: list[tuple[str, str]]) -> None:
    assert parts(text) == expected


def times(text: str) -> list[SentenceTimes]:
    """The sentences of a text in which each phoneme takes a tenth of a second."""
    found: list[SentenceTimes] = []
    offset = 0
    for sentence, transcript in zip(phonemize(text), transcribe(parse_text(text)), strict=True):
        phonemes = PhonemeSequence.of(sentence)
        timing = Timing.of(np.arange(1, len(phonemes.phones) + 1) * PHONEME_SAMPLES)
        words = tuple((offset + start, offset + end) for start, end in timing.words(phonemes))
        found.append(SentenceTimes(transcript, (offset, offset + timing.length), words, ()))
        offset += timing.length
    return found


@given(
    st.lists(
        st.sampled_from(
            [
                "Hello",
                "$5",
                "3/4/2020,",
                "…",
                "really?",
                "Dr.",
                "e.g.",
                "—",
                "No!",
                "😀",
                "A&B",
                "\n\n",
                "1,000.",
                "(x)",
            ]
        ),
        min_size=1,
        max_size=12,
    ).map(" ".join)
)
def test_every_character_has_a_time(text: str) -> None:
    try:
        sentences = times(text)
    except UnsupportedText:
        return
    for alignment, whole in ((written(sentences), text), (normalized(sentences), None)):
        _check(alignment, sentences)
        if whole is not None:
            assert "".join(alignment.characters) == whole
    assert all(cue.start <= cue.end for cue in cues(sentences, RATE))


def _check(alignment: Alignment, sentences: list[SentenceTimes]) -> None:
    edges = [sample for span in alignment.spans for sample in span]
    assert edges == sorted(edges)
    assert edges[-1] == sentences[-1].span[1] or len(sentences) > 1


def test_characters_of_a_word_share_its_time() -> None:
    (sentence,) = times("Hi, Ann.")
    alignment = written([sentence])
    assert "".join(alignment.characters) == "Hi, Ann."
    (hi, ann) = sentence.word_spans
    assert alignment.spans[0][0], alignment.spans[1][1] == hi
    assert (alignment.spans[4][0], alignment.spans[6][1]) == ann
    assert (alignment.spans[2][0], alignment.spans[3][1]) == (hi[1], ann[0])
    assert alignment.spans[7] == (ann[1], sentence.span[1])


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
