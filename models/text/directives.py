"""What plain text can say about how it is read: phonemes (``[[ … ]]``), pauses (``[pause:1.5s]``), voices
(``[voice:joe]``, or a name of the cast and a colon at the beginning of a line), how it is said (``[whispers]``, see
delivery.py), a lexicon.

Anything else that looks like one of them is refused: it is an instruction, and reading it aloud is not what its writer
wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ancestral.models.text.characters import UnknownSpeaker, UnsupportedText
from ancestral.models.text.delivery import TAG, way_of
from ancestral.models.text.ipa import parse_phonemes
from ancestral.models.text.languages.registry import primary
from ancestral.models.text.markup import refuse_tags
from ancestral.models.text.pronunciations import Pronunciations
from ancestral.models.text.script import Cast, Piece, Pronounced, Script, Text, pause_of

_VOICE: Final = r"(?i:\[voice:(?P<voice>[^\[\]]*)\])"
_DIRECTIVE: Final = re.compile(
    rf"\[\[(?P<phonemes>[^\[\]]*)\]\]|\[\[|\[pause:(?P<pause>[^\[\]]*)\]|\[pause:|{_VOICE}|\[voice:|{TAG.pattern}",
    re.IGNORECASE,
)
_SECONDS: Final = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*(ms|s)\s*", re.IGNORECASE)
_OPEN: Final = re.compile(
    r"\[(?:\[[^\[\]]*\]?|p?|pa|pau|paus|pause|pause:[^\[\]]*|v|vo|voi|voic|voice|voice:[^\[\]]*|[a-z][a-z -]{0,15})$",
    re.IGNORECASE,
)
_LONGEST_SHOWN: Final = 40
_LONGEST_OPEN: Final = 300


def read_plain(text: str, lexicon: Pronunciations, cast: Cast) -> Script:
    """Plain text with its directives.

    Raises:
        UnsupportedText: it has a tag, or a directive that cannot be followed; the message shows it.
    """
    refuse_tags(text)
    pieces: list[Piece] = []
    speaker, at = cast.default, 0
    for match in voice_changes(text, cast.names):
        pieces += read_directives(text[at : match.start()], lexicon, at, primary(speaker.text_language))
        try:
            speaker, at = cast.find(voice_named(match)), match.end()
        except UnknownSpeaker as error:
            raise UnknownSpeaker(f"{_shown(match)!r} (a voice, at position {match.start()}): {error}") from error
        pieces.append(speaker)
    pieces += read_directives(text[at:], lexicon, at, primary(speaker.text_language))
    return Script(tuple(pieces)).check()


def voice_changes(text: str, names: tuple[str, ...], *, begins_line: bool = True) -> list[re.Match[str]]:
    """Where another voice begins: a directive, or one of the names and a colon at the beginning of a line.

    Args:
        text: without tags.
        names: of the cast.
        begins_line: whether the text itself does.
    """
    if not names and "[" not in text:  # as almost always; a session asks with every piece of text
        return []
    before = "" if begins_line else r"(?<=\n)"
    named = rf"(?m:^){before}[ \t]*(?P<name>{'|'.join(map(re.escape, names))}):[ \t]*|" if names else "(?P<name>(?!))|"
    return list(re.finditer(named + _VOICE, text))


def voice_named(match: re.Match[str]) -> str:
    """The name in one of :func:`voice_changes`."""
    return (match["name"] or match["voice"]).strip()


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


def _shown(match: re.Match[str]) -> str:
    return match[0] if len(match[0]) <= _LONGEST_SHOWN else f"{match[0][:_LONGEST_SHOWN]}…"


def _directive(match: re.Match[str], start: int, language: str) -> Iterator[Piece]:
    shown = _shown(match)
    if match["phonemes"] is not None:
        written = match["phonemes"].strip()
        try:
            words = parse_phonemes(written, language=language)
        except UnsupportedText as error:
            raise UnsupportedText(f"{shown!r} (phonemes, at position {start}): {error}") from error
        texts = written.split() if len(words) > 1 else [written]
        yield Pronounced(written, tuple(zip(texts, words, strict=True)))
        return
    if match["way"] is not None:
        if (way := way_of(match)) is not None:
            yield way
        return
    if match["voice"] is not None:  # plain text has none left
        raise UnsupportedText(f"{shown!r} (at position {start}): SSML names a voice by <voice name>")
    seconds = _SECONDS.fullmatch(match["pause"] or "")
    if seconds is None:
        fault = "is incomplete" if match["pause"] is None else "has no length from 0 s"
        form = "phonemes are written [[HH AH0 L OW1]], pauses [pause:1.5s], voices [voice:joe]"
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
