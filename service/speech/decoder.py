"""The symbols of a job as sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.audio.mu_law import Deemphasis, mu_law_decode
from models.spec import SpeechSpec

Wave = NDArray[np.float32]


class AudioDecoder:
    """Decodes the symbols of one job, in order. Each of its streams (sentences) starts from silence.

    Args:
        spec: of the model that made them.
        state: the state of the de-emphasis filter before the first stream, if that one continues a recording.
    """

    def __init__(self, spec: SpeechSpec, state: float = 0.0) -> None:
        self._spec = spec
        self._index = 0
        self._deemphasis = Deemphasis(spec.preemphasis, spec.gain, state)

    def __call__(self, index: int, symbols: NDArray[np.uint8]) -> Wave:
        """The next symbols, of stream ``index``: ``float32 [T]`` in [-1, 1], at the model's rate."""
        if index != self._index:
            self._index, self._deemphasis = index, Deemphasis(self._spec.preemphasis, self._spec.gain)
        return self._deemphasis(mu_law_decode(symbols))
