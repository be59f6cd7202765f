"""Evaluation of networks that are conditioned on a picture: reconstructions, or portraits, and their sheets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.training.data.images import Images, write_sheet


def reconstruct(
    engine: ImageEngine, pictures: Images, samples: int, temperature: float = 1.0, seed: int = 0
) -> NDArray[np.uint8]:
    """Sample what the vectors of pictures ``[N, H, W, C]`` stand for, ``[samples, N, H, W, C]``."""
    hs = [engine.encode(picture) for picture in pictures]
    requests = [
        ImageStreamRequest(seed + sample * len(hs) + number, temperature, h)
        for sample in range(samples)
        for number, h in enumerate(hs)
    ]
    return engine.draw(requests).reshape(samples, *pictures.shape)


def write_rows(rows: Sequence[Images], file: Path) -> None:
    """Write a sheet with a row for each of ``rows``, pixels ``[N, H, W, C]``, at twice their size."""
    write_sheet(np.concatenate(rows).repeat(2, axis=1).repeat(2, axis=2), len(rows[0]), file)
