"""The acoustic model in numpy: phonemes to conditioning frames.

The network is models/networks/acoustic.py; this is inference of one sentence: no batch, no padding, no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.architectures.acoustic import AcousticSpec
from models.checkpoint import Checkpoint
from models.text.phonemes import Phonemes

Array = NDArray[np.float32]

_POSITION_LIMIT = 20
SHORTEST_PAUSE = 4
"""Minimal length in frames of the pauses at both ends of a sentence, so that no sound is cut off."""


def frame_positions(durations: NDArray[np.integer]) -> Array:
    """The position of each frame in its phoneme: relative, in frames from its start and to its end (scaled).

    Args:
        durations: frames of every phoneme ``[P]``.

    Returns:
        ``[durations.sum(), 3]``.
    """
    length = np.repeat(durations, durations)
    first = np.repeat(np.cumsum(durations) - durations, durations)
    since = np.arange(len(length)) - first
    until = length - 1 - since
    near = [np.minimum(x, _POSITION_LIMIT) / _POSITION_LIMIT for x in (since, until)]
    return np.column_stack([(since + 0.5) / length, *near]).astype(np.float32)


class AcousticModel:
    """Sentences to frames for the voices of one checkpoint. Thread-safe: it has no state but its weights."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.spec = checkpoint.spec_as(AcousticSpec)
        self._weights = checkpoint.tensors
        self._phoneme = {p: i for i, p in enumerate(self.spec.phonemes)}

    def predict(self, sentence: Phonemes, speaker: str, speed: float = 1.0) -> Array:
        """The frames of one sentence.

        Args:
            sentence: from :func:`models.text.phonemize`, or its phonemes alone.
            speaker: one of ``spec.speakers``.
            speed: above 1 is faster; divides the durations.

        Returns:
            ``float32 [F, outputs]``, one row per ``spec.hop`` samples.
        """
        return self.predict_with_timing(sentence, speaker, speed)[0]

    def predict_with_timing(
        self, sentence: Phonemes, speaker: str, speed: float = 1.0
    ) -> tuple[Array, NDArray[np.int64]]:
        """What :meth:`predict` and :meth:`timing` give, for the cost of the former."""
        who = self._speaker(speaker)
        encoded, logarithms = self._encode(sentence.phones, sentence.word_starts, who)
        durations = self.durations(logarithms, speed)
        return self._decode(encoded, durations, who), durations

    def timing(self, sentence: Phonemes, speaker: str, speed: float = 1.0) -> NDArray[np.int64]:
        """The number of frames that :meth:`predict` gives every phoneme: ``[P]``."""
        _, logarithms = self._encode(sentence.phones, sentence.word_starts, self._speaker(speaker))
        return self.durations(logarithms, speed)

    def predict_timed(
        self, phones: Sequence[str], word_starts: Sequence[bool], durations: NDArray[np.integer], speaker: str
    ) -> Array:
        """The frames of a sentence whose phonemes have known durations ``[P]``, in frames."""
        who = self._speaker(speaker)
        return self._decode(self._encode(phones, word_starts, who)[0], durations, who)

    def _speaker(self, speaker: str) -> Array:
        who: Array = self._weights["speaker"][self.spec.speakers.index(speaker)]
        return who

    def durations(self, logarithms: Array, speed: float) -> NDArray[np.int64]:
        """Whole frames of every phoneme. The running sum is rounded, so that a sentence keeps its length."""
        exact = np.maximum(np.expm1(logarithms.astype(np.float64)), 0.0) / speed
        exact[0] = max(exact[0], SHORTEST_PAUSE)
        exact[-1] = max(exact[-1], SHORTEST_PAUSE)
        edges = np.round(np.cumsum(exact)).astype(np.int64)
        return np.diff(edges, prepend=0)

    def _encode(self, phones: Sequence[str], word_starts: Sequence[bool], who: Array) -> tuple[Array, Array]:
        x = self._weights["phoneme"][[self._phoneme[p] for p in phones]]
        starts = np.array(word_starts, np.float32)[:, None]
        x = x + starts * self._weights["word_start"] + who @ self._weights["encoder_speaker"]
        x = self._blocks("encoder", self.spec.encoder_layers, x)
        d = self._blocks("duration", self.spec.duration_layers, x)
        return x, (d @ self._weights["duration_out"] + self._weights["duration_bias"])[:, 0]

    def _decode(self, encoded: Array, durations: NDArray[np.integer], who: Array) -> Array:
        x = np.repeat(encoded, durations, axis=0) + frame_positions(durations) @ self._weights["position"]
        x += who @ self._weights["decoder_speaker"]
        x = self._blocks("decoder", self.spec.decoder_layers, x)
        frames = x @ self._weights["frames_out"] + self._weights["frames_bias"]
        frames[:, -1] = np.clip(frames[:, -1], 0.0, 1.0)
        return frames

    def _blocks(self, stack: str, count: int, x: Array) -> Array:
        for number in range(count):
            weights = {
                n: self._weights[f"{stack}.{number}.{n}"] for n in ("scale", "taps", "taps_bias", "out", "out_bias")
            }
            reach = len(weights["taps"]) // x.shape[1] // 2
            normal = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-6) * weights["scale"]
            padded = np.pad(normal, ((reach, reach), (0, 0)))
            seen = np.concatenate([padded[k : k + len(x)] for k in range(2 * reach + 1)], axis=1)
            z = seen @ weights["taps"] + weights["taps_bias"]
            a, b = z[:, : x.shape[1]], z[:, x.shape[1] :]
            x = x + (a / (1.0 + np.exp(-b))) @ weights["out"] + weights["out_bias"]
        return x
