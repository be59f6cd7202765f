"""Written text to the words and marks that are spoken: each stretch by the rules of its language.

English has its stages (english.py), all others share an engine (languages/engine.py). Meanwhile a word takes the place
of each cue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ancestral.models.text import english
from ancestral.models.text.characters import CUE, ENGLISH, Folding, NothingToSpeak, UnsupportedText, check_read, fold
from ancestral.models.text.delivery import left_out
from ancestral.models.text.directives import read_plain
from ancestral.models.text.languages.engine import engine
from ancestral.models.text.languages.registry import primary, table
from ancestral.models.text.pronunciations import NO_PRONUNCIATIONS
from ancestral.models.text.script import Cast, Cue, Pause, Pronounced, Script, Speaker, Text
from ancestral.models.text.sentence import CLAUSE_END, Token, apart, merge_marks
from ancestral.models.text.spans import Span, SpannedText, cover

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
        seen = piece.written if isinstance(piece, Pronounced) else _following(script, number)
        first = _LETTER_OR_DIGIT.search(seen)
        holder = _place_holder(number, first is not None and first[0].isupper())
        cues[holder.lower()] = piece
        added = holder if _JOINED.fullmatch(run.text[-1:]) else f" {holder}"
        run.add(added, [span] * len(added))
    yield run


def _folding(language: str) -> Folding:
    return ENGLISH if language == ENGLISH.language else engine(table(language)).folding


def skipped(text: str, language: str = ENGLISH.language, plain: str = "") -> tuple[str, ...]:
    """What of a text is not said, each once: what has no reading in its language, such as words in another script, and
    tags that nothing does.

    Args:
        text: as it is written, without what says how it is read.
        language: a tag of BCP 47.
        plain: the same with its tags, if it is plain text.
    """
    found: list[tuple[int, str]] = []
    with suppress(UnsupportedText):
        fold(SpannedText.of(text, 0), 0, _folding(primary(language)), found)
    return tuple(dict.fromkeys([*(word for _, word in found), *left_out(plain)]))


def _following(script: Script, number: int) -> str:
    """The text after a cue."""
    return next((piece.written for piece in script.pieces[number + 1 :] if isinstance(piece, Text | Pronounced)), "")


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
    tokens = merge_marks(
        [
            Token(cues[word.lower()] if word[-1] == CUE else word, span, run.language)
            for before, run, after in _with_neighbours(list(_runs(script, cues, silent)))
            for word, span in (*_break(run, _BEGIN, before), *_speak(run, british), *_break(run, _END, after))
        ],
        goes_on=CLAUSE_END.search(script.written) is not None,
    )
    check_read(script.written, silent, _folding(language))
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
    return engine(table(run.language)).speak(folded)
