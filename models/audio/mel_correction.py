"""Correction of sound towards the log-mels that it was synthesised from, frame by frame.

A WaveNet that is sampled below temperature 1 does not quite make the bands that it was conditioned on. What it made is
measured with the analysis that the frames come from (:func:`~ancestral.models.audio.features.log_mel`); the spectrum of
the frame is multiplied by what is missing, and the frames are added up again: within the same frame, because gains of
a frame before, or means over several, lose most of it. Deterministic, and outside the sampling loop.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import LOG_MEL_MEAN, LOG_MEL_SCALE, Array, analysis_window, fft_size, mel_bank
from ancestral.models.audio.shaping import Floats, bin_weights
from ancestral.models.native import INTEGER, NUMBER, Function, array
from ancestral.models.spec import FeatureSpec

LIMIT_DB = 12.0
"""The most that a band is raised or lowered by, at strength 1."""
HIGHEST_HZ = 2000.0
"""Bands whose centre lies above it stay as they are: all that a listener misses is below."""
LIMIT = float(np.log(10.0) / 20.0 * LIMIT_DB)
_OVERLAP = 4
"""Frames that a sample lies in. Squares of Hann windows at this distance add up to a constant, 1.5."""


_FLOATS, _SOUND, _INTEGERS = array("f8"), array("f4"), array("i8")
_CORRECT = Function(
    "correct_frames", _SOUND, _SOUND, INTEGER, INTEGER, _FLOATS, _FLOATS, INTEGER, INTEGER, NUMBER, NUMBER, _FLOATS,
    INTEGER, _FLOATS, _INTEGERS, INTEGER, _INTEGERS, _FLOATS, _FLOATS, _FLOATS, INTEGER, _FLOATS,
)  # fmt: skip


class Tables(NamedTuple):
    """What a frame's analysis needs, for a transform of N bins below half the sampling rate."""

    window: Floats
    bank: Floats
    """``[B, N + 1]``: the filters."""
    spans: NDArray[np.int64]
    """``[<= B, 2]``: of the bands that are corrected, the first bin of the filter, and the one after its last."""
    below: NDArray[np.int64]
    """``[N + 1]``: the band whose centre is next below a bin."""
    shares: Floats
    """``[N + 1]``: the share of the band above it in a bin's gain."""
    cosines: Floats
    """``[N]``: of pi k / N."""
    sines: Floats


