"""PixelCNN, gated (van den Oord et al. 2016, arXiv:1606.05328) and original (arXiv:1601.06759, section 3.5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ancestral_models.architectures import classifier
from ancestral_models.architectures.classifier import MAX_LAYERS, EncoderSpec
from ancestral_models.architectures.registry import Architecture, Exporter
from ancestral_models.spec import (
    COARSE_PREFIX,
    COARSE_STRIDE,
    ENCODER_PREFIX,
    LABEL_EMBEDDING,
    ImageSpec,
    SpecError,
    option,
)
from ancestral_models.tensors import Table, Tensor, convolution, matrix, normal, prefixed, zeros

# Edits: what a network sees of the pixels that are kept, around the region that it draws.
#
# A network that draws pixel by pixel sees those before the pixel only. Of an edit the kept pixels are known from the
# start, those below and right of the region as well, so they are a location-dependent condition (van den Oord et al.
# 2016, arXiv:1606.05328, section 2.3): a small network of convolutions, which nothing has to be masked in, makes a map
# of them. It enters the main network where the coarse pixels' map does, and the coarse network as a part of h.

CONTEXT_PREFIX = "context."
_LAYERS = 3
"""Convolutions over cells: the map of a cell sees four cells in each direction."""
_NEAR = 5
"""Pixels, each way, of the convolution that sees the kept pixels themselves."""


def context_tensors(spec: ImageSpec, inner: int, outputs: int) -> Table:
    """The weights of the map of the kept pixels (networks/image.py's ContextMap).

    Args:
        spec: of the pictures.
        inner: channels of its layers.
        outputs: channels of the map.
    """
    inputs = spec.channels * spec.planes + 1
    return {
        "cell_taps": convolution(inner, inputs, COARSE_STRIDE, COARSE_STRIDE, gain=1.4),
        "cell_bias": zeros(inner),
        "taps": convolution(_LAYERS, inner, inner, 3, 3),
        "taps_bias": zeros(_LAYERS, inner),
        "upsampling": normal(inner, inner, COARSE_STRIDE, COARSE_STRIDE, std=inner**-0.5),
        "near_taps": convolution(inner, inputs, _NEAR, _NEAR, gain=1.4),
        "near_bias": zeros(inner),
        "out": matrix(inner, outputs, gain=0.5),
        "coarse_out": matrix(inner, spec.condition_channels, gain=0.5),
    }


# Pictures in two scales: what networks have in common that sample their coarse pixels first.
#
# Multi-Scale PixelRNN (van den Oord et al. 2016, arXiv:1601.06759, section 3.6): a network of its own samples the
# coarse pixels (spec.COARSE). A small network of convolutions, the last of which upsamples (deconvolves), makes a map
# as large as the picture of them, which the network of all other pixels is conditioned on.


def require_whole_cells(spec: ImageSpec) -> None:
    """Raise :class:`SpecError` unless the picture has a coarse pixel for every part of it."""
    if spec.height % COARSE_STRIDE or spec.width % COARSE_STRIDE:
        raise SpecError(f"coarse_layers: needs pictures of whole cells ({COARSE_STRIDE} x {COARSE_STRIDE})")


def coarse_map_tensors(spec: ImageSpec, inner: int, outputs: int) -> Table:
    """The weights of the map of the coarse pixels (networks/image.py's CoarseMap).

    Args:
        spec: of the pictures.
        inner: channels before the upsampling.
        outputs: channels of the map.
    """
    return {
        "taps": convolution(inner, spec.channels * spec.planes, 3, 3, gain=1.4),
        "taps_bias": zeros(inner),
        "neighbour_taps": convolution(inner, inner, 3, 3, gain=1.4),
        "neighbour_bias": zeros(inner),
        "upsampling": normal(inner, outputs, COARSE_STRIDE, COARSE_STRIDE, std=inner**-0.5),
    }


CONDITIONINGS = ("none", "class", "location")
_MAP_LAYERS = 2
"""Further layers of m(h) with ``map_channels``."""


@dataclass(frozen=True)
class PixelCNNSpec(ImageSpec):
    """A PixelCNN: gated with two stacks, or the original with ReLU and residual bottlenecks.

    ``layers`` includes the first one, of mask A. ``features`` is p of the gated network and 2h of the original one.
    The vector h of the conditions enters every layer as V·h (``conditioning`` is ``class``), or as V * s with s = m(h),
    a map of ``location_channels`` (``location``). With ``map_channels`` m is deeper: cells of so many channels go
    through further convolutions before they are upsampled.

    With ``coarse_layers`` a picture is sampled in two scales (Multi-Scale PixelRNN, section 3.6 of 1601.06759): first
    its coarse pixels (spec.COARSE), by a network of so many layers of ``coarse_features``; then the others,
    which see all coarse pixels through s and, with ``coarse_inputs``, in the vertical stack: a map of all of them,
    of so many channels, enters its first layer beside the rows above.

    With ``context_channels`` it draws edits: a region of a picture of which the other pixels are kept, and seen through
    a map of so many channels.
    """

    kind: ClassVar[str] = "pixelcnn"

    gated: bool = option(True, "Two gated stacks, or one with ReLU (1601.06759).", off="original")
    layers: int = option(15, least=2)
    features: int = option(64, least=2)
    first_kernel_size: int = option(7, least=3)
    kernel_size: int = option(3, least=3)
    output_features: int = option(128, least=1)
    conditioning: str = option("none", choices=CONDITIONINGS, suggested="class")
    location_channels: int = option(8, least=1)
    map_channels: int = option(
        0, "Channels of the cells that s is upsampled from, which has more layers then; 0: those of s.", least=0
    )
    coarse_layers: int = option(
        0, "Of a network that samples every fourth pixel each way before all others; 0 is none.", least=0
    )
    coarse_features: int = option(64, least=1)
    coarse_inputs: int = option(
        0, "Channels of the coarse pixels' map for the vertical stack; 0: they enter through s alone.", least=0
    )
    context_channels: int = option(
        0, "Channels of the map of the pixels that an edit keeps; 0: the network draws no edits.", least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_size("layers", "features")
        self.require_positive("output_features", "location_channels", "kernel_size", "first_kernel_size")
        self.require_odd("kernel_size", "first_kernel_size")
        if self.output_features < self.channels:
            raise SpecError(f"output_features: must be at least {self.channels}, one per channel")
        if self.conditioning not in CONDITIONINGS:
            raise SpecError(f"conditioning: must be one of {', '.join(CONDITIONINGS)}, not {self.conditioning!r}")
        if self.conditioned == (self.conditioning == "none"):
            raise SpecError("conditioning: must be 'none' exactly where there is nothing to be conditioned on")
        if self.map_channels != 0:
            self.require_positive("map_channels")
            if self.conditioning != "location":
                raise SpecError("map_channels: needs 'location' conditioning")
        if self.coarse_inputs and not (self.gated and self.coarse_layers):
            raise SpecError("coarse_inputs: needs a gated network in two scales")
        if self.coarse_layers != 0:
            self._check_coarse()
        if self.context_channels != 0:
            self.require_positive("context_channels")
            if not self.coarse_inputs:
                raise SpecError("context_channels: needs coarse_inputs")

    def _check_size(self, layers: str, features: str) -> None:
        """Check these fields, of the network or of that of the coarse pixels."""
        self.require_positive(layers, features)
        if getattr(self, layers) < 2:
            raise SpecError(f"{layers}: there is one of mask A and at least one of mask B")
        if (count := getattr(self, features)) < 2 * self.channels or count % 2:
            raise SpecError(f"{features}: must be even and at least {2 * self.channels}, not {count}")

    def _check_coarse(self) -> None:
        self._check_size("coarse_layers", "coarse_features")
        if self.coarse_inputs < 0:
            raise SpecError(f"coarse_inputs: must be a whole number, at least 0, not {self.coarse_inputs!r}")
        if self.conditioning != "location":
            raise SpecError("coarse_layers: needs 'location' conditioning")
        require_whole_cells(self)

    @property
    def title(self) -> str:
        return "Gated PixelCNN" if self.gated else "PixelCNN"

    @property
    def coarse(self) -> PixelCNNSpec | None:
        """The network that samples the coarse pixels; its h is that of the whole."""
        if not self.coarse_layers:
            return None
        return dataclasses.replace(
            self, height=self.height // COARSE_STRIDE, width=self.width // COARSE_STRIDE, conditioning="class",
            layers=self.coarse_layers, features=self.coarse_features, kernel_size=3, map_channels=0, coarse_layers=0,
            coarse_inputs=0, context_channels=0, label_rows=0,
        )  # fmt: skip

    @property
    def draws_edits(self) -> bool:
        return self.context_channels > 0

    @property
    def reach(self) -> int:
        """Rows above a pixel, and columns to either side, that its distribution can depend on, besides coarse
        pixels."""
        return self.first_kernel_size // 2 + (self.layers - 1) * (self.kernel_size // 2)

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the map that location-dependent conditioning is upsampled from."""
        return -(-self.height // COARSE_STRIDE), -(-self.width // COARSE_STRIDE)

    @property
    def condition_width(self) -> int:
        """Numbers that V is multiplied by: of h, or of s at one pixel."""
        return self.location_channels if self.conditioning == "location" else self.condition_channels

    @property
    def map_width(self) -> int:
        """Numbers of the coarse pixels' map at one pixel, which the first layer of the vertical stack adds to its sums;
        0 without ``coarse_inputs``."""
        return 2 * self.features if self.coarse_inputs else 0


def tensors(spec: PixelCNNSpec) -> Table:
    table = layer_tensors(spec)
    if spec.conditioned:
        table |= prefixed("conditioner.", conditioner_tensors(spec))
    if spec.coarse is not None:
        # It is given h, so it has no conditioner of its own.
        table |= prefixed(COARSE_PREFIX, layer_tensors(spec.coarse))
    if spec.coarse_inputs:
        table |= prefixed("coarse_map.", coarse_map_tensors(spec, spec.coarse_inputs, spec.map_width))
    if spec.context_channels:
        width = spec.location_channels + spec.map_width
        table |= prefixed(CONTEXT_PREFIX, context_tensors(spec, spec.context_channels, width))
    return table


def layer_tensors(spec: PixelCNNSpec) -> Table:
    """The weights of the convolutions and of the head."""
    layers = _gated_tensors(spec) if spec.gated else _original_tensors(spec)
    return layers | head_tensors(spec.output_features, spec.channels * spec.levels)


def head_tensors(outputs: int, symbols: int) -> Table:
    """The weights from the sum of skips ``[outputs]`` to the logits ``[symbols]``."""
    return {
        "skip_bias": zeros(outputs),
        "head": matrix(outputs, outputs, gain=2**0.5),
        "head_bias": zeros(outputs),
        "output": matrix(outputs, symbols, gain=0.5),
        "output_bias": zeros(symbols),
    }


def conditioner_tensors(spec: PixelCNNSpec) -> Table:
    """The weights of h and, where conditioning depends on the location, of s = m(h) (section 2.4 of 1606.05328)."""
    embedding = LABEL_EMBEDDING.removeprefix("conditioner.")
    table: Table = {}
    if spec.conditions:
        table[embedding] = normal(spec.embedding_rows, spec.condition_channels, std=0.3)
    if spec.conditioning != "location":
        return table
    inner = spec.map_channels or spec.location_channels
    size = spec.cells[0] * spec.cells[1] * inner
    table["map"] = matrix(spec.condition_channels, size)
    table["map_bias"] = zeros(size)
    table["upsampling"] = normal(inner, spec.location_channels, COARSE_STRIDE, COARSE_STRIDE, std=inner**-0.5)
    if spec.map_channels:
        table["map_taps"] = convolution(_MAP_LAYERS, inner, inner, 3, 3)
        table["map_taps_bias"] = zeros(_MAP_LAYERS, inner)
    if spec.coarse_layers:
        table["coarse_taps"] = convolution(inner, spec.channels * spec.planes, 3, 3)
        table["neighbour_taps"] = convolution(inner, inner, 3, 3)
    return table


def _gated_tensors(spec: PixelCNNSpec) -> Table:
    layers, features, above = spec.layers, spec.features, spec.kernel_size // 2
    gate, first, inputs = 2 * features, spec.first_kernel_size // 2, spec.channels * spec.planes
    table: Table = {
        "vertical_first": convolution(gate, inputs, first, spec.first_kernel_size),
        "horizontal_first": convolution(gate, inputs, 1, first + 1),
        "vertical": convolution(layers - 1, gate, features, above + 1, spec.kernel_size, gain=1.4),
        "horizontal": convolution(layers - 1, gate, features, 1, above + 1, gain=0.7),
        # The last layer has no vertical and no residual output: nothing would read them.
        "vertical_bias": zeros(layers - 1, gate),
        "horizontal_bias": zeros(layers, gate),
        "link": matrix(layers, gate, gate, gain=0.7),
        "residual": matrix(layers - 1, features, features),
        "residual_bias": zeros(layers - 1, features),
        # One product over the gate outputs of all layers, so all of them are inputs.
        "skip": Tensor((layers, features, spec.output_features), std=2.0 / (layers * features) ** 0.5),
    }
    if spec.conditioned:
        table["vertical_condition"] = matrix(layers - 1, spec.condition_width, gate)
        table["horizontal_condition"] = matrix(layers, spec.condition_width, gate)
    return table


def _original_tensors(spec: PixelCNNSpec) -> Table:
    blocks, features, hidden = spec.layers - 1, spec.features, spec.features // 2
    above = spec.kernel_size // 2
    table: Table = {
        "first": convolution(
            features, spec.channels * spec.planes, spec.first_kernel_size // 2 + 1, spec.first_kernel_size
        ),
        "first_bias": zeros(features),
        "reduce": matrix(blocks, features, hidden, gain=2**0.5),
        "reduce_bias": zeros(blocks, hidden),
        "masked": convolution(blocks, hidden, hidden, above + 1, spec.kernel_size, gain=2.0),
        "masked_bias": zeros(blocks, hidden),
        "expand": matrix(blocks, hidden, features),
        "expand_bias": zeros(blocks, features),
        "skip": matrix(1, features, spec.output_features),
    }
    if spec.conditioned:
        table["condition"] = matrix(blocks, spec.condition_width, hidden)
    return table


PIXELCNN = Architecture(
    spec=PixelCNNSpec,
    tensors=tensors,
    network="ancestral_models.networks.pixelcnn:build",
    kernel="ancestral_models.kernels.pixelcnn:PixelCNNKernel",
    has_int8=lambda spec: spec.gated and not (spec.features % 8 or (spec.coarse_layers and spec.coarse_features % 8)),
    exporter=Exporter(
        format="5",
        graphs="ancestral_training.export.pixelcnn:graphs",
        check="ancestral_training.export.parity:check_pixelcnn",
        engine="ancestral_models.engines.images.onnx:OnnxImageEngine",
    ),
    task="ancestral_training.tasks.pictures:ImageTask",
)


# A Gated PixelCNN conditioned on a picture, not on labels (van den Oord et al. 2016, arXiv:1606.05328).
#
# Section 3.4, the PixelCNN autoencoder: a convolutional encoder gives the vector h of a picture, and the PixelCNN
# decodes it; both are trained end to end. Section 3.3, portraits: the encoder is the embedding network of faces, which
# stays as it is, and the PixelCNN draws other pictures of the same person.

AUTOENCODER_CONDITIONINGS = ("class", "location")
_CONDITIONS = ("vertical_condition", "horizontal_condition")
"""The weights V of h."""


@dataclass(frozen=True)
class PixelCNNAutoencoderSpec(PixelCNNSpec):
    """A Gated PixelCNN whose h is what an encoder gives of a picture, ``condition_channels`` numbers.

    With ``portraits`` the picture that h is of shows the same person as the one that the network draws; without, it is
    the same picture.
    """

    kind: ClassVar[str] = "pixelcnn-autoencoder"

    gated: bool = True
    condition_channels: int = option(10, "Numbers of the vector h of a picture.", least=1)
    conditioning: str = option("class", "V·h in every layer, or V * m(h).", choices=AUTOENCODER_CONDITIONINGS)
    encoder_layers: int = option(3, "Convolutions with stride 2.", least=1)
    encoder_features: int = option(32, "Of the first; each later one has twice as many.", least=1)
    normalised: bool = option(False, "Whether h has length 1.", off="not-normalised")
    portraits: bool = False

    def __post_init__(self) -> None:
        self.require_positive("encoder_layers", most=MAX_LAYERS)
        self.require_positive("encoder_features")
        super().__post_init__()
        if not self.gated:
            raise SpecError("gated: must be true, as the decoder of an autoencoder is")
        if self.context_channels:
            raise SpecError("context_channels: must be 0, because a network that draws from a picture draws no edits")
        if self.attributes:
            raise SpecError("attributes: must be none, because the network is conditioned on a picture")

    @classmethod
    def for_pictures(cls, shape: tuple[int, int, int], data: Mapping[str, Any], **options: Any) -> Self:
        """The spec for pictures of this form; attributes are not used."""
        return super().for_pictures(shape, {**data, "attributes": (), "label_rows": 0}, **options)

    @property
    def title(self) -> str:
        return "Portraits by a Gated PixelCNN" if self.portraits else "PixelCNN autoencoder"

    @property
    def drawn_from(self) -> str:
        return "person" if self.portraits else "picture"

    @property
    def encoder(self) -> EncoderSpec:
        names = ("height", "width", "channels", "levels", "palette", "normalised")
        shared = {name: getattr(self, name) for name in names}
        return EncoderSpec(
            layers=self.encoder_layers, features=self.encoder_features, code=self.condition_channels, **shared
        )


def autoencoder_tensors(spec: PixelCNNAutoencoderSpec) -> Table:
    """The weights: those of the PixelCNN, and those of the encoder.

    The numbers of a vector of length 1 are small: the weights that it meets first begin larger, so that it is noticed.
    """
    table = tensors(spec)
    if spec.normalised:
        first = ("conditioner.map",) if spec.conditioning == "location" else _CONDITIONS
        scale = spec.condition_channels**0.5
        table |= {name: dataclasses.replace(table[name], std=table[name].std * scale) for name in first}
    return table | prefixed(ENCODER_PREFIX, classifier.encoder_tensors(spec.encoder))


PIXELCNN_AUTOENCODER = dataclasses.replace(
    PIXELCNN,
    spec=PixelCNNAutoencoderSpec,
    tensors=autoencoder_tensors,
    network="ancestral_models.networks.pixelcnn:PixelCNNAutoencoder",
    task="ancestral_training.tasks.pictures:ReconstructionTask",
)
