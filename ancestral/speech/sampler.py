"""Sentences to sound: sampled, decoded, and with the times of their phonemes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.descriptions import Part, Sampler, SpeechModel
from ancestral.catalog.seeds import part_seed
from ancestral.errors import InvalidRequest
from ancestral.speech.utterance import Generation, SoundPlan, Utterance
from ancestral_models.acoustic import AcousticModel, Aligned, AlignmentError, Integers, PitchControl, align
from ancestral_models.audio.features import normalize_level, sharpened
from ancestral_models.audio.mu_law import Deemphasis, decode_wave, encode_wave, from_int16, mu_law_decode, to_int16
from ancestral_models.audio.resampler import Resampler
from ancestral_models.audio.shaping import encode_excitation, predictor
from ancestral_models.engines.base import Array, Stream, Symbols
from ancestral_models.engines.speech.engine import SpeechEngine, StreamRequest, SynthesisEngine
from ancestral_models.spec import FeatureSpec, SpeechSpec
from ancestral_models.text import Sentence, Word
from ancestral_models.text.phonemes import Phonemes, is_pause

# When phonemes and words are said: planned by the acoustic model before a sentence is sampled, and kept exactly.

SampleSpan = tuple[int, int]
"""The first sample, and the first one after it."""


@dataclass(frozen=True)
class Timing:
    """The phonemes of one sentence in time."""

    ends: tuple[int, ...]
    """The first sample after each phoneme ``[P]``, counted from the start of the sentence."""

    @classmethod
    def of(cls, ends: NDArray[Any]) -> Self:
        """The timing that ends each phoneme where ``ends`` says, in samples ``[P]``."""
        return cls(tuple(map(int, ends)))

    @property
    def length(self) -> int:
        """Samples of the sentence."""
        return self.ends[-1]

    def phonemes(self, sentence: Phonemes) -> list[tuple[str, SampleSpan]]:
        """The phonemes of the sentence, without its pauses."""
        spans = zip((0, *self.ends), self.ends, strict=False)
        return [(phone, span) for phone, span in zip(sentence.phones, spans, strict=True) if not is_pause(phone)]

    def words(self, sentence: Phonemes) -> list[SampleSpan]:
        """The words of the sentence. Pauses belong to no word."""
        found: list[SampleSpan] = []
        start = 0
        for phone, starts, end in zip(sentence.phones, sentence.word_starts, self.ends, strict=True):
            if starts:
                found.append((start, end))
            elif found and not is_pause(phone):
                found[-1] = (found[-1][0], end)
            start = end
        return found

    def dump(self) -> str:
        """JSON for :meth:`load`."""
        return json.dumps(self.ends, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Self:
        """What :meth:`dump` wrote."""
        return cls(tuple(json.loads(text)))


@dataclass(frozen=True)
class TimedText:
    """A word, a phoneme or a viseme, and when it is said, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class TimedWord(TimedText):
    """A word as it is read, when it is said, and where it was written."""

    span: tuple[int, int]
    """The place in :attr:`Speech.text`: the first character, and the first one after it. Words that were written as
    one, such as a date, share it."""
    speaker: str
    """A name of the argument ``voices``, or the id of a voice."""


# Symbols to sound, at any rate; and a recording to what models score.

Wave = NDArray[np.float32]


class AudioDecoder:
    """Decodes samples in order. Each of the streams (sentences) starts from silence.

    The symbols of a model with pre-emphasis are decoded here. Those of a model with linear prediction have been decoded
    where its frames are, in the worker (ancestral_models/engines/speech/engine.py), and arrive as 16-bit sound.

    Args:
        spec: of the model that made them.
        state: the state of the de-emphasis filter before the first stream, if that one continues a recording.
    """

    def __init__(self, spec: SpeechSpec, state: float = 0.0) -> None:
        self._spec = spec
        self._index = 0
        self._deemphasis = Deemphasis(spec.preemphasis, spec.gain, state)

    def __call__(self, index: int, samples: NDArray[Any]) -> Wave:
        """The next samples, of stream ``index``: ``float32 [T]`` in [-1, 1], at the model's rate."""
        if self._spec.shaping == "linear_prediction":
            assert samples.dtype == np.int16, "symbols that only the worker could decode"
            return from_int16(samples)
        assert samples.dtype == np.uint8, "sound, where the model gives symbols"
        if index != self._index:
            self._index, self._deemphasis = index, Deemphasis(self._spec.preemphasis, self._spec.gain)
        return self._deemphasis(mu_law_decode(samples))


def recording_bytes(wave: Wave, spec: SpeechSpec) -> bytes:
    """A recording ``[T]`` at the level of the corpora, the only one that models know.

    Its symbols; or 16-bit sound for a model with linear prediction, whose symbols depend on the frames.
    """
    level = normalize_level(wave, spec.sample_rate)
    if spec.shaping == "linear_prediction":
        return to_int16(level).tobytes()
    return encode_wave(level, spec.preemphasis, spec.gain).tobytes()


class SpeechResampler:
    """Sampled sound, chunk by chunk, at another rate; at the network's own it passes as it is.

    Args:
        model: that samples.
        request: whose voice each sentence has.
        rate: in hertz.
    """

    def __init__(self, model: SpeechModel, request: SoundPlan, rate: int) -> None:
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


