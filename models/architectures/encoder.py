"""A convolutional encoder of pictures: what a PixelCNN autoencoder, or one that draws portraits, is conditioned on.

In van den Oord et al. 2016 (arXiv:1606.05328) such a network gives the vector h of a picture: in section 3.4 the
encoder of an autoencoder, in section 3.3 a network of faces that was trained with the triplet loss (Schroff et al.
2015, arXiv:1503.03832), whose embeddings have length 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ancestral.models.architectures.registry import Architecture
from ancestral.models.spec import PictureSpec, SpecError, option
from ancestral.models.tensors import Table, convolution, matrix, zeros


@dataclass(frozen=True)
class EncoderSpec(PictureSpec):
    """An encoder: ``layers`` convolutions of 3 × 3 with stride 2 and ReLU, then a matrix to ``code`` numbers.

    The first convolution has ``features`` outputs, each later one twice as many as the one before.
    """

    kind: ClassVar[str] = "encoder"

    layers: int = option(4, "Each halves the height and the width.", least=1)
    features: int = option(32, "Of the first layer; each later one has twice as many.", least=1)
    code: int = option(32, "Numbers of the vector h of a picture.", least=1)
    normalised: bool = option(True, "Whether h has length 1.", off="not-normalised")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("layers", "features", "code")
        if not isinstance(self.normalised, bool):
            raise SpecError(f"normalised: must be true or false, not {self.normalised!r}")

    @property
    def title(self) -> str:
        return "Encoder of pictures"

    @property
    def widths(self) -> tuple[int, ...]:
        """Features before the first layer and after each."""
        return self.channels * self.planes, *(self.features << layer for layer in range(self.layers))

    @property
    def cells(self) -> int:
        """Rows times columns of the last layer."""
        return -(-self.height // (1 << self.layers)) * -(-self.width // (1 << self.layers))


def tensors(spec: EncoderSpec) -> Table:
    table: Table = {}
    for layer, inputs in enumerate(spec.widths[:-1]):
        outputs = spec.widths[layer + 1]
        table[f"convolution_{layer}"] = convolution(outputs, inputs, 3, 3, gain=2**0.5)
        table[f"convolution_{layer}_bias"] = zeros(outputs)
    table["code"] = matrix(spec.widths[-1] * spec.cells, spec.code)
    table["code_bias"] = zeros(spec.code)
    return table


ENCODER = Architecture(
    spec=EncoderSpec,
    tensors=tensors,
    network="ancestral.models.networks.encoder:Encoder",
    task="ancestral.training.tasks.pictures:EmbeddingTask",
)
