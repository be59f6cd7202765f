"""A sentence of phonemes, as the front-end makes it and as it travels to whatever speaks it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from ancestral.models.text.phonemes import PAUSES, PHONEMES, PLAIN, SILENCE, Control
from ancestral.models.text.spans import Span

_PHONEMES = frozenset(PHONEMES).difference(PAUSES)


@dataclass(frozen=True)
class Word:
    """A spoken word.

    Attributes:
        text: the word as normalised: lower case, or a capital for a letter spoken by name.
        phones: members of `phonemes.PHONEMES`, at least one, no pauses.
        span: where it stands in :attr:`Script.written`. What is written as one has one span: "5 km", "API".
        control: of each of its phones.
    """

    text: str
    phones: tuple[str, ...]
    span: Span
    control: Control = PLAIN


@dataclass(frozen=True)
class Rest:
    """A pause of exact length.

    Attributes:
        mark: the pause from `phonemes.PAUSES` that has this length; `sil` before the first word.
        seconds: its length.
    """

    mark: str
    seconds: float


Item = Word | Rest | str


@dataclass(frozen=True)
class Sentence:
    """What is said in one breath, up to about 15 s.

    Attributes:
        items: words, pauses as strings from `phonemes.PAUSES`, and pauses of exact length; never two pauses in a row.
            The last is a `.`, `?` or `!`, or the `,` of a clause with which a text ends that goes on; the first is a
            word, or a rest in place of the silence before it. A pause at the end of a text is a sentence without
            words: that rest alone.
    """

    items: tuple[Item, ...]

    @property
    def text(self) -> str:
        """The words and marks as they are spoken."""
        text = ""
        for item in self.items:
            if isinstance(item, Word):
                text += f" {item.text}" if text else item.text
            elif (mark := mark_of(item)) != SILENCE:
                text += mark or ""
        return text

    @property
    def words(self) -> tuple[Word, ...]:
        """The words alone."""
        return tuple(item for item in self.items if isinstance(item, Word))

    @property
    def phones(self) -> tuple[str, ...]:
        """The phoneme sequence, from `sil` to the sentence's end."""
        return tuple(phone for phone, _, _ in self._sequence)

    @property
    def word_starts(self) -> tuple[bool, ...]:
        """For each of `phones`, whether a word starts there."""
        return tuple(starts for _, starts, _ in self._sequence)

    @property
    def controls(self) -> tuple[Control, ...]:
        """For each of `phones` the change to the prediction; empty if there is none."""
        controls = tuple(control for _, _, control in self._sequence)
        return () if all(control == PLAIN for control in controls) else controls

    @cached_property
    def _sequence(self) -> tuple[tuple[str, bool, Control], ...]:
        control = next((item.control for item in self.items if isinstance(item, Word)), PLAIN)
        sequence = [] if mark_of(self.items[0]) == SILENCE else [(SILENCE, False, control)]
        for item in self.items:
            if isinstance(item, Word):
                control = item.control
                sequence.extend((phone, i == 0, control) for i, phone in enumerate(item.phones))
            elif isinstance(item, Rest):
                sequence.append((item.mark, False, replace(control, seconds=item.seconds)))
            else:
                sequence.append((item, False, control))
        return tuple(sequence)

    def as_json(self) -> list[Any]:
        """One value an item: ``"."``, ``[",", 1.5]`` (seconds), ``["cat", 4, 7, "K AE1 T"]`` (span); with a control
        ``["cat", 4, 7, "K AE1 T", 0.8, 2.0]`` (rate, semitones)."""
        return [item if isinstance(item, str) else list(_values(item)) for item in self.items]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """What :meth:`as_json` made.

        Raises:
            ValueError: it is something else, or has an unknown phoneme.
        """
        if not values:
            raise ValueError("a sentence has items")
        return cls(tuple(map(_item, values)))


def mark_of(item: Item) -> str | None:
    """The pause that an item is; None for a word."""
    return item if isinstance(item, str) else item.mark if isinstance(item, Rest) else None


def _values(item: Word | Rest) -> Iterator[Any]:
    if isinstance(item, Rest):
        yield from (item.mark, item.seconds)
        return
    yield from (item.text, *item.span, " ".join(item.phones))
    if item.control != PLAIN:
        yield from (item.control.rate, item.control.semitones)


def _item(values: Any) -> Item:
    match values:
        case str() if values in PAUSES:
            return values
        case [mark, float(seconds)] if mark in PAUSES:
            return Rest(mark, seconds)
        case [str(text), int(start), int(end), str(phones), *control] if _PHONEMES.issuperset(phones.split(" ")):
            return Word(text, tuple(phones.split(" ")), (start, end), Control(None, *control))
    raise ValueError(f"no item of a sentence: {values!r}")
