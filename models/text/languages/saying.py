"""SSML's ``<say-as>`` by a language's table: what the text is to be read as, in words or as the engine expects it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from ancestral.models.text.languages.language import Language
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.quantities import alternatives


class Saying:
    """The kinds of ``interpret-as`` that one language reads, but for dates.

    Attributes:
        kinds: for each, what is spoken for a text; None if it is not of the kind.
    """

    def __init__(self, language: Language) -> None:
        self._language = language
        self._numerals = Numerals(language.numbers)
        number, clock, halves = self._numerals.pattern, language.calendar.clock, "|".join(language.calendar.halves)
        sign, unit = alternatives(language.currencies), alternatives(language.units)
        self.kinds: Mapping[str, Callable[[str], str | None]] = {
            **dict.fromkeys(("characters", "spell-out", "verbatim"), self._characters),
            **dict.fromkeys(("cardinal", "number"), self._number),
            "ordinal": self._ordinal,
            "digits": self._digits,
            "telephone": self._telephone,
            "fraction": self._fraction,
            "time": _if(rf"(?:{clock})(?:\s?(?:{halves}))?"),
            "currency": _if(rf"(?:{sign})\s?(?:{number})|(?:{number})\s?(?:{sign})"),
            "unit": _if(rf"-?(?:{number})\s?(?:{unit})(?:/(?:{unit}))?"),
        }

    def _characters(self, text: str) -> str | None:
        return " , ".join(map(self._character, filter(str.strip, text))) or None

    def _character(self, char: str) -> str:
        lower, language = char.lower(), self._language
        plain = unicodedata.normalize("NFKD", lower)[0]
        if plain.isascii() and plain.isdigit():
            return self._numerals.digits(plain)
        return language.letter_names.get(lower) or language.letter_names.get(plain) or language.address.get(char, char)

    def _number(self, text: str) -> str | None:
        found = re.fullmatch(rf"(-?)({self._numerals.pattern})", text)
        minus = f"{self._language.numbers.minus} " if found and found[1] else ""
        return found and minus + self._numerals.number(found[2])

    def _ordinal(self, text: str) -> str | None:
        if re.fullmatch(r"\d{1,4}", text):
            return self._numerals.ordinal(int(text))
        for mark, gender in self._language.ordinal_marks.items():
            if found := re.fullmatch(rf"(\d{{1,4}})(?:{mark})", text):
                return self._numerals.ordinal(int(found[1]), gender)
        return None

    def _digits(self, text: str) -> str | None:
        return self._numerals.digits(text) if re.fullmatch(r"(?=[^0-9]*[0-9])[0-9\s.,-]+", text) else None

    def _telephone(self, text: str) -> str | None:
        if not re.fullmatch(r"(?=[^0-9]*[0-9])\+?[0-9\s().-]+", text):
            return None
        plus = f"{self._language.symbols['+']} " if text[0] == "+" else ""
        say = self._numerals.whole if self._language.telephone_by_groups else self._numerals.digits
        return plus + " , ".join(map(say, re.findall(r"[0-9]+", text)))

    def _fraction(self, text: str) -> str | None:
        found = re.fullmatch(r"(?:([0-9]{1,9})\s+)?([0-9]{1,9})\s*/\s*([0-9]{1,9})", text)
        if found is None:
            return None
        whole = f"{self._numerals.whole(found[1])} {self._language.symbols['&']} " if found[1] else ""
        return whole + self._numerals.fraction(int(found[2]), int(found[3]))


def _if(pattern: str) -> Callable[[str], str | None]:
    """What the engine reads by itself, where it is written as it expects."""
    return lambda text: text if re.fullmatch(pattern, text, re.IGNORECASE) else None
