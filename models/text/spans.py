"""Text whose characters know which part of the written text they stand for.

The front-end rewrites a text rule by rule, with regular expressions. Every rule goes through :meth:`SpannedText.sub`,
which moves the spans along, so that no rule has to: whatever is spoken at the end still knows where it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple

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
