"""Text to sentences of phonemes: the one entrance to this package.

normalize (text → words and marks) → sentences of speakable length → reading (word in its place → phones)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from typing import Literal

from ancestral.models.text import british as british_english
from ancestral.models.text.characters import ENGLISH
from ancestral.models.text.directives import read_plain
from ancestral.models.text.languages.language import Read
from ancestral.models.text.languages.registry import primary, table
from ancestral.models.text.nearest import in_language
from ancestral.models.text.normalize import normalize
from ancestral.models.text.phonemes import PAUSES, PHRASE_PAUSE, SENTENCE_ENDS, SILENCE, Control, Prosody, is_vowel
from ancestral.models.text.pronunciations import NO_PRONUNCIATIONS, Pronunciations
from ancestral.models.text.reading import read
from ancestral.models.text.script import Cast, Pause, Pronounced, Script
from ancestral.models.text.sentence import Item, Rest, Sentence, Token, Word, mark_of
from ancestral.models.text.ssml import read_ssml

InputFormat = Literal["text", "ssml"]

# Running speech has about 13 phones a second: 200 phones are 15 s, and 40 words are about as long.
_MAX_WORDS = 40
_MAX_PHONES = 200
_ENGLISH_CONJUNCTIONS = frozenset(
    ("and", "but", "or", "because", "which", "while", "although", "when", "where", "so", "that", "who", "if", "then")
)


def _sentences(tokens: list[Token]) -> Iterator[list[Token]]:
    start = 0
    for i, token in enumerate(tokens, 1):
        if token.spoken in SENTENCE_ENDS or i == len(tokens):
            yield tokens[start:i]
            start = i


def _is_short(items: list[Item]) -> bool:
    words = [item for item in items if isinstance(item, Word)]
    return len(words) <= 1 or (len(words) <= _MAX_WORDS and sum(len(word.phones) for word in words) <= _MAX_PHONES)


def _cut(items: list[Item], conjunctions: frozenset[str]) -> int:
    """Where to break a sentence that is too long: the index of the second part's first item.

    The best places are phrase pauses, then conjunctions, then any word; among equals the one nearest to the
    middle.
    """
    middle = len(items) / 2
    inner = range(1, len(items) - 1)
    pauses = [i + 1 for i in inner if mark_of(items[i]) == PHRASE_PAUSE]
    joints = [i for i in inner if isinstance(word := items[i], Word) and word.text in conjunctions]
    words = [i for i in inner if isinstance(items[i], Word)]
    for places in (pauses, joints):
        # A cut near the edge would leave a fragment and still too long a rest.
        central = [i for i in places if len(items) / 5 <= i <= len(items) * 4 / 5]
        if central:
            return min(central, key=lambda i: abs(i - middle))
    return min(words, key=lambda i: abs(i - middle))


def _fit(items: list[Item], conjunctions: frozenset[str]) -> Iterator[list[Item]]:
    if _is_short(items):
        yield items
        return
    cut = _cut(items, conjunctions)
    last = items[cut - 1]
    if isinstance(last, Word):
        yield from _fit([*items[:cut], "."], conjunctions)
    else:
        end = Rest(".", last.seconds) if isinstance(last, Rest) else "."
        yield from _fit([*items[: cut - 1], end], conjunctions)
    yield from _fit(items[cut:], conjunctions)


def _as_read(token: Token, language: str) -> str:
    """A token as a word of a language sees it. Given phonemes are a letter whose name begins with the same kind of
    sound; what is in another language, a pause."""
    spoken = token.spoken
    if isinstance(spoken, Pronounced):
        letter = "A" if is_vowel(spoken.words[0][1][0]) else "B"
        return letter if language == ENGLISH.language else letter.lower()
    return spoken if isinstance(spoken, str) and token.language == language else PHRASE_PAUSE


def _reader(language: str, british: bool) -> Read:
    english = british_english.read if british else read
    return english if language == ENGLISH.language else table(language).read


def _conjunctions(language: str) -> frozenset[str]:
    return _ENGLISH_CONJUNCTIONS if language == ENGLISH.language else table(language).conjunctions


def _items(tokens: Sequence[Token], prosody: Prosody, british: bool) -> tuple[list[Item], Prosody]:
    """The items of one sentence, and the prosody at its end."""
    spoken = [token.spoken for token in tokens]
    rests = {i + 1: token for i, token in enumerate(spoken) if isinstance(token, Pause)}
    heard = {i: n for n, i in enumerate(i for i, t in enumerate(spoken) if not isinstance(t, Pause | Prosody))}
    words = {
        language: [_as_read(tokens[i], language) for i in heard] for language in {token.language for token in tokens}
    }
    items: list[Item] = []
    for i, (token, span, language) in enumerate(tokens):
        control = Control(*astuple(prosody))
        if isinstance(token, Prosody):
            prosody = token
        elif isinstance(token, Pronounced):
            items += [Word(text, phones, span, control) for text, phones in token.words]
        elif isinstance(token, Pause):
            if spoken[i + 1 : i + 2] and spoken[i + 1] in PAUSES:
                continue  # the next token is the mark whose length it is
            items.append(Rest(SILENCE, token.seconds))
        elif token in PAUSES:
            items.append(Rest(token, rests[i].seconds) if i in rests else token)
        else:
            items.append(Word(token, _reader(language, british)(words[language], heard[i]), span, control))
    return items, prosody


def _said(items: list[Item], language: str) -> list[Item]:
    """The items with the sounds of a voice's language."""
    said = [in_language(item.phones, language) if isinstance(item, Word) else () for item in items]
    return [
        replace(item, phones=phones) if isinstance(item, Word) and phones != item.phones else item
        for item, phones in zip(items, said, strict=True)
    ]


