"""PixelRNN (van den Oord et al. 2016, arXiv:1601.06759): Row LSTM (section 3.1) and Diagonal BiLSTM (section 3.2)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from ancestral_models.architectures.pixelcnn import coarse_map_tensors, head_tensors, require_whole_cells
from ancestral_models.architectures.registry import Architecture
from ancestral_models.spec import COARSE_PREFIX, COARSE_STRIDE, LABEL_EMBEDDING, ImageSpec, SpecError, option
from ancestral_models.tensors import Table, Tensor, convolution, matrix, normal, prefixed, zeros

LSTMS = ("row", "diagonal")
CONDITIONINGS = ("none", "class")
GATES = 4
"""The gates of an LSTM, in this order: the candidate, the input gate, the output gate, the forget gate."""


@dataclass(frozen=True)
class PixelRNNSpec(ImageSpec):
    """A PixelRNN: a masked convolution, then residual layers of LSTMs (table 1 of the paper), then two 1 × 1 layers.

    ``features`` is h, the size of an LSTM's state; the residual connections (section 3.3) have 2h features. The vector
    h of the conditions enters the gates of every LSTM as V·h.

    With ``coarse_layers`` a picture is sampled in two scales (section 3.6): first its coarse pixels
    (spec.COARSE), by a network of so many layers of ``coarse_features``; then the others. A map of all coarse
    pixels, of ``coarse_channels``, enters the gates of every LSTM, like h.
    """

    kind: ClassVar[str] = "pixelrnn"

    lstm: str = option("diagonal", "Row LSTM, or Diagonal BiLSTM.", choices=LSTMS)
    layers: int = option(7, "Of LSTMs.", least=1)
    features: int = option(16, "Of an LSTM's state; the residual connections have twice as many.", least=1)
    first_kernel_size: int = option(7, least=3)
    kernel_size: int = option(3, "Of a Row LSTM's convolutions along the row.", least=3)
    output_features: int = option(32, least=1)
    skip_connections: bool = option(False, "From every layer to the output.", off="no-skip-connections")
    conditioning: str = option("none", choices=CONDITIONINGS, suggested="class")
    coarse_layers: int = option(
        0, "Of a network that samples every fourth pixel each way before all others; 0 is none.", least=0
    )
    coarse_features: int = option(16, "As --features, of that network.", least=1)
    coarse_channels: int = option(16, "Of the map of the coarse pixels.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("layers", "features", "output_features", "first_kernel_size", "kernel_size")
        if self.palette:
            raise SpecError("palette: PixelRNN has none")
        if self.lstm not in LSTMS:
            raise SpecError(f"lstm: must be one of {', '.join(LSTMS)}, not {self.lstm!r}")
        self.require_odd("kernel_size", "first_kernel_size")
        for name in ("features", "output_features", *(["coarse_features"] if self.coarse_layers else [])):
            if getattr(self, name) < self.channels:
                raise SpecError(f"{name}: must be at least {self.channels}, one per channel")
        if self.conditioning not in CONDITIONINGS:
            raise SpecError(f"conditioning: must be one of {', '.join(CONDITIONINGS)}, not {self.conditioning!r}")
        if bool(self.conditions) == (self.conditioning == "none"):
            raise SpecError("conditioning: must be 'none' exactly where there are no attributes")
        if self.coarse_layers != 0:
            self.require_positive("coarse_layers", "coarse_features", "coarse_channels")
            require_whole_cells(self)

    @property
    def title(self) -> str:
        scales = "Multi-Scale PixelRNN" if self.coarse_layers else "PixelRNN"
        return f"{scales}, {'Row LSTM' if self.lstm == 'row' else 'Diagonal BiLSTM'}"

    @property
    def coarse(self) -> PixelRNNSpec | None:
        """The network that samples the coarse pixels; its h is that of the whole."""
        if not self.coarse_layers:
            return None
        return dataclasses.replace(
            self, height=self.height // COARSE_STRIDE, width=self.width // COARSE_STRIDE, layers=self.coarse_layers,
            features=self.coarse_features, coarse_layers=0, label_rows=0,
        )  # fmt: skip

    @property
    def directions(self) -> int:
        """LSTMs of a layer: the Diagonal BiLSTM has one from the left and one from the right."""
        return 1 if self.lstm == "row" else 2

    @property
    def columns(self) -> int:
        """Columns of the feature maps.

        Features do not see their own pixel, so in a map as wide as the picture an LSTM that comes from the right would
        miss the last pixel of each row. The maps of the Diagonal BiLSTM have one more column, which does see it.
        """
        return self.width if self.lstm == "row" else self.width + 1

    @property
    def input_taps(self) -> int:
        """Pixels that the gates see of a layer's input: the pixel itself and, in a Row LSTM, those left of it."""
        return self.kernel_size // 2 + 1 if self.lstm == "row" else 1

    @property
    def state_taps(self) -> int:
        """States that the gates see: k of the row above, or those of the pixel before and of the one above."""
        return self.kernel_size if self.lstm == "row" else 2


def tensors(spec: PixelRNNSpec) -> Table:
    table = layer_tensors(spec)
    if spec.conditions:
        table[LABEL_EMBEDDING] = normal(spec.embedding_rows, spec.condition_channels, std=0.3)
    if spec.coarse is not None:
        # It is given h, so it has no embedding of its own.
        table |= prefixed(COARSE_PREFIX, layer_tensors(spec.coarse))
        table |= prefixed("coarse_map.", coarse_map_tensors(spec, spec.coarse_channels, spec.coarse_channels))
    return table


def layer_tensors(spec: PixelRNNSpec) -> Table:
    """The weights of the layers. Gates are ordered by direction, then by gate (:data:`GATES`)."""
    layers, state, outputs = spec.layers, spec.features, spec.output_features
    stream, directions = 2 * state, spec.directions
    table: Table = {
        "first": convolution(stream, spec.channels, spec.first_kernel_size // 2 + 1, spec.first_kernel_size),
        "first_bias": zeros(stream),
        "input_to_state": matrix(layers, spec.input_taps * stream, directions * GATES * state),
        "state_to_state": matrix(layers, directions, spec.state_taps * state, GATES * state),
        "gate_bias": zeros(layers, directions, GATES - 1, state),
        # A state that is kept at first lets gradients pass (Jozefowicz et al. 2015).
        "forget_bias": Tensor((layers, directions, 1, state), mean=1.0),
        "expand": matrix(layers, state, stream),
        "expand_bias": zeros(layers, stream),
        "skip": matrix(stream, outputs, gain=2**0.5),
        **head_tensors(outputs, spec.channels * spec.levels),
    }
    if spec.skip_connections:
        # One product over the outputs of all layers, so all of them are inputs.
        table["layer_skip"] = Tensor((layers, state, outputs), std=1.0 / (layers * state) ** 0.5)
    if spec.conditions:
        table["condition"] = matrix(layers, spec.condition_channels, directions * GATES * state)
    if spec.coarse_layers:
        table["coarse_condition"] = matrix(layers, spec.coarse_channels, directions * GATES * state)
    return table


PIXELRNN = Architecture(
    spec=PixelRNNSpec,
    tensors=tensors,
    network="ancestral_models.networks.pixelrnn:PixelRNN",
    kernel="ancestral_models.kernels.pixelrnn:PixelRNNKernel",
    task="ancestral_training.tasks.pictures:ImageTask",
)
