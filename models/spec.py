"""What a model is: frozen dataclasses that round-trip through JSON. No arrays, no torch, no I/O.

A spec is the part of a checkpoint that fixes the shape of every tensor in it (``config.json``). Numbers that
belong to one request (temperature, seed) or to one deployment (engine, threads) never appear here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

SYMBOLS = 256
"""Size of the mu-law alphabet (WaveNet, section 2.2)."""


class SpecError(ValueError):
    """A configuration that describes no valid model; the message names the field."""


@dataclass(frozen=True)
class _Spec:
    """JSON round trip shared by every spec: unknown and missing keys are errors, never ignored."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict, with ``kind`` first."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            SpecError: the kind differs, or a key is unknown or missing.
        """
        if data.get("kind") != cls.kind:
            raise SpecError(f"kind: expected {cls.kind!r}, found {data.get('kind')!r}")
        names = {f.name for f in dataclasses.fields(cls)}
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "kind"}
        if unknown := sorted(set(given) - names):
            raise SpecError(f"{unknown[0]}: unknown field of a {cls.kind} configuration")
        try:
            return cls(**given)
        except TypeError as error:  # a required key is absent
            raise SpecError(f"{cls.kind} configuration: {error}") from error

    def _positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise SpecError(f"{name}: must be a positive integer, not {value!r}")


@dataclass(frozen=True)
class FeatureSpec(_Spec):
    """The conditioning frames: one row of ``channels`` numbers every ``hop`` samples.

    A row is ``mel_bands`` log-mel energies, then log-F0 (interpolated through unvoiced parts), then voicing in 0..1,
    each shifted and scaled by fixed constants (models/training/data/f0.py).
    """

    kind: ClassVar[str] = "features"

    sample_rate: int = 16000
    hop: int = 160
    window: int = 640
    mel_bands: int = 64
    mel_low_hz: float = 40.0
    mel_high_hz: float = 7800.0
    floor: float = 1e-4
    pitch_low_hz: float = 60.0
    pitch_high_hz: float = 500.0

    def __post_init__(self) -> None:
        self._positive("sample_rate", "hop", "window", "mel_bands")

    @property
    def channels(self) -> int:
        """Numbers per frame: the mel bands, log-F0, voicing."""
        return self.mel_bands + 2


SHAPINGS = ("preemphasis", "linear_prediction")
"""What stands between sound and mu-law: a fixed filter of order 1 (models/audio/mu_law.py), or one of order 16 that
follows the conditioning frames (models/audio/shaping.py)."""


@dataclass(frozen=True)
class WaveNetSpec(_Spec):
    """A conditional WaveNet (van den Oord et al. 2016, arXiv:1609.03499).

    ``layers`` residual layers in ``stacks`` stacks; within a stack the dilation doubles from 1. ``gate_channels``
    counts both halves of the gated unit together. ``local_channels`` 0 means no conditioning frames, an empty
    ``speakers`` no speaker: a model with neither is unconditional. ``shaping`` is one of :data:`SHAPINGS`;
    ``preemphasis`` and ``gain`` belong to the first.
    """

    kind: ClassVar[str] = "wavenet"

    layers: int = 24
    stacks: int = 3
    kernel_size: int = 2
    residual_channels: int = 32
    gate_channels: int = 64
    skip_channels: int = 128
    head_channels: int = 256
    sample_rate: int = 16000
    preemphasis: float = 0.85
    gain: float = 2.0
    shaping: str = "preemphasis"
    speakers: tuple[str, ...] = ()
    global_channels: int = 16
    local_channels: int = 0
    local_hop: int = 160
    conditioner_channels: int = 96
    conditioner_layers: int = 3

    def __post_init__(self) -> None:
        self._positive("layers", "stacks", "residual_channels", "gate_channels", "skip_channels", "head_channels")
        self._positive("sample_rate", "global_channels", "local_hop", "conditioner_channels", "conditioner_layers")
        if self.kernel_size != 2:
            raise SpecError(f"kernel_size: the causal convolutions have 2 taps, not {self.kernel_size!r}")
        if self.layers % self.stacks:
            raise SpecError(f"stacks: {self.layers} layers do not divide into {self.stacks} stacks")
        if self.gate_channels % 2:
            raise SpecError("gate_channels: counts two equal halves, so it must be even")
        if not 0.0 <= self.preemphasis < 1.0:
            raise SpecError(f"preemphasis: must lie in [0, 1), not {self.preemphasis!r}")
        if self.local_channels < 0:
            raise SpecError("local_channels: must not be negative")
        if self.shaping not in SHAPINGS:
            raise SpecError(f"shaping: must be one of {', '.join(SHAPINGS)}, not {self.shaping!r}")
        if self.shaping == "linear_prediction" and not self.local_channels:
            raise SpecError("shaping: linear prediction needs conditioning frames")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of every layer, bottom to top: 1, 2, 4, … repeated for each stack (section 2.1)."""
        return tuple(2**i for i in range(self.layers // self.stacks)) * self.stacks

    @property
    def receptive_field(self) -> int:
        """Past symbols that the distribution of the next one can depend on."""
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


@dataclass(frozen=True)
class AcousticSpec(_Spec):
    """The acoustic model: phonemes and a speaker to durations and conditioning frames, all at once (not
    autoregressive)."""

    kind: ClassVar[str] = "frames"

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
        self._positive("outputs", "hop", "sample_rate", "channels", "encoder_layers", "decoder_layers", "kernel_size")
        self._positive("duration_layers", "duration_kernel_size", "speaker_channels", "position_channels")
        if not self.phonemes:
            raise SpecError("phonemes: the inventory is empty")
        if not self.speakers:
            raise SpecError("speakers: an acoustic model needs at least one voice")
        for name in ("kernel_size", "duration_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise SpecError(f"{name}: must be odd, the acoustic model looks both ways")


CONDITIONINGS = ("none", "class", "location")
LOCATION_STRIDE = 4
"""Pixels a side of one cell of the coarse map that location-dependent conditioning begins with."""
OUTLINE = slice(LOCATION_STRIDE // 2, None, LOCATION_STRIDE)
"""The rows, and the columns, whose pixels are the outline of a picture: one in every cell."""


@dataclass(frozen=True)
class PixelCNNSpec(_Spec):
    """A PixelCNN: gated with two stacks (van den Oord et al. 2016, arXiv:1606.05328), or the original with ReLU and
    residual bottlenecks (arXiv:1601.06759, section 3.5).

    ``layers`` counts the first one, of mask A, too. ``features`` is p of the gated network and 2h of the original one.
    ``classes``, ``styles`` and ``kinds`` name what may be asked for, each alone or together; h is the sum of their
    vectors of ``condition_channels`` numbers. It enters every layer as V·h (``class``), or as V * s with s = m(h), a
    map of ``location_channels`` (``location``). A kind is one of a class, of which ``kind_classes`` has the index;
    ``kind_counts`` says how many of the pictures trained on are of it.

    With ``outline_layers`` a picture is drawn in two scales (Multi-Scale PixelRNN, section 3.6 of 1601.06759): first
    its outline, the pixels of :data:`OUTLINE`, by a network of so many layers of ``outline_features``; then the others,
    which see all of it by way of s.
    """

    kind: ClassVar[str] = "pixelcnn"

    height: int = 32
    width: int = 32
    channels: int = 3
    levels: int = 256
    gated: bool = True
    layers: int = 15
    features: int = 64
    first_kernel_size: int = 7
    kernel_size: int = 3
    output_features: int = 128
    classes: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    kind_classes: tuple[int, ...] = ()
    kind_counts: tuple[int, ...] = ()
    conditioning: str = "none"
    condition_channels: int = 32
    location_channels: int = 8
    outline_layers: int = 0
    outline_features: int = 64

    def __post_init__(self) -> None:
        self._positive("height", "width", "layers", "features", "output_features")
        self._positive("condition_channels", "location_channels", "kernel_size", "first_kernel_size")
        if self.channels not in (1, 3):
            raise SpecError(f"channels: must be 1 or 3, not {self.channels!r}")
        if self.levels not in (2, 256):
            raise SpecError(f"levels: must be 2 or 256, not {self.levels!r}")
        if not isinstance(self.gated, bool):
            raise SpecError(f"gated: must be true or false, not {self.gated!r}")
        if self.layers < 2:
            raise SpecError("layers: there is one of mask A and at least one of mask B")
        for name in ("kernel_size", "first_kernel_size"):
            if getattr(self, name) % 2 == 0 or getattr(self, name) < 3:
                raise SpecError(f"{name}: must be odd and at least 3, so that it has a centre and a past")
        if self.features < 2 * self.channels or self.features % 2:
            raise SpecError(f"features: must be even and at least {2 * self.channels}, not {self.features}")
        if self.output_features < self.channels:
            raise SpecError(f"output_features: must be at least {self.channels}, one a channel")
        self._check_conditions()

    def _check_conditions(self) -> None:
        if self.conditioning not in CONDITIONINGS:
            raise SpecError(f"conditioning: must be one of {', '.join(CONDITIONINGS)}, not {self.conditioning!r}")
        if bool(self.conditions) == (self.conditioning == "none"):
            raise SpecError("conditioning: 'none' exactly where there is nothing to ask for")
        for name in ("classes", "styles", "kinds"):
            names = getattr(self, name)
            if not all(isinstance(n, str) and n for n in names) or len(set(names)) < len(names):
                raise SpecError(f"{name}: must be names, each once")
        self._check_kinds()
        if self.outline_layers != 0:
            self._check_outline()

    def _check_outline(self) -> None:
        self._positive("outline_layers")
        in_cells = self.height % LOCATION_STRIDE == self.width % LOCATION_STRIDE == 0
        if self.conditioning != "location" or not in_cells:
            message = "outline_layers: only with 'location' conditioning and pictures of whole cells"
            raise SpecError(f"{message} ({LOCATION_STRIDE} x {LOCATION_STRIDE})")
        _ = self.outline  # which checks itself

    def _check_kinds(self) -> None:
        if {name.casefold() for name in self.kinds} & {name.casefold() for name in self.classes}:
            raise SpecError("kinds: none may be called like a class")
        for field, low, high in (("kind_classes", 0, len(self.classes)), ("kind_counts", 1, None)):
            numbers = getattr(self, field)
            fit = (isinstance(n, int) and n >= low and (high is None or n < high) for n in numbers)
            if len(numbers) != len(self.kinds) or not all(fit):
                meant = "the index of its class" if high is not None else "a positive number"
                raise SpecError(f"{field}: must have, for every kind, {meant}")

    @property
    def dims(self) -> int:
        """Sub-pixels of a picture."""
        return self.height * self.width * self.channels

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The names of each condition that there is: of ``class``, ``style`` and ``kind``, in this order."""
        conditions = {"class": self.classes, "style": self.styles, "kind": self.kinds}
        return {condition: names for condition, names in conditions.items() if names}

    @property
    def conditions(self) -> tuple[tuple[str, ...], ...]:
        """The names alone. A condition's label ``len(names)`` means that nothing is asked for."""
        return tuple(self.named.values())

    @property
    def outline(self) -> PixelCNNSpec | None:
        """The network that draws the outline; its h is that of the whole."""
        if not self.outline_layers:
            return None
        return dataclasses.replace(
            self, height=self.height // LOCATION_STRIDE, width=self.width // LOCATION_STRIDE, conditioning="class",
            layers=self.outline_layers, features=self.outline_features, kernel_size=3, outline_layers=0,
        )  # fmt: skip

    @property
    def reach(self) -> int:
        """How many rows up, and columns to either side, the distribution of a pixel can depend on, besides an outline's
        pixels."""
        return self.first_kernel_size // 2 + (self.layers - 1) * (self.kernel_size // 2)
