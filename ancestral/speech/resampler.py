"""The sound of a text at another rate than its network's, each sentence with the band of its voice above 8 kHz."""

from __future__ import annotations

from ancestral.catalog.models import SpeechModel
from ancestral.models.audio.resampler import Resampler
from ancestral.speech.decoder import Wave
from ancestral.speech.utterance import SoundRequest


class SpeechResampler:
    """Sampled sound, chunk by chunk, at another rate; at the network's own it passes as it is.

    Args:
        model: that samples.
        request: whose voice each sentence has.
        rate: in hertz.
    """

    def __init__(self, model: SpeechModel, request: SoundRequest, rate: int) -> None:
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
