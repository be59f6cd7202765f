"""Written quantities to words: dates, times, money, units, fractions, plain numbers.

Every rule is a pattern and a function of its match. They are tried in the order of `RULES`, most specific
first, and what a rule has spoken has no digits left for a later one to find. Numbers that are names are in codes.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ancestral.models.text import codes
from ancestral.models.text.characters import LETTER
from ancestral.models.text.codes import Rule, pairs
from ancestral.models.text.numerals import (
    cardinal,
    digits,
    fraction,
    is_year,
    number,
    ordinal,
    plain_number,
    plural,
    year,
)
from ancestral.models.text.spans import SpannedText
from ancestral.models.text.units import CURRENCIES, UNITS

Match = re.Match[str]

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_START: Final = r"(?<![\w.,])"
_END: Final = r"(?![\w])(?!\.\d|,\d{3}\b)"
_MONTH: Final = (
    r"(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_SCALE: Final = r"(?:\s?(hundred|thousand|million|billion|trillion|[kKmM]|bn|[BT])\b)?"
_SCALES: Final = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "t": "trillion"}
_SIGNS: Final = "$£€¥₹"
_UNIT: Final = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_PERIODS: Final = {"hr": "hour", "h": "hour", "mo": "month", "yr": "year", "wk": "week", "min": "minute", "lb": "pound"}
_PER: Final = (
    "hour|hr|h|day|night|week|wk|month|mo|year|yr|minute|min|person|piece|item|unit|user|head|share|gallon|pound|lb|kg"
)
_COUNTRIES: Final = {
    "US": f"{LETTER}u {LETTER}s ", "CA": "canadian ", "C": "canadian ", "AU": "australian ", "A": "australian ",
    "HK": "hong kong ", "NZ": "new zealand ", "": "",
}  # fmt: skip
# A quantity between one of these words and a noun is an adjective, and singular: "a $5 bill", "the 100m record".
_BEFORE_ADJECTIVE: Final = re.compile(
    r"\b(?:an?|the|this|that|each|every|another|my|your|his|her|its|our|their) +$", re.IGNORECASE
)
_NOUN_AFTER: Final = re.compile(
    r" +(?!(?:of|per|each|more|less|but|and|or|nor|for|from|off|worth|total|away|long|wide|tall|high|deep|thick"
    r"|heavy|old|apart|ago|later|left|plus|minus|than|that|which|who|you|she|they|with|without|in|into|on|onto|over|under|at|to"
    r"|is|are|was|were|will|would|can|could|may|might|must|has|have|had|does|did|do|not|above|below|after|before|between|within"
    r"|until|since|because|when|while|where|if|then|there|here|we|it|he|by|as|so|about|around|too|also|only|just|even|down|up)\b)"
    r"[a-z]{3,}"
)


def _date(year_digits: str, month: int, day: str) -> str:
    suffix = f" {plain_number(year_digits)}" if year_digits else ""
    return f"{_MONTHS[month - 1]} {ordinal(day)}{suffix}"


def _is_date(month: str, day: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _iso_date(match: Match) -> str:
    if not _is_date(match[2], match[3]):
        return f"{cardinal(match[1])} dash {cardinal(match[2])} dash {cardinal(match[3])}"
    return _date(match[1], int(match[2]), str(int(match[3])))


def _slash_date(match: Match) -> str:
    # The voice is American: 5/4/2026 is the fourth of May. A first number above twelve can only be a day.
    first, second = match[1], match[2]
    month, day = (first, second) if _is_date(first, second) else (second, first)
    if not _is_date(month, day):
        return " slash ".join(cardinal(part) for part in match.groups())
    return _date(match[3], int(month), str(int(day)))


def _month_number(name: str) -> int:
    return next(i for i, month in enumerate(_MONTHS, 1) if month.startswith(name.lower()[:3]))


def _month_day(match: Match) -> str:
    return _date(match[3] or "", _month_number(match[1]), match[2])


def _day_month(match: Match) -> str:
    year_words = f" {plain_number(match[3])}" if match[3] else ""
    article = "" if match.string[: match.start()].rstrip().lower().endswith("the") else "the "
    return f"{article}{ordinal(match[1])} of {_MONTHS[_month_number(match[2]) - 1]}{year_words}"


def _half_day(letter: str) -> str:
    return f"{LETTER}{letter.lower()} {LETTER}m"


def _time(match: Match) -> str:
    hour, minute, second, half = int(match[1]), match[2], match[3], match[4]
    if hour > 24 or int(minute) > 59:
        return f"{cardinal(match[1])} to {cardinal(minute)}"
    spoken = cardinal(str(hour))
    if minute != "00":
        spoken += f" oh {cardinal(minute[1])}" if minute[0] == "0" else f" {cardinal(minute)}"
    elif not half and not second:
        spoken += " o'clock" if 1 <= hour <= 12 else " hundred"
    if second and second != "00":
        spoken += f" and {cardinal(str(int(second)))} seconds"
    return f"{spoken} {_half_day(half)}" if half else spoken


def _hour(match: Match) -> str:
    return f"{cardinal(match[1])} {_half_day(match[2])}"


def _is_adjective(match: Match) -> bool:
    before = match.string[max(0, match.start() - 10) : match.start()]
    return bool(_BEFORE_ADJECTIVE.search(before) and _NOUN_AFTER.match(match.string, match.end()))


def _money(amount: str, scale: str | None, sign: str, country: str = "", *, adjective: bool = False) -> str:
    names = CURRENCIES[sign]
    many = country + (names.one if adjective else names.many)
    if scale:
        return f"{number(amount)} {_SCALES.get(scale.lower(), scale.lower())} {many}"
    whole, _, cents = amount.replace(",", "").partition(".")
    if len(cents) == 1 or len(cents) > 2 or (cents and not names.cents):
        return f"{number(amount)} {many}"
    whole = whole or "0"
    small = int(cents or "0")
    cent_words = f"{cardinal(str(small))} {names.cent if small == 1 else names.cents}"
    if small and int(whole) == 0:
        return cent_words
    main = f"{cardinal(whole)} {country + names.one if whole == '1' else many}"
    return f"{main} and {cent_words}" if small else main


def _money_range(match: Match) -> str:
    return f"{number(match[2])} to {_money(match[3], match[4], match[1])}"


def _signed(match: Match) -> str:
    return _money(match[3], match[4], match[2], _COUNTRIES[match[1] or ""], adjective=_is_adjective(match))


def _per(match: Match) -> str:
    return f"{match[1]} per {_PERIODS.get(match[2].lower(), match[2])}"


def _unit(match: Match) -> str:
    amount, hyphen, unit = match[1], match[2] == "-", UNITS[match[3]]
    return f"{number(amount)} {unit.one if hyphen or amount == '1' or _is_adjective(match) else unit.many}"


def _fraction_of_unit(match: Match) -> str:
    return f"{fraction(match[1], match[2])} {UNITS[match[3]].one}"


def _dimensions(match: Match) -> str:
    sides = (pairs(side) if len(side) == 4 else cardinal(side) for side in match.groups())
    return " by ".join(sides)


def _month_year(match: Match) -> str:
    return f"{_MONTHS[int(match[1]) - 1]} {year(match[2])}"


def _season(match: Match) -> str:
    if int(match[2]) != (int(match[1]) + 1) % 100:
        return match[0]
    return f"{year(match[1])} to {cardinal(match[2])}"


def _degrees(match: Match) -> str:
    scale = {"C": " celsius", "F": " fahrenheit", "K": " kelvin"}.get((match[2] or "").upper(), "")
    return f"{number(match[1])} degree{'' if match[1] == '1' else 's'}{scale}"


def _slashed(match: Match) -> str:
    if match[0] in ("24/7", "9/11") or match[1] == match[2]:
        return f"{cardinal(match[1])} {cardinal(match[2])}"
    return fraction(match[1], match[2])


def _decade(match: Match) -> str:
    return plural(year(match[1]) if is_year(match[1]) else cardinal(match[1]))


def _scientific(match: Match) -> str:
    sign = "minus " if match[2].startswith("-") else ""
    return f"{number(match[1])} times ten to the power of {sign}{cardinal(match[2].lstrip('+-'))}"


def _power(match: Match) -> str:
    names = {"2": "squared", "3": "cubed"}
    sign = "minus " if match[1].startswith("-") else ""
    return names.get(match[1], f"to the power of {sign}{cardinal(match[1].lstrip('-'))}")


def _bare(match: Match) -> str:
    text = match[0]
    round_number = text.endswith("000")
    if text.isdigit() and len(text) >= 7 and not round_number:
        return digits(text)  # a telephone or an account number, not a count
    return plain_number(text)


def _rule(signs: str, pattern: str, speak: Callable[[Match], str]) -> Rule:
    return Rule(signs, re.compile(pattern), speak)


RULES: Final[tuple[Rule, ...]] = (
    *codes.RULES,
    _rule("/", rf"((?:[{_SIGNS}]\s?{_NUMBER}|(?<![\w.]){_NUMBER}%?))/({_PER})\b(?!/)", _per),
    _rule("/", rf"(?<![\w.])({_NUMBER}\s?(?:{_UNIT}))/(?=\d)", lambda m: f"{m[1]} per"),
    _rule("x", rf"(?<![\w.])({_NUMBER}\s?(?:{_UNIT}))\s?x\s?(?={_NUMBER})", lambda m: f"{m[1]} by"),
    _rule("x", r"(?<![\w.])(\d{3,4})\s?x\s?(\d{3,4})(?!\w|[.,]\d)", _dimensions),
    _rule("x", rf"(?<![\w.])({_NUMBER}) x (?={_NUMBER} (?:=|is\b|equals\b|makes\b))", lambda m: f"{m[1]} times"),
    _rule("/", r"(?<![\w/])(\d{1,2})/(\d{1,3}) ?(in\.|(?:tsp|tbsp|oz|lb|mi|ml|l|L)\b)\.?", _fraction_of_unit),
    _rule(" ", r"(?<= ft )(\d{1,2}) in\b", lambda m: f"{cardinal(m[1])} inch{'' if m[1] == '1' else 'es'}"),
    _rule("/", r"(?<![\w/.])(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])", _month_year),
    _rule("/", r"(?<![\w/.])((?:19|20)\d\d)/(\d\d)(?![\w/])", _season),
    _rule(
        ".",
        r"(?<=\b(?:ersion|elease|Python) )(\d+)\.([1-9]\d)(?![\w.])",
        lambda m: f"{cardinal(m[1])} point {cardinal(m[2])}",
    ),
    _rule("-", rf"{_START}(\d{{4}})-(\d{{1,2}})-(\d{{1,2}})(?:T(?=\d)|{_END})", _iso_date),
    _rule("/.", rf"{_START}(\d{{1,2}})[/.](\d{{1,2}})[/.](\d{{4}}){_END}", _slash_date),
    _rule("", rf"\b{_MONTH} +([12]?\d|3[01])(?:st|nd|rd|th)?(?![\d:])(?:,? (\d{{4}})\b)?", _month_day),
    _rule("", rf"{_START}([12]?\d|3[01])(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? (\d{{4}})\b)?", _day_month),
    _rule(":", rf"{_START}(\d{{1,2}}):(\d{{2}})(?::(\d{{2}})Z?)?(?:\s?([AaPp])[Mm]\b)?{_END}", _time),
    _rule("aApP", rf"{_START}(\d{{1,2}})\s?([AaPp])[Mm]\b", _hour),
    _rule(":", r"(?<=\d):(?=\d)", lambda m: "to"),
    _rule("-", rf"([{_SIGNS}])\s?({_NUMBER})\s?-\s?[{_SIGNS}]?({_NUMBER}){_SCALE}", _money_range),
    _rule(
        "$£€¥₹",
        rf"(?:\b(US|CA|AU|HK|NZ|A|C))?([{_SIGNS}])\s?({_NUMBER}){_SCALE}",
        _signed,
    ),
    _rule("$£€¥₹¢", rf"({_NUMBER}){_SCALE}\s?([{_SIGNS}¢])", lambda m: _money(m[1], m[2], m[3])),
    _rule("'", r"(\d)'(\d{1,2})(?:\"|''(?!\w))", lambda m: f"{cardinal(m[1])} foot {cardinal(m[2])}"),
    _rule("-", rf"(?<=\d)\s?-\s?(?={_NUMBER})", lambda m: "to"),
    _rule("eE", rf"{_START}(\d+(?:\.\d+)?)[eE]([+-]?\d{{1,3}}){_END}", _scientific),
    _rule("%", rf"({_NUMBER})\s?%", lambda m: f"{number(m[1])} percent"),
    _rule("°", rf"({_NUMBER})\s?°\s?([CFK]\b)?", _degrees),
    _rule(
        "/",
        r"(?<![\d/])(\d{1,3}) (\d{1,2})/(\d{1,3})(?![\d/])",
        lambda m: f"{cardinal(m[1])} and {fraction(m[2], m[3])}",
    ),
    _rule("/", r"(?<![\d/.])(\d{1,3})/(\d{1,3})(?![\d/])", _slashed),
    _rule("/", rf"(?<=\d)\s?/\s?(?={_NUMBER})", lambda m: "over"),
    _rule(
        ".",
        r"(?<![\d.])(\d+\.\d+(?:\.\d+)+)(?!\d)",
        lambda m: " point ".join(cardinal(p) for p in m[1].split(".")),
    ),
    _rule("s", r"\b(\d{1,3}0)'?s\b", _decade),
    _rule("tdh", r"(\d[\d,]*)(?:st|nd|rd|th)\b", lambda m: ordinal(m[1].replace(",", ""))),
    _rule("s", r"(?<=[A-Za-z]-)(\d+)s\b", lambda m: plural(cardinal(m[1]))),
    _rule("", rf"(?<![\w.])({_NUMBER})([\s-]?)({_UNIT})(?!\w)(?:\.(?=\s*[a-z,;:)]))?", _unit),
    _rule("^", r"\^(-?\d+)", _power),
    _rule("x", rf"({_NUMBER})\s?x\s?(?={_NUMBER})", lambda m: f"{number(m[1])} by"),
    _rule(
        "x", rf"(?<=equals )\s*({_NUMBER})x\b|(?<==)\s*({_NUMBER})x\b", lambda m: f"{number(m[1] or m[2])} {LETTER}x"
    ),
    _rule("x", rf"({_NUMBER})x\b", lambda m: f"{number(m[1])} times"),
    _rule("", _NUMBER, _bare),
)
_DIGIT: Final = re.compile("[0-9]")
_MINUS: Final = re.compile(r"(?<![^\s(=:,])-(?=[\d.$£€¥])(?!\.\D)")
# A hyphen between two quantities that had signs of their own (9am-5pm, 10%-20%): the rules left spaces around it.
_SPOKEN_RANGE: Final = re.compile(r"(?<=\w) +- +(?=\w)")
# Taken out first: the rules below would search a very long run of digits in quadratic time.
_ENDLESS: Final = re.compile(r"((?<=\d)\.)?(\d{19,})")
_SUBTRACTION: Final = re.compile(r"(?<=\d) - (?=[\d.]+ ?=)")
_MULTIPLICATION: Final = re.compile(r"(?<=\d) ?[*] ?(?=\d)")


def speak_quantities(text: SpannedText) -> SpannedText:
    """Replaces every digit of `text` by words.

    Args:
        text: folded text (`characters.fold`).

    Returns:
        Text without digits.
    """
    if not _DIGIT.search(text.text):
        return text
    text = text.sub(_ENDLESS, lambda match: f"{' point ' if match[1] else ''}{digits(match[2])} ")
    text = text.sub(_SUBTRACTION, " minus ").sub(_MINUS, " minus ").sub(_MULTIPLICATION, " times ")
    for rule in RULES:
        text = rule.apply(text)
    return text.sub(_SPOKEN_RANGE, " to ")
