"""Text in pieces: complete sentences come out as soon as they are certain, and nothing is spoken otherwise for it."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ancestral.models.text import UnsupportedText, parse_text, phonemize
from ancestral.models.text.characters import NothingToSpeak
from ancestral.models.text.script import Cast, Speaker
from ancestral.service.speech.session.sentences import Sentences, with_lead
from ancestral.speech.cast import spoken as spoken_by

WORDS = (
    "the", "The", "a", "A", "I", "man", "canoe", "slid", "Smith", "Dr.", "Mr.", "St.", "e.g.", "i.e.", "etc.", "U.S.",
    "no.", "No.", "p.", "5", "3.14", "$3.50", "2020", "Jan.", "May", "5 p.m.", "10 kg.", "J.", "Ph.D.", "vs.", "it's",
    "www.example.com", '"Stop!"', "(why?)", "NASA", "a<b", "approx.", "Vol.", "IV", "Henry", "VIII", "555-1234", "1.",
    "50%", "C#", "https://example.com/a.b?c", "hello@example.com", "#tag", "🙂", "naïve", "so…",
    "<bob@example.com>", "a <= b", "x = a", ":-)", "<3", "zip code", "90210", "911", "call", "/etc/hosts", "notes.pdf",
    "$5/hour", "Sat.", "Mon.", "a $5", "A380", "4 x 5", "fish", "bass", "6 ft 2 in",
)  # fmt: skip
SIGNS = ("- ", "— ", "< ", "> ", "-> ")
ENDS = (". ", "! ", "? ", "… ", "?! ", '." ', ".\n", "\n\n", ".\n\n", "\n- ", "\n2. ", ", ", " ", " ", " ", " ", ": ")


@st.composite
def texts(draw: st.DrawFn) -> str:
    """English of a kind: words that mislead about where sentences end, and ends of all sorts."""
    words = (
        st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDS)).map("".join).map(lambda word: word.replace("..", "."))
    )
    return "".join(draw(st.lists(words | words | words | st.sampled_from(SIGNS), min_size=1, max_size=14)))


def pieces(text: str, cuts: list[int]) -> list[str]:
    """The text, cut at these places."""
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(places)]


def complete(given_pieces: list[str]) -> list[str]:
    """What comes out for each piece, and the rest at the end."""
    sentences = Sentences()
    return [*(sentences.feed(piece) for piece in given_pieces), sentences.flush()]


def spoken(text: str) -> list[tuple[str, ...]]:
    """Its sentences, as phonemes."""
    return [] if Sentences(text).says_nothing else [sentence.phones for sentence in phonemize(text)]


@settings(max_examples=400)
@given(texts(), st.lists(st.integers(0, 1000), max_size=6))
def test_pieces_say_what_the_whole_says(text: str, cuts: list[int]) -> None:
    found = complete(pieces(text, cuts))
    assert "".join(found) == text
    assert [phones for part in found for phones in spoken(part)] == spoken(text)


CAST = Cast(
    Speaker("ann", "ann", "en-US", "en"), lambda name: Speaker(name, name, "en-US", "en"), names=("ANNA", "OLD BEN")
)
CHANGES = ("ANNA: ", "OLD BEN:", "\nANNA: ", "\n  OLD BEN: ", "[voice:eve] ", ".[voice:ann]", "\n\n[Voice: eve]\n")


def turns(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The sentences of a text, as phonemes, and who says each."""
    with suppress(NothingToSpeak):
        said = spoken_by(parse_text(text, cast=CAST), CAST.default)
        return [(speaker.voice, sentence.phones) for speaker, sentences in said for sentence in sentences]
    return []


@settings(max_examples=300)
@given(st.lists(st.one_of(texts(), st.sampled_from(CHANGES)), max_size=6), st.lists(st.integers(0, 1000), max_size=8))
def test_pieces_are_said_by_whom_the_whole_is(parts: list[str], cuts: list[int]) -> None:
    text, sentences, found = "".join(parts), Sentences("", CAST), []
    for piece in [*pieces(text, cuts), None]:
        lead = sentences.lead
        if said := sentences.flush() if piece is None else sentences.feed(piece):
            found += turns(with_lead(lead, said, CAST))
    assert found == turns(text)


@settings(max_examples=60)
@given(texts())
def test_letter_by_letter(text: str) -> None:
    found = complete(list(text))
    assert "".join(found) == text
    assert [phones for part in found for phones in spoken(part)] == spoken(text)


@pytest.mark.parametrize(
    "text",
    [
        "The birch canoe slid. ",
        "Is it late? ",
        "No!\n",
        'He said "Stop." ',
        "It costs $3.50. ",
        "A title\n\n",
        "Wait?! ",
    ],
)
def test_white_space_completes_a_sentence(text: str) -> None:
    sentences = Sentences()
    assert sentences.feed(text.rstrip()) == ""
    assert sentences.feed(text[len(text.rstrip()) :]) == text


