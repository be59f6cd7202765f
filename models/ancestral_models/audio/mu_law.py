"""Samples of sound: as µ-law symbols, and as 16-bit PCM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Between sound and symbols: pre-emphasis and mu-law companding (WaveNet, section 2.2; ITU-T G.711).
#
# Pre-emphasis before the 8-bit quantiser and its inverse after it shape the quantisation noise like speech, which hides
# it.

MU = 255.0

SILENCE = 128
"""The symbol of a signal of zero, and of the time before a stream begins."""


def mu_law_encode(signal: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Compand to 256 levels.

    Args:
        signal: any shape, nominally in [-1, 1]; values outside are clipped.

    Returns:
        Symbols 0..255 of the same shape; silence is 128.
    """
    x: NDArray[np.float64] = np.clip(np.asarray(signal, np.float64), -1.0, 1.0)
    y: NDArray[np.float64] = np.sign(x) * np.log1p(MU * np.abs(x)) / np.log1p(MU)
    return np.minimum(np.floor((y + 1.0) * 128.0), 255.0).astype(np.uint8)


def mu_law_decode(symbols: NDArray[np.integer]) -> NDArray[np.float32]:
    """The centre of each symbol's cell: the inverse of :func:`mu_law_encode` up to the quantisation error."""
    return np.asarray(_CENTRES[symbols])


_Y = (np.arange(256) + 0.5) / 128.0 - 1.0
_CENTRES = (np.sign(_Y) * np.expm1(np.abs(_Y) * np.log1p(MU)) / MU).astype(np.float32)


def preemphasize(signal: NDArray[np.floating], coefficient: float, gain: float) -> NDArray[np.float32]:
    """``y[t] = gain * (x[t] - coefficient * x[t-1])`` over the last axis, with silence before the start."""
    x = np.asarray(signal, np.float32)
    y = x.copy()
    y[..., 1:] -= np.float32(coefficient) * x[..., :-1]
    return y * np.float32(gain)


class Deemphasis:
    """The inverse filter of :func:`preemphasize` for a stream that comes in chunks: its memory is one number.

    The recursion runs sample by sample in double precision, so that the chunking cannot change a bit of the result. It
    is plain Python, which takes a millisecond for a second of sound.
    """

    def __init__(self, coefficient: float, gain: float, memory: float = 0.0) -> None:
        self._coefficient = coefficient
        self._scale = 1.0 / gain
        self.memory = memory

    def __call__(self, emphasized: NDArray[np.floating]) -> NDArray[np.float32]:
        """Filter one chunk ``[T]``; returns ``float32 [T]``."""
        scaled: list[float] = (np.asarray(emphasized, np.float64) * self._scale).tolist()
        out = []
        last, coefficient = self.memory, self._coefficient
        for value in scaled:
            last = value + coefficient * last
            out.append(last)
        self.memory = last
        return np.array(out, np.float32)


def encode_wave(wave: NDArray[np.floating], coefficient: float, gain: float) -> NDArray[np.uint8]:
    """Sound in [-1, 1] to symbols: pre-emphasis, then mu-law."""
    return mu_law_encode(preemphasize(wave, coefficient, gain))


def decode_wave(symbols: NDArray[np.integer], coefficient: float, gain: float) -> NDArray[np.float32]:
    """A whole utterance of symbols to sound: mu-law, then de-emphasis."""
    return Deemphasis(coefficient, gain)(mu_law_decode(symbols))


# 16-bit samples: how sound is delivered, and stored where it has been filtered already.

_FULL_SCALE = np.float32(32767.0)


def to_int16(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Sound ``[T]``, nominally in [-1, 1], to 16 bits, little-endian; values outside are clipped."""
    scaled: NDArray[np.float32] = np.clip(np.rint(wave * _FULL_SCALE), -32768, 32767)
    return scaled.astype("<i2")


def from_int16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Sound ``float32 [T]`` that :func:`to_int16` turns into the same samples again."""
    return np.asarray(samples, np.float32) / _FULL_SCALE
