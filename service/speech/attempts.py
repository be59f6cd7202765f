"""Attempts at jobs of speech: to sample sound, and to score a recording (equation 1 of the WaveNet paper)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.mu_law import decode_wave
from ancestral.models.audio.pcm import from_int16
from ancestral.models.audio.shaping import encode_excitation, predictor
from ancestral.models.engines.base import Array, Stream, Symbols
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.spec import FeatureSpec
from ancestral.models.text.alignment import Aligned, AlignmentError, Integers, align
from ancestral.models.text.phonemes import Phonemes
from ancestral.service.catalog.sampler import Part
from ancestral.service.errors import InvalidRequest
from ancestral.service.jobs.attempt import ScoringAttempt
from ancestral.service.jobs.sampling_attempt import SamplingAttempt
from ancestral.service.speech.payloads import GenerationPayload, SpeechLikelihoodPayload, SpeechPayload
from ancestral.service.speech.sampler import SentencePart, SpeechSampler
from ancestral.service.speech.timing import Span, Timing

MIN_MEASURED_SECONDS = 0.5
"""Of sound: the real-time factor of less than that means nothing."""
SCORED_SECONDS = 0.2
"""Of sound that is scored in one call; between two calls the attempt can be stopped."""
CURVE_SECONDS = 0.01


class AudioAttempt(SamplingAttempt):
    """An attempt to sample sound."""

    sampler: SpeechSampler

    @property
    def rate(self) -> int:
        """See :class:`SamplingAttempt`."""
        return self.sampler.model.spec.sample_rate

    def on_sampled(self, symbols: int) -> None:
        """See :class:`SamplingAttempt`."""
        self.context.metrics.count_audio(self.sampler, symbols, self.rate)

    def on_finished(self, symbols: int, seconds: float) -> None:
        """See :class:`SamplingAttempt`."""
        if symbols >= MIN_MEASURED_SECONDS * self.rate and seconds > 0:
            self.context.metrics.factor(self.job, symbols / self.rate / seconds)


class SpeechAttempt(AudioAttempt):
    """Speech: one stream per sentence."""

    payload: SpeechPayload

    async def parts(self, first: int) -> Iterator[Part]:
        """See :class:`SamplingAttempt`."""
        self._sentence = first
        return self.sampler.parts(self.payload, first)

    def lengths_after(self, index: int) -> Iterator[int]:
        """See :class:`SamplingAttempt`."""
        return self.sampler.lengths(self.payload, index + 1)

    async def on_opened(self, part: Part, stream: Stream) -> None:
        """See :class:`SamplingAttempt`. Stores when the phonemes of the sentence are said."""
        assert isinstance(part, SentencePart)
        sentence = self._sentence
        self._sentence += 1
        await self.lease.store_timings(sentence, part.timing.dump())


class GenerationAttempt(AudioAttempt):
    """Sound without text: one stream, which continues the uploaded recording if there is one."""

    payload: GenerationPayload

    async def parts(self, first: int) -> Iterator[Part]:
        """See :class:`SamplingAttempt`."""
        prompt = b""
        if self.payload.prompt_sha256 is not None:
            prompt = await self.lease.upload()
        return iter([self.sampler.generation(self.payload, np.frombuffer(prompt, np.uint8))])


class SpeechScoringAttempt(ScoringAttempt):
    """ln p of every symbol of the upload, given those before it (and the text that is said in it)."""

    sampler: SpeechSampler
    payload: SpeechLikelihoodPayload

    async def work(self) -> dict[str, Any] | None:
        """See :class:`JobAttempt`."""
        upload = await self.lease.upload()
        engine, rate = self.sampler.network, self.sampler.model.spec.sample_rate
        symbols, frames, durations = await self.context.in_pool(partial(self._encoded, upload))
        await self.lease.set_total(len(symbols))
        speaker = self.sampler.model.speaker(self.sampler.model.mix(self.payload.voice).shares)
        request = StreamRequest(length=len(symbols), seed=0, speaker=speaker, frames=frames)
        stream = await self.context.in_pool(lambda: engine.open(request))
        nats, size = np.empty(len(symbols)), int(SCORED_SECONDS * rate)
        for start in range(0, len(symbols), size):
            if self.stopped is not None:
                return None
            block = symbols[start : start + size]
            nats[start : start + size] = await self.context.in_pool(partial(engine.teacher_force, stream, block))
        spans = word_spans(self.payload.sentences, durations, self.sampler.model.spec.local_hop)
        return figures(nats, int(CURVE_SECONDS * rate)) | of_words(nats, self.payload.words, spans)

    def _encoded(self, upload: bytes) -> tuple[Symbols, Array | None, Sequence[Integers]]:
        """The symbols of the upload; of a model that speaks text also the frames that align the text with it, and how
        many of them each phoneme of each sentence has.

        With linear prediction the symbols depend on the frames: the upload is 16-bit sound.
        """
        spec = self.sampler.model.spec
        if spec.shaping == "linear_prediction":
            wave = from_int16(np.frombuffer(upload, "<i2"))
            frames, durations = self._align(wave)
            return encode_excitation(wave, predictor(frames, FeatureSpec())), frames, durations
        symbols = np.frombuffer(upload, np.uint8)
        if self.sampler.frames is None:
            return symbols, None, ()
        return symbols, *self._align(decode_wave(symbols, spec.preemphasis, spec.gain))

    def _align(self, wave: Array) -> Aligned:
        assert self.sampler.frames is not None, "a model with frames has an acoustic model"
        try:
            voices = self.sampler.model.mix(self.payload.voice).shares
            return align(wave, self.payload.sentences, self.sampler.frames, voices, FeatureSpec())
        except AlignmentError as error:
            raise InvalidRequest(f"file: {error}", param="file", code="text_does_not_fit") from error


def figures(nats: NDArray[np.float64], per_point: int) -> dict[str, Any]:
    """The result of a scoring job.

    Args:
        nats: ln p of every symbol ``[T]``.
        per_point: symbols per point of the curve.
    """
    bits = -nats / math.log(2.0)
    curve = [round(float(bits[i : i + per_point].sum()), 3) for i in range(0, len(bits), per_point)]
    return {
        "bits_per_sample": round(float(bits.mean()), 6),
        "nats": round(float(-nats.sum()), 3),
        "samples": len(nats),
        "curve": curve,
    }


def word_spans(sentences: Sequence[Phonemes], durations: Sequence[Integers], hop: int) -> list[Span]:
    """When the words of a recording are said, in samples.

    Args:
        sentences: that are read in it.
        durations: frames of every phoneme of each of them.
        hop: samples of a frame.
    """
    found: list[Span] = []
    offset = 0
    for sentence, frames in zip(sentences, durations, strict=True):
        timing = Timing.of(np.cumsum(frames) * hop)
        found += [(offset + start, offset + end) for start, end in timing.words(sentence)]
        offset += timing.length
    return found


def of_words(nats: NDArray[np.float64], words: Sequence[str], spans: Sequence[Span]) -> dict[str, Any]:
    """What a scoring job tells of each word; nothing without words.

    Args:
        nats: ln p of every symbol ``[T]``.
        words: as they are read.
        spans: when they are said, in symbols; the last frame of a recording may be longer than the recording.
    """
    if not words:
        return {}
    inside = [(start, min(end, len(nats))) for start, end in spans]
    bits = [round(float(-nats[start:end].sum() / math.log(2.0)), 3) for start, end in inside]
    return {
        "words": [
            {"word": word, "start": start, "end": end, "bits": surprise}
            for word, (start, end), surprise in zip(words, inside, bits, strict=True)
        ]
    }
