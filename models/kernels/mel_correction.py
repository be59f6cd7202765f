"""The frames of models/audio/mel_correction.py, compiled: a second of sound in one or two milliseconds."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def _fft(real, imaginary, cosines, sines):  # type: ignore[no-untyped-def]  # numba infers the types
    """The discrete Fourier transform of row 0; returns the row that it is in.

    Stockham's, in order, radix 4 with one last step of radix 2 where N asks for it.

    Args:
        real: ``[2, N]``, N a power of two; likewise ``imaginary``.
        cosines: of 2 pi k / N, ``[N / 2]``; likewise ``sines``.
    """
    size, span, row = real.shape[1], 1, 0
    half, quarter = size // 2, size // 4
    while span <= quarter:
        xr, xi, yr, yi = real[row], imaginary[row], real[1 - row], imaginary[1 - row]
        for start in range(0, quarter, span):
            c1, s1 = cosines[start], -sines[start]
            c2, s2 = c1 * c1 - s1 * s1, 2.0 * c1 * s1
            c3, s3 = c1 * c2 - s1 * s2, c1 * s2 + s1 * c2
            for k in range(start, start + span):
                ar, ai = xr[k] + xr[k + half], xi[k] + xi[k + half]
                br, bi = xr[k] - xr[k + half], xi[k] - xi[k + half]
                cr, ci = xr[k + quarter] + xr[k + quarter + half], xi[k + quarter] + xi[k + quarter + half]
                dr, di = xr[k + quarter] - xr[k + quarter + half], xi[k + quarter] - xi[k + quarter + half]
                to = k + 3 * start
                yr[to], yi[to] = ar + cr, ai + ci
                r, i = br + di, bi - dr
                yr[to + span], yi[to + span] = r * c1 - i * s1, r * s1 + i * c1
                r, i = ar - cr, ai - ci
                yr[to + 2 * span], yi[to + 2 * span] = r * c2 - i * s2, r * s2 + i * c2
                r, i = br - di, bi + dr
                yr[to + 3 * span], yi[to + 3 * span] = r * c3 - i * s3, r * s3 + i * c3
        span, row = 4 * span, 1 - row
    if span < size:
        for x in (real, imaginary):
            for k in range(half):
                x[1 - row, k], x[1 - row, k + half] = x[row, k] + x[row, k + half], x[row, k] - x[row, k + half]
        row = 1 - row
    return row


@njit(cache=True, error_model="numpy")
def _spectrum(real, imaginary, cosines, sines, xr, xi):  # type: ignore[no-untyped-def]
    """The bins ``[H + 1]`` of 2 H real numbers, from the transform ``[H]`` of the even ones + i the odd ones."""
    half = len(real)
    xr[0], xi[0], xr[half], xi[half] = real[0] + imaginary[0], 0.0, real[0] - imaginary[0], 0.0
    for k in range(1, half):
        er, ei = real[k] + real[half - k], imaginary[k] - imaginary[half - k]
        r, i = imaginary[k] + imaginary[half - k], real[half - k] - real[k]
        xr[k] = 0.5 * (er + r * cosines[k] + i * sines[k])
        xi[k] = 0.5 * (ei + i * cosines[k] - r * sines[k])


@njit(cache=True, error_model="numpy")
def _folded(xr, xi, cosines, sines, real, imaginary):  # type: ignore[no-untyped-def]
    """The transform ``[H]`` of the even numbers + i the odd ones, from the bins ``[H + 1]``: the inverse of
    :func:`_spectrum`."""
    half = len(real)
    real[0], imaginary[0] = 0.5 * (xr[0] + xr[half]), 0.5 * (xr[0] - xr[half])
    for k in range(1, half):
        r, i = xr[k] - xr[half - k], xi[k] + xi[half - k]
        real[k] = 0.5 * (xr[k] + xr[half - k] - r * sines[k] - i * cosines[k])
        imaginary[k] = 0.5 * (xi[k] - xi[half - k] + r * cosines[k] - i * sines[k])


@njit(cache=True, error_model="numpy")
def correct_frames(raw, total, first, hop, wanted, strengths, limit, floor, tables):  # type: ignore[no-untyped-def]
    """Bring the bands of some frames towards what is wanted, and add them to what is there.

    Args:
        raw: sound, ``float32 [N]``.
        total: of the frames so far, ``float32 [N]``; those of this call are added.
        first: where in it the first frame begins; another one begins every ``hop``.
        hop: a quarter of the window.
        wanted: logs of the bands, ``[J, B]``; likewise ``strengths``, ``[J]``.
        limit: of the log of a gain, either way.
        floor: of the log of a band.
        tables: see :class:`~ancestral.models.audio.mel_correction.Tables`.
    """
    window, bank, spans, below, shares, cosines, sines = tables
    size, bins = len(window), len(below)
    half, twice_cosines, twice_sines = bins - 1, cosines[::2].copy(), sines[::2].copy()
    re, im, xr, xi = np.empty((2, half)), np.empty((2, half)), np.empty(bins), np.empty(bins)
    magnitudes, gains = np.empty(bins), np.ones(len(bank))
    into_mean, out_of_sum, least = 1.0 / window.sum(), 1.0 / (1.5 * half), math.exp(floor)
    for j in range(len(wanted)):
        start = first + j * hop
        re[0], im[0] = 0.0, 0.0
        for n in range(0, size, 2):
            re[0, n // 2], im[0, n // 2] = raw[start + n] * window[n], raw[start + n + 1] * window[n + 1]
        row = _fft(re, im, twice_cosines, twice_sines)
        _spectrum(re[row], im[row], cosines, sines, xr, xi)
        for k in range(spans[-1, 1]):
            magnitudes[k] = math.sqrt(xr[k] * xr[k] + xi[k] * xi[k])
        for b in range(len(spans)):
            found = 0.0
            for k in range(spans[b, 0], spans[b, 1]):
                found += magnitudes[k] * bank[b, k]
            step = max(wanted[j, b], floor) - math.log(max(found * into_mean, least))
            gains[b] = math.exp(strengths[j] * min(max(step, -limit), limit))
        for k in range(bins):
            gain = gains[below[k]] + shares[k] * (gains[below[k] + 1] - gains[below[k]])
            xr[k], xi[k] = gain * xr[k], gain * xi[k]
        # The inverse transform is the transform with real and imaginary parts exchanged.
        _folded(xr, xi, cosines, sines, im[0], re[0])
        row = _fft(re, im, twice_cosines, twice_sines)
        for n in range(0, size, 2):
            total[start + n] += window[n] * im[row, n // 2] * out_of_sum
            total[start + n + 1] += window[n + 1] * re[row, n // 2] * out_of_sum
