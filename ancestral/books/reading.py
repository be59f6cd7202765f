"""How a book is read: what its sound depends on, and who speaks it: this process, or a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ancestral.books.parts import Part, TimedSpan
from ancestral_models.entries import Voice, speaks
from ancestral_models.text.script import Cast


@dataclass(frozen=True)
class Spoken:
    """A finished part."""

    part: Part
    flac: bytes
    words: Sequence[TimedSpan]
    engine: str
    """Name of the engine that sampled it."""


def default_voice(voices: Sequence[Voice], language: str | None) -> str:
    """The first voice that speaks a language, or the first of all."""
    return next((voice for voice in voices if speaks([voice], language)), voices[0]).id


@dataclass(frozen=True)
class Reading:
    """How a book is to be read."""

    voice: str | None
    """A voice of the model, by its id or an alias, or a mix; its first one that speaks the language if None."""
    language: str | None
    speed: float
    """Faster above 1."""
    voices: Mapping[str, str]
    """Names of the text for voices."""

    def made_from(self, model: str, model_sha256: str, voice: str) -> dict[str, Any]:
        """What the sound depends on besides the text and the seed; the file's tags say it, too.

        Args:
            model: its id.
            model_sha256: of its weights.
            voice: the canonical form of the one that reads.
        """
        found: dict[str, Any] = {"model": model, "model_sha256": model_sha256, "voice": voice, "speed": self.speed}
        return found | ({"voices": dict(self.voices)} if self.voices else {})


class Speaker(Protocol):
    """A voice of a model at a speed, and who else can speak. These, with text and seed, determine the sound."""

    model: str
    model_sha256: str
    voice: str
    sample_rate: int
    """Hertz."""

    def cast(self, language: str | None) -> Cast:
        """The speakers of a text whose language the voice speaks; None is the voice's own."""

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        """Speak parts, several at a time; they come in the order in which they are finished."""
