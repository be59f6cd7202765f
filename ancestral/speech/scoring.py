"""The exact likelihood of a recording (equation 1 of the WaveNet paper), in total, over time and by word."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import InvalidRequest
from ancestral.models.audio.mu_law import decode_wave
from ancestral.models.audio.pcm import from_int16
from ancestral.models.audio.shaping import encode_excitation, predictor
from ancestral.models.engines.base import Array, Symbols
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.spec import FeatureSpec
from ancestral.models.text import Sentence
from ancestral.models.text.alignment import Aligned, AlignmentError, Integers, align
from ancestral.models.text.phonemes import Phonemes
from ancestral.speech.sampler import SpeechSampler
from ancestral.speech.timing import SampleSpan, Timing

BLOCK_SECONDS = 0.2
"""Seconds of sound that are scored in one call."""
CURVE_SECONDS = 0.01


class RecordingScorer:
    """ln p of every symbol of a recording, given those before it and, of a model that speaks text, what is said in it.

    Args:
        sampler: of the model.
        voice: a voice or a mix.
        sentences: that are said; empty for a model without text.
        recording: from :func:`ancestral.speech.decoder.recording_bytes`.
        param: the field that the recording came in, for errors.

    Raises:
        InvalidRequest: the text does not fit the recording.
    """

    def __init__(
        self,
        sampler: SpeechSampler,
        voice: str,
        sentences: Sequence[Sentence],
        recording: bytes,
        param: str = "file",
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
        spec = self._sampler.model.spec
        words = [word.text for sentence in self._sentences for word in sentence.words]
        spans = word_spans(self._sentences, self._durations, spec.local_hop)
        return figures(self.nats, int(CURVE_SECONDS * spec.sample_rate)) | word_bits(self.nats, words, spans)

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


def figures(nats: NDArray[np.float64], per_point: int) -> dict[str, Any]:
    """The likelihood in total, and its curve.

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


def word_spans(sentences: Sequence[Phonemes], durations: Sequence[Integers], hop: int) -> list[SampleSpan]:
    """The times of the words of a recording, in samples.

    Args:
        sentences: that are read in it.
        durations: frames of every phoneme of each of them.
        hop: samples of a frame.
    """
    found: list[SampleSpan] = []
    offset = 0
    for sentence, frames in zip(sentences, durations, strict=True):
        timing = Timing.of(np.cumsum(frames) * hop)
        found += [(offset + start, offset + end) for start, end in timing.words(sentence)]
        offset += timing.length
    return found


def word_bits(nats: NDArray[np.float64], words: Sequence[str], spans: Sequence[SampleSpan]) -> dict[str, Any]:
    """The likelihood of each word; nothing without words.

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
