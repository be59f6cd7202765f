"""The file of a finished job of sound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from ancestral import codecs
from ancestral.catalog.models import SpeechModel
from ancestral.service.jobs.encoder import Encoder
from ancestral.service.speech.payloads import AudioPayload
from ancestral.speech.decoder import AudioDecoder
from ancestral.speech.tags import tags_of


class AudioEncoder(Encoder):
    """Symbols to an audio file whose header holds its length."""

    def __init__(self, payload: AudioPayload, model: SpeechModel) -> None:
        super().__init__()
        rate = model.spec.sample_rate
        self.media_type, self.batch_symbols = codecs.MEDIA_TYPES[payload.response_format], rate
        tags = tags_of(payload, model.entry.id, model.sha256)
        self._encoder = codecs.encoder(payload.response_format, rate, payload.sample_rate, tags=tags)
        self._decode = AudioDecoder(model.spec, payload.deemphasis_state)

    def encode(self, index: int, symbols: NDArray[Any]) -> bytes:
        return self._encoder.feed(self._decode(index, symbols))

    def finish(self) -> bytes:
        return self._encoder.finish()

    def rewrites(self) -> Iterable[tuple[int, bytes]]:
        return self._encoder.rewrites()
