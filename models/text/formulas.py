"""Formulas to words: variables, their products and powers, operators.

A formula is a row of numbers, variables and brackets joined by operators, with ``=``, a power, a root, a product
``a*b`` or a function of an expression in it, as in ``f(n-1)``.
Elsewhere a hyphen is no minus, "m" is a meter and "4x" is four times.
"""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.characters import LETTER
from ancestral.models.text.numerals import UNITS, cardinal, fraction
from ancestral.models.text.rules import Match
from ancestral.models.text.spans import SpannedText

_FUNCTIONS: Final = {
    "sin": "sine", "cos": "cosine", "tan": "tangent", "log": "log", "ln": "natural log", "exp": "exponential",
    "sqrt": "root",
}  # fmt: skip
_WORDS: Final = "is|in|on|no|if|or|of|to|at|by|an|as|be|do|go|he|it|me|my|so|up|us|we|am|ok|pi"
_VARIABLES: Final = rf"(?!(?i:{_WORDS})(?![A-Za-z]))[A-Za-z]{{1,2}}"
_ATOM: Final = rf"(?:\d+(?:\.\d+)?[A-Za-z]{{0,3}}|{_VARIABLES}\d?|pi)(?:\^-?\w+)?(?![\w'.]*\w)"
_FUNCTION: Final = "|".join(_FUNCTIONS)
_GREEK: Final = "alpha|beta|gamma|theta|lambda|phi|omega"
_OPEN: Final = (
    r"(?:[(\[] ?|-(?!-)|(?:square root of|absolute value of|plus or minus|minus)\s+"
    rf"|(?:(?:{_FUNCTION})(?:\^\d)?|\d|[A-Za-z]'{{0,2}})\(){{0,12}}"
)
_CLOSE: Final = r"(?: ?[)\]](?:\^-?\w+)?|(?<=[\d)])!(?!=))*"
_OPERATOR: Final = r" *(?:[-+*/=]|times|divided by|(?:plus or )?minus|(?<=[)\d])(?=\()) *"
_FORMULA: Final = re.compile(rf"(?<![\w.,'^/?&|-])(?<!\d ){_OPEN}{_ATOM}{_CLOSE}(?:{_OPERATOR}{_OPEN}{_ATOM}{_CLOSE})+")
_IS_FORMULA: Final = re.compile(
    rf"[=^]|square root|absolute value|\) ?/ ?\(|[-+*/] ?\w+\) ?/|(?<![A-Za-z])\w\*\w(?![A-Za-z])"
    rf"|(?:{_FUNCTION})\(|(?<![A-Za-z])[A-Za-z]\([^()]*[-+*/]"
    r"|\d[xyz] +(?:[-+]|minus) +(?!\d+(?:x\b| times))|(?:\+|minus) +\d+[xyz]\b|^(?:-|minus +)\d+[xyz]\b"
)
_HAS_VARIABLE: Final = re.compile(
    r"(?<![A-Za-z])(?!(?:plus|minus|or|times|square|root|absolute|value|of|divided|by)\b)[A-Za-z]|!"
)
_PART: Final = re.compile(
    rf"(?P<word>(?:plus or )?minus|square root of|absolute value of|times|divided by|pi\b)"
    rf"|(?P<function>{_FUNCTION})(?=(?:\^\d)?\()"
    r"|(?P<prime>'+)(?=\()|(?P<power>\^-?\d+)|\^(?P<raised>-?[A-Za-z]\w*)|(?P<letters>[A-Za-z]+)|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[-+*/=!()\[\]])"
)
_PRODUCTS: Final = frozenset("abcknmxyz")
_SUM: Final = re.compile(r"\([^()]{0,60}[-+*/][^()]{0,60}\)")
_OPERATORS: Final = {"-": "minus", "+": "plus", "*": "times", "/": "over", "=": "equals", "!": "factorial"}
# Operators that are such wherever they stand: before layout is read, where a hyphen is none.
_CODE: Final = (
    (re.compile(r"\blog(2|10)(?= ?\(| +[\dn])"), lambda m: f"log base {cardinal(m[1])}"),
    (re.compile(rf"\b(sin|cos|tan|ln) +(?=(?:{_GREEK}|[xyz])\b|\d+ ?°)"), lambda m: f"{_FUNCTIONS[m[1]]} "),
    (re.compile(rf"(?<=[a-z]) +/ *(?={_GREEK}|{'|'.join(_FUNCTIONS.values())})"), lambda _: " over "),
    (re.compile(r"(?<![\w/)])(\d)/(\d)(?=\()"), lambda m: f"{fraction(m[1], m[2])} "),
    (re.compile(r"\bP\(([A-Z])(?: *(\||,|[a-z]+) *([A-Z]))?\)(?: *([/*·]) *(?=P))?"), lambda m: _probability(m)),
    (re.compile(r"(?<=[\d)])·(?=[\w(])|(?<=\b[a-z])·(?=[a-z]\b)"), lambda _: " times "),
    (re.compile(r"(?<![\w*])([A-Za-z]|\d+)\*\*(\d+|[A-Za-z])(?![\w*])"), lambda m: f"{m[1]}^{m[2]}"),
    (re.compile(r"(?<![\w|])\|(-?\w{1,3}(?: ?[-+*/] ?\w{1,3})*)\|(?![\w|])"), lambda m: _absolute(m[1])),
    (re.compile(r"(?<=\b[A-Za-z]\([A-Za-z]\)) - (?=[A-Za-z\d]\(|\d)"), lambda _: " minus "),
    (re.compile(r"(?<=[\w)\]]) \|\| (?=[\w(!])"), lambda _: " or "),
    (re.compile(r"(?<=[\w)\]]) && (?=[\w(!])"), lambda _: " and "),
    (re.compile(r"(?:(?<=\()|(?<= or )|(?<= and ))!(?=[A-Za-z])"), lambda _: "not "),
    (
        re.compile(r"(\(\d+(?:\.\d+)? ?[-+*/] ?\d+(?:\.\d+)?\)) ?([-/]) ?(?=[\d(])"),
        lambda m: f"{m[1]} {_OPERATORS[m[2]]} ",
    ),
)
# Of one variable, outside a formula.
_DIFFERENCE: Final = re.compile(r"(?<=\w\[)([a-z])-(?=\w{1,2}\])|(?<![\w'-])([ijnxyz])-(?=\d+(?![\w-]))")
_MULTIPLE: Final = re.compile(r"((?:minus +|[<>]=? ?)\d+|\d+(?=[xyz] ?[<>]))([xyz])\b")
_AFTER_FUNCTION: Final = re.compile(rf"(?:{_FUNCTION})(?:\^\d)?$")


