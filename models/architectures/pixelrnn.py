"""PixelRNN (van den Oord et al. 2016, arXiv:1601.06759): Row LSTM (section 3.1) and Diagonal BiLSTM (section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from models.architectures.registry import Architecture
from models.spec import LABEL_EMBEDDING, ImageSpec, SpecError, option
from models.tensors import Table, Tensor, convolution, matrix, normal, zeros

LSTMS = ("row", "diagonal")
CONDITIONINGS = ("none", "class")
GATES = 4
"""Of an LSTM, in this order: the candidate, the input gate, the output gate, the forget gate."""


@dataclass(frozen=True)
class PixelRNNSpec(ImageSpec):
    """A PixelRNN: a masked convolution, then residual layers of LSTMs (table 1 of the paper), then two 1 × 1 layers.

    ``features`` is h, the size of an LSTM's state; the residual connections (section 3.3) have 2h features. The vector
    h of the conditions enters the gates of every LSTM as V·h.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("layers", "features", "output_features", "first_kernel_size", "kernel_size")
        if self.lstm not in LSTMS:
            raise SpecError(f"lstm: must be one of {', '.join(LSTMS)}, not {self.lstm!r}")
        for name in ("kernel_size", "first_kernel_size"):
            if getattr(self, name) % 2 == 0 or getattr(self, name) < 3:
                raise SpecError(f"{name}: must be odd and at least 3, so that it has a centre and a past")
        for name in ("features", "output_features"):
            if getattr(self, name) < self.channels:
                raise SpecError(f"{name}: must be at least {self.channels}, one per channel")
        if not isinstance(self.skip_connections, bool):
            raise SpecError(f"skip_connections: must be true or false, not {self.skip_connections!r}")
        if self.conditioning not in CONDITIONINGS:
            raise SpecError(f"conditioning: must be one of {', '.join(CONDITIONINGS)}, not {self.conditioning!r}")
        if bool(self.conditions) == (self.conditioning == "none"):
            raise SpecError("conditioning: must be 'none' exactly where there are no conditions")

    @classmethod
    def for_pictures(
        cls, shape: tuple[int, int, int], conditions: Mapping[str, tuple[Any, ...]], **options: Any
    ) -> Self:
        """See :meth:`ImageSpec.for_pictures`; without conditioning the labels are not used."""
        return super().for_pictures(shape, {} if options.get("conditioning") == "none" else conditions, **options)

    @property
    def title(self) -> str:
        """The network's name in model cards."""
        return "PixelRNN, Row LSTM" if self.lstm == "row" else "PixelRNN, Diagonal BiLSTM"

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
    """The weights. Gates are ordered by direction, then by gate (:data:`GATES`)."""
    layers, state, outputs = spec.layers, spec.features, spec.output_features
    stream, directions, symbols = 2 * state, spec.directions, spec.channels * spec.levels
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
        "skip_bias": zeros(outputs),
        "head": matrix(outputs, outputs, gain=2**0.5),
        "head_bias": zeros(outputs),
        "output": matrix(outputs, symbols, gain=0.5),
        "output_bias": zeros(symbols),
    }
    if spec.skip_connections:
        # One product over the outputs of all layers, so all of them are inputs.
        table["layer_skip"] = Tensor((layers, state, outputs), std=1.0 / (layers * state) ** 0.5)
    if spec.conditions:
        table[LABEL_EMBEDDING] = normal(spec.embedding_rows, spec.condition_channels, std=0.3)
        table["condition"] = matrix(layers, spec.condition_channels, directions * GATES * state)
    return table


PIXELRNN = Architecture(
    spec=PixelRNNSpec,
    tensors=tensors,
    network="models.networks.pixelrnn:PixelRNN",
    kernel="models.kernels.pixelrnn:PixelRNNKernel",
    task="models.training.tasks.images:ImageTask",
)
