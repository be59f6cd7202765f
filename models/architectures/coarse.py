"""Pictures in two scales: what networks have in common that sample their coarse pixels first.

Multi-Scale PixelRNN (van den Oord et al. 2016, arXiv:1601.06759, section 3.6): a network of its own samples the coarse
pixels (spec.COARSE). A small network of convolutions, the last of which upsamples (deconvolves), makes a map as
large as the picture of them, which the network of all other pixels is conditioned on.
"""

from __future__ import annotations

from ancestral.models.spec import COARSE_STRIDE, ImageSpec, SpecError
from ancestral.models.tensors import Table, convolution, normal, zeros


def require_whole_cells(spec: ImageSpec) -> None:
    """Raise :class:`SpecError` unless the picture has a coarse pixel for every part of it."""
    if spec.height % COARSE_STRIDE or spec.width % COARSE_STRIDE:
        raise SpecError(f"coarse_layers: needs pictures of whole cells ({COARSE_STRIDE} x {COARSE_STRIDE})")


def coarse_map_tensors(spec: ImageSpec, inner: int, outputs: int) -> Table:
    """The weights of the map of the coarse pixels (networks/image.py's CoarseMap).

    Args:
        spec: of the pictures.
        inner: channels before the upsampling.
        outputs: channels of the map.
    """
    return {
        "taps": convolution(inner, spec.channels * spec.planes, 3, 3, gain=1.4),
        "taps_bias": zeros(inner),
        "neighbour_taps": convolution(inner, inner, 3, 3, gain=1.4),
        "neighbour_bias": zeros(inner),
        "upsampling": normal(inner, outputs, COARSE_STRIDE, COARSE_STRIDE, std=inner**-0.5),
    }
