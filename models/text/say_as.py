"""SSML's ``<say-as interpret-as>``: the kinds of text that the front-end can read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ancestral.models.text.characters import ENGLISH, UnsupportedText
from ancestral.models.text.g2p import letter_name
from ancestral.models.text.languages import registry
from ancestral.models.text.languages.engine import CHARACTERS, DIGITS, FRACTION, TELEPHONE, engine
from ancestral.models.text.numerals import CURRENCIES, UNITS, cardinal, digits, fraction, number, ordinal
from ancestral.models.text.script import Piece, Pronounced, Text
from ancestral.models.text.tables import table

_WHOLE: Final = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,64}"
_NUMBER: Final = re.compile(rf"(-?)((?:{_WHOLE})(?:\.[0-9]{{1,64}})?|\.[0-9]{{1,64}})")
_ORDINAL: Final = re.compile(rf"({_WHOLE})(?:st|nd|rd|th)?")
_CURRENCY: Final = re.compile(rf"[{''.join(CURRENCIES)}]\s?(?:{_WHOLE})(?:\.[0-9]{{1,9}})?")
_TIME: Final = re.compile(
    r"(?:[01]?[0-9]|2[0-4])(?::[0-5][0-9]){1,2}(?:\s*[ap]\.?m\.?)?|(?:0?[0-9]|1[0-2])\s*[ap]\.?m\.?", re.IGNORECASE
)
_UNIT: Final = re.compile(rf"-?(?:{_WHOLE})(?:\.[0-9]{{1,9}})?\s*(\S+)")
_DATE_PART: Final = r"([0-9]{1,4})"
_DATE_ORDERS: Final = ("mdy", "dmy", "ymd")
_LARGEST: Final = {"m": 12, "d": 31, "y": 9999}
_SIGNS: Final = table("english").entries("spelled_signs")
_LONGEST_SHOWN: Final = 40


def say_as(kind: str, form: str | None, content: str, language: str) -> list[Piece]:
    """The pieces of a ``<say-as>`` element.

    Args:
        kind: its ``interpret-as``.
        form: its ``format``, for dates and times.
        content: its text.
        language: that of its text.

    Raises:
        UnsupportedText: the kind or the format is not supported, or the text is not of the kind.
    """
    if kind not in _KINDS:
        raise UnsupportedText(f"<say-as interpret-as>: {_shown(kind)} is none of {', '.join(_KINDS)}")
    forms = _FORMATS.get(kind, ())
    if form is not None and form not in forms:
        known = f"is none of {', '.join(forms)}" if forms else f"is not used by {kind}"
        raise UnsupportedText(f"<say-as format>: {_shown(form)} {known}")
    text = content.strip()
    if kind in CHARACTERS and language == ENGLISH.language:
        pieces = list(_characters(text))
    else:
        kinds = _KINDS if language == ENGLISH.language else engine(registry.table(language)).saying.kinds
        order = form or ("ymd" if re.match(r"[0-9]{4}\D", text) else "mdy" if kinds is _KINDS else "dmy")
        spoken = _date(text, order) if kind == "date" else kinds[kind](text)
        pieces = [] if spoken is None else [Text(f" {spoken} ", content, language=language)]
    if not pieces:
        raise UnsupportedText(f"<say-as interpret-as={kind!r}>: cannot read {_shown(content)} as that")
    return pieces


def _characters(text: str) -> Iterator[Piece]:
    """Letters and digits by their names, one after the other."""
    for char in text:
        plain = unicodedata.normalize("NFKD", char)[0]
        if plain.isascii() and plain.isalpha():
            yield Pronounced(char, ((plain.upper(), letter_name(plain)),))
        elif plain.isascii() and plain.isdigit():
            yield Text(f" {digits(plain)} ", char)
        else:
            yield Text(f" {_SIGNS.get(plain, char)} ", char)


def _cardinal(text: str) -> str | None:
    found = _NUMBER.fullmatch(text)
    return None if found is None else f"{'minus ' if found[1] else ''}{number(found[2])}"


def _ordinal(text: str) -> str | None:
    found = _ORDINAL.fullmatch(text)
    return None if found is None else ordinal(found[1])


def _digits(text: str) -> str | None:
    return digits(text) if DIGITS.fullmatch(text) else None


def _telephone(text: str) -> str | None:
    if not TELEPHONE.fullmatch(text):
        return None
    return ("plus " if text[0] == "+" else "") + " , ".join(digits(group) for group in re.findall(r"[0-9]+", text))


def _fraction(text: str) -> str | None:
    found = FRACTION.fullmatch(text)
    if found is None:
        return None
    return (f"{cardinal(found[1])} and " if found[1] else "") + fraction(found[2], found[3])


def _if(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    """What the front-end reads by itself, where it is written as it expects."""
    return lambda text: text if pattern.fullmatch(text) else None


def _unit(text: str) -> str | None:
    found = _UNIT.fullmatch(text)
    return text if found is not None and found[1] in UNITS else None


def _date(text: str, order: str) -> str | None:
    """A date in figures, in an order of its parts, as ISO 8601 has it."""
    found = re.fullmatch(r"\D{1,3}".join([_DATE_PART] * len(order)), text)
    if found is None:
        return None
    parts = dict(zip(order, map(int, found.groups()), strict=True))
    if any(not 0 < value <= _LARGEST[part] for part, value in parts.items()):
        return None
    return f"{parts['y']:04d}-{parts['m']:02d}-{parts['d']:02d}"


_KINDS: Final[Mapping[str, Callable[[str], str | None]]] = {
    **dict.fromkeys(CHARACTERS, str),
    "cardinal": _cardinal,
    "number": _cardinal,
    "ordinal": _ordinal,
    "digits": _digits,
    "telephone": _telephone,
    "fraction": _fraction,
    "date": str,
    "time": _if(_TIME),
    "currency": _if(_CURRENCY),
    "unit": _unit,
}
_FORMATS: Final = {"date": _DATE_ORDERS, "time": ("hms12", "hms24")}


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
