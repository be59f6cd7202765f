"""Other languages than English."""

from __future__ import annotations

import random

import pytest

from ancestral.models.text import (
    PHONEMES,
    PronunciationError,
    Pronunciations,
    UnsupportedText,
    Word,
    parse_text,
    phonemize,
)
from ancestral.models.text.ipa import parse_phonemes
from ancestral.models.text.languages.language import Numbers
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.registry import LANGUAGES, primary, table
from ancestral.models.text.languages.spanish_sounds import read
from ancestral.models.text.nearest import in_language, sounds
from ancestral.models.text.phonemes import PAUSES, without_stress
from tests.models.text.test_everyday import lost
from tests.models.text.texts import POOLS, Example, examples

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
        ("lamente", "L a0 M e1 N T e0"),
        ("subrayar", "S u0 B r a0 Y a1 ɾ"),
        ("innovar", "i0 N N o0 B a1 ɾ"),
        ("examen", "e0 K S a1 M e0 N"),
        ("queso", "K e1 S o0"),
        ("h", "a1 CH e0"),
    ],
)
def test_spanish_words(word: str, phones: str) -> None:
    assert " ".join(read([word, "."], 0)) == phones


@pytest.mark.parametrize(
    ("language", "word", "phones"),
    [
        ("it", "abitano", "a1 B i0 T a0 N o0"),  # of a verb in the lexicon
        ("it", "parlavano", "P a0 r L a1 V a0 N o0"),
        ("it", "farmacie", "F a0 r M a0 CH i1 e0"),
        ("it", "antichi", "a0 N T i1 K i0"),
        ("it", "dell'acqua", "D e0 L L a1 K K W a0"),
        ("it", "c'è", "CH e0"),
        ("it", "figli", "F i1 ʎ i0"),
        ("it", "ragazzi", "r a0 G a1 ts ts i0"),
        ("it", "scienza", "SH ɛ1 N ts a0"),
        ("it", "aiuto", "a0 Y u1 T o0"),
        ("it", "bellissimo", "B e0 L L i1 S S i0 M o0"),
        ("it", "raccontami", "r a0 K K o1 N T a0 M i0"),
        ("it", "millenovecentottantasei", "M i0 L L e0 N o0 V e0 CH e0 N T o0 T T a0 N T a0 S ɛ1 Y"),
        ("it", "nessun", "N e0 S S u1 N"),
        ("it", "difendersi", "D i0 F ɛ1 N D e0 r S i0"),
        ("it", "vengono", "V ɛ1 NG G o0 N o0"),
        ("it", "luogo", "L W ɔ1 G o0"),  # in three syllables in the lexicon
        ("it", "vorrei", "V o0 r r ɛ1 Y"),
        ("it", "streaming", "S T r i1 M i0 N G"),
        ("it", "xyz", "K S i1 ts"),
        ("pt", "downloads", "D a0 W N L o1 W JH i0 S"),
        ("pt", "hh", "i0"),
        ("pt", "nove", "N ɔ1 V i0"),
        ("pt", "novo", "N o1 V u0"),
        ("pt", "flores", "F L o1 ɾ i0 S"),
        ("pt", "colheres", "K o0 ʎ ɛ1 ɾ i0 S"),
        ("pt", "janela", "ZH ɐ0 N ɛ1 L ɐ0"),
        ("pt", "amanhã", "ɐ0 M ɐ̃0 ɲ ɐ̃1"),
        ("pt", "corações", "K o0 ɾ a0 S õ1 Y S"),
        ("pt", "falam", "F a1 L ɐ̃0 W"),
        ("pt", "também", "T ɐ̃0 B ẽ1 Y"),
        ("pt", "quente", "K ẽ1 CH i0"),
        ("pt", "cinquenta", "S ĩ0 K W ẽ1 T ɐ0"),
        ("pt", "carro", "K a1 x u0"),
        ("pt", "história", "i0 S T ɔ1 ɾ Y ɐ0"),
        ("pt", "advogado", "a0 JH i0 V o0 G a1 D u0"),
        ("pt", "exame", "e0 Z ɐ̃1 M i0"),
        ("pt", "táxi", "T a1 K S i0"),
        ("pt", "próximo", "P ɾ ɔ1 S i0 M u0"),
        ("pt", "fluxo", "F L u1 K S u0"),
        ("pt", "inexistente", "i0 N e0 Z i0 S T ẽ1 CH i0"),
        ("pt", "rainha", "x a0 i1 ɲ ɐ0"),
        ("pt", "muitas", "M ũ1 Y T ɐ0 S"),
    ],
)
def test_italian_and_portuguese_words(language: str, word: str, phones: str) -> None:
    assert " ".join(table(language).read([word, "."], 0)) == phones


