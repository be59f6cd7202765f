"""What the tests of image networks share: specs of every kind, and networks whose every weight matters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.architectures import tensor_table
from models.architectures.pixelcnn import PixelCNNSpec
from models.checkpoint import Checkpoint
from models.networks import load_network
from models.networks.image import ImageNetwork
from models.spec import ImageSpec
from models.tensors import random_tensors

CLASSES, STYLES = ("cat", "dog", "cow"), ("oil", "ink")
SUBCLASSES = {
    "subclasses": ("lion", "tiger", "pug", "lynx"), "subclass_classes": (0, 0, 1, 0), "subclass_counts": (5, 1, 3, 2),
}  # fmt: skip
"""A cow has no subclass."""
CONDITIONS = {
    "none": {},
    "class": {"classes": CLASSES, "conditioning": "class"},
    "style": {"styles": STYLES, "conditioning": "class"},
    "class and style": {"classes": CLASSES, "styles": STYLES, "conditioning": "class"},
    "location": {"classes": CLASSES, "styles": STYLES, "conditioning": "location"},
    "subclasses, two scales": {
        "classes": CLASSES, "styles": STYLES, **SUBCLASSES, "conditioning": "location",
        "height": 8, "width": 12, "coarse_layers": 2, "coarse_features": 8,
    },
}  # fmt: skip


def tiny(gated: bool, channels: int, **changes: object) -> PixelCNNSpec:
    """A network that sees three rows up, for pictures of 7 × 9 pixels."""
    sizes: dict[str, object] = {
        "height": 7, "width": 9, "channels": channels, "levels": 256 if channels == 3 else 2, "gated": gated,
        "layers": 3, "features": 14 if channels == 3 else 6, "first_kernel_size": 3, "output_features": 31,
        "condition_channels": 5, "location_channels": 3,
    }  # fmt: skip
    return PixelCNNSpec(**{**sizes, **changes})  # type: ignore[arg-type]


SPECS = {
    f"{'gated' if gated else 'original'}, {'RGB' if channels == 3 else 'grey'}, {name}": tiny(gated, channels, **fields)
    for gated in (True, False)
    for channels in (1, 3)
    for name, fields in CONDITIONS.items()
}


def _quick(name: str) -> bool:
    """Half of SPECS: every pair of two properties (gated or not, channels, conditions) is among them."""
    architecture, channels, condition = name.split(", ", 2)
    return (list(CONDITIONS).index(condition) + (architecture == "gated") + (channels == "RGB")) % 2 == 0


def each_of(specs: dict[str, PixelCNNSpec]) -> pytest.MarkDecorator:
    """Run a test with each spec; of SPECS, half are slow."""
    return pytest.mark.parametrize(
        "spec",
        [
            pytest.param(spec, id=name, marks=pytest.mark.slow if name in SPECS and not _quick(name) else ())
            for name, spec in specs.items()
        ],
    )


def network(spec: ImageSpec, seed: int = 0) -> ImageNetwork:
    """A random network in double precision, with biases that are not zero."""
    return oracle(checkpoint_of(spec, seed))


def labels_of(spec: ImageSpec, batch: int) -> torch.Tensor | None:
    """Labels of every condition, "unspecified" among them; None for a network without conditions."""
    columns = [torch.arange(batch) % (len(names) + 1) for names in spec.conditions]
    return torch.stack(columns, dim=1) if columns else None


def checkpoint_of(spec: ImageSpec, seed: int = 0) -> Checkpoint:
    """Random weights, with biases that are not zero."""
    return Checkpoint(spec, random_tensors(tensor_table(spec), seed, bias_std=0.3), f"{seed:064x}", Path(), "")


def oracle(checkpoint: Checkpoint) -> ImageNetwork:
    """The network of a checkpoint in double precision."""
    model = load_network(checkpoint, torch.float64)
    assert isinstance(model, ImageNetwork)
    return model
