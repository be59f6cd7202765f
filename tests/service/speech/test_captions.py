"""The times of characters and captions: what is written, when it is read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ancestral.models.text import InputFormat, UnsupportedText, parse_text, phonemize
from ancestral.service.speech.alignment import Alignment, normalized, written
from ancestral.service.speech.captions import captions, cues
from ancestral.service.speech.text_parts import written_parts
from ancestral.service.speech.timestamps import SentenceTimes
from ancestral.speech.timing import Timing

RATE = 1000
PHONEME_SAMPLES = 100


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


def characters(alignment: Alignment) -> list[tuple[str, int]]:
    """Each character, and when it begins."""
    return [(char, start) for char, (start, _) in zip(alignment.characters, alignment.spans, strict=True)]


def test_quantities_and_abbreviations_in_time() -> None:
    sentences = times("5-10 km/h, e.g. 3 m² of H2O.")
    # sil; five, 3 phonemes; to, 2; ten kilometers per hour, 16; a pause; for example, 10; three square meters, 13; …
    assert characters(written(sentences)) == [
        ("5", 100), ("-", 400),
        ("1", 600), ("0", 828), (" ", 1057), ("k", 1285), ("m", 1514), ("/", 1742), ("h", 1971), (",", 2200),
        (" ", 2250),
        ("e", 2300), (".", 2550), ("g", 2800), (".", 3050), (" ", 3300),
        ("3", 3300), (" ", 3625), ("m", 3950), ("²", 4275), (" ", 4600),
        ("o", 4600), ("f", 4700), (" ", 4800), ("H", 4800), ("2", 5000), ("O", 5200), (".", 5300),
    ]  # fmt: skip
    assert captions(sentences, RATE, "vtt") == (
        "WEBVTT\n\n00:00:00.100 --> 00:00:05.300\n5-10 km/h, e.g. 3 m² of H2O.\n"
    )


def test_spelled_words_in_time() -> None:
    sentences = times("The API of V2 is “new”.")
    assert characters(written(sentences)) == [
        ("T", 100), ("h", 166), ("e", 233), (" ", 300), ("A", 300), ("P", 433), ("I", 566), (" ", 700),
        ("o", 700), ("f", 800), (" ", 900), ("V", 900), ("2", 1100), (" ", 1300), ("i", 1300), ("s", 1400), (" ", 1500),
        ("“", 1500), ("n", 1500), ("e", 1600), ("w", 1700), ("”", 1800), (".", 1850),
    ]  # fmt: skip
    assert "".join(normalized(sentences).characters) == "the A P I of V two is new. "
    assert captions(sentences, RATE, "srt") == "1\n00:00:00,100 --> 00:00:01,800\nThe API of V2 is “new”.\n"


def test_titles_emoji_money_and_dates_in_time() -> None:
    sentences = times("Dr. Ann (😀😀) paid $5.20 — on 3 March 1847. Really?!")
    assert characters(written(sentences)) == [
        ("D", 100), ("r", 266), (".", 433), (" ", 600), ("A", 600), ("n", 666), ("n", 733), (" ", 800),
        ("(", 900), ("😀", 900), ("😀", 1800), (")", 1833), (" ", 1866),
        ("p", 1900), ("a", 1975), ("i", 2050), ("d", 2125), (" ", 2200),
        ("$", 2200), ("5", 2640), (".", 3080), ("2", 3520), ("0", 3960), (" ", 4400), ("—", 4433), (" ", 4466),
        ("o", 4500), ("n", 4600), (" ", 4700), ("3", 4700), (" ", 4908),
        ("M", 5116), ("a", 5325), ("r", 5533), ("c", 5741), ("h", 5950), (" ", 6158),
        ("1", 6366), ("8", 6575), ("4", 6783), ("7", 6991), (".", 7200), (" ", 7250),
        ("R", 7400), ("e", 7466), ("a", 7533), ("l", 7600), ("l", 7666), ("y", 7733), ("?", 7800), ("!", 7850),
    ]  # fmt: skip
    # A date is not parted.
    assert captions(sentences, RATE, "srt") == (
        "1\n00:00:00,100 --> 00:00:04,700\nDr. Ann (😀😀) paid $5.20 — on\n\n"
        "2\n00:00:04,700 --> 00:00:07,200\n3 March 1847.\n\n"
        "3\n00:00:07,400 --> 00:00:07,800\nReally?!\n"
    )


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
