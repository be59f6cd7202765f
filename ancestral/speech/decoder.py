"""Symbols to sound, at any rate; and a recording to what models score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import SpeechModel
from ancestral.models.audio.features import normalize_level
from ancestral.models.audio.mu_law import Deemphasis, encode_wave, from_int16, mu_law_decode, to_int16
from ancestral.models.audio.resampler import Resampler
from ancestral.models.spec import SpeechSpec
from ancestral.speech.utterance import SoundPlan

Wave = NDArray[np.float32]


class AudioDecoder:
    """Decodes samples in order. Each of the streams (sentences) starts from silence.

    The symbols of a model with pre-emphasis are decoded here. Those of a model with linear prediction have been decoded
    where its frames are, in the worker (models/engines/speech/synthesis.py), and arrive as 16-bit sound.

    Args:
        spec: of the model that made them.
        state: the state of the de-emphasis filter before the first stream, if that one continues a recording.
    """

    def __init__(self, spec: SpeechSpec, state: float = 0.0) -> None:
        self._spec = spec
        self._index = 0
        self._deemphasis = Deemphasis(spec.preemphasis, spec.gain, state)

    def __call__(self, index: int, samples: NDArray[Any]) -> Wave:
        """The next samples, of stream ``index``: ``float32 [T]`` in [-1, 1], at the model's rate."""
        if self._spec.shaping == "linear_prediction":
            assert samples.dtype == np.int16, "symbols that only the worker could decode"
            return from_int16(samples)
        assert samples.dtype == np.uint8, "sound, where the model gives symbols"
        if index != self._index:
            self._index, self._deemphasis = index, Deemphasis(self._spec.preemphasis, self._spec.gain)
        return self._deemphasis(mu_law_decode(samples))


def recording_bytes(wave: Wave, spec: SpeechSpec) -> bytes:
    """A recording ``[T]`` at the level of the corpora, the only one that models know.

    Its symbols; or 16-bit sound for a model with linear prediction, whose symbols depend on the frames.
    """
    level = normalize_level(wave, spec.sample_rate)
    if spec.shaping == "linear_prediction":
        return to_int16(level).tobytes()
    return encode_wave(level, spec.preemphasis, spec.gain).tobytes()


class SpeechResampler:
    """Sampled sound, chunk by chunk, at another rate; at the network's own it passes as it is.

    Args:
        model: that samples.
        request: whose voice each sentence has.
        rate: in hertz.
    """

    def __init__(self, model: SpeechModel, request: SoundPlan, rate: int) -> None:
        self._model, self._request, self._voice = model, request, ""
        self._resampler = Resampler(model.spec.sample_rate, rate)

    def feed(self, index: int, wave: Wave) -> Wave:
        """The next chunk ``[T]``, of sentence number ``index``; returns the samples that are ready."""
        if (voice := self._request.voice_of(index)) != self._voice:
            self._voice = voice
            self._resampler.set_high_band(self._model.high_band(voice))
        return self._resampler.feed(wave)

    def finish(self) -> Wave:
        """The rest."""
        return self._resampler.finish()
