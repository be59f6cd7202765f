"""Conditional WaveNet (van den Oord et al. 2016, arXiv:1609.03499)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ancestral_models.architectures.registry import Architecture, Exporter
from ancestral_models.spec import SYMBOLS, SpecError, SpeechSpec
from ancestral_models.tensors import Table, Tensor, matrix, normal, zeros

MAX_STACK: Final = 20
"""Layers of a stack: the dilation doubles in each."""
MAX_RECEPTIVE_FIELD: Final = 1 << 20
"""A stream keeps what every layer has seen of so many samples."""


@dataclass(frozen=True)
class WaveNetSpec(SpeechSpec):
    """A conditional WaveNet.

    ``layers`` residual layers in ``stacks`` stacks; within a stack the dilation doubles from 1. ``gate_channels``
    counts both halves of the gated unit together. With neither speakers nor frames it is unconditional.
    """

    kind: ClassVar[str] = "wavenet"

    layers: int = 24
    stacks: int = 3
    kernel_size: int = 2
    residual_channels: int = 32
    gate_channels: int = 64
    skip_channels: int = 128
    head_channels: int = 256
    global_channels: int = 16
    conditioner_channels: int = 96
    conditioner_layers: int = 3
    int8_ranges: tuple[float, ...] = ()
    """The largest absolute values of every channel before every layer, of the sum of the skips, and of the layer after
    it (:func:`ancestral_models.engines.speech.native.int8_ranges`). Without them there is no int8."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("layers", "stacks", "residual_channels", "gate_channels", "skip_channels")
        self.require_positive("head_channels", "global_channels", "conditioner_channels", "conditioner_layers")
        if self.kernel_size != 2:
            raise SpecError(f"kernel_size: the causal convolutions have 2 taps, not {self.kernel_size!r}")
        if self.layers % self.stacks:
            raise SpecError(f"stacks: {self.layers} layers do not divide into {self.stacks} stacks")
        if self.layers // self.stacks > MAX_STACK:
            raise SpecError(f"layers: at most {MAX_STACK} in a stack")
        if self.receptive_field > MAX_RECEPTIVE_FIELD:
            raise SpecError(f"stacks: a receptive field of {self.receptive_field} samples, above {MAX_RECEPTIVE_FIELD}")
        ranges = self.layers * self.residual_channels + 2
        if self.int8_ranges and not (len(self.int8_ranges) == ranges and all(0 <= x < 1e6 for x in self.int8_ranges)):
            raise SpecError(f"int8_ranges: must be {ranges} numbers that are not negative, or none")
        if self.gate_channels % 2:
            raise SpecError("gate_channels: counts two equal halves, so it must be even")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of every layer, bottom to top: 1, 2, 4, … repeated for each stack (section 2.1)."""
        return tuple(2**i for i in range(self.layers // self.stacks)) * self.stacks

    @property
    def receptive_field(self) -> int:
        return 1 + (self.kernel_size - 1) * sum(self.dilations)

    @property
    def hidden_channels(self) -> int:
        """Channels after the gate: half of ``gate_channels``."""
        return self.gate_channels // 2


SMALL: dict[str, Any] = {}
MEDIUM: dict[str, Any] = {
    "layers": 30, "stacks": 3, "residual_channels": 64, "gate_channels": 128, "skip_channels": 256,
}  # fmt: skip
"""Overrides of the two published sizes: S (the defaults above) and M (dilations 1..512, 64/128/256)."""


def tensors(spec: WaveNetSpec) -> Table:
    """The weights. Matrices are ``[layers, in, out]``, the order that the compiled sampler reads."""
    layers, residual, gate, skip = spec.layers, spec.residual_channels, spec.gate_channels, spec.skip_channels
    hidden, width = spec.hidden_channels, spec.conditioner_channels
    table: Table = {
        "conditioner.bias": zeros(width),
        "embedding": normal(SYMBOLS, residual, std=0.5),
        "past": matrix(layers, residual, gate, gain=0.7),
        "current": matrix(layers, residual, gate, gain=0.7),
        "gate_condition": matrix(layers, width, gate),
        "gate_bias": zeros(layers, gate),
        # The last layer has no residual output: nothing would read it.
        "residual": matrix(layers - 1, hidden, residual, gain=0.5),
        "residual_bias": zeros(layers - 1, residual),
        # One product over the gate outputs of all layers, so all of them are inputs.
        "skip": Tensor((layers, hidden, skip), std=2.0 / (layers * hidden) ** 0.5),
        "skip_bias": zeros(skip),
        "head": matrix(skip, spec.head_channels),
        "head_bias": zeros(spec.head_channels),
        "output": matrix(spec.head_channels, SYMBOLS, gain=0.5),
        "output_bias": zeros(SYMBOLS),
    }
    if spec.speakers:
        table["conditioner.speaker"] = normal(len(spec.speakers), spec.global_channels, std=0.3)
        table["conditioner.speaker_in"] = matrix(spec.global_channels, width)
    if spec.local_channels:
        table["conditioner.frames_in"] = matrix(spec.local_channels, width)
        table["conditioner.taps"] = matrix(spec.conditioner_layers, 3 * width, width)
        table["conditioner.taps_bias"] = zeros(spec.conditioner_layers, width)
    return table


WAVENET = Architecture(
    spec=WaveNetSpec,
    tensors=tensors,
    network="ancestral_models.networks.wavenet:WaveNet",
    native="ancestral_models.engines.speech.native:NativeEngine",
    exporter=Exporter(
        format="2",
        graphs="ancestral_training.export.wavenet:graphs",
        check="ancestral_training.export.parity:check_wavenet",
        engine="ancestral_models.engines.speech.onnx:OnnxEngine",
    ),
    task="ancestral_training.tasks.wavenet:WaveNetTask",
)
