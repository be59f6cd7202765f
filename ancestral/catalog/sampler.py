"""The interface that a worker samples through, in any modality: weights in an engine, requests as streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ancestral.catalog.models import Model
from ancestral.models.engines.base import Engine, Length, Stream, Symbols


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a request comes to: everything that its output depends on besides the model, in one JSON form. It is what a
    job is to do, and what manifests, recipes and tags are made of. A subclass declares its fields; when their meaning
    changes, its version does."""

    VERSION: ClassVar[int] = 1
    kind: ClassVar[str] = ""
    """The kind of job."""

    @property
    def excerpt(self) -> str | None:
        """What lists of jobs show of the request: its text, or its prompt."""
        return None


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
