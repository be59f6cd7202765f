"""Text to sound: sentences → phonemes → frames → symbols → sound, in chunks, one sentence after another.

Synchronous and free of HTTP: the server runs it in threads, ``ancestral say`` in the open. Nothing here is random: the
seed of a request gives every sentence its own (:func:`sentence_seed`), and within a sentence the engine keeps the seed
contract, so neither the size of the chunks nor the company of other requests changes a sample.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.checkpoint import Checkpoint, CheckpointError, load
from models.engines import load_engine
from models.engines.base import Engine, StreamRequest
from models.library import LibraryError, ModelEntry, Voice, discover
from models.quantization import Deemphasis, mu_law_decode
from models.spec import FrameSpec, WaveNetSpec
from models.text import Sentence, UnsupportedText, phonemize
from models.text.frames import FrameModel
from service.errors import InvalidRequest, NotFound
from service.settings import Settings

Array = NDArray[np.float32]
Wave = NDArray[np.float32]

FIRST_CHUNK_MS = 20
_GOLDEN = 0x9E3779B97F4A7C15

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
class SpeechModel:
    """One model, loaded: its description, the frame model and the engine that samples it."""

    entry: ModelEntry
    engine: Engine
    frames: FrameModel
    sha256: str
    """Of the weights that are sampled."""
    parameters: int
    """Numbers in those weights."""

    @property
    def spec(self) -> WaveNetSpec:
        """The network that is sampled."""
        return self.engine.spec

    def voice(self, voice_id: str) -> Voice:
        """The voice of this id.

        Raises:
            InvalidRequest: the model has none.
        """
        for voice in self.entry.voices:
            if voice.id == voice_id:
                return voice
        names = ", ".join(voice.id for voice in self.entry.voices)
        raise InvalidRequest(
            f"voice: {self.entry.id} has no such voice; it has {names}", param="voice", code="voice_not_found"
        )


@dataclass(frozen=True)
class Utterance:
    """A request that has passed every check: what to say, by whom, from which seed."""

    model: SpeechModel
    voice: Voice
    sentences: tuple[Sentence, ...]
    seed: int
    temperature: float
    speed: float

    @property
    def phonemes(self) -> int:
        """In all sentences together."""
        return sum(len(sentence.phones) for sentence in self.sentences)

    def frames(self) -> Iterator[Array]:
        """The frames of each sentence, made when asked for."""
        for sentence in self.sentences:
            yield self.model.frames.predict(sentence, self.voice.id, self.speed)

    def length(self, frames: Sequence[Array]) -> int:
        """Samples in all, given the frames of every sentence."""
        return sum(map(len, frames)) * self.model.spec.local_hop


class Synthesizer:
    """Every loaded model, by id."""

    def __init__(self, models: Mapping[str, SpeechModel], chunk_ms: int) -> None:
        self.models = dict(models)
        self._chunk_ms = chunk_ms

    def model(self, model_id: str) -> SpeechModel:
        """The model of this id.

        Raises:
            NotFound: there is none.
        """
        try:
            return self.models[model_id]
        except KeyError:
            message = f"model: no such model; there is {', '.join(self.models)}"
            raise NotFound(message, param="model", code="model_not_found") from None

    def prepare(
        self,
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
            InvalidRequest: no such voice, or a text that cannot be spoken.
        """
        model = self.model(model_id)
        voice = model.voice(voice_id)
        try:
            sentences = tuple(phonemize(text))
        except UnsupportedText as error:
            raise InvalidRequest(f"input: {error}", param="input", code="unsupported_text") from error
        if not sentences:
            raise InvalidRequest("input: there is nothing to say in it", param="input", code="unsupported_text")
        chosen = model.entry.temperature if temperature is None else temperature
        return Utterance(model, voice, sentences, seed, chosen, speed)

    def render(self, utterance: Utterance, frames: Iterable[Array] | None = None) -> Iterator[Wave]:
        """Sample the utterance. The work is done between one chunk and the next: who stops asking stops it.

        Args:
            utterance: from :meth:`prepare`.
            frames: those of every sentence, if they have been made already; else each is made when its turn comes.

        Yields:
            ``float32 [T]`` in [-1, 1], at the model's rate.
        """
        spec, engine = utterance.model.spec, utterance.model.engine
        sizes = self._chunk_sizes(spec.sample_rate)
        for index, rows in enumerate(utterance.frames() if frames is None else frames):
            request = StreamRequest(
                length=len(rows) * spec.local_hop,
                seed=sentence_seed(utterance.seed, index),
                temperature=utterance.temperature,
                speaker=spec.speakers.index(utterance.voice.id),
                frames=rows,
            )
            stream = engine.open(request)
            deemphasis = Deemphasis(spec.preemphasis, spec.gain)
            while stream.position < request.length:
                yield deemphasis(mu_law_decode(engine.advance([stream], next(sizes))[0]))

    def _chunk_sizes(self, sample_rate: int) -> Iterator[int]:
        """In samples: small at first, so that sound starts early, then twice as much each time, up to the full size."""
        milliseconds = min(FIRST_CHUNK_MS, self._chunk_ms)
        while True:
            yield max(1, sample_rate * milliseconds // 1000)
            milliseconds = min(2 * milliseconds, self._chunk_ms)

    def warm(self) -> None:
        """Say a word with every model, so that whatever is compiled or read on first use is there."""
        for model in self.models.values():
            start = time.perf_counter()
            utterance = self.prepare(model.entry.id, model.entry.voices[0].id, "Ready.", seed=0)
            for _ in itertools.islice(self.render(utterance), 3):
                pass
            log.info("model warm", extra={"model": model.entry.id, "seconds": round(time.perf_counter() - start, 3)})


def load_synthesizer(settings: Settings, only: Callable[[ModelEntry], bool] = lambda entry: True) -> Synthesizer:
    """Load every model that the settings lead to.

    Args:
        settings: which directories, which engine.
        only: leave out the models for which this is false.

    Raises:
        LibraryError: a model's description is wrong, its parts do not fit each other, or there is no model.
        CheckpointError: weights are missing or damaged.
    """
    entries = discover(settings.models_dir) + discover(settings.data_dir / "models")
    models: dict[str, SpeechModel] = {}
    for entry in filter(only, entries):
        if entry.id in models:
            raise LibraryError(f"{entry.id}: two models have this id")
        models[entry.id] = _load_model(entry, settings.engine)
    if not models:
        raise LibraryError("no model was found: ANCESTRAL_MODELS_DIR leads to none")
    return Synthesizer(models, settings.chunk_ms)


def _load_model(entry: ModelEntry, engine: str) -> SpeechModel:
    try:
        wavenet, frames = load(entry.wavenet), load(entry.frames)
    except CheckpointError as error:
        raise CheckpointError(f"{entry.id}: {error}") from error
    _check_parts(entry, wavenet, frames)
    try:
        sampler = load_engine(engine, wavenet)
    except ModuleNotFoundError as error:
        raise LibraryError(f"{entry.id}: the {engine} engine needs {error.name}, which is not installed") from error
    return SpeechModel(
        entry=entry,
        engine=sampler,
        frames=FrameModel(frames),
        sha256=wavenet.sha256,
        parameters=sum(tensor.size for tensor in wavenet.tensors.values()),
    )


def _check_parts(entry: ModelEntry, wavenet: Checkpoint, frames: Checkpoint) -> None:
    sampled, predicted = wavenet.spec, frames.spec
    if sampled.kind != "wavenet" or predicted.kind != "frames":
        raise LibraryError(f"{entry.id}: needs a wavenet and a frames checkpoint")
    assert isinstance(sampled, WaveNetSpec)
    assert isinstance(predicted, FrameSpec)
    mine = (sampled.local_channels, sampled.local_hop, sampled.sample_rate)
    theirs = (predicted.outputs, predicted.hop, predicted.sample_rate)
    if mine != theirs:
        raise LibraryError(
            f"{entry.id}: the frame model makes {theirs} (channels, hop, rate), the WaveNet takes {mine}"
        )
    for voice in entry.voices:
        if voice.id not in sampled.speakers or voice.id not in predicted.speakers:
            raise LibraryError(f"{entry.id}: voices: the checkpoints know no speaker {voice.id!r}")
