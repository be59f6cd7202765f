"""Italian."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.languages.italian_sounds import read
from ancestral.models.text.languages.language import Calendar, Language, Numbers, gender_by_ending
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.quantities import MINUTES, day_and_month, power
from ancestral.models.text.rules import number_rule
from ancestral.models.text.tables import table

_TABLE: Final = table("italian")
_LONGEST: Final = 40
"""Letters of a number in one word."""


def _as_said(number: str) -> str:
    """CLDR's words without its agreement of 21 with what it counts; very long ones in two."""
    number = re.sub(r"(?<=[a-z])(?:una|un)\b", "uno", number)
    number = re.sub(r"(?<=[a-z])tre\b", "tré", number)
    return number if len(number) < _LONGEST else number.replace("mila", "mila ")


_NUMBERS: Final = Numbers.of_table(_TABLE, thousands=". ", rewrite=_as_said, of_millions=lambda noun: f"di {noun}")
_NUMERALS: Final = Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = "una" if hour == 1 else _NUMERALS.cardinal(hour)
    return f"{hours} e {_NUMERALS.cardinal(minute)}" if minute else hours if hour else "mezzanotte"


_CALENDAR: Final = Calendar.of_table(_TABLE, time=_time)
_DAY: Final = day_and_month(_CALENDAR, _NUMERALS)
LANGUAGE: Final = Language.of_table(
    _TABLE,
    read=read,
    numbers=_NUMBERS,
    calendar=_CALENDAR,
    gender=gender_by_ending(_TABLE),
    rules=(
        number_rule("m", r"\b[Mm]in\. ?(?=\d)(?<!\d min\.)(?<!\d min\. )", lambda _: "minimo"),
        MINUTES,
        number_rule("k", r"\bkm (?=\d)", lambda _: "chilometro"),
        number_rule("h", r"(?<![\w.,])1 ?h\b", lambda _: "un'ora"),
        number_rule("e", r"\b(\d\d)enn([ei])\b", lambda m: f"{_NUMERALS.cardinal(int(m[1]))[:-1]}enn{m[2]}"),
        power("al quadrato", "al cubo"),
        number_rule(
            "/", r"\b((?:[dn]?[ae]l|il|entro|lun|mar|mer|gio|ven|sab|dom) )(\d{1,2})/(\d{1,2})(?![\d/]|\sd[ie])", _DAY
        ),
        number_rule(
            "°",
            r"(?:(?<=\b[Ii]l )|(?<=\b[ads][aeu]l )|(?<=[aio]t[aeio] ))(\d{1,3})°(?! ?[CF]\b|\s?\d)",
            lambda m: _NUMERALS.ordinal(int(m[1])),
        ),
        number_rule("'", r"\b((?:da|a)?ll?')1(?![\w:]|[.,]\d)", lambda m: f"{m[1]}una"),
        number_rule("", r"(?<![\w.,])1 (?=(?:h|[aeiou])\w*a\b)", lambda _: "un'"),
        number_rule("", r"\b(anni) '(\d\d)\b", lambda m: f"{m[1]} {_NUMERALS.cardinal(int(m[2]))}"),
    ),
)
