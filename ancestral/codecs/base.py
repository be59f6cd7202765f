"""The interface of encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
"""Sound, ``float32 [T]`` in [-1, 1], mono."""

Rewrite = tuple[int, bytes]
"""An offset in the file, and the bytes that replace those there."""


Tags = Mapping[str, str]
"""``title`` and ``comment`` of a file, for the formats that have them: mp3, opus and flac."""

NO_TAGS: Final[Tags] = {}


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
