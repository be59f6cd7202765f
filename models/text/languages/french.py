"""French as it is read in France."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.languages.french_sounds import read
from ancestral.models.text.languages.language import Calendar, Language, Numbers, gender_by_ending
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.rules import number_rule
from ancestral.models.text.tables import table

_TABLE: Final = table("french")
_VOWELS: Final = "aàâäeéèêëiîïoôöuùûüyhœæ"
_NUMBERS: Final = Numbers.of_table(
    _TABLE,
    thousands=" .",
    singular=lambda number: abs(number) < 2,
    of_millions=lambda noun: f"d'{noun}" if noun[0] in _VOWELS else f"de {noun}",
)
_NUMERALS: Final = Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = f"{_NUMERALS.cardinal(hour, 'f')} {'heure' if hour < 2 else 'heures'}"
    return f"{hours} {_NUMERALS.cardinal(minute, 'f')}" if minute else hours


_DAYS: Final = _TABLE.entries("days")
LANGUAGE: Final = Language.of_table(
    _TABLE,
    read=read,
    numbers=_NUMBERS,
    calendar=Calendar.of_table(_TABLE, time=_time),
    gender=gender_by_ending(_TABLE, plural="s?"),
    rules=(
        number_rule("m", r"(?<![\w.,])(\d)m(\d\d)\b", lambda m: f"{m[1]} m {_NUMERALS.whole(m[2])}"),
        number_rule("d", r"(?<![\w.,])2n?de(?!\w)", lambda _: "seconde"),
        number_rule("d", r"(?<![\w.,])2n?d(?!\w)", lambda _: "second"),
        number_rule(".", rf"\b({'|'.join(_DAYS)})\.(?= \d)", lambda m: _DAYS[m[1].lower()], re.IGNORECASE),
        number_rule("x×", r"(?<=m)\s?[x×]\s?(?=\d)", lambda _: "par"),
    ),
)
