"""Numbers as English words, by CLDR's rules, fitted to running text (no hyphens, no commas)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ancestral.models.text.languages.language import Noun
from ancestral.models.text.languages.numerals import MAX_NAMED_DIGITS, spelled
from ancestral.models.text.tables import table

_FIRST_YEAR: Final = 1100
_LAST_YEAR: Final = 2099
_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DENOMINATORS: Final = {2: "half", 4: "quarter"}
_MAX_DENOMINATOR: Final = 100
# 87/100 is a score; 15/16 is a fraction.
_MAX_NUMERATOR: Final = 10
_MAX_INCHES: Final = 16


def _words(number: int, kind: str) -> str:
    return spelled("en", f"spellout-{kind}", number).replace(",", "")


def digits(text: str) -> str:
    """Each digit of `text` by its name; other characters are skipped."""
    return " ".join(_DIGITS[int(char)] for char in text if char in "0123456789")


def cardinal(text: str) -> str:
    """A whole number such as `1234`, `1,234` or `007` (digit by digit, as leading zeros ask for)."""
    plain = text.replace(",", "")
    if len(plain) > MAX_NAMED_DIGITS or (len(plain) > 1 and plain[0] == "0"):
        return digits(plain)
    return _words(int(plain), "cardinal-verbose")


def ordinal(text: str) -> str:
    """`21` as "twenty first"; longer numbers than can be followed are read digit by digit."""
    plain = text.replace(",", "")
    return digits(plain) if len(plain) > MAX_NAMED_DIGITS else _words(int(plain), "ordinal-verbose")


def number(text: str) -> str:
    """A number with or without a decimal point and thousands separators, `.5` included."""
    whole, point, fraction = text.partition(".")
    if not point:
        return cardinal(whole)
    return f"{cardinal(whole or '0')} point {digits(fraction)}"


def is_year(text: str) -> bool:
    """Whether four bare digits are likelier to be a year than a count."""
    return text.isdigit() and len(text) == 4 and _FIRST_YEAR <= int(text) <= _LAST_YEAR


def year(text: str) -> str:
    """`1999` as "nineteen ninety nine", `2005` as "two thousand and five"."""
    return cardinal(text) if text.startswith("200") else _words(int(text), "numbering-year")


def pairs(text: str) -> str:
    """Three or four digits as two numbers: "three eighty", "ten oh five"; round ones as a count."""
    first, last = text[:-2], text[-2:]
    if first.startswith("0") or last == "00":
        return cardinal(text)
    return f"{cardinal(first)} {'oh ' + cardinal(last[1]) if last[0] == '0' else cardinal(last)}"


def plain_number(text: str) -> str:
    """A number without a unit: four bare digits that can be a year are read as one."""
    return year(text) if is_year(text) else number(text)


def plural(words: str) -> str:
    """The plural of the last word of a number: "nineteen nineties"."""
    return words[:-1] + "ies" if words.endswith("y") else words + ("es" if words.endswith("x") else "s")


def fraction(numerator: str, denominator: str) -> str:
    """`3/4` as "three quarters"; what is no ordinary fraction is read with "over"."""
    over, under = int(numerator), int(denominator)
    if not (0 < over < under <= _MAX_DENOMINATOR) or (over > _MAX_NUMERATOR and under > _MAX_INCHES):
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    name = _DENOMINATORS.get(under) or ordinal(denominator)
    if over == 1:
        return f"one {name}"
    return f"{cardinal(numerator)} {'halves' if under == 2 else name + 's'}"


class Currency(NamedTuple):
    """A currency's name and its hundredth's, the latter empty if it has none in use."""

    one: str
    many: str
    cent: str
    cents: str


_TABLE: Final = table("english")


def _unit(names: str) -> Noun:
    one, _, many = names.partition(", ")
    return Noun(one, many or f"{one}s")


def _units() -> dict[str, Noun]:
    units = {symbol: _unit(names) for symbol, names in _TABLE.pairs("units")}
    for length in ("km", "m", "cm", "mm"):
        for power, word in (("2", "square"), ("3", "cubic")):
            units[length + power] = units[f"{length}^{power}"] = _unit(f"{word} {units[length].one}")
    return units


CURRENCIES: Final = {sign: Currency(*[*names.split(", "), "", ""][:4]) for sign, names in _TABLE.pairs("currencies")}
UNITS: Final = _units()
ELEMENT: Final = (
    "A[cglmrstu]|B[aehikr]?|C[adeflmorsu]?|D[bsy]|E[rsu]|F[emr]?|G[ade]|H[efgos]?|I[nr]?|K[r]?|L[aiuv]|M[dgnot]|N[abdehiop]?"
    "|O[s]?|P[abdmortu]?|R[abefghnu]|S[bcegimnr]?|T[abehilm]|U|V|W|Xe|Y[b]?|Z[nr]"
)
"""A pattern: the symbol of a chemical element."""
