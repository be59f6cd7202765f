"""What an encoder is, and the 16 bits that every one of them starts from."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
"""Sound, ``float32 [T]`` in [-1, 1], mono."""

Rewrite = tuple[int, bytes]
"""An offset from a file's beginning, and the bytes to put there over those that are there."""


def to_int16(wave: Wave) -> NDArray[np.int16]:
    """Sound in [-1, 1] to 16 bits; what lies outside is clipped."""
    scaled: NDArray[np.float32] = np.clip(np.rint(wave * np.float32(32767.0)), -32768, 32767)
    return scaled.astype("<i2")


class Encoder(ABC):
    """Bytes for a stream of sound. Feed it chunks in order, then finish it once."""

    @abstractmethod
    def feed(self, wave: Wave) -> bytes:
        """Encode ``float32 [T]``; the bytes that are ready, which may be none."""

    @abstractmethod
    def finish(self) -> bytes:
        """The rest of the bytes."""

    def rewrites(self) -> list[Rewrite]:
        """What makes a file of the finished stream: the parts of its header that are known only at the end."""
        return []
