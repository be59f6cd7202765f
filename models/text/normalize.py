"""Written text to the words and marks that are spoken.

The stages run in a fixed order: characters, layout, markup, addresses and abbreviations (which need capitals and
digits), quantities, remaining symbols, and last the case of each word, which tells an acronym from a word. docs/text.md
describes what is spoken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from ancestral.models.text import lexicon
from ancestral.models.text.abbreviations import speak_abbreviations
from ancestral.models.text.addresses import speak_addresses
from ancestral.models.text.characters import CUE, LETTER, NothingToSpeak, fold
from ancestral.models.text.directives import read_plain
from ancestral.models.text.markup import speak_arrows, speak_markup
from ancestral.models.text.phonemes import PAUSES, PHRASE_PAUSE, SENTENCE_ENDS
from ancestral.models.text.quantities import speak_quantities
from ancestral.models.text.script import Cue, Pause, Pronounced, Prosody, Script, Text
from ancestral.models.text.spans import Span, SpannedText, cover, disjoint
from ancestral.models.text.units import CURRENCIES

# Acronyms that also are words, or that the lexicon gives in full.
_SPELLED: Final = frozenset({
    "US", "UK", "UN", "EU", "TV", "PC", "IT", "ID", "AI", "PM", "AM", "DC", "IQ", "PR", "HR", "AD", "BC", "CE", "CO",
    "EST", "LA", "LED", "MIT", "OS", "PST",
})  # fmt: skip
_SAID_AS: Final = {"JSON": "jason"}
# After these words a capital A is a letter: "A is for apple", "A and B".
_AFTER_LETTER: Final = frozenset({"is", "and", "or", "was", "for"})
# Unknown capitals are spelled up to this length; in a sentence all in capitals only the shorter ones.
_LONGEST_SPELLED: Final = 4
_LONGEST_SPELLED_SHOUTED: Final = 3
_SHOUTED_WORDS: Final = 3
_LONGEST_WORD: Final = 40
_SHORTEST_DRAWN_OUT: Final = 2
_SYMBOLS: Final = {
    "&": " and ", "+": " plus ", "=": " equals ", "@": " at ", "#": " hash ", "%": " percent ",
    "°": " degrees ", "µ": " mu ", "\\": " backslash ",
    **{sign: f" {currency.one} " for sign, currency in CURRENCIES.items()},
    **dict.fromkeys("_*~^/\"", " "),
    **dict.fromkeys("|()[]{};:", " , "),
}  # fmt: skip
_SYMBOL: Final = re.compile(f"[{re.escape(''.join(_SYMBOLS))}]")
_EARLY: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    # Paragraphs and list items end a sentence.
    (re.compile(r"\n[ \t]*(?:\n\s*|(?=[-*#>]\s|\d+[.)]\s))"), " . "),
    (re.compile(r"(^|(?<= \. )|[.?!][\"')\]]*\s)\s*(?!>+\s*\d)[-*#>]+\s+"), lambda m: f"{m[1]} "),
    (re.compile(r"\s+"), " "),
    (re.compile(r"(?<![^\s(])\.(?=[A-Za-z])"), " dot "),
    (re.compile(r"(?<!\d) -+ | -+ (?!\d)|-{2,}|(?<=\S)- (?!(?:and|or)\b)"), " , "),
    (re.compile(r"\.{2,}(?=[\s\"')]+[A-Z])"), ". "),
    (re.compile(r"\.{2,}(?=[\s\"')]*[A-Za-z0-9])"), " , "),
)
_ABOUT: Final = re.compile(r"~(?=\s?[\d$£€¥])")
_WORD_OR_MARK: Final = re.compile(rf"[A-Za-z]+{CUE}|{LETTER}?[A-Za-z]+(?:'[A-Za-z]+)*|[.,?!]")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONG_REPEAT: Final = re.compile(r"([a-z])\1{2,}")
_OF_WORD: Final = re.compile(r"[\w']")
_JOINED: Final = re.compile(r"[-(\"\s]?")
_LETTER_OR_DIGIT: Final = re.compile(r"[^\W_]")
_LONE_LETTER: Final = re.compile(r"(?<![A-Za-z\d'])([A-Za-z])(?=\d)")


class Token(NamedTuple):
    """What is spoken, and where it was written."""

    spoken: str | Cue
    """A word in lower case, apostrophes kept; a capital for a letter spoken by name, with its ending (`I's`); one of
    the marks `,` `.` `?` `!`; or a cue."""
    span: Span
    """In :attr:`Script.written`."""

    @property
    def is_word(self) -> bool:
        """Whether it is spoken, and no pause."""
        return isinstance(self.spoken, Pronounced) or (isinstance(self.spoken, str) and self.spoken not in PAUSES)


def _is_acronym(word: str, shouted: bool) -> bool:
    if word in _SPELLED:
        return not shouted
    if lexicon.contains(word.lower()):
        return False
    if not re.search("[AEIOUY]", word):
        return True
    return len(word) <= (_LONGEST_SPELLED_SHOUTED if shouted else _LONGEST_SPELLED)


def _squeeze(word: str) -> str:
    """Letters drawn out for effect, brought back to a word: "sooooo" to "so"."""
    if not _LONG_REPEAT.search(word):
        return word
    twice, once = _LONG_REPEAT.sub(r"\1\1", word), _LONG_REPEAT.sub(r"\1", word)
    # Very short words (so, no, oh) are the ones people draw out; longer ones may have the double letter.
    short = len(once) == _SHORTEST_DRAWN_OUT
    return once if lexicon.contains(once) and (short or not lexicon.contains(twice)) else twice


def _pieces(word: str) -> list[str]:
    return [word[i : i + _LONGEST_WORD] for i in range(0, len(word), _LONGEST_WORD)]


def _speak_word(word: str, shouted: bool) -> list[str]:
    """One written word as spoken words; capital letters in the result are names of letters."""
    if word[0] == LETTER:
        return [word[1].upper() + word[2:]]
    if word[-1] == CUE:
        return [word]
    if len(word) == 1:
        return [word.lower() if word in "aiI" else word.upper()]
    if word in _SAID_AS:
        return [_SAID_AS[word]]
    lower = word.lower()
    stem, apostrophe, clitic = word.partition("'")
    capitals = stem[:-1] if len(stem) > 2 and stem[-1] == "s" and stem[:-1].isupper() else stem
    if len(capitals) > 1 and capitals.isupper() and _is_acronym(capitals, shouted):
        tail = "'s" if capitals != stem or clitic.lower() == "s" else ""
        return [*capitals[:-1], capitals[-1] + tail]
    if lexicon.contains(lower):
        return [lower]
    if "'" not in word and len(word) <= _LONGEST_SPELLED and not re.search("[aeiouy]", lower):
        return list(word.upper())
    parts = _CAMEL.split(stem)
    if len(parts) > 1:
        spoken = [piece for part in parts for piece in _speak_word(part, shouted)]
        return [*spoken[:-1], spoken[-1] + (apostrophe + clitic).lower()]
    return [piece.strip("'") for piece in _pieces(_squeeze(lower))]


def _is_article(words: list[str], i: int) -> bool:
    """Whether a lone capital A is the article: it opens a sentence, or stands in a title or among capitals."""
    after = words[i + 1] if i + 1 < len(words) else "."
    before = words[i - 1] if i else "."
    if after in PAUSES or after[0] == LETTER or after in _AFTER_LETTER:
        return False
    return before in PAUSES or (after[0].isupper() and before[0].isupper())


def _is_shouted(words: list[str]) -> bool:
    letters = [word for word in words if word not in PAUSES and word[0] != LETTER and word[-1] != CUE]
    return len(letters) >= _SHOUTED_WORDS and not any(char.islower() for char in "".join(letters))


def _speak_sentence(words: list[str]) -> Iterator[list[str]]:
    shouted = _is_shouted(words)
    for i, word in enumerate(words):
        if word in PAUSES:
            yield [word]
        elif word == "A":
            yield ["a" if _is_article(words, i) else "A"]
        else:
            yield _speak_word(word, shouted)


def _speak_words(words: list[str]) -> Iterator[list[str]]:
    """For each written word or mark what is spoken."""
    start = 0
    for i, word in enumerate(words, 1):
        # Each sentence on its own: only one of them may be shouted.
        if word in SENTENCE_ENDS or i == len(words):
            yield from _speak_sentence(words[start:i])
            start = i


def _strongest(marks: list[Token]) -> str:
    return next((mark for mark in "?!." if any(token.spoken == mark for token in marks)), PHRASE_PAUSE)


def _pause(gap: Sequence[Token]) -> list[Token]:
    """The pauses of exact length as one."""
    seconds = round(sum(token.spoken.seconds for token in gap if isinstance(token.spoken, Pause)), 3)
    return [Token(Pause(seconds), cover([token.span for token in gap]))] if seconds else []


def _cues(gap: Sequence[Token]) -> list[Token]:
    """What stands before the first word: its pauses as one, and the last prosody."""
    return _pause(gap) + [token for token in gap if isinstance(token.spoken, Prosody)][-1:]


def _between(gap: list[Token]) -> list[Token]:
    """What stands between two words, in one form: a pause before the mark whose length it is, or after a sentence."""
    marks = [token for token in gap if isinstance(token.spoken, str)]
    end = next((i for i, token in enumerate(gap) if token.spoken in SENTENCE_ENDS), len(gap))
    found = _pause(gap[:end])
    if marks or found:
        found.append(Token(_strongest(marks), cover([token.span for token in marks or found])))
    return found + _cues([token for i, token in enumerate(gap) if i >= end or isinstance(token.spoken, Prosody)])


def _merge_marks(tokens: list[Token]) -> list[Token]:
    """One mark where several stand together, none at the start, and a sentence's end at the end."""
    merged: list[Token] = []
    gap: list[Token] = []
    for token in tokens:
        if not token.is_word:
            gap.append(token)
            continue
        merged += _between(gap) if merged else _cues(gap)
        merged.append(token)
        gap = []
    if not merged:
        return _cues(gap)
    if not any(token.spoken in SENTENCE_ENDS for token in gap):
        gap.append(Token(".", gap[-1].span if gap else (merged[-1].span[1], merged[-1].span[1])))
    return merged + [token for token in _between(gap) if not isinstance(token.spoken, Prosody)]


