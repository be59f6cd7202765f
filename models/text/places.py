"""Postal addresses: streets, points of the compass, American states and their ZIP codes."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.addresses import letters
from ancestral.models.text.numerals import digits
from ancestral.models.text.rules import Match, Rule, rule
from ancestral.models.text.sentence_ends import SENTENCE_AFTER, stop

_STATES: Final = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho",
    "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana",
    "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi",
    "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey",
    "NM": "New Mexico", "NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio",
    "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina",
    "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia",
    "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
# Also words or other abbreviations: states only before a ZIP code.
_WITH_ZIP_ONLY: Final = frozenset({"AL", "HI", "ID", "IN", "LA", "ME", "OH", "OK", "OR"})
_STATE: Final = "|".join(_STATES)
_BARE_STATE: Final = "|".join(_STATES.keys() - _WITH_ZIP_ONLY)
_PARTIES: Final = {"D": "Democrat", "R": "Republican", "I": "Independent"}
_POINTS: Final = {
    "N": "North", "S": "South", "E": "East", "W": "West", "NW": "Northwest", "NE": "Northeast", "SW": "Southwest",
    "SE": "Southeast",
}  # fmt: skip
_STREETS: Final = {
    "Ave": "avenue", "Blvd": "boulevard", "Rd": "road", "Ln": "lane", "Pkwy": "parkway", "Sq": "square", "Ct": "court",
    "Pl": "place", "Cir": "circle", "Ter": "terrace", "Trl": "trail",
}  # fmt: skip
_NAME_BEFORE: Final = re.compile(r"(?:\b[A-Z][a-z]*|\d+(?:st|nd|rd|th))\s+$")
_CAPITAL_AFTER: Final = re.compile(r"\s+(?![NS][EW]\b)[A-Z]")
_LONGEST_NAME: Final = 24


def _street_or(match: Match, street: str, title: str) -> str:
    """`St.` and `Dr.`: titles before a name, parts of an address after one."""
    start = max(0, match.start() - _LONGEST_NAME)
    after_name = _NAME_BEFORE.search(match.string, start, match.start())
    before_name = _CAPITAL_AFTER.match(match.string, match.end())
    new_sentence = SENTENCE_AFTER.match(match.string, match.end())
    article = re.search(r"\b(?:[Tt]he|[Aa]|[Mm]y|[Oo]ur)\s$", match.string[start : match.start()])
    if (article and title == "doctor") or (before_name and not (after_name and new_sentence)):
        return title + " "
    return street + (stop(match) if match[0].endswith(".") else " ")


def _street(match: Match) -> str:
    return _STREETS[match[1]] + (stop(match) if match[0].endswith(".") else "")


def _state(match: Match) -> str:
    if match[1] == "DC":
        return f"{letters('DC')} {digits(match[2])}"
    return f"{_STATES[match[1]]} {digits(match[2])}"


RULES: Final[tuple[Rule, ...]] = (
    rule("S", r"\bSt\b\.?", lambda m: _street_or(m, "street", "saint")),
    rule("D", r"\bDr\b\.?", lambda m: _street_or(m, "drive", "doctor")),
    rule({street[0] for street in _STREETS}, rf"(?<=[a-zA-Z\d] )({'|'.join(_STREETS)})\b\.?(?=[\s,;.]|$)", _street),
    rule("fF", r"(?<=(?:st|nd|rd|th) )[Ff]l\.", lambda m: f"floor{stop(m)}"),
    rule("H", r"\bHwy\b\.?", lambda _: "Highway"),
    rule("NSEW", r"(?<=\d )([NS][EW]|[NSEW])\b\.?(?= (?:[A-Z][a-z]|\d+(?:st|nd|rd|th)\b))", lambda m: _POINTS[m[1]]),
    rule(
        "NSEW",
        r"\b((?:I-?|Highway |Route |US-? ?)\d+|[Hh]ead|[Tt]urn|[Dd]rive|[Gg]o) ([NSEW])\b",
        lambda m: f"{m[1]} {_POINTS[m[2]]}",
    ),
    rule(
        "NS",
        r"(\d (?:[A-Z]\w+ ){1,3}(?i:avenue|street|road|drive|boulevard|lane|court|place)) +([NS][EW])\b",
        lambda m: f"{m[1]} {_POINTS[m[2]]}",
    ),
    rule("S", r"\bSte\.?(?= +(?:number )?\d)", lambda _: "Suite"),
    rule("A", r"\b[Aa]pt\.?(?= +(?:number )?\d)", lambda _: "apartment"),
    rule("(", rf"\(([DRI])-({_STATE})\)", lambda m: f" , {_PARTIES[m[1]]} , {_STATES[m[2]]} , "),
    rule(" ", rf"(?<=[a-z.,] )({_STATE}|DC),? (\d{{5}}(?:-\d{{4}})?)\b", _state),
    rule(",", rf"(?<=[a-z], )({_BARE_STATE})(?=[\s,.;!?)]|$)", lambda m: _STATES[m[1]]),
)
