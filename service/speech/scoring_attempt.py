"""A job that answers with figures: how likely a model takes a recording to be, bit by bit (WaveNet, equation 1)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.audio.mu_law import decode_wave
from models.engines.speech.engine import StreamRequest
from models.spec import FeatureSpec
from models.text.alignment import AlignmentError, align
from service.broker import patiently
from service.errors import InvalidRequest
from service.jobs.attempt import ScoringAttempt
from service.speech.sampler import SpeechSampler
from service.speech.utterance import read_text

PIECE_SECONDS = 0.2
"""Scored in one go; a client that leaves is noticed in between."""
CURVE_SECONDS = 0.01


class SpeechScoringAttempt(ScoringAttempt):
    """ln p of every symbol of an upload, given those before it (and the text that it speaks)."""

    sampler: SpeechSampler

    async def work(self) -> dict[str, Any] | None:
        """See :class:`JobAttempt`."""
        upload = await patiently(lambda: self.context.broker.upload(self.job))
        symbols = np.frombuffer(upload, np.uint8)
        await patiently(lambda: self.context.broker.set_total(self.job, len(symbols)))
        engine, rate = self.sampler.engine, self.sampler.model.spec.sample_rate
        stream = await self.context.in_pool(lambda: engine.open(self._request(symbols)))
        nats, size = np.empty(len(symbols)), int(PIECE_SECONDS * rate)
        for start in range(0, len(symbols), size):
            if self.stopped is not None:
                return None
            piece = symbols[start : start + size]
            nats[start : start + size] = await self.context.in_pool(partial(engine.teacher_force, stream, piece))
        return figures(nats, int(CURVE_SECONDS * rate))

    def _request(self, symbols: NDArray[np.uint8]) -> StreamRequest:
        spec, request = self.sampler.model.spec, self.job.request
        frames = None
        if self.sampler.frames is not None:
            wave = decode_wave(symbols, spec.preemphasis, spec.gain)
            sentences = read_text(request["text"], "text")
            try:
                frames = align(wave, sentences, self.sampler.frames, request["voice"], FeatureSpec())
            except AlignmentError as error:
                raise InvalidRequest(f"file: {error}", param="file", code="text_does_not_fit") from error
        speaker = self.sampler.model.speaker(request["voice"])
        return StreamRequest(length=len(symbols), seed=0, speaker=speaker, frames=frames)


def figures(nats: NDArray[np.float64], per_point: int) -> dict[str, Any]:
    """What a client is told.

    Args:
        nats: ln p of every symbol ``[T]``.
        per_point: symbols that one point of the curve stands for.
    """
    bits = -nats / math.log(2.0)
    curve = [round(float(bits[i : i + per_point].sum()), 3) for i in range(0, len(bits), per_point)]
    return {
        "bits_per_sample": round(float(bits.mean()), 6),
        "nats": round(float(-nats.sum()), 3),
        "samples": len(nats),
        "curve": curve,
    }
