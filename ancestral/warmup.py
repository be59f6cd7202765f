"""Samples a moment with every model before the first job, so that what is read on first use is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from ancestral.catalog.sampler import Sampler

log = logging.getLogger(__name__)


def warm_up(samplers: Mapping[str, Sampler]) -> dict[str, str]:
    """Warm every model up, with a log line for each; what :meth:`Sampler.warm` gives, by the id of the model."""
    probes = {}
    for number, (name, sampler) in enumerate(samplers.items(), 1):
        start = time.perf_counter()
        probes[name] = sampler.warm()
        seconds = round(time.perf_counter() - start, 3)
        log.info("model warm", extra={"model": name, "seconds": seconds, "progress": f"{number}/{len(samplers)}"})
    return probes