def test_words_in_their_place() -> None:
    jogos = [" ".join(table("pt").read(words.split(), at)) for words, at in (("o jogo .", 1), ("eu não jogo .", 2))]
    assert jogos == ["ZH o1 G u0", "ZH ɔ1 G u0"], "a noun, a verb"
    casas = [table("pt").read(["as", "casas", "altas", "caem", "."], i)[-1] for i in range(3)]
    assert casas == ["S", "Z", "S"], "before a vowel it is voiced"
    assert [read(["un", "vaso", "de", "agua"], i)[-1] for i in (0, 2)] == ["M", "e0"]
    assert read(["de", "."], 0) == ("D", "e1")


@pytest.mark.parametrize(
    ("written", "phones"),
    [
        ("Dix-sept.", "D i1 S ɛ1 T"),
        ("Dix-huit.", "D i1 Z ɥ i1 T"),
        ("Va-t-il ?", "V a1 T i1 L"),
        ("Prenez-en !", "P ʁ ə0 N e1 Z ɑ̃1"),
        ("Peut-être.", "P ø1 T ɛ1 T ʁ"),
    ],
)
def test_french_words_with_a_hyphen(written: str, phones: str) -> None:
    (sentence,) = phonemize(written, "fr")
    assert [" ".join(word.phones) for word in sentence.words] == [phones]


def test_a_language_that_is_not_read() -> None:
    with pytest.raises(UnsupportedText, match=r"language 'tlh' is not read; there are en, es"):
        phonemize("nuqneH", "tlh")
    (sentence,) = phonemize("¿Tienes 21 años o 21 manzanas?", "es-MX")
    assert sentence.text == "tienes veintiún años o veintiuna manzanas?"
    assert set(sentence.phones) <= set(PHONEMES)