def parse_text(
    text: str,
    input_format: InputFormat = "text",
    lexicon: Pronunciations = NO_PRONUNCIATIONS,
    language: str = ENGLISH.language,
    cast: Cast | None = None,
) -> Script:
    """What is written, and how it is to be read.

    Args:
        text: any Unicode string, or an SSML document.
        input_format: which of the two.
        lexicon: words that are read otherwise.
        language: that of the text, as a tag of BCP 47; SSML may switch it.
        cast: who can speak in it, each with the language of what they say; one voice alone if None.

    Raises:
        UnsupportedText: it has a directive or a tag that cannot be followed, names an unknown voice, or is in a
            language that is not read.
    """
    read_script = read_ssml if input_format == "ssml" else read_plain
    return read_script(text, lexicon, cast or Cast.of_one(language))


def phonemize(text: str | Script, language: str = ENGLISH.language) -> list[Sentence]:
    """Turns written text into sentences of phonemes.

    Args:
        text: any Unicode string; numbers, abbreviations, addresses, emoji and the like are spoken as a
            reader would. Or what :func:`parse_text` has made of one, of one speaker (:meth:`Script.turns`).
        language: that of the voice, as a tag of BCP 47, and of a string. A script's pieces have languages of their own;
            what is in another than the voice's is said with the nearest sounds that the voice's has.

    Returns:
        At least one sentence. Each has at least one word, but for the last one, which may be a pause.

    Raises:
        UnsupportedText: if there is nothing to speak, for characters that have no reading in the text's language (other
        scripts), or a language that is not read.
    """
    sentences: list[Sentence] = []
    prosody = Prosody()
    voice, british = primary(language), british_english.is_british(language)
    for tokens in _sentences(normalize(text, voice, british=british)):
        items, prosody = _items(tokens, prosody, british)
        conjunctions = _conjunctions(tokens[0].language)
        sentences.extend(Sentence(tuple(part)) for part in _fit(_said(items, voice), conjunctions))
    return sentences
