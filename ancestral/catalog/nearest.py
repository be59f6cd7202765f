"""The names nearest to one that does not exist: by meaning if a table of synonyms knows the words, else by letters."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ancestral.models.text.emoji import FLAG, SEQUENCE, speak_flag, speak_picture

_MAX_BY_MEANING: Final = 5
_MAX_BY_LETTERS: Final = 3
_LIKENESS: Final = 0.6
_EMOJI: Final = re.compile(f"({FLAG})|{SEQUENCE}")
_WORD: Final = re.compile(r"\w+")
_MINOR: Final = frozenset({"a", "an", "and", "in", "of", "on", "or", "picture", "the", "with"})


def nearest(wanted: str, names: Sequence[str], synonyms: Mapping[str, Sequence[str]]) -> list[str]:
    """The members of ``names`` that are nearest to what was requested; none if nothing is near.

    Args:
        wanted: a word, several, or an emoji, in lower case.
        names: to choose from.
        synonyms: lower-case words, each with those of ``names`` that it may mean, the nearest first.
    """
    forms = [form for word in _words(wanted) for form in _forms(word)]
    meant = [name for form in [wanted, *forms] for name in synonyms.get(form, ()) if name in names]
    if not meant:
        meant = [name for form in forms for name in names if form in _WORD.findall(name.casefold())]
    if meant:
        return list(dict.fromkeys(meant))[:_MAX_BY_MEANING]
    known = {name.casefold(): name for name in names}
    return [known[found] for found in difflib.get_close_matches(wanted, known, _MAX_BY_LETTERS, _LIKENESS)]


def _words(text: str) -> Iterator[str]:
    """The words of a text that mean something, those of its emoji among them."""

    def name(match: re.Match[str]) -> str:
        return f" {(speak_flag if match[1] else speak_picture)(match[0], 'en') or ''} "

    named = _EMOJI.sub(name, text)
    yield from (word for word in _WORD.findall(unicodedata.normalize("NFKC", named).casefold()) if word not in _MINOR)


def _forms(word: str) -> Iterator[str]:
    """A word as it is, and without the endings of a plural."""
    yield word
    for ending, stem in (("ies", "y"), ("es", ""), ("s", "")):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            yield word.removesuffix(ending) + stem
