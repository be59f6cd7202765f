"""What the tests of networks that draw share: specs of every kind, and networks whose every weight matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from models.checkpoint import Checkpoint
from models.networks.pixelcnn import GatedPixelCNN, OriginalPixelCNN, build
from models.spec import PixelCNNSpec

CLASSES, STYLES = ("cat", "dog", "cow"), ("oil", "ink")
KINDS = {"kinds": ("lion", "tiger", "pug", "lynx"), "kind_classes": (0, 0, 1, 0), "kind_counts": (5, 1, 3, 2)}
"""A cow is of no kind."""
CONDITIONS = {
    "none": {},
    "class": {"classes": CLASSES, "conditioning": "class"},
    "style": {"styles": STYLES, "conditioning": "class"},
    "class and style": {"classes": CLASSES, "styles": STYLES, "conditioning": "class"},
    "location": {"classes": CLASSES, "styles": STYLES, "conditioning": "location"},
    "kinds and an outline": {
        "classes": CLASSES, "styles": STYLES, **KINDS, "conditioning": "location",
        "height": 8, "width": 12, "outline_layers": 2, "outline_features": 8,
    },
}  # fmt: skip


def tiny(gated: bool, channels: int, **changes: object) -> PixelCNNSpec:
    """A network that sees three rows up, on pictures of 7 × 9 pixels."""
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


def network(spec: PixelCNNSpec, seed: int = 0) -> GatedPixelCNN | OriginalPixelCNN:
    """In double precision, with biases that are not zero."""
    torch.manual_seed(seed)
    model = build(spec).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.3)
    return model.eval().requires_grad_(False)


def labels_of(spec: PixelCNNSpec, batch: int) -> torch.Tensor | None:
    """Labels of every kind, "nothing asked" among them; None for a network without conditions."""
    columns = [torch.arange(batch) % (len(names) + 1) for names in spec.conditions]
    return torch.stack(columns, dim=1) if columns else None


def checkpoint_of(spec: PixelCNNSpec, seed: int = 0) -> Checkpoint:
    """The weights of :func:`network`, at rest."""
    tensors = {name: tensor.numpy().astype(np.float32) for name, tensor in network(spec, seed).state_dict().items()}
    return Checkpoint(spec, tensors, f"{seed:064x}", Path(), "")


def oracle(checkpoint: Checkpoint) -> GatedPixelCNN | OriginalPixelCNN:
    """The network of a checkpoint in double precision."""
    assert isinstance(checkpoint.spec, PixelCNNSpec)
    model = build(checkpoint.spec).double()
    model.load_state_dict({name: torch.from_numpy(tensor).double() for name, tensor in checkpoint.tensors.items()})
    return model.eval().requires_grad_(False)
