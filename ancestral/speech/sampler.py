"""A speech model with its weights: phonemes to frames to streams of symbols. Synchronous, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import SpeechModel
from ancestral.catalog.sampler import Part, Sampler
from ancestral.catalog.seeds import part_seed
from ancestral.models.engines.base import Array, Stream, Symbols
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest
from ancestral.models.engines.speech.synthesis import SynthesisEngine
from ancestral.models.text import Sentence, Word
from ancestral.models.text.acoustic import AcousticModel, PitchControl
from ancestral.speech.decoder import AudioDecoder, Wave
from ancestral.speech.timing import Timing
from ancestral.speech.utterance import Generation, Utterance

FIRST_CHUNK_MS, CHUNK_MS = 20, 50

_NO_PROMPT: Final = np.zeros(0, np.uint8)
_WARM_UP: Final = Sentence((Word("ready", ("R", "EH1", "D", "IY0"), (0, 5)), "."))
"""Phonemes: sampling needs no text front-end."""
_WARM_UP_SAMPLES: Final = 320


@dataclass(frozen=True)
class SentencePart(Part):
    timing: Timing


@dataclass(frozen=True)
class SpeechSampler(Sampler):
    """A model of sound, with or without text."""

    model: SpeechModel
    engine: SpeechEngine | SynthesisEngine
    """The second where the model's symbols are an excitation."""
    acoustic: AcousticModel | None

    @property
    def network(self) -> SpeechEngine:
        """The engine that samples and scores symbols."""
        return self.engine.network if isinstance(self.engine, SynthesisEngine) else self.engine

    def parts(self, utterance: Utterance, first: int = 0) -> Iterator[SentencePart]:
        """One part per sentence, from number ``first`` on. Its frames are made when the iterator gets to it."""
        assert self.acoustic is not None
        control = PitchControl(utterance.pitch, utterance.intonation)
        for index, sentence in enumerate(utterance.sentences[first:], first):
            voices = self.model.mix(utterance.turn(index).voice).shares
            frames, timing = self.acoustic.predict_with_timing(sentence, voices, utterance.speed, control)
            yield self.part_from_frames(utterance, index, frames, np.cumsum(timing))

    def part_from_frames(
        self, utterance: Utterance, index: int, frames: Array, ends: NDArray[np.integer]
    ) -> SentencePart:
        """The part number ``index``, of frames ``[F, C]`` whose phonemes end before frames ``ends [P]``."""
        hop, turn = self.model.spec.local_hop, utterance.turn(index)
        request = StreamRequest(
            length=len(frames) * hop,
            seed=part_seed(utterance.seed, index),
            temperature=utterance.temperature,
            speaker=self.model.speaker(self.model.mix(turn.voice).shares),
            frames=frames,
            sampling=turn.sampling,
        )
        return SentencePart(request, _NO_PROMPT, Timing.of(ends * hop))

    def timing(self, utterance: Utterance, index: int) -> Timing:
        """The times of the phonemes of sentence number ``index``, as in :meth:`parts`, for a fifth of the work."""
        assert self.acoustic is not None
        voices = self.model.mix(utterance.turn(index).voice).shares
        durations = self.acoustic.timing(utterance.sentences[index], voices, utterance.speed)
        return Timing.of(np.cumsum(durations) * self.model.spec.local_hop)

    def generation(self, request: Generation, recording: Symbols) -> Part:
        """The part that sound without text consists of.

        Args:
            request: what to make.
            recording: symbols to continue; may be empty. Only as many as the network sees are used.
        """
        prompt = recording[-self.model.spec.receptive_field :]
        speaker = self.model.speaker(self.model.mix(request.voice).shares)
        length = len(prompt) + request.samples
        stream = StreamRequest(length, request.seed, request.temperature, speaker, sampling=request.sampling)
        return Part(stream, prompt)

    def open(self, part: Part) -> Stream:
        stream = self.engine.open(_sound(part))
        if len(part.prompt):
            self.network.teacher_force(stream, part.prompt)
        return stream

    def restore(self, part: Part, state: bytes) -> Stream:
        return self.engine.restore(_sound(part), state)

    def warm(self) -> str:
        voice = self.model.entry.voices[0]
        if self.acoustic is not None:
            utterance = Utterance(
                seed=0, temperature=1.0, voice=voice.id, sampling=voice.sampling, input="Ready.", plain_input=None,
                input_format="text", language="en", pronunciations=(), speed=1.0, pitch=0.0, intonation=1.0,
                sentences=(_WARM_UP,),
            )  # fmt: skip
            request = _sound(next(self.parts(utterance)))
        else:
            request = StreamRequest(_WARM_UP_SAMPLES, seed=0, speaker=self.model.speaker({voice.id: 1.0}))
        stream = self.engine.open(request)
        (begun,) = self.engine.step([stream], _WARM_UP_SAMPLES // 2)
        stream = self.engine.restore(request, self.engine.snapshot(stream))
        (ended,) = self.engine.step([stream], _WARM_UP_SAMPLES // 2)
        return hashlib.sha256(self.network.probe() + begun.tobytes() + ended.tobytes()).hexdigest()


def _sound(part: Part) -> StreamRequest:
    assert isinstance(part.request, StreamRequest)
    return part.request


def render(sampler: SpeechSampler, utterance: Utterance, parts: Iterable[Part] | None = None) -> Iterator[Wave]:
    """Sample a text without a server. The work is done between one chunk and the next.

    Args:
        sampler: of the model.
        utterance: from :func:`ancestral.speech.utterance.utterance`.
        parts: of every sentence, if they have been made already.

    Yields:
        ``float32 [T]`` in [-1, 1], at the model's rate.
    """
    sizes = _chunk_sizes(sampler.model.spec.sample_rate)
    decode = AudioDecoder(sampler.model.spec)
    for index, part in enumerate(sampler.parts(utterance) if parts is None else parts):
        stream = sampler.open(part)
        while stream.position < part.request.length:
            yield decode(index, sampler.engine.step([stream], next(sizes))[0])


def _chunk_sizes(sample_rate: int) -> Iterator[int]:
    """Samples per chunk: few at first, so that the sound starts early, then doubled up to the full size."""
    milliseconds = FIRST_CHUNK_MS
    while True:
        yield max(1, sample_rate * milliseconds // 1000)
        milliseconds = min(2 * milliseconds, CHUNK_MS)
