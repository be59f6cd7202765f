"""Seeds of requests, and of their sentences or pictures."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from ancestral.errors import check_range

_GOLDEN: Final = 0x9E3779B97F4A7C15
MAX_SEED: Final = 2**63 - 1
EXACT: Final = 2**53
"""Numbers below this are exact in JavaScript. So are seeds that nobody has chosen."""


def draw_seed() -> int:
    """A random seed, for a request without one."""
    return secrets.randbelow(EXACT)


def seed_or_drawn(seed: int | None) -> int:
    """The seed of a request, or a random one.

    Raises:
        InvalidRequest: it is negative, or has more than 63 bits.
    """
    if seed is None:
        return draw_seed()
    check_range("seed", seed, 0, MAX_SEED)
    return seed


def digest_seed(seed: int, name: str) -> int:
    """The seed of one of many texts or pictures, by its name, which need not be made in order: below 2^53."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{name}".encode()).digest()[:8]) >> 11


def part_seed(seed: int, index: int) -> int:
    """The seed of a request's sentence or picture number ``index``; the first has the request's own.

    An odd multiple of the index is added, modulo 2^53, so no two parts of one request share a seed.
    """
    return (seed + index * _GOLDEN) % EXACT if index else seed
