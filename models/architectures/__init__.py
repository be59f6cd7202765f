"""Architectures: one file each with its spec, its tensor table and its entry in the registry. No torch, no numba."""

from __future__ import annotations

from models.architectures.acoustic import ACOUSTIC
from models.architectures.pixelcnn import PIXELCNN
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
from models.spec import Spec
from models.tensors import Table

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

for _builtin in (WAVENET, ACOUSTIC, PIXELCNN, PIXELRNN):
    register(_builtin)


def tensor_table(spec: Spec) -> Table:
    """Every weight of a network."""
    return architecture(spec.kind).tensors(spec)
