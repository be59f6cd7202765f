"""The front-end: text or SSML to sentences of phonemes, in any language that is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from functools import cache
from itertools import accumulate
from typing import Final, Literal

from ancestral_models.text import english, phonemes
from ancestral_models.text.characters import CUE, ENGLISH, Folding, NothingToSpeak, UnsupportedText, check_read, fold
from ancestral_models.text.g2p import is_british, read, read_british
from ancestral_models.text.languages.engine import engine
from ancestral_models.text.languages.language import Read, by_word, language_table, primary
from ancestral_models.text.markdown import read_markdown
from ancestral_models.text.pronunciations import NO_PRONUNCIATIONS, Pronunciations
from ancestral_models.text.rules import Span, SpannedText, cover, sentences
from ancestral_models.text.script import (
    CLAUSE_END,
    Cast,
    Cue,
    Item,
    Pause,
    Pronounced,
    Rest,
    Script,
    Sentence,
    Speaker,
    Text,
    Token,
    Word,
    apart,
    held,
    left_out,
    mark_of,
    merge_marks,
)
from ancestral_models.text.ssml import read_plain, read_ssml
from ancestral_models.text.tables import table

# The sounds of one language said with those of another: a voice has only learnt those of its own.
#
# A phoneme that a voice's language lacks becomes the nearest that it has, or two; one that has nothing near is left
# out, as a French speaker does with an h.

Phones = tuple[str, ...]

_NEAR: Final = table("phonemes").entries("near")
"""The nearest phonemes of each phoneme, without its stress, the very nearest first."""


@cache
def sounds(language: str) -> frozenset[str]:
    """The phonemes of a language, vowels without stress."""
    if language == ENGLISH.language:
        return frozenset(map(phonemes.without_stress, (*phonemes.ENGLISH_VOWELS, *phonemes.ENGLISH_CONSONANTS)))
    return language_table(language).sounds


@cache
def _nearest(language: str) -> dict[str, Phones]:
    """What a voice of a language says for each phoneme that its language lacks."""
    own = sounds(language)
    found: dict[str, Phones] = {}
    for phone in phonemes.PHONEMES:
        plain = phonemes.without_stress(phone)
        if plain in own or plain not in _NEAR:
            continue
        near = next((s for s in (near.split() for near in _NEAR[plain].split(", ")) if own.issuperset(s)), [])
        found[phone] = tuple(_stressed(sound, phone) for sound in near)
    return found


def _stressed(sound: str, like: str) -> str:
    """A phoneme with the stress of another. What is secondary is none in the languages that know none."""
    if f"{sound}0" not in phonemes.VOWELS:
        return sound
    stress = like[-1] if phonemes.is_vowel(like) else "0"
    return phonemes.with_stress(f"{sound}0", stress if f"{sound}{stress}" in phonemes.VOWELS else "0")


def in_language(phones: Phones, language: str) -> Phones:
    """The phonemes of a word as a voice of a language says them: at least one."""
    near = _nearest(language)
    if near.keys().isdisjoint(phones):
        return phones
    said = tuple(sound for phone in phones for sound in near.get(phone, (phone,)))
    return said or near[phonemes.SCHWA]  # "h" in French


# Written text to the words and marks that are spoken: each stretch by the rules of its language.
#
# English has its stages (english.py), all others share an engine (languages/engine.py). Meanwhile a word takes the
# place of each cue.

_BEGIN: Final = re.compile(r"\A\s*\n\s*\n\s*")
_END: Final = re.compile(r"\s*\n\s*\n\s*\Z")
_OF_WORD: Final = re.compile(r"[\w']")
_JOINED: Final = re.compile(r"[-(\"\s]?")
_LETTER_OR_DIGIT: Final = re.compile(r"[^\W_]")


@dataclass
class _Run:
    """A stretch of text in one language."""

    language: str
    text: str = ""
    spans: list[Span] = field(default_factory=list)

    def add(self, text: str, spans: list[Span]) -> None:
        """Add the next word."""
        self.text += text
        self.spans += spans


def _place_holder(number: int, capital: bool) -> str:
    """A word that no stage knows, with a capital where the text has one, which decides how its neighbours are read."""
    letters = f"q{number:012b}".replace("0", "v").replace("1", "z")
    return (letters.capitalize() if capital else letters) + CUE


def _runs(script: Script, cues: dict[str, Cue], skipped: list[tuple[int, str]]) -> Iterator[_Run]:
    """The folded text of a script, with a word in place of each cue, which is added to `cues`; see `fold`."""
    run = _Run(next((piece.language for piece in script.pieces if isinstance(piece, Text)), ENGLISH.language))
    after = accumulate(
        reversed(script.pieces), lambda told, p: p.written if isinstance(p, Text | Pronounced) else told, initial=""
    )
    following = [*after][-2::-1]
    for number, (piece, shown, start) in enumerate(script.placed()):
        span = start, start + len(shown)
        if isinstance(piece, Text):
            if piece.language != run.language:
                yield run
                run = _Run(piece.language)
            whole = SpannedText(piece.spoken, [span] * len(piece.spoken))
            text = SpannedText.of(shown, start) if piece.spoken == shown else whole
            text = fold(text, piece.start, _folding(piece.language), skipped)
            if run.text[-1:] == CUE and _OF_WORD.match(text.text):
                run.add(" ", [span])
            run.add(*text)
            continue
        assert not isinstance(piece, Speaker), "a turn has one speaker"
        seen = piece.written if isinstance(piece, Pronounced) else following[number]
        first = _LETTER_OR_DIGIT.search(seen)
        holder = _place_holder(number, first is not None and first[0].isupper())
        cues[holder.lower()] = piece
        added = holder if _JOINED.fullmatch(run.text[-1:]) else f" {holder}"
        run.add(added, [span] * len(added))
    yield run


def _folding(language: str) -> Folding:
    return ENGLISH if language == ENGLISH.language else engine(language_table(language)).folding


def skipped(script: Script, source: str) -> tuple[str, ...]:
    """What of a script is not said, each once: what has no reading in its language, such as words in another script,
    and the tags of its source that nothing does."""
    found: list[tuple[int, str]] = []
    with suppress(UnsupportedText):
        for piece in (piece for piece in script.pieces if isinstance(piece, Text)):
            fold(SpannedText.of(piece.spoken, 0), piece.start, _folding(piece.language), found)
    return tuple(dict.fromkeys([*(word for _, word in found), *script.left_out, *left_out(source)]))


def normalize(text: str | Script, language: str = ENGLISH.language, *, british: bool = False) -> list[Token]:
    """Text as a list of spoken words and marks.

    Args:
        text: any Unicode string; or a script of one.
        language: the primary language of a string; the pieces of a script have their own.
        british: whether English is that of a British voice.

    Returns:
        Words and marks: never two marks in a row, never one first, a sentence's end last. Among them stand the cues of
        a script. A pause stands before the mark whose length it is, or before the first word of a sentence; at the end
        of the text it may follow the last mark. The spans of words are in order; two of them are the same or apart.

    Raises:
        UnsupportedText: if there is nothing to speak, for tags and control characters.
        Unread: if all letters are of scripts that are not read.
    """
    script = read_plain(text, NO_PRONUNCIATIONS, Cast.of_one(language)) if isinstance(text, str) else text
    cues: dict[str, Cue] = {}
    silent: list[tuple[int, str]] = []
    runs = list(_runs(script, cues, silent))
    tokens = merge_marks(
        [
            Token(cues[word.lower()] if word[-1] == CUE else word, span, run.language)
            for before, run, after in _with_neighbours(runs)
            for word, span in (*_break(run, _BEGIN, before), *_speak(run, british), *_break(run, _END, after))
        ],
        goes_on=CLAUSE_END.search(script.written) is not None,
    )
    check_read(script.written, silent, _folding(runs[0].language))
    if not any(token.is_word or isinstance(token.spoken, Pause) for token in tokens):
        raise NothingToSpeak("nothing to speak: the text has no letters, digits or symbols with a spoken name")
    return list(apart(tokens, script.written))


def _with_neighbours(runs: list[_Run]) -> Iterator[tuple[bool, _Run, bool]]:
    """Each stretch, and whether there is one before and after it."""
    yield from ((i > 0, run, i + 1 < len(runs)) for i, run in enumerate(runs))


def _break(run: _Run, paragraph: re.Pattern[str], beyond: bool) -> list[tuple[str, Span]]:
    """The mark of a paragraph at an end of a stretch, whose own rules do not know that there is text beyond it."""
    found = paragraph.search(run.text) if beyond else None
    return [] if found is None else [(".", cover(run.spans[found.start() : found.end()]))]


def _speak(run: _Run, british: bool) -> list[tuple[str, Span]]:
    folded = SpannedText(run.text, run.spans)
    if run.language == ENGLISH.language:
        return english.speak(folded, british=british)
    return engine(language_table(run.language)).speak(folded)


# Text to sentences of phonemes: the one entrance to this package.
#
# normalize (text → words and marks) → sentences of speakable length → reading (word in its place → phones)

InputFormat = Literal["text", "ssml", "markdown"]

# Running speech has about 13 phones a second: 200 phones are 15 s, and 40 words are about as long.
_MAX_WORDS = 40
_MAX_PHONES = 200
_ENGLISH_CONJUNCTIONS = table("english").words("conjunctions")


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
    pauses = [i + 1 for i in inner if mark_of(items[i]) == phonemes.PHRASE_PAUSE]
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
        letter = "A" if phonemes.is_vowel(spoken.words[0][1][0]) else "B"
        return letter if language == ENGLISH.language else letter.lower()
    return spoken if isinstance(spoken, str) and token.language == language else phonemes.PHRASE_PAUSE


def _reader(language: str, british: bool) -> Read:
    english = by_word(read_british if british else read)
    return english if language == ENGLISH.language else language_table(language).read


def _conjunctions(language: str) -> frozenset[str]:
    return _ENGLISH_CONJUNCTIONS if language == ENGLISH.language else language_table(language).conjunctions


def _items(tokens: Sequence[Token], prosody: phonemes.Prosody, british: bool) -> tuple[list[Item], phonemes.Prosody]:
    """The items of one sentence, and the prosody at its end."""
    spoken = [token.spoken for token in tokens]
    rests = {i + 1: token for i, token in enumerate(spoken) if isinstance(token, Pause)}
    heard = {i: n for n, i in enumerate(i for i, t in enumerate(spoken) if not isinstance(t, Pause | phonemes.Prosody))}
    said = {
        language: _reader(language, british)([_as_read(tokens[i], language) for i in heard])
        for language in {token.language for token in tokens}
    }
    items: list[Item] = []
    for i, (token, span, language) in enumerate(tokens):
        control = phonemes.Control(*astuple(prosody))
        if isinstance(token, phonemes.Prosody):
            prosody = held(token)
        elif isinstance(token, Pronounced):
            items += [Word(text, phones, span, control) for text, phones in token.words]
        elif isinstance(token, Pause):
            if spoken[i + 1 : i + 2] and spoken[i + 1] in phonemes.PAUSES:
                continue  # the next token is the mark whose length it is
            items.append(Rest(phonemes.SILENCE, token.seconds))
        elif token in phonemes.PAUSES:
            items.append(Rest(token, rests[i].seconds) if i in rests else token)
        else:
            items.append(Word(token, said[language][heard[i]], span, control))
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
        text: any Unicode string, or a document in SSML or Markdown.
        input_format: which of the three.
        lexicon: words that are read otherwise.
        language: that of the text, as a tag of BCP 47; SSML may switch it.
        cast: who can speak in it, each with the language of what they say; one voice alone if None.

    Raises:
        UnsupportedText: it has a directive or a tag that cannot be followed, names an unknown voice, or is in a
            language that is not read.
    """
    cast = cast or Cast.of_one(language)
    if input_format == "ssml":
        return read_ssml(text, lexicon, cast)
    plain, left = read_markdown(text) if input_format == "markdown" else (text, ())
    return replace(read_plain(plain, lexicon, cast), left_out=left)


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
    found: list[Sentence] = []
    prosody = phonemes.Prosody()
    voice, british = primary(language), is_british(language)
    tokens = normalize(text, voice, british=british)
    for sentence in sentences([token.spoken for token in tokens]):
        items, prosody = _items(tokens[sentence], prosody, british)
        conjunctions = _conjunctions(tokens[sentence.start].language)
        found.extend(Sentence(tuple(part)) for part in _fit(_said(items, voice), conjunctions))
    return found
