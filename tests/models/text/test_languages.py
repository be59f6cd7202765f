"""Other languages than English."""

from __future__ import annotations

import pytest

from ancestral.models.text import PHONEMES, UnsupportedText, Word, phonemize
from ancestral.models.text.languages.language import Numbers
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.spanish_sounds import read
from ancestral.models.text.phonemes import without_stress
from tests.models.text.texts import Example, examples

SPANISH = Numbers("es", "menos", {",": "coma", ".": "punto"}, ". ", denominators={4: ("cuarto", "cuartos")})


@pytest.mark.parametrize(
    ("written", "gender", "spoken"),
    [
        ("21", None, "veintiuno"),
        ("21", "m", "veintiún"),
        ("200", "f", "doscientas"),
        ("1.234", None, "mil doscientos treinta y cuatro"),
        ("12 500", None, "doce mil quinientos"),
        ("3,14", None, "tres coma catorce"),
        ("0,05", None, "cero coma cero cinco"),
        ("3.5", None, "tres punto cinco"),
        ("1.234,5", None, "mil doscientos treinta y cuatro coma cinco"),
        ("2,71828", None, "dos coma siete uno ocho dos ocho"),
        ("007", None, "cero cero siete"),
    ],
)
def test_numbers(written: str, gender: None, spoken: str) -> None:
    assert Numerals(SPANISH).number(written, gender) == spoken


def test_fractions() -> None:
    assert Numerals(SPANISH).fraction(3, 4) == "tres cuartos"


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("perro", "P e1 r o0"),
        ("alrededor", "a0 L r e0 D e0 D o1 ɾ"),
        ("guion", "G Y o1 N"),
        ("pingüino", "P i0 N G W i1 N o0"),
        ("ciudad", "TH Y u0 D a1 D"),
        ("país", "P a0 i1 S"),
        ("ahuecar", "a0 W e0 K a1 ɾ"),
        ("lección", "L e0 K TH Y o1 N"),
        ("llave", "ʎ a1 B e0"),
        ("hielo", "Y e1 L o0"),
        ("muy", "M u1 Y"),
        ("rápidamente", "r a1 P i0 D a0 M e1 N T e0"),
        ("examen", "e0 K S a1 M e0 N"),
        ("queso", "K e1 S o0"),
        ("h", "a1 CH e0"),
    ],
)
def test_spanish_words(word: str, phones: str) -> None:
    assert " ".join(read([word, "."], 0)) == phones


def test_words_in_their_place() -> None:
    assert [read(["un", "vaso", "de", "agua"], i)[-1] for i in (0, 2)] == ["M", "e0"]
    assert read(["de", "."], 0) == ("D", "e1")


def test_a_language_that_is_not_read() -> None:
    with pytest.raises(UnsupportedText, match=r"language 'tlh' is not read; there are en, es"):
        phonemize("nuqneH", "tlh")
    (sentence,) = phonemize("¿Tienes 21 años o 21 manzanas?", "es-MX")
    assert sentence.text == "tienes veintiún años o veintiuna manzanas?"
    assert set(sentence.phones) <= set(PHONEMES)


KNOWN_WRONG = {
    "es": {"xq no vienes?"},
    "fr": {"Me Lefèvre défend l'accusé.", "Suivez @marie_b et #climat.", "x > 3 et y < 5"},
}
"""Texts of everyday_*.txt that are not read as a person would."""


def is_right(example: Example, language: str) -> bool:
    items = [item for sentence in phonemize(example.written, language) for item in sentence.items if item != ","]
    spoken = " ".join(item.text if isinstance(item, Word) else str(item) for item in items)
    said = [item for item in items if isinstance(item, Word)]
    assert all(set(PHONEMES).issuperset(item.phones) for item in said)
    sounds = {(item.text, " ".join(map(without_stress, item.phones))) for item in said}
    return spoken == example.spoken and sounds.issuperset(example.sounds)


@pytest.mark.parametrize("language", KNOWN_WRONG)
def test_everyday_texts(language: str) -> None:
    """The form of the texts is that of everyday.txt (test_everyday.py); at least 95 % are read as expected."""
    texts = examples(language)
    assert len(texts) >= 150
    assert {text.written for text in texts if not is_right(text, language)} == KNOWN_WRONG[language]
    assert len(KNOWN_WRONG[language]) <= 0.05 * len(texts)


def test_names_that_begin_like_a_roman_numeral() -> None:
    (sentence,) = phonemize("José Luis y Papa Clemente VII.", "es")
    assert sentence.text == "josé luis y papa clemente séptimo."
