"""Edits: what a network sees of the pixels that are kept, around the region that it draws.

A network that draws pixel by pixel sees those before the pixel only. Of an edit the kept pixels are known from the
start, those below and right of the region as well, so they are a location-dependent condition (van den Oord et al.
2016, arXiv:1606.05328, section 2.3): a small network of convolutions, which nothing has to be masked in, makes a map of
them. It enters the main network where the coarse pixels' map does, and the coarse network as a part of h.
"""

from __future__ import annotations

from ancestral.models.spec import COARSE_STRIDE, ImageSpec
from ancestral.models.tensors import Table, convolution, matrix, normal, zeros

CONTEXT_PREFIX = "context."
_LAYERS = 3
"""Convolutions over cells: the map of a cell sees four cells in each direction."""
_NEAR = 5
"""Pixels, each way, of the convolution that sees the kept pixels themselves."""


def context_tensors(spec: ImageSpec, inner: int, outputs: int) -> Table:
    """The weights of the map of the kept pixels (networks/image.py's ContextMap).

    Args:
        spec: of the pictures.
        inner: channels of its layers.
        outputs: channels of the map.
    """
    inputs = spec.channels * spec.planes + 1
    return {
        "cell_taps": convolution(inner, inputs, COARSE_STRIDE, COARSE_STRIDE, gain=1.4),
        "cell_bias": zeros(inner),
        "taps": convolution(_LAYERS, inner, inner, 3, 3),
        "taps_bias": zeros(_LAYERS, inner),
        "upsampling": normal(inner, inner, COARSE_STRIDE, COARSE_STRIDE, std=inner**-0.5),
        "near_taps": convolution(inner, inputs, _NEAR, _NEAR, gain=1.4),
        "near_bias": zeros(inner),
        "out": matrix(inner, outputs, gain=0.5),
        "coarse_out": matrix(inner, spec.condition_channels, gain=0.5),
    }
