"""The acoustic model: phonemes and a speaker to durations and conditioning frames. It is not autoregressive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.architectures.registry import Architecture, Exporter
from models.spec import Spec, SpecError
from models.tensors import Table, Tensor, matrix, normal, prefixed, zeros


@dataclass(frozen=True)
class AcousticSpec(Spec):
    """A convolutional acoustic model. All frames of a sentence are computed at once."""

    kind: ClassVar[str] = "acoustic"

    phonemes: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    outputs: int = 66
    hop: int = 160
    sample_rate: int = 16000
    channels: int = 160
    encoder_layers: int = 5
    decoder_layers: int = 6
    duration_layers: int = 2
    kernel_size: int = 5
    duration_kernel_size: int = 3
    speaker_channels: int = 32
    position_channels: int = 3

    def __post_init__(self) -> None:
        self.require_positive("outputs", "hop", "sample_rate", "channels", "encoder_layers", "decoder_layers")
        self.require_positive("kernel_size", "duration_layers", "duration_kernel_size", "speaker_channels")
        self.require_positive("position_channels")
        if not self.phonemes:
            raise SpecError("phonemes: the inventory is empty")
        if not self.speakers:
            raise SpecError("speakers: an acoustic model needs at least one voice")
        for name in ("kernel_size", "duration_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise SpecError(f"{name}: must be odd, because the convolutions are centred")


def tensors(spec: AcousticSpec) -> Table:
    """The weights."""
    channels, speaker = spec.channels, spec.speaker_channels
    table: Table = {
        "phoneme": normal(len(spec.phonemes), channels, std=0.3),
        "word_start": normal(1, channels, std=0.3),
        "speaker": normal(len(spec.speakers), speaker, std=0.3),
        "encoder_speaker": normal(speaker, channels, std=0.2),
        "decoder_speaker": normal(speaker, channels, std=0.2),
        "duration_out": zeros(channels, 1),
        "duration_bias": Tensor((1,), mean=2.0),
        "position": normal(spec.position_channels, channels, std=0.5),
        "frames_out": matrix(channels, spec.outputs, gain=0.5),
        "frames_bias": zeros(spec.outputs),
    }
    stacks = {
        "encoder": (spec.encoder_layers, spec.kernel_size),
        "duration": (spec.duration_layers, spec.duration_kernel_size),
        "decoder": (spec.decoder_layers, spec.kernel_size),
    }
    for stack, (layers, kernel_size) in stacks.items():
        for layer in range(layers):
            table |= prefixed(f"{stack}.{layer}.", block_tensors(channels, kernel_size))
    return table


def block_tensors(channels: int, kernel_size: int) -> Table:
    """The weights of one residual block."""
    return {
        "scale": Tensor((channels,), mean=1.0),
        "taps": matrix(kernel_size * channels, 2 * channels),
        "taps_bias": zeros(2 * channels),
        "out": matrix(channels, channels, gain=0.5),
        "out_bias": zeros(channels),
    }


ACOUSTIC = Architecture(
    spec=AcousticSpec,
    tensors=tensors,
    network="models.networks.acoustic:AcousticNetwork",
    exporter=Exporter(format="1", graphs="models.export.acoustic:graphs", check="models.export.parity:check_acoustic"),
    task="models.training.tasks.acoustic:AcousticTask",
)
