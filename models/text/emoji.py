"""Emoji to their CLDR short names (Unicode CLDR, https://cldr.unicode.org): what a reader calls them.

Skin tones are not spoken. A sequence that has no name of its own is spoken as the names of its parts.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import resources
from typing import Final

_PICTURE: Final = "[←-⇿⌀-⏿─-➿⤀-⯿〰〽㊗㊙\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
_MODIFIERS: Final = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
SEQUENCE: Final = f"{_PICTURE}{_MODIFIERS}(?:\u200d{_PICTURE}{_MODIFIERS})*"
"""A pattern: one emoji, or several joined to one picture, with the characters that change their looks."""
FLAG: Final = "[\U0001f1e6-\U0001f1ff]{2}"
"""A pattern: the two letters of a country's flag."""

_VARIATIONS: Final = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
_TAGS: Final = re.compile("[\U000e0020-\U000e007f]")
# Bullets, lines, blocks and ornaments: layout, which has no spoken form.
_DECORATION: Final = re.compile("[─-◿✐-✒❘-❞❡-❧➲-➿]")
_OTHER_NAMES: Final = {
    "→": "right arrow", "←": "left arrow", "★": "star", "☆": "star", "✓": "check mark", "☐": "empty check box",
}  # fmt: skip


_LANGUAGES: Final = ("en", "es", "fr", "it", "pt")
"""The languages of the columns of emoji.txt."""


@cache
def _names(language: str) -> dict[str, str]:
    lines = (resources.files("ancestral.models.text") / "tables" / "emoji.txt").read_text("utf-8").splitlines()
    column = 1 + _LANGUAGES.index(language)
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {row[0]: row[column] for row in rows} | (_OTHER_NAMES if language == "en" else {})


def symbol_name(char: str, language: str) -> str:
    """The name of one symbol, from CLDR or, in English, else from Unicode; empty if it has none."""
    if char in _names(language) or language != "en":
        return _names(language).get(char, "")
    name = unicodedata.name(char, "").lower().replace("-", " ")
    return re.sub(r" (?:sign|symbol)$", "", name)


def speak_picture(sequence: str, language: str) -> str | None:
    """The words for one match of :data:`SEQUENCE`: empty for a decoration, None if a part of it has no name."""
    plain = _VARIATIONS.sub("", sequence)
    if not plain:
        return ""  # a skin tone by itself
    known = _names(language)
    if plain in known:
        return known[plain]
    if _TAGS.search(plain):
        return None  # text in invisible characters, other than the flags above
    parts = [part for part in plain.split("\u200d") if part]
    if all(_DECORATION.match(part) and part not in known for part in parts):
        return ""
    names = [symbol_name(part, language) for part in parts]
    return " ".join(names) if all(names) else None


def speak_flag(letters: str, language: str) -> str | None:
    """The words for one match of :data:`FLAG`; None if no country has it and the language has no word for that."""
    if letters in _names(language) or language != "en":
        return _names(language).get(letters)
    code = "".join(chr(ord(char) - 0x1F1E6 + ord("A")) for char in letters)
    return f"flag {code[0]}. {code[1]}."