def _letters(text: str) -> str:
    return " ".join(LETTER + letter.lower() for letter in text)


def _probability(match: Match) -> str:
    """`P(A|B)/P(B)`, up to the next one."""
    first, sign, second, operator = match.groups("")
    given = {"|": "given", ",": "and"}.get(sign, sign)
    joint = _OPERATORS.get(operator.replace("·", "*"), "")
    return f" {LETTER}p of {_letters(first)} {given} {_letters(second)} {joint} "


def _absolute(inside: str) -> str:
    return f" the absolute value of {_letters(inside) if inside.isalpha() and len(inside) == 1 else inside} "


def _is_called(match: Match) -> bool:
    """Whether a letter is a function of the bracket after it, and no factor: f(n-1), but n(n-1)."""
    product = _SUM.match(match.string, match.end()) and match["letters"] in _PRODUCTS
    return len(match["letters"]) == 1 and match.string[match.end() : match.end() + 1] == "(" and not product


def _part(match: Match) -> str:
    if match["function"]:
        return f" {_FUNCTIONS[match['function']]} "
    if match["raised"]:
        sign, letters = ("minus ", match["raised"][1:]) if match["raised"][0] == "-" else ("", match["raised"])
        return f" to the power of {sign}{_letters(letters)} "
    if match["letters"] and len(match["letters"]) > 1 and match["letters"] in UNITS:
        return match[0]
    if match["letters"]:
        return f" {_letters(match['letters'])}{' of' if _is_called(match) else ''} "
    if match["prime"]:
        return f" {'double ' * (len(match['prime']) - 1)}prime of "
    if match["sign"] == "(" and _AFTER_FUNCTION.search(match.string, max(0, match.start() - 6), match.start()):
        return " of "
    before = match.string[match.start() - 1 : match.start()] if match["sign"] in ("(", "[") else ""
    if before in tuple("0123456789)") or (before in _PRODUCTS and _SUM.match(match.string, match.start())):
        return " times "
    if match["sign"]:
        return f" {_OPERATORS.get(match['sign'], '')} "
    return match[0]


def _speak_difference(match: Match) -> str:
    return f"{LETTER}{match[1] or match[2]} minus "


def speak_formulas(text: SpannedText) -> SpannedText:
    """Replaces the letters and operators of formulas by words; their numbers stay.

    Args:
        text: folded text (`characters.fold`).
    """
    for pattern, speak in _CODE:
        text = text.sub(pattern, speak)
    places = _IS_FORMULA.search(text.text) and [
        match.span()
        for match in _FORMULA.finditer(text.text)
        if _IS_FORMULA.search(match[0]) and _HAS_VARIABLE.search(match[0])
    ]
    if not places:
        return text.sub(_DIFFERENCE, _speak_difference).sub(_MULTIPLE, lambda m: f"{m[1]} {_letters(m[2])}")
    inside = bytearray(len(text.text))
    for start, end in places:
        inside[start:end] = b"\1" * (end - start)
    text = text.sub(_PART, lambda match: _part(match) if inside[match.start()] else match[0])
    return text.sub(_DIFFERENCE, _speak_difference)
