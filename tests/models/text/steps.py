"""Counts of what the front-end does with a text: calls of functions, and steps of regular expressions.

``python -m tests.models.text.steps LANGUAGE`` reads texts as JSON and writes the counts of each.

Python's matcher of regular expressions counts nothing. Here each pattern of the front-end has its parse tree walked
beside it by a matcher that backtracks in the same order and takes a step for each character it looks at. Both must find
the same.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, ClassVar

Then = Callable[[int], int]
"""What is matched after a node, from a place on: the end of the whole match, or -1."""
Node = Callable[[int, Then], int]
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    c.CATEGORY_DIGIT: str.isdecimal,
    c.CATEGORY_SPACE: str.isspace,
    c.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
}
_NEGATED = {
    c.CATEGORY_NOT_DIGIT: c.CATEGORY_DIGIT,
    c.CATEGORY_NOT_SPACE: c.CATEGORY_SPACE,
    c.CATEGORY_NOT_WORD: c.CATEGORY_WORD,
}
_SINGLE = (c.LITERAL, c.NOT_LITERAL, c.ANY, c.IN)


class _Counter:
    """A pattern over one text."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        tree = _parser.parse(pattern.pattern, pattern.flags)
        self.text, self.taken = "", 0
        self.groups: dict[int, tuple[int, int]] = {}
        self._whole = self._sequence(list(tree), pattern.flags)

    def first(self, text: str, at: int, *, anchored: bool = False, whole: bool = False) -> tuple[int, int] | None:
        """Where the first match from a place on stands."""
        self.text, end = text, -1
        for start in range(at, at + 1 if anchored else len(text) + 1):
            self.taken += 1
            self.groups = {}
            end = self._whole(start, lambda place: place if not whole or place == len(text) else -1)
            if end >= 0:
                return start, end
        return None

    def all(self, text: str) -> list[tuple[int, int]]:
        """Where all matches stand that are not empty."""
        found: list[tuple[int, int]] = []
        at = 0
        while match := self.first(text, at):
            found += [match] if match[1] > match[0] else []
            at = max(match[1], match[0] + 1) if match[1] > match[0] else match[0] + 1
            if at > len(text):
                break
        return found

    def _sequence(self, items: list[tuple[Any, Any]], flags: int) -> Node:
        nodes = [self._node(kind, value, flags) for kind, value in items]
        if len(nodes) == 1:
            return nodes[0]

        def run(at: int, then: Then, index: int = 0) -> int:
            if index == len(nodes):
                return then(at)
            return nodes[index](at, lambda place: run(place, then, index + 1))

        return run

    def _single(self, kind: Any, value: Any, flags: int) -> Callable[[int], bool]:
        """Whether the character at a place is one of a class."""
        known: dict[str, bool] = {}
        lower = bool(flags & re.IGNORECASE)

        def fits(at: int) -> bool:
            self.taken += 1
            if at >= len(self.text):
                return False
            char = self.text[at]
            if char not in known:
                cases = {char, char.lower(), char.upper()} if lower else {char}
                known[char] = _is(kind, value, flags, cases)
            return known[char]

        return fits

    def _node(self, kind: Any, value: Any, flags: int) -> Node:
        if kind in _SINGLE:
            fits = self._single(kind, value, flags)
            return lambda at, then: then(at + 1) if fits(at) else -1
        if kind is c.AT:
            return lambda at, then: then(at) if self._at(value, at, flags) else -1
        if kind is c.BRANCH:
            branches = [self._sequence(list(branch), flags) for branch in value[1]]
            return lambda at, then: next((end for branch in branches if (end := branch(at, then)) >= 0), -1)
        if kind is c.SUBPATTERN:
            group, added, removed, inner = value
            return self._group(group, self._sequence(list(inner), (flags | added) & ~removed))
        if kind in (c.ASSERT, c.ASSERT_NOT):
            return self._assertion(kind is c.ASSERT, *value, flags)
        if kind is c.ATOMIC_GROUP:
            return self._atomic(self._sequence(list(value), flags))
        if kind in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            repeat = self._repeat(kind, *value, flags)
            return self._atomic(repeat) if kind is c.POSSESSIVE_REPEAT else repeat
        if kind is c.GROUPREF:
            return lambda at, then: self._again(value, at, then)
        assert kind is c.GROUPREF_EXISTS, kind
        number, yes, no = value
        sides = self._sequence(list(yes), flags), self._sequence(list(no or []), flags)
        return lambda at, then: sides[number not in self.groups](at, then)

    def _at(self, where: Any, at: int, flags: int) -> bool:
        self.taken += 1
        text, end = self.text, len(self.text)
        if where in (c.AT_BOUNDARY, c.AT_NON_BOUNDARY):
            word = _CATEGORIES[c.CATEGORY_WORD]
            sides = (at > 0 and word(text[at - 1])) != (at < end and word(text[at]))
            return sides == (where is c.AT_BOUNDARY)
        if where is c.AT_BEGINNING and flags & re.MULTILINE:
            return at == 0 or text[at - 1] == "\n"
        if where in (c.AT_BEGINNING, c.AT_BEGINNING_STRING):
            return at == 0
        line = where is c.AT_END and (at == end - 1 or flags & re.MULTILINE) and text[at : at + 1] == "\n"
        return at == end or bool(line)

    def _group(self, group: int | None, inner: Node) -> Node:
        if group is None:
            return inner
        number = group

        def run(at: int, then: Then) -> int:
            before = self.groups.get(number)

            def close(place: int) -> int:
                inside, self.groups[number] = self.groups.get(number), (at, place)
                if (end := then(place)) < 0:
                    self.groups.pop(number)
                    if inside is not None:
                        self.groups[number] = inside
                return end

            end = inner(at, close)
            if end < 0 and before is not None:
                self.groups[number] = before
            return end

        return run

    def _again(self, number: int, at: int, then: Then) -> int:
        if number not in self.groups:
            return -1
        said = self.text[slice(*self.groups[number])]
        self.taken += len(said)
        return then(at + len(said)) if self.text.startswith(said, at) else -1

    def _assertion(self, wanted: bool, direction: int, inner: Any, flags: int) -> Node:
        back = inner.getwidth()[0] if direction < 0 else 0
        node = self._sequence(list(inner), flags)

        def run(at: int, then: Then) -> int:
            self.taken += 1
            found = at >= back and node(at - back, lambda place: place) >= 0
            return then(at) if found == wanted else -1

        return run

    @staticmethod
    def _atomic(inner: Node) -> Node:
        def run(at: int, then: Then) -> int:
            end = inner(at, lambda place: place)
            return then(end) if end >= 0 else -1

        return run

    def _repeat(self, kind: Any, least: int, most: Any, inner: Any, flags: int) -> Node:
        items, greedy = list(inner), kind is not c.MIN_REPEAT
        if len(items) == 1 and items[0][0] in _SINGLE:
            return self._run(self._single(*items[0], flags), least, int(most), greedy=greedy)
        node = self._sequence(items, flags)

        def run(at: int, then: Then, count: int = 0) -> int:
            def again() -> int:
                if count >= most:
                    return -1
                return node(at, lambda place: run(place, then, count + 1) if place > at else -1)

            self.taken += 1
            if count < least:
                return again()
            first, second = (again, lambda: then(at)) if greedy else (lambda: then(at), again)
            return end if (end := first()) >= 0 else second()

        return run

    def _run(self, fits: Callable[[int], bool], least: int, most: int, *, greedy: bool) -> Node:
        """A repeated character, counted before what follows it is tried, as Python does."""

        def run(at: int, then: Then) -> int:
            count = 0
            if not greedy:
                while count < least:
                    if not fits(at + count):
                        return -1
                    count += 1
                while (end := then(at + count)) < 0 and count < most and fits(at + count):
                    count += 1
                return end
            while count < most and fits(at + count):
                count += 1
            while count >= least:
                if (end := then(at + count)) >= 0:
                    return end
                self.taken += 1
                count -= 1
            return -1

        return run


