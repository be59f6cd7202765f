"""Where what is spoken was written."""

from __future__ import annotations

import random
import re
import unicodedata
from itertools import groupby, pairwise
from typing import Any

import pytest

from ancestral.models.text import Pronunciations, Script, UnsupportedText, Word, parse_text, phonemize
from ancestral.models.text.spans import SpannedText, disjoint
from tests.models.text.texts import EXAMPLES, POOLS

LEXICON = Pronunciations({"k8s": "K EY1 T S", "tomato": "təˈmeɪtoʊ"})
# docs/text.md: bullets, lines, boxes and ornaments.
_DECORATION = re.compile("[─-◿✐-✒❘-❞❡-❧➲-➿]")


def words_of(script: Script) -> list[Word]:
    return [item for sentence in phonemize(script) for item in sentence.items if isinstance(item, Word)]


def read(text: str, *form: Any) -> list[tuple[str, str]]:
    """What is written, and how it is read: one pair for each span."""
    script = parse_text(text, *form)
    return [
        (script.written[slice(*span)], " ".join(word.text for word in words))
        for span, words in groupby(words_of(script), key=lambda word: word.span)
    ]


def ssml(content: str) -> list[tuple[str, str]]:
    return read(f"<speak>{content}</speak>", "ssml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there.", [("Hello", "hello"), ("there", "there")]),
        (
            "5-10 km/h, e.g. 3 m² of H2O.",
            [
                ("5", "five"), ("-", "to"), ("10 km/h", "ten kilometers per hour"), ("e.g.", "for example"),
                ("3 m²", "three square meters"), ("of", "of"), ("H", "H"), ("2", "two"), ("O", "O"),
            ],
        ),
        ("The API of V2", [("The", "the"), ("API", "A P I"), ("of", "of"), ("V", "V"), ("2", "two")]),
        ("(Dr. Ann)", [("Dr.", "doctor"), ("Ann", "ann")]),
        ("$5.20 now", [("$5.20", "five dollars and twenty cents"), ("now", "now")]),
        ("$15/hour", [("$15", "fifteen dollars"), ("/", "per"), ("hour", "hour")]),
        ("It's 50%.", [("It's", "it's"), ("50%", "fifty percent")]),
        ("on 3 March 1847", [("on", "on"), ("3 March 1847", "the third of march eighteen forty seven")]),
        ("zip code 90210", [("zip", "zip"), ("code", "code"), ("90210", "nine zero two one zero")]),
        ("Henry VIII, etc.", [("Henry", "henry"), ("VIII", "the eighth"), ("etc", "et cetera")]),
        ("notes.pdf, AT&T", [("notes", "notes"), (".", "dot"), ("pdf", "P D F"), ("AT&T", "A T and T")]),
        ("see https://x.org/b.", [("see", "see"), ("https://x.org/b", "X dot org slash B")]),
        ("fun — really", [("fun", "fun"), ("really", "really")]),
        ("a -> b", [("a ->", "A right arrow"), ("b", "B")]),
        ("a twenty-one", [("a", "a"), ("twenty", "twenty"), ("one", "one")]),
        ("- \"one\"\n\n2. *two*", [("one", "one"), ("2", "two"), ("two", "two")]),
        ("❤️ 😀😀 great", [("❤️", "red heart"), ("😀", "grinning face"), ("great", "great")]),
        ("café ① ﬁne a​b­ Foo™", [
            ("café", "cafe"), ("①", "one"), ("ﬁne", "fine"), ("a​b­", "ab"), ("Foo™", "foo"),
        ]),
        ("2½ x³", [("2½", "two and one half"), ("x", "X"), ("³", "cubed")]),
    ],
)  # fmt: skip
def test_what_is_read_was_written_there(text: str, expected: list[tuple[str, str]]) -> None:
    assert read(text) == expected


