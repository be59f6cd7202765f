"""Architectures: one file each with its spec, its tensor table and its entry in the registry. No torch, no numba."""

from __future__ import annotations

from models.architectures.acoustic import ACOUSTIC
from models.architectures.encoder import ENCODER
from models.architectures.pixelcnn import PIXELCNN
from models.architectures.pixelcnn_autoencoder import PIXELCNN_AUTOENCODER
from models.architectures.pixelrnn import PIXELRNN
from models.architectures.registry import (
    Architecture,
    ArchitectureError,
    Exporter,
    architecture,
    kinds,
    load_object,
    register,
)
from models.architectures.wavenet import WAVENET
from models.spec import LABEL_ROWS, ImageSpec, Spec
from models.tensors import Table, Tensor

__all__ = [
    "Architecture",
    "ArchitectureError",
    "Exporter",
    "architecture",
    "kinds",
    "load_object",
    "register",
    "tensor_table",
]

for _builtin in (WAVENET, ACOUSTIC, PIXELCNN, PIXELRNN, ENCODER, PIXELCNN_AUTOENCODER):
    register(_builtin)


def tensor_table(spec: Spec) -> Table:
    """Every tensor of a checkpoint: the weights of its network and, of pictures, the labels that occur together."""
    table = architecture(spec.kind).tensors(spec)
    if isinstance(spec, ImageSpec) and spec.label_rows:
        table = table | {LABEL_ROWS: Tensor((spec.label_rows, len(spec.attributes) + 1))}
    return table
