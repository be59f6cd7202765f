"""Specs of PixelRNNs for tests: every LSTM, numbers of channels and levels, with and without conditions."""

from __future__ import annotations

import pytest

from ancestral.models.architectures.pixelrnn import LSTMS, PixelRNNSpec
from tests.models.random_pictures import CLASS, STYLE, TWO_SCALES

CONDITIONS: dict[str, dict[str, object]] = {
    "none": {},
    "class and style": {"attributes": (CLASS, STYLE), "conditioning": "class"},
}


def tiny_rnn(lstm: str, channels: int, **changes: object) -> PixelRNNSpec:
    """A network for pictures of 7 × 9 pixels, whose features do not divide by the channels."""
    sizes: dict[str, object] = {
        "height": 7, "width": 9, "channels": channels, "levels": 256 if channels == 3 else 2, "lstm": lstm,
        "layers": 2, "features": 7, "first_kernel_size": 5, "output_features": 31, "condition_channels": 5,
    }  # fmt: skip
    return PixelRNNSpec(**{**sizes, **changes})  # type: ignore[arg-type]


RNN_SPECS = {
    f"{lstm}, {'RGB' if channels == 3 else 'grey'}, {name}": tiny_rnn(lstm, channels, **fields)
    for lstm in LSTMS
    for channels in (1, 3)
    for name, fields in CONDITIONS.items()
} | {
    "row, grey, 256 levels, skips": tiny_rnn("row", 1, levels=256, skip_connections=True, layers=3, kernel_size=5),
    "row, RGB, 2 levels, skips": tiny_rnn("row", 3, levels=2, skip_connections=True, layers=1, kernel_size=5),
    "diagonal, grey, 256 levels, skips": tiny_rnn("diagonal", 1, levels=256, skip_connections=True, layers=3),
    "diagonal, RGB, 2 levels, skips": tiny_rnn("diagonal", 3, levels=2, skip_connections=True, layers=1),
    "row, grey, none, two scales": tiny_rnn("row", 1, **TWO_SCALES, coarse_channels=6),
    "diagonal, grey, none, two scales": tiny_rnn("diagonal", 1, **TWO_SCALES, coarse_channels=6),
    "row, RGB, class and style, two scales": tiny_rnn("row", 3, **CONDITIONS["class and style"], **TWO_SCALES),
    "diagonal, RGB, class and style, two scales": tiny_rnn(
        "diagonal", 3, **CONDITIONS["class and style"], **TWO_SCALES
    ),
}

EVERY_RNN = pytest.mark.parametrize("spec", RNN_SPECS.values(), ids=RNN_SPECS)