def test_directives_are_not_written() -> None:
    text = "Say [pause:1s] [[HH AH0 L OW1]], k8s's [[ə ˈbɪt]]!"
    script = parse_text(text, "text", LEXICON)
    assert script.written == "Say  HH AH0 L OW1, k8s's ə ˈbɪt!"
    assert read(text, "text", LEXICON) == [
        ("Say", "say"), ("HH AH0 L OW1", "HH AH0 L OW1"), ("k8s's", "k8s's"), ("ə ˈbɪt", "ə ˈbɪt"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("R&amp;D <p>Is &lt; 3</p>", [("R&D", "R and D"), ("Is", "is"), ("<", "less than"), ("3", "three")]),
        ('the <sub alias="World Wide Web">WWW</sub>.', [("the", "the"), ("WWW", "world wide web")]),
        ('<say-as interpret-as="characters">B2</say-as>', [("B", "B"), ("2", "two")]),
        ('<say-as interpret-as="date">2/3/2020</say-as>', [("2/3/2020", "february third twenty twenty")]),
        ('a<break time="1s"/><phoneme ph="ə bɪt">big dog</phoneme>', [("a", "a"), ("big dog", "big dog")]),
        ('<prosody rate="slow">one</prosody>\n  two', [("one", "one"), ("two", "two")]),
    ],
)  # fmt: skip
def test_tags_are_not_written(content: str, expected: list[tuple[str, str]]) -> None:
    assert ssml(content) == expected


def is_silent(text: str, at: int) -> bool:
    """Whether a character is one of those that docs/text.md lists as having no sound."""
    char, category = text[at], unicodedata.category(text[at])
    if (
        char.isspace()
        or category in ("Cf", "Sk")
        or category[0] in "PM"
        or char in "|~>⁄∕ʹʼ"
        or _DECORATION.match(char)
    ):
        return True
    return category == "So" and char in text[:at]  # a row of the same emoji is read once


def check(script: Script) -> None:
    text, spans = script.written, [word.span for word in words_of(script)]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(before == after or before[1] <= after[0] for before, after in pairwise(spans))
    assert all(text[slice(*span)] == text[slice(*span)].strip() for span in spans)
    spoken = {at for span in set(spans) for at in range(*span)}
    assert [text[at:] for at in range(len(text)) if at not in spoken and not is_silent(text, at)] == []


def test_everything_that_is_written_is_read_or_listed_as_silent() -> None:
    for example in EXAMPLES:
        check(parse_text(example.written))


@pytest.mark.parametrize("seed", range(2))
def test_any_text_has_its_spans(seed: int) -> None:
    generator = random.Random(seed)
    written = [token for example in EXAMPLES for token in example.written.split()] + [
        "[pause:1s]",
        "[[K AE1 T]]",
        "k8s",
    ]
    for _ in range(300):
        pools = generator.sample(POOLS, generator.randint(1, 3))
        choices = [
            "".join(generator.choice(generator.choice(pools)) for _ in range(generator.choice([1, 3, 8, 30]))),
            "".join(generator.choice(written) + generator.choice([" ", "\n", "", "-", "/", ". "]) for _ in range(8)),
        ]
        for text in choices:
            try:
                script = parse_text(text, "text", LEXICON)
                check(script)
            except UnsupportedText:
                continue


def test_a_replacement_keeps_what_it_has_in_common_with_the_match() -> None:
    text = SpannedText.of("pay $15/hour now", 100).sub(re.compile(r"\$\d+/hour"), " $15 per hour ")
    assert text.text == "pay  $15 per hour  now"
    assert text.spans[4:19] == [
        (104, 104), (104, 105), (105, 106), (106, 107), *[(107, 108)] * 5, *((at, at + 1) for at in range(108, 112)),
        (112, 112), (112, 113),
    ]  # fmt: skip


def test_words_are_never_cut() -> None:
    assert SpannedText.of("etc.", 0).sub(re.compile(r"etc\."), "et cetera .").spans == [*[(0, 3)] * 10, (3, 4)]


def test_what_is_removed_belongs_to_its_neighbour() -> None:
    removed = SpannedText.of("a--b", 0).sub(re.compile("--"), "")
    assert (removed.text, removed.spans) == ("ab", [(0, 3), (3, 4)])
    assert SpannedText.of("http://b", 0).sub(re.compile(".+"), "b").spans == [(0, 8)]


def test_spans_that_overlap_become_one() -> None:
    assert disjoint([(0, 2), (2, 4), (5, 8), (6, 7), (6, 9), (9, 9)]) == [(0, 2), (2, 4), *[(5, 9)] * 3, (9, 9)]
    assert disjoint([(0, 1), (4, 5), (2, 3), (6, 7)]) == [(0, 1), (2, 5), (2, 5), (6, 7)]
