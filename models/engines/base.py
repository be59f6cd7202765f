"""What every engine is, whatever it samples: step streams together, snapshot and restore them.

A stream's symbols depend on the weights, its conditioning, its seed and the position, and on nothing else: not on how
far each call steps, not on who shares the call, not on a restart in between. Every engine keeps that promise bit
for bit within itself; the tests hold it to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Symbols = NDArray[np.uint8]
Array = NDArray[np.float32]


class RequestError(ValueError):
    """A request that does not fit the model; the message names the field."""


class EngineError(ValueError):
    """An engine that cannot run here, or not with this checkpoint; the message says what to do about it."""


class Length(Protocol):
    """What is asked for, as far as a scheduler has to know."""

    @property
    def length(self) -> int:
        """Symbols to make."""


class Stream(Protocol):
    """One sequence being sampled. Engines add their state; callers read these two."""

    @property
    def request(self) -> Length:
        """What it will be."""

    @property
    def position(self) -> int:
        """Symbols made so far."""


class Engine(Protocol):
    """What a scheduler asks of an engine, whatever it samples."""

    @property
    def name(self) -> str:
        """``native``, ``onnx-cuda``, …: what really runs, told to clients in ``x-engine``."""

    @property
    def lanes(self) -> int:
        """Streams that share the work of a call; of more it takes so many at a time."""

    def step(self, streams: Sequence[Any], samples: int) -> Sequence[Symbols]:
        """Make up to ``samples`` more symbols of every stream (or a few more, where they come in rows), together.

        Whatever it may raise, a stream whose position is what it was before has not been touched; the others are lost.
        """

    def snapshot(self, stream: Any) -> bytes:
        """Everything but the request that is needed to go on from here, here or in another process."""

    @property
    def loaded(self) -> bool:
        """Whether what it computes with is in memory."""

    def unload(self, idle_seconds: float) -> bool:
        """Give back the memory of what has not been used for so long, and say if so; the next call loads it again."""


class AlwaysLoaded:
    """Engines that keep all they have: a few megabytes."""

    @property
    def loaded(self) -> bool:
        """See :class:`Engine`."""
        return True

    def unload(self, idle_seconds: float) -> bool:
        """See :class:`Engine`."""
        return False


GREEDY = 1e-200
"""The lowest temperature where symbols are drawn by a graph: all but the largest logits get probability 0, and a lower
one would overflow. Together with noise 0, which takes the first of several, it stands for temperature 0."""


def group_by_length(lengths: Sequence[int], lanes: int) -> Iterator[tuple[list[int], int, int]]:
    """In which groups to move streams on together, each from which of its next symbols to which.

    Streams that end together share a group, so that few groups have to change their lanes on the way.

    Args:
        lengths: how many symbols each stream gets.
        lanes: streams in a group.

    Yields:
        Indices of streams, the first symbol, the one after the last.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    for first in range(0, len(order), lanes):
        group, done = order[first : first + lanes], 0
        while group := [i for i in group if lengths[i] > done]:
            yield group, done, lengths[group[0]]
            done = lengths[group[0]]
