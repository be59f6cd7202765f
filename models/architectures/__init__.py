"""Architectures: one file each with its spec, its tensor table and its entry in the registry. No torch."""

from __future__ import annotations

from ancestral.models.architectures.acoustic import ACOUSTIC, HIGH_BAND
from ancestral.models.architectures.classifier import CLASSIFIER, ENCODER
from ancestral.models.architectures.pixelcnn import PIXELCNN, PIXELCNN_AUTOENCODER
from ancestral.models.architectures.pixelrnn import PIXELRNN
from ancestral.models.architectures.registry import (
    Architecture,
    ArchitectureError,
    architecture,
    kinds,
    load_object,
    register,
)
from ancestral.models.architectures.wavenet import WAVENET
from ancestral.models.spec import LABEL_ROWS, ImageSpec, Spec
from ancestral.models.tensors import Table, Tensor

__all__ = ["Architecture", "ArchitectureError", "architecture", "kinds", "load_object", "register", "tensor_table"]

for _builtin in (WAVENET, ACOUSTIC, PIXELCNN, PIXELRNN, ENCODER, CLASSIFIER, PIXELCNN_AUTOENCODER, HIGH_BAND):
    register(_builtin)


def tensor_table(spec: Spec) -> Table:
    """Every tensor of a checkpoint: the weights of its network and, of pictures, the labels that occur together."""
    table = architecture(spec.kind).tensors(spec)
    if isinstance(spec, ImageSpec) and spec.label_rows:
        table = table | {LABEL_ROWS: Tensor((spec.label_rows, len(spec.attributes) + 1))}
    return table