@pytest.mark.parametrize(
    ("text", "then", "out"),
    [
        ("I met Dr. ", "Smith there ", ""),
        ("It is 3.", "14 metres ", ""),
        ("Fruit, e.g. ", "apples and ", ""),
        ("Well... ", "maybe not ", ""),
        ("Well... ", "Maybe not ", "Well... "),
        ("He came at 5 p.m. ", "The man ", "He came at 5 p.m. "),
        ("He came at 5 p.m. ", "sharp and ", ""),
        ("We met on Jan. ", "5 of them ", ""),
        ("First things", "\n- second ", "First things\n"),
    ],
)
def test_the_next_word_decides_on_the_rest(text: str, then: str, out: str) -> None:
    sentences = Sentences()
    assert sentences.feed(text) == ""
    for letter in then[:-1]:
        assert sentences.feed(letter) in ("", out)
    sentences = Sentences()
    sentences.feed(text)
    assert sentences.feed(then) == out


@pytest.mark.parametrize(
    ("language", "text", "then", "out"),
    [
        ("es", "Vi a la Dra. ", "Ruiz ayer ", ""),
        ("es", "¿Qué tal? ", "", "¿Qué tal? "),
        ("es", "Pan, leche, etc. ", "Luego fui ", "Pan, leche, etc. "),
        ("fr", "J'ai vu M. ", "Petit hier ", ""),
        ("it", "Ho visto il dott. ", "Rossi ieri ", ""),
        ("pt", "Vi o Sr. ", "Silva ontem ", ""),
    ],
)
def test_sentences_of_other_languages(language: str, text: str, then: str, out: str) -> None:
    sentences = Sentences("", Cast.of_one(language))
    assert sentences.feed(text) + sentences.feed(then) == out


def test_only_the_last_sentence_waits() -> None:
    sentences = Sentences()
    assert sentences.feed("One. Two. Thr") == "One. Two. "
    assert sentences.pending == "Thr"
    assert sentences.feed("ee. ") == "Three. "
    assert sentences.flush() == ""


def test_a_sentence_that_cannot_be_spoken_takes_no_other_with_it() -> None:
    sentences = Sentences()
    assert sentences.feed("One. ") == "One. "
    refused = sentences.feed("王 is not English. ")
    with pytest.raises(UnsupportedText):
        phonemize(refused)
    assert sentences.feed("Three. ") == "Three. "


def test_a_tag_is_never_split() -> None:
    sentences = Sentences()
    assert sentences.feed('One. Two <sub alias="Dr. No. The man. ') == "One. "
    refused = sentences.feed('Or. "/> three. ')
    assert refused == 'Two <sub alias="Dr. No. The man. Or. "/> three. '
    with pytest.raises(UnsupportedText, match="tag"):
        phonemize(refused)
    assert sentences.feed("Is a<b? ") == "Is a<b? "


@pytest.mark.parametrize(
    ("text", "nothing"),
    [("", True), (' ."\n…', True), ("Hm.", False), ("🙂", False), ("王", False), ("<p/>", False), ("\0", False)],
)
def test_nothing_to_say(text: str, nothing: bool) -> None:
    assert Sentences(text).says_nothing is nothing


@pytest.mark.parametrize(
    "text", ["e.g. " * 800, "." * 4000, "Dr." + " " * 4000, "( " * 2000, "<a " * 1300, "\n" * 4000]
)
def test_no_text_is_worth_an_attack(text: str) -> None:
    sentences = Sentences()
    for letter in text:
        sentences.feed(letter)
    assert sentences.feed(" x" * 50 + ". The man came. ").endswith("The man came. ")


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("When the ships came in from the north, the old ", "When the ships came in from the north, "),
        ("Well, when the ships came in from the north; the old ", "Well, when the ships came in from the north; "),
        ("When the ships came in from the north, ", ""),  # the next word is to come
        ("When the ships came in, the old harbour ", ""),  # too short
        ("It has been so since the night of June 4, 1976 in ", ""),  # not read as the parts are
        ("We have [[DH AH0 SH IH1 P S AH1 V DH AH0, N AO1 R TH and ", ""),
    ],
)
def test_a_clause_is_cut_off_once_it_is_long_enough(text: str, clause: str) -> None:
    sentences = Sentences()
    assert sentences.feed(text) == ""
    assert sentences.clause(30) == clause
    assert clause + sentences.pending == text


@pytest.mark.parametrize(
    ("text", "seems", "certain"),
    [("It is late.", 1, 1), ('"Is it?" ', 1, 1), ("See Dr.", 1, 0), ("At 5 p.m.", 1, 0), ("Late, ", 0, 0), ("", 0, 0)],
)
def test_a_text_that_ends_like_a_sentence(text: str, seems: bool, certain: bool) -> None:
    sentences = Sentences(text)
    assert sentences.seems_complete == seems
    assert not seems or sentences.is_certain == certain
