"""Tables of texts and of what is made of them: readings.txt, and everyday*.txt for what a person would read aloud.

A file has sections (`=== name`), and in each of them a text (with \\\\, \\n, \\t, \\xXX and \\uXXXX; `\\-` is no text)
followed, indented, by what is expected. Readings: the section says which function reads (:data:`READ`), and `! reason`
that it refuses. Everyday texts: the spoken form, without commas, since where a reader pauses is a matter of taste; `≠`
before it where the text is known not to be read so (docs/text.md lists them). `word{PH OW N Z}` says how a word must
sound, without stress.
"""

import random
import re
from itertools import groupby
from pathlib import Path

import pytest

from ancestral_models.text import UnsupportedText, Word, g2p, parse_text, phonemize
from ancestral_models.text.frontend import in_language, normalize, skipped, sounds
from ancestral_models.text.languages.language import LANGUAGES, Numbers, Numerals, language_table, primary
from ancestral_models.text.markdown import read_markdown
from ancestral_models.text.phonemes import PAUSES, PHONEMES, without_stress
from ancestral_models.text.pronunciations import PronunciationError, Pronunciations, parse_phonemes
from ancestral_models.text.tables import Table
from tests.models.text.test_frontend import check, words_of
from tests.models.text.texts import POOLS, examples, read_examples, sequence

LEXICON = Pronunciations({
    "привіт": "P R IH1 V IY0 T", "Nginx": "EH1 N JH IH0 N EH1 K S", "k8s": "ˈkeɪts", "c++": "S IY1 P L AH2 S",
    "Node.js": "N OW1 D",
})  # fmt: skip
SPANISH = Numbers("es", "menos", {",": "coma", ".": "punto"}, ". ")
READINGS = read_examples("readings.txt")


def phones(text, form="text", *language):
    return " ".join(sequence(sentence) for sentence in phonemize(parse_text(text, form), *language))


def spans(text, *form):
    """What is written, and how it is read: one pair for each span."""
    script = parse_text(text, *form)
    return " | ".join(
        f"{script.written[slice(*span)]} → {' '.join(word.text for word in words)}"
        for span, words in groupby(words_of(script), key=lambda word: word.span)
    )


def texts(text, *language):
    sentences = phonemize(text, *language)
    for sentence in sentences:
        check(sentence)
        assert language or any(phone[-1] == "1" for phone in sentence.phones), "a main stress"
    return " / ".join(sentence.text for sentence in sentences)


def say_as(text, language):
    kind, _, written = text.partition(" | ")
    document = f'<speak xml:lang="{language}"><say-as interpret-as="{kind}">{written}</say-as></speak>'
    return texts(parse_text(document, "ssml"), language)


def pronounced(word, language="en"):
    return " ".join(
        g2p.pronounce(word)[0].phones if language == "en" else language_table(language).read([word, "."])[0]
    )


def homograph(text):
    written, _, word = text.partition(" | ")
    return next(" ".join(said.phones) for said in words_of(written) if said.text.lower() == word)


READ = {
    "spoken": lambda text: " ".join(str(token.spoken) for token in normalize(text)),
    "sentences": texts,
    "by an English voice": lambda text, language: texts(parse_text(text, language=language)),
    "skipped": lambda text, *language: " | ".join(skipped(parse_text(text, "text", LEXICON, *language), text)),
    "skipped of ssml": lambda content: " | ".join(skipped(parse_text(f"<speak>{content}</speak>", "ssml"), "")),
    "arpabet and ipa": lambda text, *language: " | ".join(
        map(" ".join, parse_phonemes(text, **({"language": language[0]} if language else {})))
    ),
    "phonemes": lambda text: " / ".join(sequence(s) for s in phonemize(parse_text(text, "text", LEXICON))),
    "words": lambda text: " ".join(word.text for word in words_of(parse_text(text, "text", LEXICON))),
    "English by a voice of": lambda text, own: phones(text, "text", own),
    "phonemes of words": lambda text, language: " ".join(" ".join(w.phones) for w in words_of(text, language)),
    "ssml like text": lambda content: phones(f"<speak>{content}</speak>", "ssml"),
    "ssml document": lambda document, *language: phones(document, "ssml", *language),
    "spans": lambda text: spans(text, "text", LEXICON),
    "spans of ssml": lambda content: spans(f"<speak>{content}</speak>", "ssml"),
    "spans of markdown": lambda text: spans(text, "markdown"),
    "skipped of markdown": lambda text: " | ".join(skipped(parse_text(text, "markdown"), text)),
    "written": lambda text: parse_text(text, "text", LEXICON).written,
    "written of ssml": lambda content: parse_text(f"<speak>{content}</speak>", "ssml").written,
    "word": pronounced, "homograph": homograph, "say-as": say_as,
    "number": lambda text, language: Numerals(SPANISH).number(*[*text.split(" | "), None][:2]),
}  # fmt: skip


def reading(example):
    """What is made of a text; of one that is refused, the reason."""
    kind, _, language = example.section.partition(": ")
    try:
        return READ[kind](example.written, *filter(None, [language]))
    except UnsupportedText as refused:
        message = str(refused)
    assert message.isprintable()
    assert len(message) < 500
    return f"! {message}"


@pytest.mark.parametrize("section", dict.fromkeys(example.section for example in READINGS))
def test_readings(section):
    wrong = {}
    for example in (example for example in READINGS if example.section == section):
        found = reading(example)
        if example.spoken.startswith("!"):
            right = found.startswith("!") and example.spoken.removeprefix("!").strip() in found
        else:
            right = found == (phones(example.spoken) if section == "ssml like text" else example.spoken)
        if not right:
            wrong[example.written] = found
    assert wrong == {}


