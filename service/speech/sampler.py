"""A speech model with its weights: phonemes to frames to streams of symbols. Synchronous, no I/O."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.engines.base import Array, Stream, Symbols
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest
from ancestral.models.engines.speech.synthesis import SynthesisEngine
from ancestral.models.library import PLAIN
from ancestral.models.text import Sentence, Word
from ancestral.models.text.acoustic import AcousticModel, PitchControl
from ancestral.service.catalog.models import SpeechModel
from ancestral.service.catalog.sampler import Part, Sampler
from ancestral.service.catalog.seeds import part_seed
from ancestral.service.speech.decoder import AudioDecoder, Wave
from ancestral.service.speech.payloads import GenerationPayload, SpeechPayload
from ancestral.service.speech.timing import Timing

FIRST_CHUNK_MS, CHUNK_MS = 20, 50

_NO_PROMPT: Final = np.zeros(0, np.uint8)
_WARM_UP: Final = Sentence((Word("ready", ("R", "EH1", "D", "IY0"), (0, 5)), "."))
"""As phonemes: sampling needs no text front-end."""


@dataclass(frozen=True)
class SentencePart(Part):
    """One sentence."""

    timing: Timing


@dataclass(frozen=True)
class SpeechSampler(Sampler):
    """A model of sound, with or without text."""

    model: SpeechModel
    engine: SpeechEngine | SynthesisEngine
    """The second where the model's symbols are an excitation."""
    frames: AcousticModel | None

    @property
    def network(self) -> SpeechEngine:
        """The engine that samples and scores symbols."""
        return self.engine.network if isinstance(self.engine, SynthesisEngine) else self.engine

    def parts(self, payload: SpeechPayload, first: int = 0) -> Iterator[SentencePart]:
        """One part per sentence, from number ``first`` on. Its frames are made when the iterator gets to it."""
        assert self.frames is not None
        control = PitchControl(payload.pitch, payload.intonation)
        voices = self.model.mix(payload.voice).shares
        for index, sentence in enumerate(payload.sentences[first:], first):
            frames, timing = self.frames.predict_with_timing(sentence, voices, payload.speed, control)
            yield self.framed(payload, index, frames, np.cumsum(timing))

    def framed(self, payload: SpeechPayload, index: int, frames: Array, ends: NDArray[np.integer]) -> SentencePart:
        """The part number ``index``, of frames ``[F, C]`` whose phonemes end before frames ``ends [P]``."""
        hop = self.model.spec.local_hop
        request = StreamRequest(
            length=len(frames) * hop,
            seed=part_seed(payload.seed, index),
            temperature=payload.temperature,
            speaker=self.model.speaker(self.model.mix(payload.voice).shares),
            frames=frames,
            sampling=payload.sampling,
        )
        return SentencePart(request, _NO_PROMPT, Timing.of(ends * hop))

    def lengths(self, payload: SpeechPayload, first: int = 0) -> Iterator[int]:
        """Samples of each sentence from number ``first`` on: those of :meth:`parts`, for a fifth of the work."""
        assert self.frames is not None
        voices = self.model.mix(payload.voice).shares
        for sentence in payload.sentences[first:]:
            yield int(self.frames.timing(sentence, voices, payload.speed).sum()) * self.model.spec.local_hop

    def generation(self, payload: GenerationPayload, recording: Symbols) -> Part:
        """The part of a job without text.

        Args:
            payload: of the job.
            recording: symbols to continue; may be empty. Only as many as the network sees are used.
        """
        prompt = recording[-self.model.spec.receptive_field :]
        speaker = self.model.speaker(self.model.mix(payload.voice).shares)
        length = len(prompt) + payload.samples
        request = StreamRequest(length, payload.seed, payload.temperature, speaker, sampling=payload.sampling)
        return Part(request, prompt)

    def open(self, part: Part) -> Stream:
        """See :class:`Sampler`."""
        stream = self.engine.open(_sound(part))
        if len(part.prompt):
            self.network.teacher_force(stream, part.prompt)
        return stream

    def restore(self, part: Part, state: bytes) -> Stream:
        """See :class:`Sampler`."""
        return self.engine.restore(_sound(part), state)

    def warm(self) -> None:
        """See :class:`Sampler`."""
        voice = self.model.entry.voices[0].id
        if self.frames is not None:
            payload = SpeechPayload(
                seed=0, temperature=1.0, voice=voice, response_format="wav", sample_rate=None,
                sampling=PLAIN, input="Ready.", plain_input=None, input_format="text", pronunciations=(),
                speed=1.0, pitch=0.0, intonation=1.0, sentences=(_WARM_UP,),
            )  # fmt: skip
            for _ in itertools.islice(render(self, payload), 3):
                pass
        else:
            request = StreamRequest(length=160, seed=0, speaker=self.model.speaker({voice: 1.0}))
            self.engine.step([self.engine.open(request)], 160)


def _sound(part: Part) -> StreamRequest:
    assert isinstance(part.request, StreamRequest)
    return part.request


def render(sampler: SpeechSampler, payload: SpeechPayload, parts: Sequence[Part] | None = None) -> Iterator[Wave]:
    """Sample a text without a server. The work is done between one chunk and the next.

    Args:
        sampler: of the model.
        payload: from :func:`ancestral.service.speech.requests.prepare`.
        parts: of every sentence, if they have been made already.

    Yields:
        ``float32 [T]`` in [-1, 1], at the model's rate.
    """
    sizes = _chunk_sizes(sampler.model.spec.sample_rate)
    decode = AudioDecoder(sampler.model.spec)
    for index, part in enumerate(parts or sampler.parts(payload)):
        stream = sampler.open(part)
        while stream.position < part.request.length:
            yield decode(index, sampler.engine.step([stream], next(sizes))[0])


def _chunk_sizes(sample_rate: int) -> Iterator[int]:
    """Samples per chunk: few at first, so that the sound starts early, then doubled up to the full size."""
    milliseconds = FIRST_CHUNK_MS
    while True:
        yield max(1, sample_rate * milliseconds // 1000)
        milliseconds = min(2 * milliseconds, CHUNK_MS)