KNOWN_WRONG: dict[str, set[str]] = {
    "es": {
        "xq no vienes?",
        "La contraseña es abc123.",
        "Carlos V de Alemania y I de España.",
        "Ene.-mar. de 2023.",
        "¿Q tal, xfa?",
    },
    "fr": {
        "Me Lefèvre défend l'accusé.",
        "Suivez @marie_b et #climat.",
        "x > 3 et y < 5",
        "Voir l'art. L. 121-1 du Code de la consommation.",
        "J'arrive ds 5 min, stp attends-moi.",
        "Le prix TTC est de 1 000 000 €.",
    },
    "it": set(),
    "pt": set(),
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


def test_british_voices_read_british_words() -> None:
    texts = examples("en-GB")
    assert len(texts) >= 30
    assert [text.written for text in texts if not is_right(text, "en-GB")] == []
    (sentence,) = phonemize("From Z to Z's", "en-GB")
    assert [word.phones for word in sentence.words[1::2]] == [("Z", "EH1", "D"), ("Z", "EH1", "D", "Z")]


@pytest.mark.parametrize("language", ["en", "en-US", "en-GB-scotland", "es", "fr"])
def test_others_do_not(language: str) -> None:
    (sentence,) = phonemize(parse_text("My bath, on 03/04/2025.", language="en"), language)
    assert sentence.text == "my bath, on march fourth twenty twenty five."
    assert sentence.words[1].phones == in_language(("B", "AE1", "TH"), primary(language))


def test_names_that_begin_like_a_roman_numeral() -> None:
    (sentence,) = phonemize("José Luis y Papa Clemente VII.", "es")
    assert sentence.text == "josé luis y papa clemente séptimo."


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sound_has_a_nearest_one(language: str) -> None:
    own = sounds(language)
    for phone in set(PHONEMES) - set(PAUSES):
        near = in_language((phone,), language)
        assert near, phone
        assert own.issuperset(map(without_stress, near)), (phone, near)
        assert near == (phone,) or without_stress(phone) not in own
        assert set(near) <= set(PHONEMES)


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_language_uses_its_own_sounds(language: str) -> None:
    texts = [text.written for text in examples(language)]
    for sentence in (sentence for text in texts for sentence in phonemize(text, language)):
        for word in sentence.words:
            assert sounds(language).issuperset(map(without_stress, word.phones)), word


def test_a_stretch_in_another_language() -> None:
    document = """<speak>He said <lang xml:lang="es-ES">21 niños, señor</lang>, <p xml:lang="fr">Bonjour !</p>and
        <say-as interpret-as="ordinal">3rd</say-as>.</speak>"""
    first, second, third = phonemize(parse_text(document, "ssml"), "en-US")
    assert first.text == "he said veintiún niños, señor."
    assert " ".join(first.words[3].phones) == "N IY1 N Y OW0 S"
    assert (second.text, " ".join(second.words[0].phones)) == ("bonjour!", "B AO0 N ZH UW1 R")
    assert third.text == "and third."
    (spanish,) = phonemize(parse_text("The thin judge [[ˈʒɔb]].", language="en"), "es")
    assert [" ".join(word.phones) for word in spanish.words] == ["D e0", "TH i1 N", "Y a1 Y", "Y o1 B"]


@pytest.mark.parametrize(
    ("kind", "written", "spoken"),
    [
        ("date", "3/4/2024", "tres de abril de dos mil veinticuatro."),
        ("characters", "Bñ7", "be, eñe, siete."),
        ("cardinal", "1.234", "mil doscientos treinta y cuatro."),
        ("ordinal", "3.ª", "tercera."),
        ("digits", "12", "uno dos."),
        ("telephone", "+34 600", "más tres cuatro, seis cero cero."),
        ("fraction", "1 3/4", "uno y tres cuartos."),
        ("time", "15:30", "quince treinta."),
        ("currency", "2,50 €", "dos euros con cincuenta."),
        ("unit", "5 km", "cinco kilómetros."),
    ],
)
def test_saying_as(kind: str, written: str, spoken: str) -> None:
    document = f'<speak xml:lang="es"><say-as interpret-as="{kind}">{written}</say-as></speak>'
    (sentence,) = phonemize(parse_text(document, "ssml"), "es")
    assert sentence.text == spoken
    other = " " if kind == "characters" else "x y"
    with pytest.raises(UnsupportedText, match=f"cannot read '{other}' as that"):
        parse_text(document.replace(written, other), "ssml")


@pytest.mark.parametrize(
    ("language", "written", "phones"),
    [
        ("es", "ˈniɲo", "N i1 ɲ o0"),
        ("es", "niɲo", "N i1 ɲ o0"),
        ("es", "aˈβɾe", "a0 B ɾ e1"),
        ("es", "o1 L a0", "o1 L a0"),
        ("es", "HH AH0 L OW1", "HH AH0 L OW1"),
        ("fr", "bɔ̃ʒuʁ", "B ɔ̃0 ZH u1 ʁ"),
        ("it", "ˈpalːa", "P a1 L L a0"),
        ("pt", "kɐ̃ˈsɐ̃w̃", "K ɐ̃0 S ɐ̃1 W"),
        ("en", "ˈniːnoʊ", "N IY1 N OW0"),
    ],
)
def test_phonemes_that_people_write(language: str, written: str, phones: str) -> None:
    assert parse_phonemes(written, language=language) == (tuple(phones.split()),)


def test_a_lexicon_in_two_languages() -> None:
    lexicon = Pronunciations({"Núñez": "ˈnuɲeθ", "gif": "ˈʒif"})
    spanish, english = (
        phonemize(parse_text("Núñez, gif.", "text", lexicon, language), language)[0] for language in ("es", "en")
    )
    assert [" ".join(word.phones) for word in spanish.words] == ["N u1 ɲ e0 TH", "Y i1 F"]
    assert [" ".join(word.phones) for word in english.words] == ["N UW1 N Y EY0 TH", "ZH IY1 F"]
    with pytest.raises(PronunciationError, match="no English sound"):
        Pronunciations({"Núñez": "ˈnu!eθ"})


@pytest.mark.parametrize("language", LANGUAGES[1:])
@pytest.mark.parametrize("pool", range(len(POOLS)))
def test_any_text_is_read_or_refused(language: str, pool: int) -> None:
    rng = random.Random(pool)
    for _ in range(100):
        text = "".join(rng.choices(POOLS[pool], k=rng.randint(1, 30)))
        try:
            sentences = phonemize(text, language)
        except UnsupportedText:
            continue
        for sentence in sentences:
            assert all(sounds(language).issuperset(map(without_stress, word.phones)) for word in sentence.words), text


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_nothing_is_lost(language: str) -> None:
    missing = {word for text in examples(language) for word in lost(text.written, language)}
    assert missing <= {"h."}, "21:00 h."
