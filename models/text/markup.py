"""Angle brackets, relations, arrows and emoticons to words; tags of a markup language are refused.

What an angle bracket is follows from what it encloses:

- a **tag**: ``<``, a name directly after it (or ``/`` and a name), nothing else but attributes (``name="value"``), and
  ``>``; also ``<!--``, ``<?xml`` and the like. Refused: a tag is an instruction, which plain text cannot give.
- an **address**: ``<``, text without white space that has an ``@``, a ``://`` or a dot before a letter, and ``>``. The
  address is spoken; the brackets are pauses, like other brackets.
- everything else is a **comparison**, spoken as "less than" and "greater than".
"""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.characters import LETTER, UnsupportedText
from ancestral.models.text.spans import SpannedText
from ancestral.models.text.tables import table

_NAME: Final = r"[A-Za-z][\w:-]*"
_ATTRIBUTE: Final = rf"\s+{_NAME}\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'|[^\s\"'<>=]+)"
_TAG: Final = re.compile(
    rf"<(?:/{_NAME}\s*|{_NAME}(?:{_ATTRIBUTE})*\s*/?)>|<(?:!--|!\[CDATA\[|!DOCTYPE\b|\?xml\b)", re.IGNORECASE
)
_OPEN_TAG: Final = re.compile(
    rf"<(?:/?|/?{_NAME}|{_NAME}(?:{_ATTRIBUTE})*\s+(?:{_NAME}(?:\s*=\s*(?:\"[^\"<]*|'[^'<]*)?)?)?)$"
)
_LONGEST_SHOWN: Final = 40
_LONGEST_OPEN: Final = 200

_EMOTICONS: Final = table("english").entries("emoticons")
_EMOTICON: Final = re.compile(rf"(?<!\S)({'|'.join(map(re.escape, _EMOTICONS))})(?=[\s.,!?)]|$)")
# Not after a verb, as in "if it is <3".
_HEART: Final = re.compile(
    r"(?:(?<=\bI )|(?<=\b[Ww]e ))<3(?!\S)"
    r"|(?:^|(?<=^ )|(?<=[.!?,] )|(?<=[A-Za-z]{2} )(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bbe )(?<!\bif ))"
    r"<3(?=\s*(?:[.!?,]|$))"
)
_ADDRESS: Final = re.compile(r"<([^<>\s]*(?:@|://|\w\.[A-Za-z])[^<>\s]*)>")
# The variable of a formula, not the article: "a <= b", "x = a".
_VARIABLE: Final = re.compile(
    r"(?<![\w'.@-])[aA](?=[<>=+^]|!=|\s(?:[<>=+*^]|[<>!=]=)\s)|(?<=[<>=+^])[aA](?!\w)|(?<=\s[<>=+*^]\s)[aA](?=\s*(?:[.,;)]|$))"
)
_ARROW: Final = re.compile(r"((?<![\w'.@-])[aA]\s?)?(<?(?:-+|=)>|<-+(?![-\d.]))")
_RELATIONS: Final = (
    (re.compile(r"<=|=<"), " less than or equal to "),
    (re.compile(r">="), " greater than or equal to "),
    (re.compile(r"!==?|=/="), " not equal to "),
    (re.compile(r"={2,3}(?!=)"), " equals "),
    (re.compile(r"(?<=[A-Za-z]{2}) \* (?=[A-Za-z]{2})"), " star "),
    (re.compile(r"(?<=[\w)\]]) \* (?=[\w(\[])"), " times "),
    (re.compile(r"<"), " less than "),
    (re.compile(r">"), " greater than "),
)
_SIGNS: Final = re.compile(r"[<>=^+*]|[:;]\S")


def refuse_tags(text: str) -> None:
    """Check that a text has no tags.

    Raises:
        UnsupportedText: it has one; the message shows the first.
    """
    found = _TAG.search(text) if "<" in text else None
    if found:
        tag = found[0] if len(found[0]) <= _LONGEST_SHOWN else f"{found[0][:_LONGEST_SHOWN]}…"
        raise UnsupportedText(
            f"cannot speak {tag!r} (a tag, at position {found.start()}): plain text has no tags; SSML needs "
            'input_format ssml; to compare, put a space after the sign, as in "a < b"'
        )


def ends_in_open_tag(text: str) -> bool:
    """Whether a tag begins in `text` that later text may complete."""
    start = text.rfind("<", max(0, len(text) - _LONGEST_OPEN))
    return start >= 0 and _OPEN_TAG.match(text, start) is not None


def _speak_arrow(match: re.Match[str]) -> str:
    direction = "right" if match[2][-1] == ">" else "left"
    return f"{f'{LETTER}a' if match[1] else ''} {direction} arrow "


def speak_arrows(text: SpannedText) -> SpannedText:
    """Replaces ``->``, ``=>``, ``<-`` by words: before layout is read, where a dash is a pause."""
    if "<" not in text.text and ">" not in text.text:
        return text
    return text.sub(_ARROW, _speak_arrow)


def speak_markup(text: SpannedText) -> SpannedText:
    """Replaces angle brackets, relations and emoticons by words.

    Args:
        text: folded text (`characters.fold`) without tags, its layout reduced to single spaces.

    Returns:
        Text without ``<`` and ``>``.
    """
    if not _SIGNS.search(text.text):
        return text
    text = text.sub(_EMOTICON, lambda match: f" , {_EMOTICONS[match[1]]} , ")
    text = text.sub(_ADDRESS, lambda match: f" , {match[1]} , ").sub(_HEART, "heart")
    text = text.sub(_VARIABLE, f"{LETTER}a")
    for pattern, spoken in _RELATIONS:
        text = text.sub(pattern, spoken)
    return text
