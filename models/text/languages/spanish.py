"""Spanish as it is read in Spain."""

from __future__ import annotations

from typing import Final

from ancestral.models.text.languages.language import Calendar, Language, Noun, Numbers, gender_by_ending
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.spanish_sounds import read
from ancestral.models.text.rules import Match, number_rule, rule
from ancestral.models.text.tables import table

_TABLE: Final = table("spanish")
_NUMBERS: Final = Numbers.of_table(_TABLE, thousands=". ", of_millions=lambda noun: f"de {noun}")
_NUMERALS: Final = Numerals(_NUMBERS)
_QUARTERS: Final = {0: "", 15: " y cuarto", 30: " y media"}


def _time(hour: int, minute: int) -> str:
    hours = _NUMERALS.cardinal(hour, "f") if hour % 10 == 1 else _NUMERALS.cardinal(hour)
    if hour > 12 or hour == 0:
        return f"{hours} {_NUMERALS.cardinal(minute)}" if minute else f"{hours} horas"
    return hours + _QUARTERS.get(minute, f" y {_NUMERALS.cardinal(minute)}")


def _inches(match: Match) -> str:
    """Inches, unless a quotation ends there."""
    quoted = match.string.count('"', 0, match.start()) % 2
    return match[0] if quoted else _NUMERALS.counted(match[1], Noun("pulgada", "pulgadas", "f"))


LANGUAGE: Final = Language.of_table(
    _TABLE,
    read=read,
    numbers=_NUMBERS,
    calendar=Calendar.of_table(_TABLE, time=_time),
    gender=gender_by_ending(_TABLE),
    rules=(
        number_rule("er", r"(?<!\w)(?:1\.?er|3\.?er)(?!\w)", lambda m: "primer" if m[0][0] == "1" else "tercer"),
        # "Hace 30º." and "40º de fiebre", but "el 30º aniversario".
        rule("º", r"(\d)\s?º(?!C|\s*(?!de\b(?! \d))[a-záéíóúñ])", lambda m: f"{m[1]}°"),
        number_rule("/", r"(?<![\d/.,])(\d{1,4})/((?:19|20)\d\d)(?![\d/])", lambda m: f"{m[1]} {m[2]}"),
        rule("k", r"(?<!\d )\bkm\.? (?=\d)", lambda _: "kilómetro "),
        number_rule('"', rf"(?<![\"\w.,])({_NUMERALS.pattern})\"(?=[\s.,;)]|$)", _inches),
        rule("pP", r"\b((?:8|9|10|11)(?::\d\d)?)\s?[pP]\.?\s?[mM]\b\.?", lambda m: f"{m[1]} de la noche"),
        # A participle follows: "han", and no hectares.
        number_rule("h", r"(\d+) ha (?=\w+(?:[ts]|ch|d)o\b)", lambda m: f"{_NUMERALS.whole(m[1])} ha"),
    ),
)
