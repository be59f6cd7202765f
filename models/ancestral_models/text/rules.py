"""Texts whose characters know where they were written; rules that replace what is written by how it is said; layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple

from ancestral_models.text.phonemes import SENTENCE_ENDS

# Text whose characters know which part of the written text they stand for.
#
# The front-end rewrites a text rule by rule, with regular expressions. Every rule goes through :meth:`SpannedText.sub`,
# which moves the spans along, so that no rule has to: whatever is spoken at the end still knows where it was written.

Span = tuple[int, int]
"""A part of the written text: its first character, and the first one after it."""

_END: Final = itemgetter(1)
# Two characters of a word; \x01 and \x02 are the marks of characters.py.
_IN_WORD: Final = re.compile(r"[\w\x01\x02]{2}")


class SpannedText(NamedTuple):
    """A text, and for each of its characters the span that it stands for."""

    text: str
    spans: list[Span]

    @classmethod
    def of(cls, text: str, start: int) -> SpannedText:
        """A part of the written text, as it stands there from position ``start`` on."""
        return cls(text, [(at, at + 1) for at in range(start, start + len(text))])

    def strip(self) -> SpannedText:
        """The text without white space around it."""
        start, end = len(self.text) - len(self.text.lstrip()), len(self.text.rstrip())
        return SpannedText(self.text[start:end], self.spans[start:end])

    def sub(self, pattern: re.Pattern[str], speak: str | Callable[[re.Match[str]], str]) -> SpannedText:
        """Replaces every match, as ``pattern.sub`` does.

        What a replacement has in common with the match, at its beginning and its end, stands for what it stood for; the
        rest of it stands for the whole rest of the match. What is removed belongs to the character before it.

        Args:
            pattern: what is looked for; never an empty string.
            speak: the replacement, which is no template; or a function of the match.
        """
        matches = pattern.finditer(self.text)
        first = next(matches, None)
        if first is None:
            return self
        pieces: list[str] = []
        spans: list[Span] = []
        done = 0
        for match in chain([first], matches):
            new = speak if isinstance(speak, str) else speak(match)
            if new == match[0]:
                continue
            start, end = match.span()
            pieces += self.text[done:start], new
            spans += self.spans[done:start]
            if new:
                spans += self._moved(start, end, new)
            elif spans:
                spans[-1] = cover([spans[-1], *self.spans[start:end]])
            done = end
        return SpannedText("".join(pieces) + self.text[done:], spans + self.spans[done:])

    def _moved(self, start: int, end: int, new: str) -> list[Span]:
        """The spans of the characters of ``new``, which replaces those from ``start`` to ``end``."""
        core = new.strip()
        first = start + _in_common(core, self.text[start:end])
        rest = core[first - start :]
        last = end - _in_common(rest[::-1], self.text[first:end][::-1])
        before, replaced, after = self.spans[start:first], self.spans[first:last], self.spans[last:end]
        changed, whole = len(rest) - len(after), cover(self.spans[start:end])
        if replaced and not changed:
            if before:
                before[-1] = cover([before[-1], *replaced])
            elif after:
                after[0] = cover([*replaced, after[0]])
        spaces = len(new) - len(new.lstrip()) if core else 0
        before = [(whole[0], whole[0])] * spaces + before
        after += [(whole[1], whole[1])] * (len(new) - spaces - len(core))
        return [*before, *[cover(replaced) if replaced else whole] * changed, *after]


def _in_common(new: str, old: str) -> int:
    """How many characters two texts have in common at their beginning, without a part of a word."""
    pairs = zip(new, old, strict=False)
    count = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(new), len(old)))
    while count and any(_IN_WORD.match(text, count - 1) for text in (new, old)):
        count -= 1
    return count


def cover(spans: Sequence[Span]) -> Span:
    """The shortest span that has all of the given ones, of which there is at least one."""
    return min(spans)[0], max(spans, key=_END)[1]


def disjoint(spans: Sequence[Span]) -> list[Span]:
    """The spans, in order: those that overlap, or are in another order than they were written, become one."""
    merged: list[tuple[Span, int]] = []
    for span in spans:
        count = 1
        while merged and merged[-1][0][1] > span[0]:
            before, number = merged.pop()
            span, count = cover([before, span]), count + number
        merged.append((span, count))
    return [span for span, count in merged for _ in range(count)]


# Rules of the front-end: ways of writing something, and how they are said; and the layout of a text as pauses.

Match = re.Match[str]
START: Final = r"(?<![\w.,])"
END: Final = r"(?![\w])(?!\.\d|,\d{3}\b)"
"""Patterns around a number that is not part of a longer one."""
LONG_NUMBER: Final = ("ddd",)
"""Signs of a rule: three digits in a row."""
_LONG_NUMBER: Final = re.compile(r"\d{3}")
Speak = Callable[[Match], str]
_ROMAN_DIGITS: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def roman_value(numeral: str) -> int:
    """`XIV` is 14; in capitals."""
    digits = [_ROMAN_DIGITS[letter] for letter in numeral]
    return sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))


class Rule(NamedTuple):
    """A pattern and what is said for it."""

    signs: frozenset[str]
    """One of them is in every match, so that a text without them need not be searched; may be empty."""
    pattern: re.Pattern[str]
    speak: Speak | str


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


def rewriting(rows: Iterable[tuple[str, str]]) -> tuple[Rule, ...]:
    """Rules of a table: words, in which `_` is a space, and the pattern that they stand for."""
    return tuple(Rule(frozenset(), re.compile(pattern), words.replace("_", " ")) for words, pattern in rows)


def sentences(words: Sequence[object]) -> Iterator[slice]:
    """Where each sentence of words and marks stands."""
    start = 0
    for i, word in enumerate(words, 1):
        if word in SENTENCE_ENDS or i == len(words):
            yield slice(start, i)
            start = i


def spoken_words(
    text: SpannedText, pattern: re.Pattern[str], speak: Callable[[list[str]], Iterable[Iterable[str]]]
) -> list[tuple[str, Span]]:
    """The words that ``speak`` gives for each of the matches of a pattern, which it gets together, and their spans."""
    written = list(pattern.finditer(text.text))
    return [
        (spoken, span)
        for match, words in zip(written, speak([match[0] for match in written]), strict=True)
        for span in [cover(text.spans[match.start() : match.end()])]
        for word in words
        for spoken in word.split()
    ]


Layout = tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]


# The end of a range with signs: 9 am - 5 pm, 5 € - 10 €.
_SPACED: Final = r"(?<=[h€%m] - )\d[\d.,:]* ?(?:[h€%]|[ap]m)"


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
        (re.compile(rf"(?<!\d)(?<!\d[xyz]) -+ (?!{_SPACED})| -+ (?!\d)|-{{2,}}|(?<=\S)- (?!(?:{joining})\b)"), " , "),
        (re.compile(rf"(?<!\.)\.{{2,}}+(?=[\s\"')]+[{capitals}])"), ". "),
        (re.compile(rf"(?<!\.)\.{{2,}}+(?=[\s\"')]*[{letters}0-9])"), " , "),
    )


def lay_out(text: SpannedText, rules: Layout) -> SpannedText:
    """A folded text with single spaces, its layout as marks."""
    for pattern, replacement in rules:
        text = text.sub(pattern, replacement)
    return text
