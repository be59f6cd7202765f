"""Written text to the words and marks that are spoken.

The stages run in a fixed order: characters, layout, markup, addresses and abbreviations (which need capitals and
digits), quantities, remaining symbols, and last the case of each word, which tells an acronym from a word. docs/text.md
describes what is spoken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from ancestral.models.text.abbreviations import speak_abbreviations
from ancestral.models.text.addresses import speak_addresses
from ancestral.models.text.characters import CUE, LETTER, NothingToSpeak, fold
from ancestral.models.text.directives import read_plain
from ancestral.models.text.formulas import speak_formulas
from ancestral.models.text.markup import speak_arrows, speak_markup
from ancestral.models.text.phonemes import PAUSES, PHRASE_PAUSE, SENTENCE_ENDS
from ancestral.models.text.quantities import speak_quantities
from ancestral.models.text.script import Cue, Pause, Pronounced, Prosody, Script, Text
from ancestral.models.text.spans import Span, SpannedText, cover, disjoint
from ancestral.models.text.units import CURRENCIES
from ancestral.models.text.words import speak_words

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


_CLAUSE_END: Final = re.compile(r"[,;:—][\"'”’]*\s*\Z")


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


def _merge_marks(tokens: list[Token], *, goes_on: bool) -> list[Token]:
    """One mark where several stand together, none at the start, and at the end a sentence's, unless the text goes on.

    Args:
        tokens: of a text.
        goes_on: whether it ends with a clause, and not with a sentence.
    """
    merged: list[Token] = []
    gap: list[Token] = []
    for token in tokens:
        if not token.is_word:
            gap.append(token)
            continue
        if gap:
            merged += _between(gap) if merged else _cues(gap)
            gap = []
        merged.append(token)
    if not merged:
        return _cues(gap)
    if not any(token.spoken in SENTENCE_ENDS or (goes_on and token.spoken == PHRASE_PAUSE) for token in gap):
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
    folded = speak_arrows(speak_formulas(_folded(script, cues))).strip()
    for pattern, replacement in _EARLY:
        folded = folded.sub(pattern, replacement)
    spoken = speak_abbreviations(speak_addresses(speak_markup(folded)))
    spoken = spoken.sub(_LONE_LETTER, lambda m: f"{LETTER}{m[1].lower()} ").sub(_ABOUT, " about ")
    spoken = speak_quantities(spoken).sub(_SYMBOL, lambda m: _SYMBOLS[m[0]])
    written = list(_WORD_OR_MARK.finditer(spoken.text))
    tokens = _merge_marks(
        [
            Token(cues[word.lower()] if word[-1] == CUE else word, span)
            for match, words in zip(written, speak_words([match[0] for match in written]), strict=True)
            for span in [cover(spoken.spans[match.start() : match.end()])]
            for word in words
        ],
        goes_on=_CLAUSE_END.search(script.written) is not None,
    )
    if not any(token.is_word or isinstance(token.spoken, Pause) for token in tokens):
        raise NothingToSpeak("nothing to speak: the text has no letters, digits or symbols with a spoken name")
    return list(_disjoint(tokens, script.written))
