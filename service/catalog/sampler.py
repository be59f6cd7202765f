"""What a worker samples with, whatever the model makes: weights in an engine, and requests as streams of symbols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from models.engines.base import Engine, Length, Stream, Symbols
from service.catalog.models import Model


@dataclass(frozen=True)
class Part:
    """One stream of a request."""

    request: Length
    """Its length counts the prompt."""
    prompt: Symbols
    """Symbols that are given before those that are sampled."""


@dataclass(frozen=True)
class Sampler(ABC):
    """A model with its weights, ready to sample."""

    model: Model
    engine: Engine

    @abstractmethod
    def open(self, part: Part) -> Stream:
        """The stream, with the prompt behind it."""

    @abstractmethod
    def restore(self, part: Part, state: bytes) -> Stream:
        """The stream that a snapshot was taken of."""

    @abstractmethod
    def warm(self) -> None:
        """Sample a little, so that whatever is compiled or read on first use is there."""
