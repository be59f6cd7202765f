"""Read values from a `/metrics` page, for benchmarks without Prometheus."""

from __future__ import annotations

import math
import re

_BUCKET = r'^{name}_bucket\{{(?:.*,)?le="([^"]+)"[^}}]*\}} (\S+)$'


def total(page: str, name: str) -> float:
    """The sum of all samples of this name."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE))


def quantile(page: str, name: str, q: float) -> float:
    """A quantile of a histogram over all its series, interpolated linearly within a bucket, as Prometheus does.

    Args:
        page: the metrics of one process.
        name: of the histogram.
        q: 0 … 1.

    Returns:
        NaN if there are no observations; the last finite bound if the quantile lies beyond it.
    """
    counts: dict[float, float] = {}
    for bound, count in re.findall(_BUCKET.format(name=name), page, re.MULTILINE):
        counts[float(bound)] = counts.get(float(bound), 0.0) + float(count)
    wanted, low, before = q * counts.get(math.inf, 0.0), 0.0, 0.0
    if not wanted:
        return math.nan
    for bound, count in sorted(counts.items()):
        if count >= wanted:
            return low if bound == math.inf else low + (bound - low) * (wanted - before) / (count - before)
        low, before = bound, count
    raise AssertionError("the last bucket holds all")
