"""The spec, the tensor table and the registration; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ancestral_models.architectures import Architecture
from ancestral_models.spec import LABEL_EMBEDDING, ImageSpec, option
from ancestral_models.tensors import Table, convolution, matrix, normal, zeros


@dataclass(frozen=True)
class ToySpec(ImageSpec):
    """Every sub-pixel depends on the pixels before it within a square, and on h."""

    kind: ClassVar[str] = "toy"

    kernel_size: int = option(3, "The side of the square; odd.", least=3)

    @property
    def reach(self) -> int:
        """Rows above a pixel that it depends on."""
        return self.kernel_size // 2


def tensors(spec: ToySpec) -> Table:
    """The weights."""
    outputs = spec.channels * spec.levels
    table = {
        "taps": convolution(outputs, spec.channels * spec.planes, spec.kernel_size, spec.kernel_size),
        "taps_bias": zeros(outputs),
    }
    if spec.conditions:
        table[LABEL_EMBEDDING] = normal(spec.embedding_rows, spec.condition_channels, std=0.3)
        table["condition"] = matrix(spec.condition_channels, outputs)
    return table


TOY = Architecture(
    spec=ToySpec,
    tensors=tensors,
    network="toy_images.network:ToyNetwork",
    task="ancestral_training.tasks.pictures:ImageTask",
)
