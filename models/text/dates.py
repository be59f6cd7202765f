"""Dates and times of day to words."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.characters import LETTER
from ancestral.models.text.numerals import cardinal, number, ordinal, plain_number, year
from ancestral.models.text.rules import END, START, Match, Rule, number_rule

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH: Final = (
    r"(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# What stands before a day: 3/14 is a fraction elsewhere, unless only a date has a zero first.
_BEFORE_DAY: Final = re.compile(
    r"(?:day|date|deadline|\bas of|\bdue|\bdated|\bends|\bstarts|\bon|\buntil|\bsince|\bborn)(?:,?| is):? +$",
    re.IGNORECASE,
)
_MAYBE_BEFORE_DAY: Final = re.compile(r"\b(?:by|before|after|from|through|to) +$", re.IGNORECASE)
_FRACTION_AFTER: Final = re.compile(r" (?:of|cups?|inch|inches|mile|tsp|tbsp|oz|in)\b")
_LONGEST_DAY_BEFORE: Final = 16
_LAST_MONTH: Final = 12
_BEFORE_DURATION: Final = re.compile(r"\b(?:took|takes|in|of|time|ran|run|lasts|lasted|finished|for|after)\W+$")


def _date(year_digits: str, month: int, day: str) -> str:
    if year_digits.startswith("0"):
        return f"{_MONTHS[month - 1]} {ordinal(day)} oh {cardinal(year_digits[1:])}"
    suffix = f" {plain_number(year_digits)}" if year_digits else ""
    return f"{_MONTHS[month - 1]} {ordinal(day)}{suffix}"


def _is_date(month: str, day: str) -> bool:
    return 1 <= int(month) <= _LAST_MONTH and 1 <= int(day) <= _DAYS[int(month) - 1]


def _iso_date(match: Match) -> str:
    year_digits, sign, month, day = match.groups()
    if not _is_date(month, day):
        return f" {'dash' if sign == '-' else 'slash'} ".join(map(cardinal, (year_digits, month, day)))
    return _date(year_digits, int(month), str(int(day)))


def _slash_date(match: Match) -> str:
    # The voice is American: 5/4/2026 is the fourth of May. A first number above twelve can only be a day.
    first, second, year_digits = match[1], match[3], match[4]
    month, day = (first, second) if _is_date(first, second) else (second, first)
    if not _is_date(month, day):
        return " slash ".join(map(cardinal, (first, second, year_digits))) if match[2] == "/" else match[0]
    return _date(year_digits, int(month), str(int(day)))


def _british_date(match: Match) -> str:
    day, month = match["day"], match["month"]
    return _day_of_month(match, day, int(month), match["year"]) if _is_date(month, day) else match[0]


def _british_day(match: Match) -> str:
    day, month = match[1], match[2]
    return _day_of_month(match, day, int(month)) if _is_date(month, day) and _is_day(match) else match[0]


def _is_day(match: Match) -> bool:
    """Whether two numbers with a slash between them are the day of a year, and no fraction."""
    before = match.string[max(0, match.start() - _LONGEST_DAY_BEFORE) : match.start()]
    above_month = max(int(match[1]), int(match[2])) > _LAST_MONTH
    is_day = _BEFORE_DAY.search(before) or (above_month and _MAYBE_BEFORE_DAY.search(before))
    zero = match[1][0] == "0" or match[2][0] == "0"
    return bool(is_day or zero) and not _FRACTION_AFTER.match(match.string, match.end())


def _day(match: Match) -> str:
    month, day = match[1], match[2]
    return _date("", int(month), str(int(day))) if _is_date(month, day) and _is_day(match) else match[0]


def _days(match: Match) -> str:
    if not _is_date(match[1], match[2]) or not _is_date(match[3], match[4]):
        return match[0]
    first, last = (_date("", int(month), str(int(day))) for month, day in (match.group(1, 2), match.group(3, 4)))
    return f"{first} to {last}"


def _month_number(name: str) -> int:
    return next(i for i, month in enumerate(_MONTHS, 1) if month.startswith(name.lower()[:3]))


def _month_day(match: Match) -> str:
    last = f" to {ordinal(match[3])}" if match[3] else ""
    return _date("", _month_number(match[1]), match[2]) + last + (f" {plain_number(match[4])}" if match[4] else "")


def _day_month(match: Match) -> str:
    return _day_of_month(match, match[1], _month_number(match[2]), match[3])


def _day_of_month(match: Match, day: str, month: int, year_digits: str | None = None) -> str:
    year_words = f" {plain_number(year_digits)}" if year_digits else ""
    article = "" if match.string[: match.start()].rstrip().lower().endswith("the") else "the "
    return f"{article}{ordinal(str(int(day)))} of {_MONTHS[month - 1]}{year_words}"


def _half_day(letter: str) -> str:
    return f"{LETTER}{letter.lower()} {LETTER}m"


def _time(match: Match) -> str:
    hour, minute, second, half = int(match[1]), match[2], match[3], match[5] or match[6]
    if hour > 24 or int(minute) > 59:
        return f"{cardinal(match[1])} to {cardinal(minute)}"
    if second and not half and _BEFORE_DURATION.search(match.string[max(0, match.start() - 12) : match.start()]):
        return _duration(hour, int(minute), int(second))
    spoken = cardinal(str(hour))
    if minute != "00":
        spoken += f" oh {cardinal(minute[1])}" if minute[0] == "0" else f" {cardinal(minute)}"
    elif not half and not second:
        spoken += " o'clock" if 1 <= hour <= 12 else " hundred"
    if second and second != "00":
        spoken += f" and {cardinal(str(int(second)))} seconds"
    if half:
        return f"{spoken} {_half_day(half)}"
    return f"{spoken} {LETTER}z" if match[4] else spoken


def _duration(*parts: int) -> str:
    named = [
        f"{cardinal(str(count))} {unit}{'' if count == 1 else 's'}"
        for count, unit in zip(parts, ("hour", "minute", "second"), strict=True)
        if count
    ]
    return " and ".join(filter(None, (" ".join(named[:-1]), *named[-1:])))


def _hour(match: Match) -> str:
    return f"{cardinal(match[1])} {_half_day(match[2])}"


def _month_year(match: Match) -> str:
    return f"{_MONTHS[int(match[1]) - 1]} {year(match[2])}"


def _season(match: Match) -> str:
    first, sign, last = match[1], match[2], int(match[3])
    if last != (int(first) + 1) % 100:
        is_month = sign == "-" and 1 <= last <= min(_LAST_MONTH, int(first[2:]) - 1)
        return f"{_MONTHS[last - 1]} {year(first)}" if is_month else match[0]
    words = year(str(int(first) + 1)) if last == 0 else f"{'oh ' if last < 10 else ''}{cardinal(str(last))}"
    return f"{year(first)} to {words}"


def _expiry(match: Match) -> str:
    word = "expires" if match[1].rstrip(".").lower() == "exp" else match[1]
    return f"{word} {cardinal(match[2])} {cardinal(match[3])}"


BRITISH_RULES: Final[tuple[Rule, ...]] = (
    number_rule(
        "/.-", rf"{START}(?P<day>\d{{1,2}})([/.-])(?P<month>\d{{1,2}})\2(?P<year>\d{{4}}|\d\d){END}", _british_date
    ),
    number_rule("-", rf"{START}(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d){END}", _british_date),
    number_rule("/", r"(?<![\w/.,-])(\d{1,2})/(\d{1,2})(?![\w/])(?!\.\d)", _british_day),
)
"""The rules of British voices, before :data:`RULES`: the day comes first."""
RULES: Final[tuple[Rule, ...]] = (
    number_rule(
        "/", r"\b([Ee]xp\.?|[Ee]xpir\w+|[Vv]alid \w+|VALID \w+|EXP):? ?(0[1-9]|1[0-2])/(\d\d)(?![\d/])", _expiry
    ),
    number_rule("F", r"\bFY ?'?(\d{2}|\d{4})\b", lambda m: f"{LETTER}f {LETTER}y {plain_number(m[1])}"),
    number_rule("/", r"(?<![\w/.])(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])", _month_year),
    number_rule("/-", r"(?<![\w/.-])((?:19|20)\d\d)([/-])(\d\d)(?![\w/-])", _season),
    number_rule("-/", rf"{START}(\d{{4}})([-/])(\d{{1,2}})\2(\d{{1,2}})(?:T(?=\d)|{END})", _iso_date),
    number_rule("/.-", rf"{START}(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}){END}", _slash_date),
    number_rule("/", rf"{START}(\d{{1,2}})(/)(\d{{1,2}})/(\d{{2}})(?!/){END}", _slash_date),
    number_rule("-", r"(?<![\w/.,-])(\d{1,2})/(\d{1,2}) ?- ?(\d{1,2})/(\d{1,2})(?![\w/-])", _days),
    number_rule("/", r"(?<![\w/.,-])(\d{1,2})/(\d{1,2})(?![\w/])(?!\.\d)", _day),
    number_rule("'", r"(?<![\w'])'0(\d)\b(?!['\"])", lambda m: f"oh {cardinal(m[1])}"),
    number_rule("1", r"(?<=\b[Ii]n )10\d\d(?=[,;)]|\.(?!\d)|$)", lambda m: year(m[0])),
    number_rule(
        "",
        rf"\b{_MONTH} +([12]?\d|3[01])(?:st|nd|rd|th)?(?![\d:])(?: ?- ?([12]?\d|3[01])(?![\w:-]))?(?:,? (\d{{4}})\b)?",
        _month_day,
    ),
    number_rule("", rf"{START}([12]?\d|3[01])(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? (\d{{4}})\b)?", _day_month),
    number_rule("-", r"(?i:(?<=[ap]m)\s?-\s?(?=\d|noon|midnight|close\b)|(?<=\bnoon)\s?-\s?(?=\d))", lambda _: "to"),
    number_rule(
        ":",
        rf"{START}(\d{{1,2}}):(\d{{2}}\.\d{{1,3}})(?![\d:])",
        lambda m: f"{cardinal(m[1])} {'oh ' * (m[2][0] == '0')}{number(m[2].removeprefix('0'))}",
    ),
    number_rule(":", rf"{START}(\d{{1,2}}):(\d{{2}})(?::(\d{{2}}))?(?:(Z)|\s?([AaPp])[Mm]\b|([ap])\b)?{END}", _time),
    number_rule("aApP", rf"{START}(\d{{1,2}})\s?([AaPp])[Mm]\b", _hour),
    number_rule("y", r"\b(year (?:is |was )?)(2[1-9]\d\d)\b(?!,\d)", lambda m: f"{m[1]}{year(m[2])}"),
    number_rule("B", r"(?<![\w.,])\d{3,4}(?= BCE?\b)", lambda m: year(m[0])),
)
"""Rules for what has digits. The order matters: the most specific first."""
