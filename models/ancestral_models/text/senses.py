"""Heteronyms: readings of a word that the words around it choose, as a table's section [heteronyms] has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ancestral_models.text.tables import Table

_NEAR: Final = 5
_PLACES: Final = {"before": "{}-", "after": "-{}", "near": "{}"}


class Sense(NamedTuple):
    """A reading, and what asks for it; without conditions it is the usual one."""

    phones: tuple[str, ...]
    tag: str = ""
    """Beginning of the word's part of speech; English alone."""
    near: frozenset[str] = frozenset()
    """Words not farther than five, "x-" for the word before, "-x" for the one after, "x-y" for both; "^" before the
    first. One of them must
    be there."""


def _sense(text: str) -> Sense:
    """`B EY1 S; near fish river`."""
    phones, *conditions = text.split("; ")
    tag, near = "", set[str]()
    for kind, *words in map(str.split, conditions):
        if kind == "tag":
            (tag,) = words
        else:
            near |= {_PLACES[kind].format(word) for word in words}
    return Sense(tuple(phones.split()), tag, frozenset(near))


def senses(table: Table) -> Mapping[str, Sequence[Sense]]:
    """The senses of each heteronym of a language, the first that fits first."""
    found: dict[str, list[Sense]] = {}
    for word, text in table.pairs("heteronyms"):
        found.setdefault(word, []).append(_sense(text))
    return found


def fits(sense: Sense, words: Sequence[str], i: int) -> bool:
    """Whether the words around one of a sentence, which may be marks, ask for a sense of it."""
    before, after = words[i - 1] if i else "^", words[i + 1] if i + 1 < len(words) else ""
    around = {f"{before}-", f"-{after}", f"{before}-{after}", *words[max(0, i - _NEAR) : i + _NEAR + 1]}
    return not sense.near or not sense.near.isdisjoint(around)