LANGUAGE_FILES = {"en": 0.99, "es": 0.95, "fr": 0.95, "it": 1.0, "pt": 1.0, "hi": 1.0, "en-GB": 1.0}
"""Everyday texts, and how many of them are read as a person would."""


def is_right(example, language):
    sentences = phonemize(example.written, language)
    said = [word for sentence in sentences for word in sentence.words]
    assert all(set(PHONEMES).issuperset(word.phones) for word in said)
    if language == "en":
        spoken = " ".join(without_commas(example.written))
    else:
        items = [item for sentence in sentences for item in sentence.items if item != ","]
        spoken = " ".join(item.text if isinstance(item, Word) else str(item) for item in items)
    heard = {(word.text.lower(), " ".join(map(without_stress, word.phones))) for word in said}
    return spoken == example.spoken and heard.issuperset(example.sounds)


@pytest.mark.parametrize("language", LANGUAGE_FILES)
def test_spoken_as_a_person_would(language):
    found = examples(language)
    assert len(found) >= {"en": 500, "en-GB": 30, "hi": 100}.get(language, 150)
    known = [example for example in found if example.known_wrong]
    assert [example.written for example in found if not is_right(example, language)] == [e.written for e in known]
    assert len(known) <= (1.0 - LANGUAGE_FILES[language]) * len(found)


# Bullets, quotation marks, brackets and the like are layout.
_SILENT = re.compile(r"[-*#>|_\"'“”‘’«»()\[\],.;:!?…—–~\u200b\ufeff]+")


def without_commas(text, language="en"):
    return [str(token.spoken) for token in normalize(text, language) if token.spoken != ","]


def lost(text, language="en"):
    """The words, numbers and signs of a text that leave no trace in what is spoken: it is the same without them."""
    whole, missing = without_commas(text, language), []
    for token in re.finditer(r"\S+", text):
        rest = text[: token.start()] + text[token.end() :]
        if _SILENT.fullmatch(token[0]) or not any(char.isalnum() for char in rest):
            continue
        # "of" in "the 4th of July" is spoken whether it is written or not.
        if without_commas(rest, language) == whole and token[0].lower() not in whole:
            missing.append(token[0])
    return missing


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_lost(language):
    missing = {word for example in examples(language) for word in lost(example.written, language)}
    assert missing <= (set() if language == "en" else {"h.", "बजे"}), "21:00 h."


@pytest.mark.parametrize("language", ["en", "en-US", "en-GB-scotland", "es", "fr"])
def test_only_british_voices_read_british_words(language):
    (sentence,) = phonemize(parse_text("My bath, on 03/04/2025.", language="en"), language)
    assert sentence.text == "my bath, on march fourth twenty twenty five."
    assert sentence.words[1].phones == in_language(("B", "AE1", "TH"), primary(language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sound_has_a_nearest_one_and_texts_use_the_languages_own(language):
    own = sounds(language)
    for phone in set(PHONEMES) - set(PAUSES):
        near = in_language((phone,), language)
        assert near, phone
        assert own.issuperset(map(without_stress, near)), (phone, near)
        assert near == (phone,) or without_stress(phone) not in own
        assert set(near) <= set(PHONEMES)
    for example in examples(language) if language != "en" else []:
        for word in (word for sentence in phonemize(example.written, language) for word in sentence.words):
            assert own.issuperset(map(without_stress, word.phones)), word


def test_a_lexicon_in_two_languages():
    entries = Pronunciations({"Núñez": "ˈnuɲeθ", "gif": "ˈʒif"})
    for language, expected in (("es", ["N u1 ɲ e0 TH", "Y i1 F"]), ("en", ["N UW1 N Y EY0 TH", "ZH IY1 F"])):
        (sentence,) = phonemize(parse_text("Núñez, gif.", "text", entries, language), language)
        assert [" ".join(word.phones) for word in sentence.words] == expected
    with pytest.raises(PronunciationError, match="no English sound"):
        Pronunciations({"Núñez": "ˈnu!eθ"})


@pytest.mark.parametrize("language", LANGUAGES[1:])
@pytest.mark.parametrize("pool", range(len(POOLS)))
def test_any_text_is_read_or_refused(language, pool):
    rng = random.Random(pool)
    for _ in range(100):
        text = "".join(rng.choices(POOLS[pool], k=rng.randint(1, 30)))
        try:
            sentences = phonemize(text, language)
        except UnsupportedText:
            continue
        for sentence in sentences:
            assert all(sounds(language).issuperset(map(without_stress, word.phones)) for word in sentence.words), text


def test_slips_in_tables_are_named():
    with pytest.raises(ValueError, match=r"tables/es.txt: \[units\] occurs twice"):
        Table("es", "[units]\nm = metro\n[months]\n[units]\n")
    with pytest.raises(ValueError, match=r"tables/es.txt: \[units\]: 'm=metro' is not key = value"):
        Table("es", "[units]\nm=metro\n").pairs("units")


ANSWERS = (Path(__file__).parent / "answers.md").read_text("utf-8").split("\n=====\n")
"""Of chat models."""
_MARKS = {"asterisk", "star", "hash", "pound", "slash", "underscore", "backquote", "vertical", "http", "https"}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_of_a_chat_model_is_read_as_a_person_would(answer):
    plain, _ = read_markdown(answer)
    assert lost(plain) == []
    said = " ".join(texts(parse_text(answer, "markdown")).replace(".", " ").split())
    assert _MARKS.isdisjoint(said.lower().split()), said
    prose = re.sub(r"```.*?```|\]\([^)]*\)|<[^>]*>|https?://\S+|\[\^1\]", " ", answer, flags=re.DOTALL)
    words = [word.lower() for word in re.findall(r"[A-Za-z]{4,}", prose)]
    assert [word for word in words if word not in said.lower()] == []
