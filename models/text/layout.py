"""The layout of a text to pauses: paragraphs, lists, dashes, dots."""

from __future__ import annotations

import re
from collections.abc import Callable

from ancestral.models.text.spans import SpannedText

Layout = tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]


def layout(capitals: str, dot: str, joining: str) -> Layout:
    """The rules of a language.

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
