"""A classifier of pictures: what a picture shows, by attributes. It judges what an image model has drawn.

It is the encoder of models/architectures/encoder.py, whose vector, cut off below 0, a matrix takes to one logit for
every value of every attribute; a softmax for each attribute makes probabilities of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from ancestral.models.architectures import encoder
from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.architectures.registry import Architecture
from ancestral.models.spec import ENCODER_PREFIX, ImageSpec, PictureSpec, SpecError, check_attributes, option
from ancestral.models.tensors import Table, matrix, prefixed, zeros


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
        self.require_positive("layers", "features", "code")
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


def tensors(spec: ClassifierSpec) -> Table:
    head = {"head": matrix(spec.code, spec.outputs), "head_bias": zeros(spec.outputs)}
    return prefixed(ENCODER_PREFIX, encoder.tensors(spec.encoder)) | head


CLASSIFIER = Architecture(
    spec=ClassifierSpec,
    tensors=tensors,
    network="ancestral.models.networks.classifier:Classifier",
    task="ancestral.training.tasks.pictures:ClassificationTask",
)
