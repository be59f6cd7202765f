"""The languages that texts may have."""

from __future__ import annotations

from typing import Final

from ancestral.models.text.characters import ENGLISH, UnsupportedText
from ancestral.models.text.languages.french import FRENCH
from ancestral.models.text.languages.italian import ITALIAN
from ancestral.models.text.languages.language import Language
from ancestral.models.text.languages.portuguese import PORTUGUESE
from ancestral.models.text.languages.spanish import SPANISH

_TABLES: Final = {language.tag: language for language in (SPANISH, FRENCH, ITALIAN, PORTUGUESE)}
LANGUAGES: Final = (ENGLISH.language, *_TABLES)
"""The primary languages that are read."""
_LONGEST_SHOWN: Final = 40


def language_of(tag: str) -> str:
    """The language of a tag such as ``en-US`` or ``en_US``, whether or not it is read."""
    return tag.replace("_", "-").partition("-")[0].lower()


def primary(tag: str) -> str:
    """The primary language of a BCP 47 tag: `es` of `es-MX`.

    Raises:
        UnsupportedText: it is none of :data:`LANGUAGES`; the message names it.
    """
    found = language_of(tag)
    if found not in LANGUAGES:
        raise UnsupportedText(f"language {tag[:_LONGEST_SHOWN]!r} is not read; there are {', '.join(LANGUAGES)}")
    return found


def table(language: str) -> Language:
    """The table of one of :data:`LANGUAGES` but English, which has rules of its own."""
    return _TABLES[language]
