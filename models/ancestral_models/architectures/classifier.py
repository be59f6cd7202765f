"""A classifier of pictures: what a picture shows, by attributes. It judges what an image model has drawn.

It is the encoder below, whose vector, cut off below 0, a matrix takes to one logit for
every value of every attribute; a softmax for each attribute makes probabilities of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from ancestral_models.architectures.registry import Architecture
from ancestral_models.spec import ENCODER_PREFIX, ImageSpec, PictureSpec, SpecError, check_attributes, option
from ancestral_models.tensors import Table, convolution, matrix, prefixed, zeros

# A convolutional encoder of pictures: what a PixelCNN autoencoder, or one that draws portraits, is conditioned on.
#
# In van den Oord et al. 2016 (arXiv:1606.05328) such a network gives the vector h of a picture: in section 3.4 the
# encoder of an autoencoder, in section 3.3 a network of faces that was trained with the triplet loss (Schroff et al.
# 2015, arXiv:1503.03832), whose embeddings have length 1.


MAX_LAYERS: Final = 16


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
        self.require_positive("layers", most=MAX_LAYERS)
        self.require_positive("features", "code")

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


def encoder_tensors(spec: EncoderSpec) -> Table:
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
    tensors=encoder_tensors,
    network="ancestral_models.networks.image:Encoder",
    task="ancestral_training.tasks.pictures:EmbeddingTask",
)


@dataclass(frozen=True)
class ClassifierSpec(PictureSpec):
    """A classifier of ``attributes``: pairs of a name and the names of its values."""

    kind: ClassVar[str] = "classifier"

    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    layers: int = option(3, "Convolutions; each halves the height and the width.", least=1)
    features: int = option(32, "Of the first layer; each later one has twice as many.", least=1)
    code: int = option(128, "Numbers that the attributes are told from.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.encoder  # which checks the fields that it shares
        check_attributes(self.attributes)
        if not self.attributes:
            raise SpecError("attributes: a classifier needs pictures with labels")

    @property
    def title(self) -> str:
        return "Classifier of pictures"

    @property
    def encoder(self) -> EncoderSpec:
        """The spec of the convolutions."""
        names = ("height", "width", "channels", "levels", "palette", "layers", "features", "code")
        return EncoderSpec(**{name: getattr(self, name) for name in names}, normalised=False)

    @property
    def outputs(self) -> int:
        """Logits: one for each value of each attribute, in order."""
        return sum(len(values) for _, values in self.attributes)


class Shown(NamedTuple):
    """What a picture shows of one attribute."""

    value: str
    """The most likely value."""
    probability: float
    """Its probability under the classifier."""


def shared_fields(spec: ImageSpec) -> dict[str, Any]:
    """The fields that a classifier has in common with the network whose pictures it is for."""
    return {name: getattr(spec, name) for name in ("height", "width", "channels", "levels", "palette", "attributes")}


def classifier_tensors(spec: ClassifierSpec) -> Table:
    head = {"head": matrix(spec.code, spec.outputs), "head_bias": zeros(spec.outputs)}
    return prefixed(ENCODER_PREFIX, encoder_tensors(spec.encoder)) | head


CLASSIFIER = Architecture(
    spec=ClassifierSpec,
    tensors=classifier_tensors,
    network="ancestral_models.networks.image:Classifier",
    task="ancestral_training.tasks.pictures:ClassificationTask",
)