def _disjoint(tokens: list[Token], written: str) -> Iterator[Token]:
    """Words that were written as one, or in another order than they are read, have one span together."""
    spans = iter(disjoint([token.span for token in tokens if token.is_word]))
    for token in tokens:
        if not token.is_word:
            yield token
            continue
        start, end = next(spans)
        text = written[start:end]
        yield token._replace(span=(end - len(text.lstrip()), start + len(text.rstrip())))


def _place_holder(number: int, capital: bool) -> str:
    """A word that no stage knows, with a capital where the text has one, which decides how its neighbours are read."""
    letters = f"q{number:012b}".replace("0", "v").replace("1", "z")
    return (letters.capitalize() if capital else letters) + CUE


def _folded(script: Script, cues: dict[str, Cue]) -> SpannedText:
    """The folded text of a script, with a word in place of each cue, which is added to `cues`."""
    folded = ""
    spans: list[Span] = []
    for number, (piece, shown, start) in enumerate(script.placed()):
        span = start, start + len(shown)
        if isinstance(piece, Text):
            whole = SpannedText(piece.spoken, [span] * len(piece.spoken))
            text = fold(SpannedText.of(shown, start) if piece.spoken == shown else whole, piece.start)
            if folded[-1:] == CUE and _OF_WORD.match(text.text):
                folded += " "
                spans.append(span)
            folded += text.text
            spans += text.spans
            continue
        seen = piece.written if isinstance(piece, Pronounced) else _following(script, number)
        first = _LETTER_OR_DIGIT.search(seen)
        holder = _place_holder(number, first is not None and first[0].isupper())
        cues[holder.lower()] = piece
        added = holder if _JOINED.fullmatch(folded[-1:]) else f" {holder}"
        folded += added
        spans += [span] * len(added)
    return SpannedText(folded, spans)


