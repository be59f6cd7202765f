"""The whole way: sentences, their invariants on any Unicode string, length, speed, and what importing costs."""

import random
import subprocess
import sys
from itertools import pairwise

import pytest

from ancestral.models.text import PHONEMES, UnsupportedText, phonemize
from ancestral.models.text.phonemes import PAUSES
from tests.models.text.texts import POOLS

SENTENCES = {
    "Dr. Smith paid 3.5 dollars, e.g. this. Then he left!": 2,
    "The U.S. economy grew. Did it?": 2,
    "Mr. and Mrs. Jones live at 5 Main St. near St. Louis.": 1,
    "Wait... what? No! Yes.": 3,
    "J. K. Rowling wrote it, i.e. she did, vs. him, etc.": 1,
    'He said "Stop." She didn\'t.': 2,
    "It costs $3.50. Version 1.2.3 is out. See example.com. Bye": 4,
    "At 10:30 a.m. we met Prof. Lee; at 5 p.m. Then home.": 2,
}
ORDINARY = [
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "She wondered whether anybody had noticed the difference.",
    "My grandmother's recipe calls for two cups of flour.",
    "Nobody could've guessed how the story would end.",
    "Turn left at the traffic lights, then keep going.",
    "The committee's decision was entirely predictable.",
    "Would you mind opening the window a little?",
    "Photographers gathered outside the courthouse on Tuesday.",
    "An unusually cold winter damaged the orchards.",
    "Please leave your shoes by the door.",
    "Machines that talk are older than most people think.",
    "I haven't seen him since the beginning of autumn.",
    "What a wonderful surprise!",
    "The orchestra rehearsed until midnight.",
    "Their daughter studies marine biology in Lisbon.",
    "Fresh bread smells better than it tastes.",
]


def check(sentence):
    phones, starts = sentence.phones, sentence.word_starts
    assert set(phones) <= set(PHONEMES)
    assert phones[0] == "sil"
    assert phones[-1] in (".", "?", "!", ",")
    assert len(starts) == len(phones)
    assert sum(starts) == sum(not isinstance(item, str) for item in sentence.items) >= 1
    assert not any(a in PAUSES and b in PAUSES for a, b in pairwise(phones))
    assert not any(start and phone in PAUSES for start, phone in zip(starts, phones, strict=True))


@pytest.mark.parametrize(("text", "count"), SENTENCES.items())
def test_sentences_are_split_where_they_end(text, count):
    sentences = phonemize(text)
    assert len(sentences) == count
    for sentence in sentences:
        check(sentence)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_sentence(text):
    (sentence,) = phonemize(text)
    check(sentence)
    words = [item.text for item in sentence.items if not isinstance(item, str)]
    assert words == text.lower().replace(",", "").strip(".?!").split()
    assert sentence.phones[-1] == text[-1]
    assert any(phone.endswith("1") for phone in sentence.phones)


def test_one_sentence_in_full():
    (sentence,) = phonemize("Hello, the world?")
    assert sentence.text == "hello, the world?"
    assert " ".join(sentence.phones) == "sil HH EH0 L OW1 , DH AX0 W ER1 L D ?"
    assert [i for i, start in enumerate(sentence.word_starts) if start] == [1, 6, 8]


@pytest.mark.parametrize(
    "text",
    [
        " ".join(["the cat saw a very large dog, because it was there"] * 20),
        " ".join(["cats and dogs met birds"] * 30),
        " ".join(["zebra"] * 200),
        "1" * 4096,
        "internationalization " * 60,
        "x" * 4096,
    ],
)
def test_long_sentences_are_cut_to_about_fifteen_seconds_and_lose_no_word(text):
    sentences = phonemize(text)
    whole = " ".join(sentence.text.rstrip(".") for sentence in sentences).replace(",", "").split()
    assert sum(sum(sentence.word_starts) for sentence in sentences) == len(whole)
    for sentence in sentences:
        check(sentence)
        assert sum(sentence.word_starts) <= 40
        assert len(sentence.phones) <= 202


def test_long_sentences_are_cut_at_phrase_pauses():
    first, *_ = phonemize(", ".join(["the old man walked slowly down to the harbour"] * 6) + ".")
    assert first.text.endswith("harbour.")


def sentences_or_reason(text):
    try:
        return phonemize(text)
    except UnsupportedText as error:
        return str(error)


@pytest.mark.parametrize("seed", range(8))
def test_any_string_gives_phones_or_a_reason(seed):
    generator = random.Random(seed)
    spoken = 0
    for _ in range(400):
        pools = generator.sample(POOLS, generator.randint(1, 3))
        length = generator.choice([1, 2, 3, 8, 30])
        text = "".join(generator.choice(generator.choice(pools)) for _ in range(length))
        outcome = sentences_or_reason(text)
        if isinstance(outcome, str):
            assert outcome.startswith(("cannot speak", "nothing to speak")), ascii(text)
            continue
        spoken += 1
        assert outcome, ascii(text)
        for sentence in outcome:
            check(sentence)
    assert spoken > 100


@pytest.mark.parametrize(
    "unit", ["1", "1.", "1-", "1/", "1,", "a.", "a@", "(", "<a", "W", "aA", ".", "$", "😂", "#a", "'", "-"]
)
def test_the_longest_request_becomes_sentences_of_bounded_length(unit):
    sentences = phonemize((unit * 4096)[:4095] + "b")
    assert sentences
    for sentence in sentences:
        check(sentence)
        assert sum(not isinstance(item, str) for item in sentence.items) <= 40


def test_import_is_light():
    heavy = {"torch", "num2words", "pycrfsuite", "gruut"}
    code = f"import sys, ancestral.models.text\nprint(sorted({heavy!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
