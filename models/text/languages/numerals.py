"""Numbers in words, by CLDR's rules (unicode-rbnf) and a language's table."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from ancestral.models.text.languages.language import Gender, Noun, Numbers

if TYPE_CHECKING:
    from unicode_rbnf import RbnfEngine

# Beyond this many digits a number's name is hard to follow, and digits are read one by one.
MAX_NAMED_DIGITS: Final = 15
_MAX_NAMED_DECIMALS: Final = 3
_MAX_ORDINAL: Final = 9999
_MAX_NUMERATOR: Final = 10
_GENDERS: Final = {"m": "masculine", "f": "feminine"}


@cache
def _engine(locale: str) -> RbnfEngine:
    from unicode_rbnf import RbnfEngine

    return RbnfEngine.for_language(locale)


@lru_cache(maxsize=4096)
def spelled(locale: str, rule_set: str, number: int) -> str:
    """A whole number in words, without hyphens, by a rule set of CLDR."""
    words: str = _engine(locale).format_number(number, ruleset_names=[rule_set]).text
    return words.replace("\u00ad", "").replace("-", " ")


def _said(numbers: Numbers, rule_set: str, number: int) -> str:
    return numbers.rewrite(spelled(numbers.locale, rule_set, number))


class Numerals:
    """How one language reads figures.

    Attributes:
        pattern: a number as it is written, with its marks, without a sign.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        marks = "".join(self._numbers.decimals)
        self.pattern: Final = _pattern(self._numbers)
        self._marks: Final = re.compile(rf"(?<=\d)[{re.escape(marks)}](?=\d)|^[{re.escape(marks)}]")
        self._groups: Final = re.compile(rf"(?<=\d)[{re.escape(self._numbers.thousands)}](?=\d{{3}}(?!\d))")

    def cardinal(self, number: int, gender: Gender | None = None) -> str:
        """A whole number: by itself, or before what it counts."""
        rules = "spellout-numbering" if gender is None else f"spellout-cardinal-{_GENDERS[gender]}"
        return _said(self._numbers, rules, number)

    def ordinal(self, number: int, gender: Gender = "m") -> str:
        """`3` as "tercero"."""
        if number > _MAX_ORDINAL:
            return self.cardinal(number)
        return _said(self._numbers, f"spellout-ordinal-{_GENDERS[gender]}", number)

    def digits(self, text: str) -> str:
        """Each digit of a text by its name; other characters are skipped."""
        return " ".join(self.cardinal(int(char)) for char in text if char in "0123456789")

    def plain(self, text: str) -> tuple[str, str, str]:
        """The whole part of a written number, its mark, and its decimals; without marks between groups."""
        whole = self._groups.sub("", text)
        mark = self._marks.search(whole)
        if mark is None:
            return whole, "", ""
        return whole[: mark.start()] or "0", mark[0], whole[mark.end() :]

    def value(self, text: str) -> float:
        whole, _, decimals = self.plain(text)
        return float(f"{whole}.{decimals or 0}")

    def number(self, text: str, gender: Gender | None = None) -> str:
        """A written number, with or without decimals."""
        whole, mark, decimals = self.plain(text)
        if not mark:
            return self.whole(whole, gender)
        return f"{self.whole(whole)} {self._numbers.decimals[mark]} {self._decimals(decimals, gender)}"

    def whole(self, digits: str, gender: Gender | None = None) -> str:
        """A whole number from its digits; zeros in front, and more digits than can be followed, one by one."""
        if len(digits) > MAX_NAMED_DIGITS or (len(digits) > 1 and digits[0] == "0"):
            return self.digits(digits)
        return self.cardinal(int(digits), gender)

    def _decimals(self, digits: str, gender: Gender | None) -> str:
        """Decimals as a number, zeros in front one by one; more than three digits one by one."""
        significant = digits.lstrip("0")
        zeros = digits[: len(digits) - len(significant)]
        if len(significant) > _MAX_NAMED_DECIMALS:
            return self.digits(digits)
        return " ".join(part for part in (self.digits(zeros), significant and self.whole(significant, gender)) if part)

    def counted(self, text: str, noun: Noun) -> str:
        """A written number and what it counts: "dos kilómetros"."""
        words, numbers = self.number(text, noun.gender), self._numbers
        named = noun.one if numbers.singular(self.value(text)) else noun.many
        return f"{words} {self.of(words, named)}"

    def of(self, words: str, noun: str) -> str:
        """A noun as it stands after a number in words: after round millions with "of" in many languages."""
        return self._numbers.of_millions(noun) if re.search(rf"\b(?:{self._numbers.millions})$", words) else noun

    def part_of(self, noun: str) -> str:
        """A noun after a fraction of it: "de litro"."""
        return self._numbers.of_millions(noun)

    def fraction(self, numerator: int, denominator: int, gender: Gender | None = None) -> str:
        """`3/4` as "tres cuartos", `1/2` of a noun as "media"; no ordinary fraction, with the word of its line."""
        if (numerator, denominator) == (1, 2) and gender in self._numbers.half:
            return self._numbers.half[gender]
        names = self._numbers.denominators.get(denominator)
        if names is None or not 0 < numerator < denominator or numerator > _MAX_NUMERATOR:
            return f"{self.cardinal(numerator)} {self._numbers.over} {self.cardinal(denominator)}"
        return f"{self.cardinal(numerator, 'm')} {names[numerator != 1]}"


def _pattern(numbers: Numbers) -> str:
    groups = "|".join(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{3}}(?!\d))+" for mark in numbers.thousands)
    return rf"(?:{groups}|\d+)(?:[{re.escape(''.join(numbers.decimals))}]\d+)?"
