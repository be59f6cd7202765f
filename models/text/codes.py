"""Numbers that are names, not counts: telephone and card numbers, codes, addresses of hosts, models and streets.

They are read digit by digit, or in pairs as a person says them: "A three eighty", "two twenty one B".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from ancestral.models.text.characters import LETTER
from ancestral.models.text.numerals import cardinal, digits
from ancestral.models.text.spans import SpannedText

Match = re.Match[str]

_LARGEST_OCTET: Final = 255
_CODE: Final = r"(?:code|zip|pin|password|passcode|account|card)"
_LINK: Final = r"(?:\s+(?:code|number|no\.|is|was|ending in)|:|\s+#)*"


class Rule(NamedTuple):
    """One way of writing a number, and how it is said.

    Attributes:
        signs: one of them is in every match, so that a text without them need not be searched; may be empty.
        pattern: what is written.
        speak: what is said.
    """

    signs: str
    pattern: re.Pattern[str]
    speak: Callable[[Match], str]

    def apply(self, text: SpannedText) -> SpannedText:
        """Replaces every match."""
        if self.signs and not any(sign in text.text for sign in self.signs):
            return text
        # Spaces keep the words apart from letters that touched the digits (mp3, 5x).
        return text.sub(self.pattern, lambda match: f" {self.speak(match)} ")


def pairs(text: str) -> str:
    """Three or four digits as two numbers: "three eighty", "ten oh five"; round ones as a count."""
    first, last = text[:-2], text[-2:]
    if first.startswith("0") or last[0] == "0":
        return cardinal(text)
    return f"{cardinal(first)} {cardinal(last)}"


def _telephone(match: Match) -> str:
    groups = re.findall(r"\d+", match[0])
    # Toll-free prefixes are said as hundreds.
    spoken = [
        "eight hundred" if group == "800" and i <= 1 < len(groups) else digits(group) for i, group in enumerate(groups)
    ]
    return ("plus " if match[0].startswith("+") else "") + " , ".join(spoken)


def _host(match: Match) -> str:
    octets = match[1].split(".")
    if not any(len(octet) == 3 for octet in octets) or any(int(octet) > _LARGEST_OCTET for octet in octets):
        return match[0]
    network = f" slash {cardinal(match[2])}" if match[2] else ""
    return " dot ".join(pairs(octet) if len(octet) == 3 else cardinal(octet) for octet in octets) + network


def _digits(match: Match) -> str:
    return f"{match[1]} {digits(match[2])}"


RULES: Final[tuple[Rule, ...]] = (
    Rule(".", re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?:/(\d{1,2}))?(?![\d./]*\d)"), _host),
    Rule("", re.compile(r"(?<!\d)(?:\+?\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)"), _telephone),
    Rule("+", re.compile(r"\+\d{1,3}(?:[ -]\d{2,4}){2,5}(?!\d)"), _telephone),
    Rule("-", re.compile(r"(?<![\d-])\d{3}-\d{4}(?![\d-])"), _telephone),
    Rule("", re.compile(r"(?<![\d-])\d{4}(?:[ -]\d{4}){3}(?![\d-])"), lambda m: digits(m[0])),
    Rule("", re.compile(rf"\b({_CODE}{_LINK}\s*)(\d{{4,18}})(?![\w.,]*\d)", re.IGNORECASE), _digits),
    Rule("", re.compile(r"\b((?:call|dial|ring|phone|text)\s+)(\d{3,6})(?![\d.,:-]*\d)", re.IGNORECASE), _digits),
    Rule("", re.compile(r"(?<![\w.,$£€])911(?![\w,.]*\d)"), lambda m: digits(m[0])),
    # Flights and model numbers: BA2490, A380.
    Rule("", re.compile(r"(?<=[A-Z])\d{4}(?!\w)"), lambda m: digits(m[0])),
    Rule("", re.compile(rf"(?:(?<=[A-Z])|(?<={LETTER}[a-z] ))\d{{3}}(?!\w)(?!\.\d)"), lambda m: pairs(m[0])),
    Rule("", re.compile(r"(?<![\w.,])\d{3}(?=[A-Z]\b\s+[A-Z])"), lambda m: pairs(m[0])),
)
"""Patterns and what is said for them. The order matters: the most specific first."""
