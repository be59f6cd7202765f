"""Architectures: one file each with its spec, its tensor table and its entry in the registry. No torch."""

from __future__ import annotations

from ancestral_models.architectures.acoustic import ACOUSTIC, HIGH_BAND
from ancestral_models.architectures.classifier import CLASSIFIER, ENCODER
from ancestral_models.architectures.pixelcnn import PIXELCNN, PIXELCNN_AUTOENCODER
from ancestral_models.architectures.pixelrnn import PIXELRNN
from ancestral_models.architectures.registry import (
    Architecture,
    ArchitectureError,
    architecture,
    kinds,
    load_object,
    register,
)
from ancestral_models.architectures.wavenet import WAVENET
from ancestral_models.spec import LABEL_ROWS, ImageSpec, Spec
from ancestral_models.tensors import Table, Tensor

__all__ = ["Architecture", "ArchitectureError", "architecture", "kinds", "load_object", "register", "tensor_table"]

for _builtin in (WAVENET, ACOUSTIC, PIXELCNN, PIXELRNN, ENCODER, CLASSIFIER, PIXELCNN_AUTOENCODER, HIGH_BAND):
    register(_builtin)


def tensor_table(spec: Spec) -> Table:
    """Every tensor of a checkpoint: the weights of its network and, of pictures, the labels that occur together."""
    table = architecture(spec.kind).tensors(spec)
    if isinstance(spec, ImageSpec) and spec.label_rows:
        table = table | {LABEL_ROWS: Tensor((spec.label_rows, len(spec.attributes) + 1))}
    return table
