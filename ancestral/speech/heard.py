"""The sound of a text at another rate than its network's, each sentence with the band of its voice above 8 kHz."""

from __future__ import annotations

from ancestral.catalog.models import SpeechModel
from ancestral.models.audio.rate import RateConverter
from ancestral.speech.decoder import Wave
from ancestral.speech.utterance import SoundRequest


class SoundAtRate:
    """Sampled sound, chunk by chunk, at another rate; at the network's own it passes as it is.

    Args:
        model: that samples.
        said: whose voice each sentence has.
        rate: in hertz.
    """

    def __init__(self, model: SpeechModel, said: SoundRequest, rate: int) -> None:
        self._model, self._said, self._voice = model, said, ""
        self._converter = RateConverter(model.spec.sample_rate, rate)

    def feed(self, index: int, wave: Wave) -> Wave:
        """The next chunk ``[T]``, of sentence number ``index``; returns the samples that are ready."""
        if (voice := self._said.voice_of(index)) != self._voice:
            self._voice = voice
            self._converter.speaks(self._model.high_band(voice))
        return self._converter.feed(wave)

    def finish(self) -> Wave:
        """The rest."""
        return self._converter.finish()
