"""What people say beside the sentences of a dictionary: short answers, questions, lists, dates, numbers, quotations.

WordNet's examples are whole statements of 5 to 14 words without a figure in them. A voice that has read nothing else
mumbles "Okay.".
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ancestral.training.corpora.tables import table

_TABLE: Final[Mapping[str, tuple[str, ...]]] = table("remarks")
_ASKED, _MONTHS, _DAYS, _THINGS = (_TABLE[name] for name in ("asked", "months", "days", "things"))


def remark(rng: random.Random) -> str:
    """One of them, as it would be written."""
    return rng.choice(_KINDS)(rng)


def _answer(rng: random.Random) -> str:
    end = rng.choice((".", ".", ".", "!"))
    return rng.choice(_TABLE["answers"]) + (", " + rng.choice(_TABLE["asides"]) if rng.random() < 0.4 else "") + end


def _question(rng: random.Random) -> str:
    return rng.choice(_TABLE["short"]) if rng.random() < 0.3 else rng.choice(_ASKED).format(rng.choice(_THINGS))


def _list(rng: random.Random) -> str:
    *first, last = rng.sample(_THINGS, rng.randint(3, 5))
    return f"{rng.choice(_TABLE['listed'])} {', '.join(first)}{rng.choice((',', ''))} and {last}."


def _date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1850, 2035)
    time = f"{rng.randint(1, 12)}:{rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50)):02d} {rng.choice(('a.m.', 'p.m.'))}"
    forms = (
        f"{month} {day}, {year}.", f"It was on {day} {month} {year}.", f"See you on {rng.choice(_DAYS)} at {time}",
        f"{rng.choice(_DAYS)}, {month} {day}.", f"The train leaves at {time}", f"Since {year}, or earlier.",
    )  # fmt: skip
    return rng.choice(forms)


def _number(rng: random.Random) -> str:
    small, large = rng.randint(0, 99), rng.randint(100, 99_999)
    forms = (
        f"{small}.", f"{large:,} people.", f"It costs ${small}.{rng.randint(10, 99)}.", f"About {small} percent.",
        f"Room {rng.randint(100, 999)}.", f"Call {rng.randint(200, 999)}-{rng.randint(1000, 9999)}.",
        f"{small}.{rng.randint(1, 9)} degrees today.", f"The answer is {large}.", f"Is it {small} or {small + 1}?",
        f"The {rng.randint(4, 20)}th floor, please.", f"{small} miles to go.",
    )  # fmt: skip
    return rng.choice(forms)


def _interjection(rng: random.Random) -> str:
    cry = rng.choice(_TABLE["interjections"])
    return (
        f"{cry}, {rng.choice(_TABLE['reactions'])}{rng.choice('.!')}"
        if rng.random() < 0.6
        else cry + rng.choice("!!.?")
    )


def _quotation(rng: random.Random) -> str:
    said, by = rng.choice((_answer, _question, _interjection))(rng), rng.choice(_TABLE["speakers"])
    if rng.random() < 0.5:
        return f'{by[0].upper()}{by[1:]}: "{said}"' if not by.startswith("said") else f'"{said}" {by}.'
    return f'"{said[:-1] + "," if said.endswith(".") else said}" {by}.'


_KINDS: Sequence[Callable[[random.Random], str]] = (
    _answer, _answer, _question, _list, _date, _number, _interjection, _quotation
)  # fmt: skip
"""Each as often as the others, answers twice as often."""
