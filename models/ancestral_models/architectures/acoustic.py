"""The acoustic model: phonemes and a speaker to durations and conditioning frames. It is not autoregressive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from ancestral_models.architectures.registry import Architecture
from ancestral_models.audio.resampler import BANDS, INPUTS
from ancestral_models.spec import FeatureSpec, Spec, SpecError
from ancestral_models.tensors import Table, Tensor, matrix, normal, prefixed, zeros

PITCH_CHANNELS = 2
"""The last numbers of a frame: log-F0 and voicing."""
POSITION_CHANNELS: Final = 3
"""Numbers of a frame's place in its phoneme (:func:`ancestral_models.acoustic.frame_positions`)."""
MAX_KERNEL_SIZE: Final = 63
MAX_PITCH_LAYERS: Final = 12
"""The dilation doubles in each: with 12, and kernels of 5, a frame sees 82 seconds each way."""


@dataclass(frozen=True)
class AcousticSpec(Spec):
    """A convolutional acoustic model. All frames of a sentence are computed at once.

    It predicts F0 and voicing first, and the mels given these (FastSpeech 2, arXiv:2006.04558, section 2.3).
    """

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
    position_channels: int = POSITION_CHANNELS
    """No other value is possible; the field is in the checkpoints that there are."""
    pitch_layers: int = 4

    def __post_init__(self) -> None:
        self.require_positive("outputs", "hop", "sample_rate", "channels", "encoder_layers", "decoder_layers")
        self.require_positive("duration_layers", "speaker_channels")
        self.require_positive("kernel_size", "duration_kernel_size", most=MAX_KERNEL_SIZE)
        self.require_positive("pitch_layers", most=MAX_PITCH_LAYERS)
        if self.position_channels != POSITION_CHANNELS:
            raise SpecError(f"position_channels: must be {POSITION_CHANNELS}, not {self.position_channels!r}")
        if not self.phonemes:
            raise SpecError("phonemes: the inventory is empty")
        if not self.speakers:
            raise SpecError("speakers: an acoustic model needs at least one voice")
        for name in ("kernel_size", "duration_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise SpecError(f"{name}: must be odd, because the convolutions are centred")
        if self.outputs <= PITCH_CHANNELS:
            raise SpecError(f"outputs: more than {PITCH_CHANNELS}, which are log-F0 and voicing")

    @property
    def bands(self) -> int:
        """Mel bands of a frame, which the decoder predicts."""
        return self.outputs - PITCH_CHANNELS

    @property
    def features(self) -> FeatureSpec:
        """The form of the frames."""
        return FeatureSpec(sample_rate=self.sample_rate, hop=self.hop, mel_bands=self.bands)

    @property
    def pitch_dilations(self) -> tuple[int, ...]:
        """Dilations of the layers that predict F0: intonation spans more frames than formants do."""
        return tuple(2**layer for layer in range(self.pitch_layers))


def tensors(spec: AcousticSpec) -> Table:
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
        "frames_out": matrix(channels, spec.bands, gain=0.5),
        "frames_bias": zeros(spec.bands),
        "pitch_speaker": normal(speaker, channels, std=0.2),
        "pitch_out": matrix(channels, PITCH_CHANNELS, gain=0.5),
        "pitch_bias": zeros(PITCH_CHANNELS),
        "pitch_in": normal(PITCH_CHANNELS, channels, std=0.3),
        "ripple_in": matrix(spec.bands, channels, gain=0.5),
        # At first the mels carry all of the ripple of a voiced frame.
        "ripple_out": matrix(channels, spec.bands, gain=0.1),
        "ripple_bias": Tensor((spec.bands,), mean=1.0),
    }
    stacks = {
        "encoder": (spec.encoder_layers, spec.kernel_size),
        "duration": (spec.duration_layers, spec.duration_kernel_size),
        "decoder": (spec.decoder_layers, spec.kernel_size),
        "pitch": (spec.pitch_layers, spec.kernel_size),
    }
    for stack, (layers, kernel_size) in stacks.items():
        for layer in range(layers):
            table |= prefixed(f"{stack}.{layer}.", block_tensors(channels, kernel_size))
    return table


def block_tensors(channels: int, kernel_size: int) -> Table:
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
    network="ancestral_models.networks.acoustic:AcousticNetwork",
    task="ancestral_training.tasks.acoustic:AcousticTask",
)


# The maps from a voice's mels to its levels above 8 kHz (ancestral_models/audio/resampler.py): no network, but weights.


@dataclass(frozen=True)
class HighBandSpec(Spec):
    """A map of each voice."""

    kind: ClassVar[str] = "high_band"

    speakers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.speakers or len(set(self.speakers)) < len(self.speakers):
            raise SpecError("speakers: at least one voice, each once")


def high_band_tensors(spec: HighBandSpec) -> Table:
    return {f"maps.{name}": zeros(INPUTS, BANDS) for name in spec.speakers}


HIGH_BAND = Architecture(spec=HighBandSpec, tensors=high_band_tensors)
