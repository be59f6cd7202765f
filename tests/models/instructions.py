"""Sets of instructions of this processor, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ancestral_models import native
from ancestral_models.native_build import variants

EVERY_VARIANT = pytest.mark.parametrize("variant", variants())
MORE_THAN_ONE = pytest.mark.skipif(len(variants()) == 1, reason="this processor has one set of instructions")


def force(monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    """Have the kernels use a set of instructions from here on."""
    monkeypatch.setattr(native, "instructions", lambda: variant)


def each_variant(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every set of instructions, which is in use until the next one is asked for."""
    for variant in variants():
        force(monkeypatch, variant)
        yield variant
