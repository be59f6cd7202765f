"""Symbols of a job to sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.audio.mu_law import Deemphasis, mu_law_decode
from models.spec import SpeechSpec

Wave = NDArray[np.float32]


class AudioDecoder:
    """The symbols of one request to sound, in order; each of its streams (sentences) starts from silence.

    Args:
        spec: of the model that made them.
        memory: what the first stream starts from instead: the last value of a recording that it continues.
    """

    def __init__(self, spec: SpeechSpec, memory: float = 0.0) -> None:
        self._spec = spec
        self._index = 0
        self._deemphasis = Deemphasis(spec.preemphasis, spec.gain, memory)

    def __call__(self, index: int, symbols: NDArray[np.uint8]) -> Wave:
        """The next symbols, of stream ``index``: ``float32 [T]`` in [-1, 1], at the model's rate."""
        if index != self._index:
            self._index, self._deemphasis = index, Deemphasis(self._spec.preemphasis, self._spec.gain)
        return self._deemphasis(mu_law_decode(symbols))
