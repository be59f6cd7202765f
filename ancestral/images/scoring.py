"""The exact likelihood of a picture (equation 1 of 1601.06759), in total and by pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def report(scores: NDArray[np.float64]) -> dict[str, Any]:
    """What ``POST /v1/images/likelihood`` says of ln p of every sub-pixel ``[1, H, W, C]``."""
    bits = -scores[0] / math.log(2.0)
    return {
        "bits_per_dim": round(float(bits.mean()), 6),
        "nats": round(float(-scores.sum()), 3),
        "dims": bits.size,
        "bits": [[round(float(pixel), 3) for pixel in row] for row in bits.sum(axis=2)],
    }
