"""The interface between a book and who speaks it: this process, or a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ancestral.models.text.script import Cast
from ancestral.service.cli.book.parts import Part


@dataclass(frozen=True)
class Spoken:
    """A part that is finished."""

    part: Part
    flac: bytes
    engine: str
    """That sampled it."""


class Speaker(Protocol):
    """A voice of a model at a speed, and who else can speak. These, with text and seed, determine the sound."""

    model: str
    model_sha256: str
    voice: str
    cast: Cast
    sample_rate: int
    """Of the sound, in hertz."""

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        """Speak parts, several at a time; they come in the order in which they are finished."""
        ...
