"""Whether symbols were drawn with the noise of a seed: evidence for it, and what chance gives.

Sampling by the inverse of the cumulative distribution is a watermark that leaves the distribution as it is (Kuditipudi
et al. 2023, arXiv:2307.15593): who knows the noise of a position can tell whether it leads to the symbol that was seen.
All statistics here are *e-values*: of a seed that had no part in what was seen, the noise is uniform and independent
of it, and then the expectation of the e-value is at most 1, whatever was seen. So the probability that it exceeds 1/p
is at most p (Markov's inequality), without any assumption about pictures, sounds, damage or models; a wrong model costs
evidence and cannot fake it. Of several seeds tried, p is multiplied by their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ancestral_models.categorical import uniforms
from ancestral_models.kernels.seed_search import search_intervals, search_linear, standard_noise

Floats = NDArray[np.float64]
SIGNIFICANT = 1e-6
"""The p-value below which a seed counts as found."""

_LN2 = math.log(2.0)
_SMALL = 1e-300
_USED = 0.75
_LIKELY, _UNLIKELY = math.log2(_USED), math.log2(1.0 - _USED)
_SPREADS = ((0.97, 0.03), (0.8, 0.2), (0.5, 0.5), (0.25, 0.75))
"""Shares of symbols that are taken to be as they were sampled, and of those that may be anything."""
_SEARCH_SHARE = 0.75
_SUSPECT = 0.02
_TELLING = 0.999
"""Positions whose symbol is more likely than this say nothing."""


@dataclass(frozen=True)
class Intervals:
    """The noise that leads to each symbol that was seen, and to its neighbours."""

    positions: NDArray[np.int64]
    """``[N]``: of the noise."""
    bounds: Floats
    """``[N, R, 2]``: at least, and below what; the first of R is of the symbol alone, each includes those before."""
    optional: int = 0
    """How many of the last positions may not have been used, together: a quarter of their e-value is 1, whatever was
    seen."""

    @property
    def symbols(self) -> int:
        """Positions that were used for certain."""
        return len(self.positions) - self.optional

    @property
    def sizes(self) -> Floats:
        """``[N, R]``: how probable each is."""
        return np.maximum(self.bounds[..., 1] - self.bounds[..., 0], _SMALL)

    def inside(self, seed: int) -> NDArray[np.bool_]:
        """``[N, R]``: whether the noise of a seed lies in them."""
        noise = _noise(seed, self.positions)[:, None]
        return np.asarray((self.bounds[..., 0] <= noise) & (noise < self.bounds[..., 1]))

    def evidence(self, seed: int) -> float:
        """log2 of the e-value of a seed: the mean of that of no damage and those of several shares of damaged symbols,
        of which the first counts three quarters."""
        inside, sizes = self.inside(seed), np.minimum(self.sizes, 1.0)
        ratios = inside / sizes
        certain, optional = ratios[: self.symbols], ratios[self.symbols :, 0]
        exact = float(-np.log2(sizes[: self.symbols, 0]).sum()) if inside[: self.symbols, 0].all() else -math.inf
        near, sums = certain.mean(axis=1), list[float]()
        for kept, anything in _SPREADS:
            sums.append(float(np.log2(kept * certain[:, 0] + anything).sum()))
            if ratios.shape[1] > 1:
                sums.append(float(np.log2(kept * near + anything).sum()))
        damaged = float(np.logaddexp2.reduce(sums)) - math.log2(len(sums))
        whole = float(np.logaddexp2(exact + _LIKELY, damaged + _UNLIKELY))
        return whole if not len(optional) else whole + math.log2(_USED * float(optional.prod()) + 1.0 - _USED)

    def search(self, seeds: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
        """The numbers of the seeds that fit best, at most ``most`` of them, the best first."""
        sizes, widest = self.sizes, self.bounds.shape[1] - 1
        column = min(1, widest)
        said = np.flatnonzero(sizes[:, column] < _TELLING)
        # The telling positions first; but those whose symbol is nearly impossible last: it may have been damaged.
        order = said[np.argsort(sizes[said, column] + (sizes[said, column] < _SUSPECT), kind="stable")]
        low, high = np.ascontiguousarray(self.bounds[order, column].T)
        hits = np.log(_SEARCH_SHARE / sizes[order, column] + (1.0 - _SEARCH_SHARE))
        misses = np.full(len(order), math.log(1.0 - _SEARCH_SHARE))
        misses[order >= self.symbols] = math.log(1.0 - _SEARCH_SHARE) / max(self.optional, 1)
        sums = search_intervals(seeds, self.positions[order], low, high, hits, misses)
        return _best(sums, most)


class Waves:
    """A sound without its spectrum, each sample of which grows with the noise that it was drawn with.

    Of a wrong seed, the sum over t of r[t] z[t] / |r|, z the noise in standard form, exceeds s with a probability of at
    most exp(-s^2 / 2): each z is uniform, whose moment generating function is below that of a normal variable.

    Args:
        residual: r ``[T]``.
    """

    def __init__(self, residual: Floats) -> None:
        self.residual = residual
        self._spectra: dict[int, NDArray[np.complex128]] = {}

    def evidence(self, seed: int, begin: int, length: int) -> float:
        """log2 of the inverse of that probability, of ``length`` samples from ``begin`` on: the noise begins there."""
        r = self.residual[begin : begin + length]
        return gain_bits(float(r @ standard_noise(seed, 0, len(r))), float(r @ r))

    def search(
        self, seeds: NDArray[np.uint64], begin: int, length: int, coupling: float, most: int
    ) -> NDArray[np.int64]:
        """The numbers of the seeds that fit best, at most ``most``, the best first.

        Args:
            seeds: ``[S]``.
            begin: the sample with which the noise begins.
            length: samples that are looked at.
            coupling: the correlation that is expected.
            most: that are returned.
        """
        r = self.residual[begin : begin + length]
        order = np.argsort(-np.abs(r), kind="stable")[: max(1, length // 4)]
        order = order[r[order] != 0.0].astype(np.int64)
        return _best(search_linear(seeds, order, coupling * r[order]), most)

    def offsets(self, seed: int, length: int) -> tuple[int, float]:
        """The sample of the sound at which a stream of ``length`` samples with this seed fits best, perhaps before the
        first; and log2 as of :meth:`evidence`, not yet reduced by the number of offsets."""
        size = 1 << (len(self.residual) + length - 1).bit_length()
        if size not in self._spectra:
            self._spectra[size] = np.fft.rfft(self.residual, size)
        z = np.fft.rfft(standard_noise(seed, 0, length), size)
        products = np.fft.irfft(self._spectra[size] * z.conj(), size)
        best = int(np.argmax(np.abs(products)))
        energy = float(self.residual @ self.residual)
        return best - size if best > len(self.residual) else best, gain_bits(float(products[best]), energy)


def gain_bits(product: float, energy: float) -> float:
    """-log2 of the bound on the probability of a sum of products, either sign: 2 exp(-s^2 / 2)."""
    return max(product * product / (2.0 * max(energy, _SMALL)) / _LN2 - 1.0, 0.0)


def log10_p(bits: float, trials: float) -> float:
    """log10 of the p-value of evidence in bits, the best of so many trials; at most 0."""
    return min(0.0, (math.log2(max(trials, 1.0)) - bits) * math.log10(2.0))


def _noise(seed: int, positions: NDArray[np.int64]) -> Floats:
    return uniforms(seed, 0, int(positions.max(initial=0)) + 1)[positions]


def _best(sums: Floats, most: int) -> NDArray[np.int64]:
    """The numbers of the largest positive sums, at most so many, the largest first."""
    found = np.flatnonzero(sums > 0.0)
    return found[np.argsort(-sums[found], kind="stable")][:most]