def _following(script: Script, number: int) -> str:
    """What is written after a cue."""
    return next((piece.written for piece in script.pieces[number + 1 :] if isinstance(piece, Text | Pronounced)), "")


def normalize(text: str | Script) -> list[Token]:
    """Text as a list of spoken words and marks.

    Args:
        text: any Unicode string; or a script of one.

    Returns:
        Words and marks: never two marks in a row, never one first, a sentence's end last. Among them stand the cues of
        a script. A pause stands before the mark whose length it is, or before the first word of a sentence; at the end
        of the text it may follow the last mark. The spans of words are in order; two of them are the same or apart.

    Raises:
        UnsupportedText: if there is nothing to speak, for tags, or for characters that have no English reading.
    """
    script = read_plain(text) if isinstance(text, str) else text
    cues: dict[str, Cue] = {}
    folded = speak_arrows(_folded(script, cues)).strip()
    for pattern, replacement in _EARLY:
        folded = folded.sub(pattern, replacement)
    spoken = speak_abbreviations(speak_addresses(speak_markup(folded)))
    spoken = spoken.sub(_LONE_LETTER, lambda m: f"{LETTER}{m[1].lower()} ").sub(_ABOUT, " about ")
    spoken = speak_quantities(spoken).sub(_SYMBOL, lambda m: _SYMBOLS[m[0]])
    written = list(_WORD_OR_MARK.finditer(spoken.text))
    tokens = _merge_marks(
        [
            Token(cues[word.lower()] if word[-1] == CUE else word, span)
            for match, words in zip(written, _speak_words([match[0] for match in written]), strict=True)
            for span in [cover(spoken.spans[match.start() : match.end()])]
            for word in words
        ]
    )
    if not any(token.is_word or isinstance(token.spoken, Pause) for token in tokens):
        raise NothingToSpeak("nothing to speak: the text has no letters, digits or symbols with a spoken name")
    return list(_disjoint(tokens, script.written))
