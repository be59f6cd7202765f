"""Rules of the front-end: ways of writing something, and how they are said; and the layout of a text as pauses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ancestral.models.text.spans import SpannedText

Match = re.Match[str]
START: Final = r"(?<![\w.,])"
END: Final = r"(?![\w])(?!\.\d|,\d{3}\b)"
"""Patterns around a number that is not part of a longer one."""
LONG_NUMBER: Final = ("ddd",)
"""Signs of a rule: three digits in a row."""
_LONG_NUMBER: Final = re.compile(r"\d{3}")
Speak = Callable[[Match], str]
_ROMAN_DIGITS: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def roman_value(numeral: str) -> int:
    """`XIV` is 14; capitals up to `C`."""
    digits = [_ROMAN_DIGITS[letter] for letter in numeral]
    return sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))


class Rule(NamedTuple):
    """A pattern and what is said for it."""

    signs: frozenset[str]
    """One of them is in every match, so that a text without them need not be searched; may be empty."""
    pattern: re.Pattern[str]
    speak: Speak


def apply_all(rules: Iterable[Rule], text: SpannedText) -> SpannedText:
    """Replaces every match of the rules, in their order."""
    present = _signs(text.text)
    for signs, pattern, speak in rules:
        if signs and signs.isdisjoint(present):
            continue
        changed = text.sub(pattern, speak)
        if changed is not text:
            text, present = changed, _signs(changed.text)
    return text


def _signs(text: str) -> set[str]:
    return {*text, *LONG_NUMBER} if _LONG_NUMBER.search(text) else set(text)


def rule(signs: Iterable[str], pattern: str, speak: Speak, flags: int = 0) -> Rule:
    """A rule whose words stand where the match stood."""
    return Rule(frozenset(signs), re.compile(pattern, flags), speak)


def number_rule(signs: Iterable[str], pattern: str, speak: Speak, flags: int = 0) -> Rule:
    """A rule for something with digits. Spaces keep its words apart from letters that touched them (mp3, 5x)."""

    def apart(match: Match) -> str:
        spoken = speak(match)
        return spoken if spoken == match[0] else f" {spoken} "

    return rule(signs, pattern, apart, flags)


Layout = tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]


def layout(capitals: str, dot: str, joining: str) -> Layout:
    """The rules of a language for layout.

    Args:
        capitals: its capital letters, as in a set of characters.
        dot: the name of a full stop before a word.
        joining: a pattern of the words after which a hyphenated word goes on ("pre- and post-war").
    """
    letters = capitals + capitals.lower()
    return (
        # Paragraphs and list items end a sentence.
        (re.compile(r"\n[ \t]*(?:\n\s*|(?=[-*#>]\s|\d+[.)]\s))"), " . "),
        (re.compile(r"(^|(?<= \. )|[.?!][\"')\]]*\s)\s*(?!>+\s*\d)[-*#>]+\s+"), lambda m: f"{m[1]} "),
        (re.compile(r"\s+"), " "),
        (re.compile(rf"(?<![^\s(])\.(?=[{letters}])"), f" {dot} "),
        (re.compile(rf"(?<!\d)(?<!\d[xyz]) -+ | -+ (?!\d)|-{{2,}}|(?<=\S)- (?!(?:{joining})\b)"), " , "),
        (re.compile(rf"\.{{2,}}(?=[\s\"')]+[{capitals}])"), ". "),
        (re.compile(rf"\.{{2,}}(?=[\s\"')]*[{letters}0-9])"), " , "),
    )


def lay_out(text: SpannedText, rules: Layout) -> SpannedText:
    """A folded text with single spaces, its layout as marks."""
    for pattern, replacement in rules:
        text = text.sub(pattern, replacement)
    return text
