"""Sound to bytes, each sentence with the band above 8 kHz of the voice that says it."""

from __future__ import annotations

from ancestral import codecs
from ancestral.catalog.models import SpeechModel
from ancestral.codecs import NO_TAGS, Encoder, ResamplingEncoder, Tags, Wave
from ancestral.speech.utterance import SoundRequest


class SoundEncoder:
    """An encoder of the sound that a model samples.

    Args:
        model: that samples.
        said: whose voice each sentence has.
        form: a key of :data:`ancestral.codecs.MEDIA_TYPES`.
        sample_rate: of the bytes; that of the format, or of what is heard of the model, if None.
        length: samples that will be fed; 0 if not known.
        tags: of the file.

    Raises:
        InvalidRequest: the format does not support the rate.
    """

    def __init__(
        self, model: SpeechModel, said: SoundRequest, form: str, sample_rate: int | None,
        length: int = 0, tags: Tags = NO_TAGS,
    ) -> None:  # fmt: skip
        self._model, self._said, self._voice = model, said, ""
        rate = codecs.rate_of(form, model.sound_rate, sample_rate)
        self.stream: Encoder = codecs.encoder(form, model.spec.sample_rate, rate, length, tags)

    def feed(self, index: int, wave: Wave) -> bytes:
        """Encode the next chunk, of sentence number ``index``. Returns the bytes that are ready."""
        if (voice := self._said.voice_of(index)) != self._voice and isinstance(self.stream, ResamplingEncoder):
            self._voice = voice
            self.stream.converter.speaks(self._model.high_band(voice))
        return self.stream.feed(wave)