@cache
def tables(spec: FeatureSpec) -> Tables:
    assert spec.window == _OVERLAP * spec.hop, "the squared windows must add up"
    bank = np.ascontiguousarray(mel_bank(spec, fft_size(spec)).T, np.float64)
    hertz = np.arange(bank.shape[1]) * spec.sample_rate / fft_size(spec)
    inside = [np.flatnonzero(band) for band in bank if hertz @ band < HIGHEST_HZ * band.sum()]
    angles = 2.0 * np.pi / fft_size(spec) * np.arange(fft_size(spec) // 2)
    return Tables(
        analysis_window(spec), bank, np.array([(bins[0], bins[-1] + 1) for bins in inside], np.int64),
        *bin_weights(spec), np.cos(angles), np.sin(angles),
    )  # fmt: skip


def correct_frames(
    raw: Array,
    total: Array,
    first: int,
    hop: int,
    wanted: Floats,
    strengths: Floats,
    limit: float,
    floor: float,
    tables: Tables,
) -> None:
    """Bring the bands of some frames towards what is wanted, and add them to what is there.

    Args:
        raw: sound, ``float32 [N]``.
        total: of the frames so far, ``float32 [N]``; those of this call are added.
        first: where in it the first frame begins; another one begins every ``hop``.
        hop: a quarter of the window.
        wanted: logs of the bands, ``[J, B]``; likewise ``strengths``, ``[J]``.
        limit: of the log of a gain, either way.
        floor: of the log of a band.
        tables: of the analysis.
    """
    window, bank, spans, below, shares, cosines, sines = tables
    frames, bands = wanted.shape
    assert first >= 0, "frames begin within the sound"
    assert first + (frames - 1) * hop + len(window) <= min(len(raw), len(total)) or not frames, "and end within it"
    scratch = np.empty(4 * len(cosines) + 3 * len(below) + bands)
    _CORRECT(
        raw, total, first, hop, wanted, strengths, frames, bands, limit, floor, window, len(window), bank, spans,
        len(spans), below, shares, cosines, sines, len(cosines), scratch,
    )  # fmt: skip


class MelCorrection:
    """Sound to corrected sound, for a stream that comes in chunks; neither chunks nor a restart change a bit.

    A sample is delivered when all frames that it lies in are there: up to a window after it, 40 ms. At strength 0 the
    sound passes as it is, without delay.

    Args:
        frames: ``[F, C]`` of the whole utterance, of which the first ``spec.mel_bands`` columns are log-mels.
        spec: how they were made.
        strength: 0 … 1: of the log of the gains.
        held: of a stream that continues: its :attr:`held`.
        received: of a stream that continues: the samples that have been pushed.
    """

    def __init__(
        self, frames: Array, spec: FeatureSpec, strength: float, held: Array | None = None, received: int = 0
    ) -> None:
        self._spec = spec
        self._lead = spec.window - spec.hop // 2 if strength else 0
        """Silence before the first sample: the frames that it lies in begin there."""
        log_mels, more = frames[:, : spec.mel_bands].astype(np.float64), (_OVERLAP // 2, _OVERLAP // 2)
        self._wanted = np.pad(log_mels * LOG_MEL_SCALE + LOG_MEL_MEAN, (more, (0, 0)), "edge")
        self._strengths = np.pad(np.full(len(frames), strength), more)
        self.held = np.zeros((2, self._lead), np.float32) if held is None else held
        """``[2, N]``: sound not yet delivered, and the sum of the frames so far at the same places."""
        self.position: int = max(received - self.held.shape[1], 0)
        """The next sample to be delivered."""

    def needed(self, count: int) -> int:
        """The number of samples to push, in all, before ``count`` more can be pulled; fewer at the end."""
        stop = self.position + count
        return (
            self._after(stop) * self._spec.hop + self._spec.window - self._lead - self._spec.hop if self._lead else stop
        )

    def push(self, sound: Array) -> None:
        """Take the next samples ``[T]``."""
        self.held = np.concatenate([self.held, [sound, np.zeros_like(sound)]], axis=1)

    def pull(self, count: int) -> Array:
        """Deliver the next samples ``[count]``; after what has been pushed follows silence."""
        if not count or not self._lead:
            pulled, self.held = self.held[0, :count], self.held[:, count:]
        else:
            pulled, self.held = self._corrected(count)
        self.position += count
        return pulled

    def _after(self, position: int) -> int:
        """The number of the first frame that begins at ``position`` or later; number 0 begins at ``-lead``."""
        return -(-(position + self._lead) // self._spec.hop)

    def _end(self, frame: int) -> int:
        """The position after the last sample of a frame."""
        return frame * self._spec.hop + self._spec.window - self._lead

    def _corrected(self, count: int) -> tuple[Array, Array]:
        """The next samples, and what is then held."""
        hop, start = self._spec.hop, self.position if self.position else -self._lead
        first, after = self._after(start), self._after(self.position + count)
        known, held = self.held.shape[1], self.held
        if (missing := self._end(after - 1) - start - known) > 0:
            held = np.concatenate([held, np.zeros((2, missing), np.float32)], axis=1)
        rows = slice(first, after)
        correct_frames(
            held[0], held[1], first * hop - self._lead - start, hop, self._wanted[rows], self._strengths[rows],
            LIMIT, float(np.log(self._spec.floor)), tables(self._spec),
        )  # fmt: skip
        done = self.position - start + count
        return held[1, done - count : done], held[:, done:known].copy()
