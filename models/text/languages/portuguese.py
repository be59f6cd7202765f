"""Portuguese as it is read in Brazil."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.languages.language import Calendar, Language, Numbers, gender_by_ending
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.portuguese_sounds import read
from ancestral.models.text.languages.quantities import MINUTES, day_and_month, power
from ancestral.models.text.rules import Match, number_rule
from ancestral.models.text.tables import table

_TABLE: Final = table("portuguese")
_NUMBERS: Final = Numbers.of_table(
    _TABLE, thousands=". ", singular=lambda number: abs(number) < 2, of_millions=lambda noun: f"de {noun}"
)
_NUMERALS: Final = Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = _NUMERALS.cardinal(hour, "f")
    if minute:
        return f"{hours} e {_NUMERALS.cardinal(minute)}"
    return f"{hours} {'hora' if hour < 2 else 'horas'}"


_CALENDAR: Final = Calendar.of_table(_TABLE, time=_time)
_GAMES: Final = re.compile(r"\b(?:ganh|venc|perd|empat|placar|jog|gol|bat|derrot|final)\w*[^.?!]*$", re.IGNORECASE)


def _score(match: Match) -> str:
    return f"{_NUMERALS.cardinal(int(match[1]))} {'a' if _GAMES.search(match.string[: match.start()]) else 'por'}"


def _round(match: Match) -> str:
    """`R$ 3 mil`, `R$ 36 bi`."""
    words, scale = _NUMERALS.number(match[1], "m"), match[2]
    return f"{words} mil reais" if scale == "mil" else f"{words} {scale}lhões de reais"


_DAY: Final = day_and_month(_CALENDAR, _NUMERALS)
LANGUAGE: Final = Language.of_table(
    _TABLE,
    read=read,
    numbers=_NUMBERS,
    calendar=_CALENDAR,
    gender=gender_by_ending(_TABLE),
    rules=(
        number_rule("", r"(?<![\w.,:])2(?= da (?:manhã|tarde|madrugada)\b)", lambda _: "duas"),
        MINUTES,
        number_rule("k", r"\bkm (?=\d)", lambda _: "quilômetro"),
        power("ao quadrado", "ao cubo"),
        number_rule("-", r"(?<=[A-Z]-)(\d+)\b", lambda m: _NUMERALS.whole(m[1])),
        number_rule("$", r"R\$ ?(\d+(?:,\d+)?) (mil|mi|bi|tri)\b", _round),
        number_rule("/", r"\b((?:até|em|dia|para|de|desde) )(\d{1,2})/(\d{1,2})(?![\d/]|\sd[aeo])", _DAY),
        number_rule("×", r"(?<=\d)\s?×\s?(?=\d)", lambda _: "vezes"),
        number_rule("x", r"(?<![\w.,])(\d{1,2}) ?x ?(?=\d{1,2}(?!\w))", _score),
        number_rule("", r"\b([Aa]nos) (\d0)\b", lambda m: f"{m[1]} {_NUMERALS.cardinal(int(m[2]))}"),
    ),
)
