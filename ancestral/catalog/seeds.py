"""Seeds of requests, and of their sentences or pictures."""

from __future__ import annotations

import secrets

_GOLDEN = 0x9E3779B97F4A7C15


def draw_seed() -> int:
    """A random seed, for a request without one."""
    return secrets.randbits(63)


def part_seed(seed: int, index: int) -> int:
    """The seed of a request's sentence or picture number ``index``; the first has the request's own.

    An odd multiple of the index is added, modulo 2^63, so no two parts of one request share a seed.
    """
    return (seed + index * _GOLDEN) % 2**63
