"""The interface that a worker samples through, in any modality: weights in an engine, requests as streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ancestral.catalog.models import Model
from ancestral.models.engines.base import Engine, Length, Stream, Symbols


@dataclass(frozen=True)
class Part:
    """One stream of a request."""

    request: Length
    """A length that includes the prompt."""
    prompt: Symbols
    """Symbols that precede those that are sampled."""


@dataclass(frozen=True)
class Sampler(ABC):
    """A model with its weights, ready to sample."""

    model: Model
    engine: Engine

    @abstractmethod
    def open(self, part: Part) -> Stream:
        """Open the stream, after its prompt."""

    @abstractmethod
    def restore(self, part: Part, state: bytes) -> Stream:
        """The stream that a snapshot was taken of."""

    @abstractmethod
    def warm(self) -> str:
        """Sample a little, so that everything that is compiled or read on first use is ready.

        Returns:
            SHA-256 of what came of it: equal where another machine gives the same bytes.
        """
