"""What plain text can say about how it is read: phonemes (``[[ … ]]``), pauses (``[pause:1.5s]``), a lexicon.

Anything else that looks like one of them is refused: it is an instruction, and reading it aloud is not what its writer
wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ancestral.models.text.characters import ENGLISH, UnsupportedText
from ancestral.models.text.ipa import parse_phonemes
from ancestral.models.text.markup import refuse_tags
from ancestral.models.text.pronunciations import NO_PRONUNCIATIONS, Pronunciations
from ancestral.models.text.script import Piece, Pronounced, Script, Text, pause_of

_DIRECTIVE: Final = re.compile(
    r"\[\[(?P<phonemes>[^\[\]]*)\]\]|\[\[|\[pause:(?P<pause>[^\[\]]*)\]|\[pause:", re.IGNORECASE
)
_SECONDS: Final = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*(ms|s)\s*", re.IGNORECASE)
_OPEN: Final = re.compile(r"\[(?:\[[^\[\]]*\]?|p?|pa|pau|paus|pause|pause:[^\[\]]*)$", re.IGNORECASE)
_LONGEST_SHOWN: Final = 40
_LONGEST_OPEN: Final = 300


def read_plain(text: str, lexicon: Pronunciations = NO_PRONUNCIATIONS, language: str = ENGLISH.language) -> Script:
    """Plain text with its directives.

    Raises:
        UnsupportedText: it has a tag, or a directive that cannot be followed; the message shows it.
    """
    refuse_tags(text)
    return Script(tuple(read_directives(text, lexicon, 0, language))).check()


def ends_in_open_directive(text: str) -> bool:
    """Whether a directive begins in `text` that later text may complete."""
    return _OPEN.search(text, max(0, len(text) - _LONGEST_OPEN)) is not None


def read_directives(text: str, lexicon: Pronunciations, start: int, language: str) -> Iterator[Piece]:
    """The pieces of a text.

    Args:
        text: without tags.
        lexicon: words that are read otherwise.
        start: the position of the text in the input.
        language: its primary language.

    Raises:
        UnsupportedText: a directive cannot be followed; the message shows it.
    """
    at = 0
    for match in _DIRECTIVE.finditer(text):
        yield from _with_lexicon(text[at : match.start()], lexicon, start + at, language)
        yield from _directive(match, start + match.start(), language)
        at = match.end()
    yield from _with_lexicon(text[at:], lexicon, start + at, language)


def _directive(match: re.Match[str], start: int, language: str) -> Iterator[Piece]:
    shown = match[0] if len(match[0]) <= _LONGEST_SHOWN else f"{match[0][:_LONGEST_SHOWN]}…"
    if match["phonemes"] is not None:
        written = match["phonemes"].strip()
        try:
            words = parse_phonemes(written, language=language)
        except UnsupportedText as error:
            raise UnsupportedText(f"{shown!r} (phonemes, at position {start}): {error}") from error
        texts = written.split() if len(words) > 1 else [written]
        yield Pronounced(written, tuple(zip(texts, words, strict=True)))
        return
    seconds = _SECONDS.fullmatch(match["pause"] or "")
    if seconds is None:
        fault = "is incomplete" if match["pause"] is None else "has no length from 0 s"
        form = "phonemes are written [[HH AH0 L OW1]], pauses [pause:1.5s]"
        raise UnsupportedText(f"{shown!r} (at position {start}) {fault}: {form}")
    if pause := pause_of(seconds[1], seconds[2], shown):
        yield pause


def _with_lexicon(text: str, lexicon: Pronunciations, start: int, language: str) -> Iterator[Piece]:
    at = 0
    for match in lexicon.matches(text, language):
        if match.start > at:
            yield Text(text[at : match.start], text[at : match.start], start + at, language)
        written = text[match.start : match.end]
        yield Pronounced(written, tuple((written, phones) for phones in match.words), match.entry)
        at = match.end
    if at < len(text):
        yield Text(text[at:], text[at:], start + at, language)