def _is(kind: Any, value: Any, flags: int, cases: set[str]) -> bool:
    if kind is c.ANY:
        return bool(flags & re.DOTALL) or "\n" not in cases
    if kind is c.LITERAL:
        return chr(value) in cases
    if kind is c.NOT_LITERAL:
        return chr(value) not in cases
    if kind is c.IN:
        negated = value[0][0] is c.NEGATE
        return any(_is(*item, flags, cases) for item in value[negated:]) != negated
    if kind is c.RANGE:
        return any(value[0] <= ord(char) <= value[1] for char in cases if len(char) == 1)
    assert kind is c.CATEGORY, kind
    if value in _NEGATED:
        return not any(map(_CATEGORIES[_NEGATED[value]], cases))
    return any(map(_CATEGORIES[value], cases))


class Counted:
    """A pattern that counts the steps of all that is done with it.

    Args:
        pattern: what it stands for.
    """

    taken: ClassVar[Counter[str] | None] = None
    """Gets the steps, by pattern; None if none are counted."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern, self.flags, self.groups, self._real = pattern.pattern, pattern.flags, pattern.groups, pattern

    @cached_property
    def _counter(self) -> _Counter:
        return _Counter(self._real)

    def _count(self, text: str, matches: Iterable[re.Match[str] | None], **how: Any) -> None:
        """Walk over a text as Python has, and check that both have found the same."""
        if self.taken is None:
            return
        found = [match.span() for match in matches if match and ("at" in how or match[0])]
        counter = self._counter
        counter.taken = 0
        if "at" in how:
            match = counter.first(text, **how)
            counted = [match] if match else []
        else:
            counted = counter.all(text)
        assert counted == found, (self.pattern, text, counted, found)
        self.taken[self.pattern] += counter.taken

    def _one(self, name: str, text: str, at: int, end: int, **how: bool) -> re.Match[str] | None:
        match: re.Match[str] | None = getattr(self._real, name)(text, at, end)
        self._count(text[:end], [match], at=at, **how)
        return match

    def search(self, text: str, at: int = 0, end: int = sys.maxsize) -> re.Match[str] | None:
        return self._one("search", text, at, end)

    def match(self, text: str, at: int = 0, end: int = sys.maxsize) -> re.Match[str] | None:
        return self._one("match", text, at, end, anchored=True)

    def fullmatch(self, text: str, at: int = 0, end: int = sys.maxsize) -> re.Match[str] | None:
        return self._one("fullmatch", text, at, end, anchored=True, whole=True)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        matches = list(self._real.finditer(text))
        self._count(text, matches)
        return iter(matches)

    def findall(self, text: str) -> list[Any]:
        self._count(text, self._real.finditer(text))
        return self._real.findall(text)

    def sub(self, by: Any, text: str, count: int = 0) -> str:
        self._count(text, self._real.finditer(text))
        return self._real.sub(by, text, count)

    def split(self, text: str) -> list[str | Any]:
        self._count(text, self._real.finditer(text))
        return self._real.split(text)


def _calls(text: str, language: str) -> int:
    """Calls of functions, Python's own among them."""
    from ancestral_models.text import UnsupportedText, phonemize

    events: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _argument: events.update((event,)))
    with suppress(UnsupportedText):
        phonemize(text, language)
    sys.setprofile(None)
    return events["call"] + events["c_call"]


def _steps(text: str, language: str) -> Counter[str]:
    """Steps by pattern."""
    from ancestral_models.text import UnsupportedText, phonemize

    Counted.taken = Counter()
    with suppress(UnsupportedText):
        phonemize(text, language)
    taken, Counted.taken = Counted.taken, None
    return taken


def main() -> None:
    """Read ``{"calls": texts, "steps": texts}``; write the counts of each text."""
    compiled, counted = re._compile, dict[re.Pattern[str], Counted]()  # type: ignore[attr-defined]

    def compile_counted(pattern: Any, flags: int) -> Any:
        real = compiled(pattern, flags)
        return counted.setdefault(real, Counted(real)) if isinstance(real.pattern, str) else real

    re._compile = compile_counted  # type: ignore[attr-defined]
    language, texts = sys.argv[1], json.load(sys.stdin)
    _steps("It is 1 km.", language)
    found = {
        "calls": [_calls(text, language) for text in texts["calls"]],
        "steps": [_steps(text, language) for text in texts["steps"]],
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    sys.setrecursionlimit(200_000)
    threading.stack_size(1 << 29)  # a step of the matcher is a call
    worker = threading.Thread(target=main)
    worker.start()
    worker.join()