# A speech model with its weights: phonemes to frames to streams of symbols. Synchronous, no I/O.

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
            turn, bands = utterance.turn(index), self.acoustic.spec.bands
            voices = self.model.mix(turn.voice).shares
            frames, timing = self.acoustic.predict_with_timing(sentence, voices, utterance.speed, control)
            frames[:, :bands] = sharpened(frames[:, :bands], turn.sampling.contrast)
            yield self.part_from_frames(utterance, index, frames, np.cumsum(timing))

    def part_from_frames(
        self, utterance: Utterance, index: int, frames: Array, ends: NDArray[np.integer]
    ) -> SentencePart:
        """The part number ``index``, of frames ``[F, C]`` whose phonemes end before frames ``ends [P]``."""
        hop, turn = self.model.spec.local_hop, utterance.turn(index)
        length, seed = len(frames) * hop, part_seed(utterance.seed, index)
        speaker = self.model.speaker(self.model.mix(turn.voice).shares)
        request = StreamRequest(length, seed, utterance.temperature, speaker, frames=frames, sampling=turn.sampling)
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
                input_format="text", language="en", pronunciations=(), sentences=(_WARM_UP,),
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


# The exact likelihood of a recording (equation 1 of the WaveNet paper), in total, over time and by word.

BLOCK_SECONDS = 0.2
"""Seconds of sound that are scored in one call."""
CURVE_SECONDS = 0.01


class RecordingScorer:
    """ln p of every symbol of a recording, given those before it and, of a model that speaks text, what is said in it.

    Args:
        sampler: of the model.
        voice: a voice or a mix.
        sentences: that are said; empty for a model without text.
        recording: from :func:`ancestral.speech.sampler.recording_bytes`.
        param: the field that the recording came in, for errors.

    Raises:
        InvalidRequest: the text does not fit the recording.
    """

    def __init__(
        self, sampler: SpeechSampler, voice: str, sentences: Sequence[Sentence], recording: bytes, param: str = "file"
    ) -> None:
        self._sampler, self._sentences, self._param = sampler, sentences, param
        self._shares = sampler.model.mix(voice).shares
        self.symbols, self._frames, self._durations = self._encoded(recording)
        self.nats: NDArray[np.float64] = np.empty(len(self.symbols))
        """ln p, as far as :meth:`blocks` has come."""

    def blocks(self) -> Iterator[int]:
        """Score, block by block. Yields how many symbols are done."""
        engine, model = self._sampler.network, self._sampler.model
        speaker = model.speaker(self._shares)
        stream = engine.open(StreamRequest(len(self.symbols), seed=0, speaker=speaker, frames=self._frames))
        size = int(BLOCK_SECONDS * model.spec.sample_rate)
        for start in range(0, len(self.symbols), size):
            block = self.symbols[start : start + size]
            self.nats[start : start + size] = engine.teacher_force(stream, block)
            yield start + len(block)

    def report(self) -> dict[str, Any]:
        """Everything that is known once all blocks are scored, as ``POST /v1/audio/likelihood`` says it."""
        spec, nats = self._sampler.model.spec, self.nats
        bits, size = -nats / math.log(2.0), int(CURVE_SECONDS * spec.sample_rate)
        found: dict[str, Any] = {
            "bits_per_sample": round(float(bits.mean()), 6),
            "nats": round(float(-nats.sum()), 3),
            "samples": len(nats),
            "curve": [round(float(bits[start : start + size].sum()), 3) for start in range(0, len(bits), size)],
        }
        words, offset = list[dict[str, Any]](), 0
        for sentence, frames in zip(self._sentences, self._durations, strict=True):
            timing = Timing.of(np.cumsum(frames) * spec.local_hop)
            for word, (first, last) in zip(sentence.words, timing.words(sentence), strict=True):
                start, end = offset + first, offset + last  # the last frame may be longer than the recording
                surprise = round(float(-nats[start:end].sum() / math.log(2.0)), 3)
                words.append({"word": word.text, "start": start, "end": min(end, len(nats)), "bits": surprise})
            offset += timing.length
        return found | {"words": words} if words else found

    def _encoded(self, recording: bytes) -> tuple[Symbols, Array | None, Sequence[Integers]]:
        """The symbols; of a model that speaks text also the frames that align the text with them, and how many of them
        each phoneme of each sentence has."""
        spec = self._sampler.model.spec
        if spec.shaping == "linear_prediction":
            wave = from_int16(np.frombuffer(recording, "<i2"))
            frames, durations = self._align(wave)
            return encode_excitation(wave, predictor(frames, FeatureSpec())), frames, durations
        symbols = np.frombuffer(recording, np.uint8)
        if self._sampler.acoustic is None:
            return symbols, None, ()
        return symbols, *self._align(decode_wave(symbols, spec.preemphasis, spec.gain))

    def _align(self, wave: Array) -> Aligned:
        acoustic = self._sampler.acoustic
        assert acoustic is not None, "a model with frames has an acoustic model"
        try:
            return align(wave, self._sentences, acoustic, self._shares, FeatureSpec())
        except AlignmentError as error:
            raise InvalidRequest(f"{self._param}: {error}", param=self._param, code="text_does_not_fit") from error
