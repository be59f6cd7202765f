"""A speech model with its weights: phonemes to frames to streams of symbols. Synchronous, free of HTTP and Redis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.engines.base import Stream, Symbols
from models.engines.speech.engine import SpeechEngine, StreamRequest
from models.text.acoustic import AcousticModel
from service.catalog.models import SpeechModel
from service.catalog.sampler import Part, Sampler
from service.catalog.seeds import part_seed
from service.speech.decoder import AudioDecoder, Wave
from service.speech.utterance import Utterance, read_text

FIRST_CHUNK_MS, CHUNK_MS = 20, 50

_NOTHING = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class SpeechSampler(Sampler):
    """A model that speaks, or babbles."""

    model: SpeechModel
    engine: SpeechEngine
    frames: AcousticModel | None

    def parts(self, utterance: Utterance, first: int = 0) -> Iterator[Part]:
        """What to sample for each sentence from number ``first`` on; the frames are made when asked for."""
        assert self.frames is not None
        spec = self.model.spec
        for index, sentence in enumerate(utterance.sentences[first:], first):
            rows = self.frames.predict(sentence, utterance.voice.id, utterance.speed)
            request = StreamRequest(
                length=len(rows) * spec.local_hop,
                seed=part_seed(utterance.seed, index),
                temperature=utterance.temperature,
                speaker=self.model.speaker(utterance.voice.id),
                frames=rows,
            )
            yield Part(request, _NOTHING)

    def generation(self, request: Mapping[str, Any], recording: Symbols) -> Part:
        """What to sample of a model that needs no text.

        Args:
            request: with ``samples``, ``seed``, ``temperature`` and ``voice``.
            recording: what to go on from; no more of its end is needed than the network can see.
        """
        spec = self.model.spec
        prompt = recording[-spec.receptive_field :]
        speaker = self.model.speaker(request["voice"])
        length = len(prompt) + request["samples"]
        return Part(StreamRequest(length, request["seed"], request["temperature"], speaker), prompt)

    def open(self, part: Part) -> Stream:
        """See :class:`Sampler`."""
        stream = self.engine.open(_sound(part))
        if len(part.prompt):
            self.engine.teacher_force(stream, part.prompt)
        return stream

    def restore(self, part: Part, state: bytes) -> Stream:
        """See :class:`Sampler`."""
        return self.engine.restore(_sound(part), state)

    def warm(self) -> None:
        """See :class:`Sampler`."""
        voice = self.model.entry.voices[0]
        if self.frames is not None:
            utterance = Utterance(self.model, voice, read_text("Ready.", "input"), 0, 1.0, 1.0)
            for _ in itertools.islice(render(self, utterance), 3):
                pass
        else:
            request = StreamRequest(length=160, seed=0, speaker=self.model.speaker(voice.id))
            self.engine.step([self.engine.open(request)], 160)


def _sound(part: Part) -> StreamRequest:
    assert isinstance(part.request, StreamRequest)
    return part.request


def render(sampler: SpeechSampler, utterance: Utterance, parts: list[Part] | None = None) -> Iterator[Wave]:
    """Sample an utterance. The work is done between one chunk and the next: who stops asking stops it.

    Args:
        sampler: of its model.
        utterance: from :func:`prepare`.
        parts: of every sentence, if they have been made already; else each is made when its turn comes.

    Yields:
        ``float32 [T]`` in [-1, 1], at the model's rate.
    """
    sizes = _chunk_sizes(sampler.model.spec.sample_rate)
    decode = AudioDecoder(sampler.model.spec)
    for index, part in enumerate(parts or sampler.parts(utterance)):
        stream = sampler.open(part)
        while stream.position < part.request.length:
            yield decode(index, sampler.engine.step([stream], next(sizes))[0])


def _chunk_sizes(sample_rate: int) -> Iterator[int]:
    """In samples: small at first, so that sound starts early, then twice as much each time, up to the full size."""
    milliseconds = FIRST_CHUNK_MS
    while True:
        yield max(1, sample_rate * milliseconds // 1000)
        milliseconds = min(2 * milliseconds, CHUNK_MS)
