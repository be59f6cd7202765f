"""The interface of encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
"""Sound, ``float32 [T]`` in [-1, 1], mono."""

Rewrite = tuple[int, bytes]
"""An offset in the file, and the bytes that replace those there."""


class Encoder(ABC):
    """Encodes one stream of sound: feed it chunks in order, then finish it once."""

    @abstractmethod
    def feed(self, wave: Wave) -> bytes:
        """Encode ``float32 [T]``. Returns the bytes that are ready; may be none."""

    @abstractmethod
    def finish(self) -> bytes:
        """The remaining bytes."""

    def rewrites(self) -> list[Rewrite]:
        """Changes to the header that are only known at the end, and that make a file of the stream."""
        return []
