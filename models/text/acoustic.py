"""The acoustic model in numpy: phonemes to conditioning frames.

The network is models/networks/acoustic.py; this is inference of one sentence: no batch, no padding, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.architectures.acoustic import AcousticSpec
from models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE
from models.audio.harmonics import harmonic_ripple
from models.checkpoint import Checkpoint
from models.spec import FeatureSpec
from models.text.phonemes import Phonemes

Array = NDArray[np.float32]

_POSITION_LIMIT = 20
_SEMITONE = math.log(2.0) / 12.0 / LOG_F0_SCALE
"""Of the scaled log-F0."""
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


@dataclass(frozen=True)
class PitchControl:
    """How F0 differs from what the model predicts.

    Attributes:
        semitones: by which it is higher.
        intonation: factor of its distance, in log-F0, from its mean over the voiced frames of the sentence.
    """

    semitones: float = 0.0
    intonation: float = 1.0

    def apply(self, pitch: Array, spec: FeatureSpec) -> Array:
        """Scaled log-F0 and voicing ``[F, 2]``, with other F0. It stays within the range of the corpora's analysis."""
        log_f0, voiced = pitch[:, 0], pitch[:, 1] > 0.0
        mean = log_f0[voiced].mean() if voiced.any() else log_f0.mean()
        moved = mean + (log_f0 - mean) * self.intonation + self.semitones * _SEMITONE
        low, high = ((np.log(hz) - LOG_F0_MEAN) / LOG_F0_SCALE for hz in (spec.pitch_low_hz, spec.pitch_high_hz))
        return np.column_stack([np.clip(moved, low, high), pitch[:, 1]]).astype(np.float32)


AS_PREDICTED = PitchControl()


class AcousticModel:
    """Sentences to frames for the voices of one checkpoint. Thread-safe: it has no state but its weights."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.spec = checkpoint.spec_as(AcousticSpec)
        self._weights = checkpoint.tensors
        self._phoneme = {p: i for i, p in enumerate(self.spec.phonemes)}

    def predict(
        self, sentence: Phonemes, speaker: str, speed: float = 1.0, control: PitchControl = AS_PREDICTED
    ) -> Array:
        """The frames of one sentence.

        Args:
            sentence: from :func:`models.text.phonemize`, or its phonemes alone.
            speaker: one of ``spec.speakers``.
            speed: above 1 is faster; divides the durations.
            control: of F0; only for a model that predicts F0 before the mels (``spec.pitch_layers``).

        Returns:
            ``float32 [F, outputs]``, one row per ``spec.hop`` samples.
        """
        return self.predict_with_timing(sentence, speaker, speed, control)[0]

    def predict_with_timing(
        self, sentence: Phonemes, speaker: str, speed: float = 1.0, control: PitchControl = AS_PREDICTED
    ) -> tuple[Array, NDArray[np.int64]]:
        """What :meth:`predict` and :meth:`timing` give, for the cost of the former."""
        who = self._speaker(speaker)
        encoded, logarithms = self._encode(sentence.phones, sentence.word_starts, who)
        durations = self.durations(logarithms, speed)
        return self._decode(encoded, durations, who, control=control), durations

    def timing(self, sentence: Phonemes, speaker: str, speed: float = 1.0) -> NDArray[np.int64]:
        """The number of frames that :meth:`predict` gives every phoneme: ``[P]``."""
        _, logarithms = self._encode(sentence.phones, sentence.word_starts, self._speaker(speaker))
        return self.durations(logarithms, speed)

    def predict_timed(
        self,
        phones: Sequence[str],
        word_starts: Sequence[bool],
        durations: NDArray[np.integer],
        speaker: str,
        pitch: Array | None = None,
    ) -> Array:
        """The frames of a sentence whose phonemes have known durations ``[P]``, in frames.

        Args:
            phones: of the sentence ``[P]``.
            word_starts: whether each begins a word ``[P]``.
            durations: frames of each.
            speaker: one of ``spec.speakers``.
            pitch: known log-F0 and voicing ``[F, 2]``; predicted by default. A model that predicts F0 beside the mels
                ignores them.
        """
        who = self._speaker(speaker)
        return self._decode(self._encode(phones, word_starts, who)[0], durations, who, pitch)

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
        x = self._blocks("encoder", [1] * self.spec.encoder_layers, x)
        d = self._blocks("duration", [1] * self.spec.duration_layers, x)
        return x, (d @ self._weights["duration_out"] + self._weights["duration_bias"])[:, 0]

    def _decode(
        self,
        encoded: Array,
        durations: NDArray[np.integer],
        who: Array,
        pitch: Array | None = None,
        control: PitchControl = AS_PREDICTED,
    ) -> Array:
        weights, spec = self._weights, self.spec
        repeated = np.repeat(encoded, durations, axis=0) + frame_positions(durations) @ weights["position"]
        x = repeated + who @ weights["decoder_speaker"]
        if not spec.pitch_layers:
            assert control == AS_PREDICTED, "this model's F0 cannot be changed"
            x = self._blocks("decoder", [1] * spec.decoder_layers, x)
            frames = x @ weights["frames_out"] + weights["frames_bias"]
            frames[:, -1] = np.clip(frames[:, -1], 0.0, 1.0)
            return frames
        if pitch is None:
            pitch = control.apply(self._pitch(repeated, who), spec.features)
        ripple = harmonic_ripple(pitch[:, 0], pitch[:, 1], spec.features)
        x += pitch @ weights["pitch_in"] + ripple @ weights["ripple_in"]
        x = self._blocks("decoder", [1] * spec.decoder_layers, x)
        mels = x @ weights["frames_out"] + weights["frames_bias"]
        mels += ripple * (x @ weights["ripple_out"] + weights["ripple_bias"])
        return np.concatenate([mels, pitch], axis=1)

    def _pitch(self, repeated: Array, who: Array) -> Array:
        """Log-F0 and voicing, 0 or 1 as in the corpora: ``[F, 2]``."""
        x = self._blocks("pitch", self.spec.pitch_dilations, repeated + who @ self._weights["pitch_speaker"])
        pitch: Array = x @ self._weights["pitch_out"] + self._weights["pitch_bias"]
        pitch[:, 1] = pitch[:, 1] > 0.0
        return pitch

    def _blocks(self, stack: str, dilations: Sequence[int], x: Array) -> Array:
        for number, dilation in enumerate(dilations):
            weights = {
                n: self._weights[f"{stack}.{number}.{n}"] for n in ("scale", "taps", "taps_bias", "out", "out_bias")
            }
            taps = len(weights["taps"]) // x.shape[1]
            reach = taps // 2 * dilation
            normal = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-6) * weights["scale"]
            padded = np.pad(normal, ((reach, reach), (0, 0)))
            seen = np.concatenate([padded[k * dilation : k * dilation + len(x)] for k in range(taps)], axis=1)
            z = seen @ weights["taps"] + weights["taps_bias"]
            a, b = z[:, : x.shape[1]], z[:, x.shape[1] :]
            x = x + (a / (1.0 + np.exp(-b))) @ weights["out"] + weights["out_bias"]
        return x
