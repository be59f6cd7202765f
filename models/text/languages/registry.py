"""The languages that texts may have."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from ancestral.models.text.characters import ENGLISH, UnsupportedText
from ancestral.models.text.languages.language import Language

_MODULES: Final = {"es": "spanish", "fr": "french", "it": "italian", "pt": "portuguese"}
LANGUAGES: Final = (ENGLISH.language, *_MODULES)
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


@cache
def table(language: str) -> Language:
    """The table of one of :data:`LANGUAGES` but English, which has rules of its own. Read at its first use."""
    module = import_module(f"ancestral.models.text.languages.{_MODULES[language]}")
    found: Language = module.LANGUAGE
    return found
