"""A small set of pictures, and the spec of a network for it."""

from __future__ import annotations

import numpy as np
import torch

from ancestral.models.architectures.pixelcnn import PixelCNNSpec

CPU = torch.device("cpu")
CLASSES, STYLES = ("cat", "dog"), ("oil", "ink", "wax")
COUNT = 23
SPEC = PixelCNNSpec(
    height=6, width=5, channels=1, levels=2, layers=2, features=4, first_kernel_size=3, output_features=5,
    attributes=(("class", CLASSES), ("style", STYLES)), label_rows=7, conditioning="class",
)  # fmt: skip
PALETTE = np.array([(9, 9, 9, 0), (0, 0, 0, 255), (255, 128, 0, 255), (255, 255, 255, 255)], np.uint8)
Arrays = dict[str, np.ndarray]
