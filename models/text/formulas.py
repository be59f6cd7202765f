"""Formulas to words: variables, their products and powers, operators.

A formula is a row of numbers, variables and brackets joined by operators, with ``=``, a power or a root in it.
Elsewhere a hyphen is no minus, "m" is a meter and "4x" is four times.
"""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.characters import LETTER
from ancestral.models.text.rules import Match
from ancestral.models.text.spans import SpannedText
from ancestral.models.text.units import UNITS

_FUNCTIONS: Final = {
    "sin": "sine", "cos": "cosine", "tan": "tangent", "log": "log", "ln": "natural log", "exp": "exponential",
    "sqrt": "root",
}  # fmt: skip
_WORDS: Final = "is|in|on|no|if|or|of|to|at|by|an|as|be|do|go|he|it|me|my|so|up|us|we|am|ok|pi"
_VARIABLES: Final = rf"(?!(?i:{_WORDS})(?![A-Za-z]))[A-Za-z]{{1,2}}"
_ATOM: Final = rf"(?:\d+(?:\.\d+)?[A-Za-z]{{0,3}}|{_VARIABLES}\d?|pi)(?:\^-?\w+)?(?![\w'.]*\w)"
_OPEN: Final = (
    rf"(?:[(\[] ?|-(?!-)|(?:square root of|plus or minus)\s+|(?:(?:{'|'.join(_FUNCTIONS)})(?:\^\d)?|\d|[A-Za-z])\()*"
)
_CLOSE: Final = r"(?: ?[)\]](?:\^-?\w+)?|(?<=[\d)])!(?!=))*"
_OPERATOR: Final = r" *(?:[-+*/=]|times|divided by|plus or minus|(?<=[)\d])(?=\()) *"
_FORMULA: Final = re.compile(rf"(?<![\w.,'^/?&|-])(?<!\d ){_OPEN}{_ATOM}{_CLOSE}(?:{_OPERATOR}{_OPEN}{_ATOM}{_CLOSE})+")
_IS_FORMULA: Final = re.compile(r"[=^]|square root|\) ?/ ?\(")
_HAS_VARIABLE: Final = re.compile(r"(?<![A-Za-z])(?!(?:plus|minus|or|times|square|root|of|divided|by)\b)[A-Za-z]|!")
_PART: Final = re.compile(
    rf"(?P<word>plus or minus|square root of|times|divided by|pi\b)|(?P<function>{'|'.join(_FUNCTIONS)})(?=(?:\^\d)?\()"
    r"|(?P<power>\^-?\d+)|\^(?P<raised>-?[A-Za-z]\w*)|(?P<letters>[A-Za-z]+)|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[-+*/=!()\[\]])"
)
_AFTER_FUNCTION: Final = re.compile(rf"(?:{'|'.join(_FUNCTIONS)})(?:\^\d)?$")
_OPERATORS: Final = {"-": "minus", "+": "plus", "*": "times", "/": "over", "=": "equals", "!": "factorial"}


def _letters(text: str) -> str:
    return " ".join(LETTER + letter.lower() for letter in text)


def _part(match: Match) -> str:
    if match["function"]:
        return f" {_FUNCTIONS[match['function']]} "
    if match["raised"]:
        sign, letters = ("minus ", match["raised"][1:]) if match["raised"][0] == "-" else ("", match["raised"])
        return f" to the power of {sign}{_letters(letters)} "
    if match["letters"] and len(match["letters"]) > 1 and match["letters"] in UNITS:
        return match[0]
    if match["letters"]:
        called = match.string[match.end() : match.end() + 1] == "(" and len(match["letters"]) == 1
        return f" {_letters(match['letters'])}{' of' if called else ''} "
    if match["sign"] == "(" and _AFTER_FUNCTION.search(match.string, max(0, match.start() - 6), match.start()):
        return " of "
    if match["sign"] in ("(", "[") and match.string[match.start() - 1 : match.start()] in tuple("0123456789)"):
        return " times "
    if match["sign"]:
        return f" {_OPERATORS.get(match['sign'], '')} "
    return match[0]


def speak_formulas(text: SpannedText) -> SpannedText:
    """Replaces the letters and operators of formulas by words; their numbers stay.

    Args:
        text: folded text (`characters.fold`).
    """
    if not _IS_FORMULA.search(text.text):
        return text
    places = [
        match.span()
        for match in _FORMULA.finditer(text.text)
        if _IS_FORMULA.search(match[0]) and _HAS_VARIABLE.search(match[0])
    ]
    if not places:
        return text
    inside = bytearray(len(text.text))
    for start, end in places:
        inside[start:end] = b"\1" * (end - start)
    return text.sub(_PART, lambda match: _part(match) if inside[match.start()] else match[0])
