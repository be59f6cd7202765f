"""Pictures by naive sampling, which engines are compared with."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.networks.reference_sampler import draw
from ancestral.models.spec import ImageSpec
from tests.models.random_models import checkpoint_of, oracle, pictures_of

Vector = NDArray[np.float32]
Pictures = NDArray[np.uint8]


def conditions(engine: ImageEngine, count: int) -> list[Vector | None]:
    """h of each picture: of pictures; or of something between two labels, then every label in turn, and nothing."""
    if engine.spec.encoder is not None:
        return [engine.encode(picture) for picture in pictures_of(engine.spec, count)]
    if not engine.spec.conditions:
        return [None] * count
    lists = [[*range(len(names)), None] for names in engine.spec.conditions]
    hs = [engine.embed_labels([labels[i % len(labels)] for labels in lists]) for i in range(count)]
    return [((hs[0] + hs[1]) / 2).astype(np.float32), *hs[1:]]


def requests(engine: ImageEngine, count: int) -> list[ImageStreamRequest]:
    return [ImageStreamRequest(seed=100 + i, h=h) for i, h in enumerate(conditions(engine, count))]


def tempered(wanted: list[ImageStreamRequest]) -> list[ImageStreamRequest]:
    """Every other picture at another temperature."""
    return [replace(r, temperature=(1.0, 0.6)[i % 2]) for i, r in enumerate(wanted)]


def drawn_by_oracle(spec: ImageSpec, wanted: list[ImageStreamRequest], free: Vector | None = None) -> Pictures:
    """The oracle's pictures, all in one pass, since each costs as much alone.

    Args:
        spec: of random weights.
        wanted: each with a temperature and a guidance of its own.
        free: h of the unconditional pass; required where any guidance is not 1.
    """
    vectors = None if free is None else (free.tobytes(),) * len(wanted)
    hs = tuple(None if r.h is None else r.h.tobytes() for r in wanted)
    return _drawn(spec, hs, tuple((r.seed, r.temperature, r.guidance) for r in wanted), vectors)


@cache
def _drawn(
    spec: ImageSpec,
    hs: tuple[bytes | None, ...],
    how: tuple[tuple[int, float, float], ...],
    free: tuple[bytes, ...] | None,
) -> Pictures:
    """Once for all engines. Vectors are bytes, so that they can be compared."""

    def vectors(rows: tuple[bytes | None, ...] | None) -> torch.Tensor | None:
        given = [np.frombuffer(row, np.float32) for row in rows or () if row is not None]
        return torch.from_numpy(np.stack(given)).double() if given else None

    seeds, temperatures, guidance = zip(*how, strict=True)
    return draw(
        oracle(checkpoint_of(spec)), vectors(hs), seeds, np.array(temperatures), None, np.array(guidance), vectors(free)
    )


def guided(engine: ImageEngine, count: int) -> list[ImageStreamRequest]:
    """Every other picture guided, each by another strength."""
    free = engine.embed_labels([None] * len(engine.spec.conditions))
    wanted = requests(engine, count)
    return [replace(r, guidance=5.0 * i, unconditional=free) if i % 2 else r for i, r in enumerate(wanted)]


def guided_by_oracle(engine: ImageEngine, wanted: list[ImageStreamRequest]) -> Pictures:
    return drawn_by_oracle(engine.spec, wanted, engine.embed_labels([None] * len(engine.spec.conditions)))
