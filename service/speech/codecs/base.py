"""The interface of encoders, and the conversion to 16 bits that all of them start with."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
"""Sound, ``float32 [T]`` in [-1, 1], mono."""

Rewrite = tuple[int, bytes]
"""An offset in the file, and the bytes that replace those there."""


def to_int16(wave: Wave) -> NDArray[np.int16]:
    """Sound in [-1, 1] to 16 bits, clipped."""
    scaled: NDArray[np.float32] = np.clip(np.rint(wave * np.float32(32767.0)), -32768, 32767)
    return scaled.astype("<i2")


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
