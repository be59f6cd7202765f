"""Text to sound: sentences → phonemes → frames → symbols → sound, one sentence after another.

Synchronous and free of HTTP and Redis: workers feed their scheduler from it, ``ancestral say`` runs it in the open, and
API processes use the half that needs no weights (:func:`prepare`, :class:`SoundDecoder`). Nothing here is random: the
seed of a request gives every sentence its own (:func:`service.seeds.part_seed`), and within a sentence the engine keeps
the seed contract, so neither the size of the chunks nor the company of other requests changes a sample.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engines.base import Engine, Stream, StreamRequest, Symbols
from models.library import Voice
from models.quantization import Deemphasis, mu_law_decode
from models.spec import WaveNetSpec
from models.text import Sentence, UnsupportedText, phonemize
from models.text.frames import FrameModel
from service.catalogue import Catalogue, SoundModel
from service.errors import InvalidRequest
from service.sampler import Part, Sampler
from service.seeds import part_seed

Wave = NDArray[np.float32]

FIRST_CHUNK_MS, CHUNK_MS = 20, 50
PHONEMES_PER_SECOND = 13.0
"""Of running speech, at speed 1."""

_NOTHING = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class Utterance:
    """A request that has passed every check: what to say, by whom, from which seed."""

    model: SoundModel
    voice: Voice
    sentences: tuple[Sentence, ...]
    seed: int
    temperature: float
    speed: float

    @property
    def phonemes(self) -> int:
        """In all sentences together."""
        return sum(len(sentence.phones) for sentence in self.sentences)

    @property
    def seconds(self) -> float:
        """About how long it will be."""
        return self.phonemes / PHONEMES_PER_SECOND / self.speed


def prepare(
    catalogue: Catalogue,
    model_id: str,
    voice_id: str,
    text: str,
    seed: int,
    *,
    temperature: float | None = None,
    speed: float = 1.0,
) -> Utterance:
    """Check a request and turn its text into phonemes: all that can be refused is refused here.

    Without a temperature, the model's own is taken.

    Raises:
        NotFound: no such model.
        InvalidRequest: a model that does not speak text, no such voice, or a text that cannot be spoken.
    """
    model = catalogue.sound_model(model_id, "speech")
    voice = model.voice(voice_id)
    sentences = read_text(text, "input")
    chosen = model.entry.temperature if temperature is None else temperature
    return Utterance(model, voice, sentences, seed, chosen, speed)


def read_text(text: str, param: str) -> tuple[Sentence, ...]:
    """Sentences of phonemes.

    Raises:
        InvalidRequest: the text cannot be spoken; ``param`` is the field that it came in.
    """
    try:
        sentences = tuple(phonemize(text))
    except UnsupportedText as error:
        raise InvalidRequest(f"{param}: {error}", param=param, code="unsupported_text") from error
    if not sentences:
        raise InvalidRequest(f"{param}: there is nothing to say in it", param=param, code="unsupported_text")
    return sentences


class SoundDecoder:
    """The symbols of one request to sound, in order; each of its streams (sentences) starts from silence.

    Args:
        spec: of the model that made them.
        memory: what the first stream starts from instead: the last value of a recording that it continues.
    """

    def __init__(self, spec: WaveNetSpec, memory: float = 0.0) -> None:
        self._spec = spec
        self._index = 0
        self._deemphasis = Deemphasis(spec.preemphasis, spec.gain, memory)

    def __call__(self, index: int, symbols: NDArray[np.uint8]) -> Wave:
        """The next symbols, of stream ``index``: ``float32 [T]`` in [-1, 1], at the model's rate."""
        if index != self._index:
            self._index, self._deemphasis = index, Deemphasis(self._spec.preemphasis, self._spec.gain)
        return self._deemphasis(mu_law_decode(symbols))


@dataclass(frozen=True)
class SoundSampler(Sampler):
    """A model that speaks, or babbles."""

    model: SoundModel
    engine: Engine
    frames: FrameModel | None

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
            self.engine.force(stream, part.prompt)
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
            self.engine.advance([self.engine.open(request)], 160)


def _sound(part: Part) -> StreamRequest:
    assert isinstance(part.request, StreamRequest)
    return part.request


def render(sampler: SoundSampler, utterance: Utterance, parts: list[Part] | None = None) -> Iterator[Wave]:
    """Sample an utterance. The work is done between one chunk and the next: who stops asking stops it.

    Args:
        sampler: of its model.
        utterance: from :func:`prepare`.
        parts: of every sentence, if they have been made already; else each is made when its turn comes.

    Yields:
        ``float32 [T]`` in [-1, 1], at the model's rate.
    """
    sizes = _chunk_sizes(sampler.model.spec.sample_rate)
    decode = SoundDecoder(sampler.model.spec)
    for index, part in enumerate(parts or sampler.parts(utterance)):
        stream = sampler.open(part)
        while stream.position < part.request.length:
            yield decode(index, sampler.engine.advance([stream], next(sizes))[0])


def _chunk_sizes(sample_rate: int) -> Iterator[int]:
    """In samples: small at first, so that sound starts early, then twice as much each time, up to the full size."""
    milliseconds = FIRST_CHUNK_MS
    while True:
        yield max(1, sample_rate * milliseconds // 1000)
        milliseconds = min(2 * milliseconds, CHUNK_MS)
