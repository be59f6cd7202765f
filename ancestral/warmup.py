"""Samples a moment with every model before the first job, so that kernels are compiled and files are read."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from ancestral.catalog.sampler import Sampler
from ancestral.compilation import compilation_logged

log = logging.getLogger(__name__)


def warm_up(samplers: Mapping[str, Sampler]) -> dict[str, str]:
    """Warm every model up, with a log line for each; what :meth:`Sampler.warm` gives, by the id of the model."""
    probes = {}
    for number, (name, sampler) in enumerate(samplers.items(), 1):
        start = time.perf_counter()
        with compilation_logged(name):
            probes[name] = sampler.warm()
        seconds = round(time.perf_counter() - start, 3)
        log.info("model warm", extra={"model": name, "seconds": seconds, "progress": f"{number}/{len(samplers)}"})
    return probes
