"""Text to sound: sentences → phonemes → frames → symbols → sound, one sentence after another.

Synchronous and free of HTTP and Redis: workers feed their scheduler from it, ``ancestral say`` runs it in the open, and
API processes use the half that needs no weights (:func:`prepare`, :class:`SoundDecoder`). Nothing here is random: the
seed of a request gives every sentence its own (:func:`sentence_seed`), and within a sentence the engine keeps the seed
contract, so neither the size of the chunks nor the company of other requests changes a sample.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.engines import load_engine
from models.engines.base import Engine, Stream, StreamRequest, Symbols
from models.library import LibraryError, ModelEntry, Voice
from models.quantization import Deemphasis, mu_law_decode
from models.spec import WaveNetSpec
from models.text import Sentence, UnsupportedText, phonemize
from models.text.frames import FrameModel
from service.catalogue import Catalogue, Model, describe, loaded
from service.errors import InvalidRequest
from service.settings import Settings

Wave = NDArray[np.float32]

FIRST_CHUNK_MS = 20
PHONEMES_PER_SECOND = 13.0
"""Of running speech, at speed 1."""
_GOLDEN = 0x9E3779B97F4A7C15

_NOTHING = np.zeros(0, np.uint8)

log = logging.getLogger(__name__)


def draw_seed() -> int:
    """A seed for a request that brings none."""
    return secrets.randbits(63)


def sentence_seed(seed: int, index: int) -> int:
    """The seed of a request's sentence number ``index``; the first sentence has the request's own.

    An odd multiple of the index is added, modulo 2^63: no two sentences of one request share a seed.
    """
    return (seed + index * _GOLDEN) % 2**63


@dataclass(frozen=True)
class Utterance:
    """A request that has passed every check: what to say, by whom, from which seed."""

    model: Model
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
    model = catalogue.model(model_id)
    model.require("speech")
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
class Part:
    """One stream of a request."""

    request: StreamRequest
    """Its length counts the prompt."""
    prompt: Symbols
    """Symbols that are given before those that are sampled."""


@dataclass(frozen=True)
class Sampler:
    """A model with its weights, ready to sample."""

    model: Model
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
                seed=sentence_seed(utterance.seed, index),
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
        """The stream, with the prompt behind it."""
        stream = self.engine.open(part.request)
        if len(part.prompt):
            self.engine.force(stream, part.prompt)
        return stream


class Synthesizer(Catalogue):
    """Every model with its weights."""

    def __init__(self, samplers: dict[str, Sampler], chunk_ms: int) -> None:
        super().__init__({name: sampler.model for name, sampler in samplers.items()})
        self.samplers = samplers
        self._chunk_ms = chunk_ms

    def render(self, utterance: Utterance, parts: list[Part] | None = None) -> Iterator[Wave]:
        """Sample the utterance. The work is done between one chunk and the next: who stops asking stops it.

        Args:
            utterance: from :func:`prepare`.
            parts: of every sentence, if they have been made already; else each is made when its turn comes.

        Yields:
            ``float32 [T]`` in [-1, 1], at the model's rate.
        """
        sampler = self.samplers[utterance.model.entry.id]
        sizes = self._chunk_sizes(sampler.model.spec.sample_rate)
        decode = SoundDecoder(sampler.model.spec)
        for index, part in enumerate(parts or sampler.parts(utterance)):
            stream = sampler.open(part)
            while stream.position < part.request.length:
                yield decode(index, sampler.engine.advance([stream], next(sizes))[0])

    def _chunk_sizes(self, sample_rate: int) -> Iterator[int]:
        """In samples: small at first, so that sound starts early, then twice as much each time, up to the full size."""
        milliseconds = min(FIRST_CHUNK_MS, self._chunk_ms)
        while True:
            yield max(1, sample_rate * milliseconds // 1000)
            milliseconds = min(2 * milliseconds, self._chunk_ms)

    def warm(self) -> None:
        """Make a moment of sound with every model, so that whatever is compiled or read on first use is there."""
        for sampler in self.samplers.values():
            start = time.perf_counter()
            entry = sampler.model.entry
            if sampler.frames is not None:
                utterance = prepare(self, entry.id, entry.voices[0].id, "Ready.", seed=0)
                for _ in itertools.islice(self.render(utterance), 3):
                    pass
            else:
                speaker = sampler.model.speaker(entry.voices[0].id)
                sampler.engine.advance([sampler.engine.open(StreamRequest(length=160, seed=0, speaker=speaker))], 160)
            log.info("model warm", extra={"model": entry.id, "seconds": round(time.perf_counter() - start, 3)})


def load_synthesizer(settings: Settings, only: Callable[[ModelEntry], bool] = lambda entry: True) -> Synthesizer:
    """Load every model that the settings lead to, for sampling.

    Args:
        settings: which directories, which engine.
        only: leave out the models for which this is false.

    Raises:
        LibraryError: a model's description is wrong, its parts do not fit each other, or there is no model.
        CheckpointError: weights are missing or damaged.
    """
    samplers: dict[str, Sampler] = {}
    for entry, wavenet, frames in loaded(settings, only):
        try:
            engine = load_engine(settings.engine, wavenet)
        except ModuleNotFoundError as error:
            message = f"{entry.id}: the {settings.engine} engine needs {error.name}, which is not installed"
            raise LibraryError(message) from error
        frame_model = FrameModel(frames) if frames is not None else None
        samplers[entry.id] = Sampler(describe(entry, wavenet), engine, frame_model)
    return Synthesizer(samplers, settings.chunk_ms)
