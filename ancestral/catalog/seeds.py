"""Seeds of requests, and of their sentences or pictures."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.errors import InvalidRequest, check_range

_GOLDEN: Final = 0x9E3779B97F4A7C15
MAX_SEED: Final = 2**63 - 1
EXACT: Final = 2**53
"""Numbers below this are exact in JavaScript. So are seeds that nobody has chosen."""


_PER_DIGEST: Final = 4
_WASTED_BITS: Final = 11
_source: ContextVar[Callable[[], int] | None] = ContextVar("seed_source", default=None)
MAX_SEED_TEXT: Final = 256
"""Characters of a seed that is a text."""
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def draw_seed() -> int:
    """A seed for a request without one: random, or of the source of :func:`draw_from`. Below 2^53."""
    source = _source.get()
    return secrets.randbelow(EXACT) if source is None else source()


def draw_from(source: Callable[[], int] | None) -> None:
    """Have the seeds of this context (a request, a background task) drawn by ``source``; None: at random.

    Every request passes :func:`draw_seed`, over HTTP, a websocket or in a batch. As an argument of all that lies in
    between, the source could be forgotten in one of them.
    """
    _source.set(source)


def keyed_seeds(key: bytes, first: int, count: int) -> NDArray[np.uint64]:
    """The seeds of counters ``first`` to ``first + count - 1`` under a key: ``[count]``, each below 2^53.

    HMAC-SHA256 of a quarter of the counter, as 8 bytes, the most significant first; of its four words of 64 bits the
    one that the remainder names, its upper 53 bits. Uniform and independent to whoever has no key.
    """
    start, stop = first // _PER_DIGEST, -(-(first + count) // _PER_DIGEST)
    digests = b"".join(hmac.digest(key, number.to_bytes(8), "sha256") for number in range(start, stop))
    seeds = np.frombuffer(digests, ">u8").astype(np.uint64) >> np.uint64(_WASTED_BITS)
    return seeds[first - start * _PER_DIGEST :][:count]


def seed_of_text(text: str) -> int:
    """The seed that a text stands for: a number in digits is that number, anything else is hashed (:func:`digest_seed`,
    as the names of avatars are). The range of a number is not checked.

    Raises:
        ValueError: it is a number with a fraction, empty, too long or no text; the message says what is wrong.
    """
    if not 1 <= len(text) <= MAX_SEED_TEXT:
        raise ValueError(f"must have 1 to {MAX_SEED_TEXT} characters")
    if _WHOLE.fullmatch(number := text.strip()):
        return int(number)
    if _NUMBER.fullmatch(number):
        raise ValueError("must be a whole number, or a text that is not a number")
    try:
        return digest_seed(0, text)
    except UnicodeEncodeError:
        raise ValueError("contains an unpaired surrogate") from None


def seed_or_drawn(seed: int | str | None) -> int:
    """The seed of a request, or a random one.

    Raises:
        InvalidRequest: it is negative, or has more than 63 bits, or is a text that :func:`seed_of_text` refuses.
    """
    if seed is None:
        return draw_seed()
    if isinstance(seed, str):
        try:
            seed = seed_of_text(seed)
        except ValueError as error:
            raise InvalidRequest(f"seed: {error}", param="seed", code="invalid_value") from None
    check_range("seed", seed, 0, MAX_SEED)
    return seed


def seed_as_json(seed: int) -> int | str:
    """A seed in JSON: digits in a string if JavaScript would round the number."""
    return seed if seed < EXACT else str(seed)


def digest_seed(seed: int, name: str) -> int:
    """The seed of one of many texts or pictures, by its name, which need not be made in order: below 2^53."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{name}".encode()).digest()[:8]) >> 11


def part_seed(seed: int, index: int) -> int:
    """The seed of a request's sentence or picture number ``index``; the first has the request's own.

    An odd multiple of the index is added, modulo 2^53, so no two parts of one request share a seed.
    """
    return (seed + index * _GOLDEN) % EXACT if index else seed


def part_seeds(seeds: NDArray[np.uint64], index: int) -> NDArray[np.uint64]:
    """:func:`part_seed` of many seeds below 2^53."""
    return (seeds + np.uint64(index * _GOLDEN % EXACT)) % np.uint64(EXACT)
