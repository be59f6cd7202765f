"""Specs: frozen dataclasses that describe a model and survive a JSON round trip. No arrays, no torch, no I/O.

A spec is the part of a checkpoint that fixes the shape of every tensor in it (``config.json``). Numbers that belong to
one request (temperature, seed) or to one deployment (engine, threads) never appear in it.

Here are the bases: what the rest of the code needs to know of any speech or image network. The specs of the networks
themselves are in models/architectures/.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

SYMBOLS = 256
"""Size of the mu-law alphabet (WaveNet, section 2.2)."""


class SpecError(ValueError):
    """A configuration that describes no valid model; the message names the field."""


def option(
    default: Any,
    description: str | None = None,
    *,
    least: int | None = None,
    choices: tuple[str, ...] = (),
    suggested: Any = None,
    off: str | None = None,
) -> Any:
    """A field of an image spec that is also an option of ``ancestral train``.

    Args:
        default: of the field.
        description: the help of the option.
        least: the smallest value of a number.
        choices: the values of a string.
        suggested: the default of the option, where it is not that of the field.
        off: the name of the option that sets a boolean to false.
    """
    shown = default if suggested is None else suggested
    metadata = {"description": description, "least": least, "choices": choices, "off": off, "default": shown}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Spec:
    """The JSON round trip that all specs share: unknown and missing keys are errors, never ignored."""

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

    def require_positive(self, *names: str) -> None:
        """Raise :class:`SpecError` unless these fields are positive integers."""
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise SpecError(f"{name}: must be a positive integer, not {value!r}")


@dataclass(frozen=True)
class FeatureSpec(Spec):
    """The conditioning frames: one row of ``channels`` numbers every ``hop`` samples.

    A row is ``mel_bands`` log-mel energies, then log-F0 (interpolated through unvoiced parts), then voicing in 0..1,
    each shifted and scaled by fixed constants (models/audio/features.py).
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
        self.require_positive("sample_rate", "hop", "window", "mel_bands")

    @property
    def channels(self) -> int:
        """Numbers per frame: the mel bands, log-F0, voicing."""
        return self.mel_bands + 2


SHAPINGS = ("preemphasis", "linear_prediction")
"""The filter between sound and mu-law: a fixed one of order 1 (models/audio/mu_law.py), or one of order 16 that follows
the conditioning frames (models/audio/shaping.py)."""


@dataclass(frozen=True)
class SpeechSpec(Spec, ABC):
    """What every autoregressive network of speech has: its sound, its speakers, its local conditioning.

    ``local_channels`` 0 means no conditioning frames, an empty ``speakers`` no speaker. ``shaping`` is one of
    :data:`SHAPINGS`; ``preemphasis`` and ``gain`` belong to the first, the second needs the frames of
    :class:`FeatureSpec`.
    """

    sample_rate: int = 16000
    preemphasis: float = 0.85
    gain: float = 2.0
    shaping: str = "preemphasis"
    speakers: tuple[str, ...] = ()
    local_channels: int = 0
    local_hop: int = 160

    def __post_init__(self) -> None:
        self.require_positive("sample_rate", "local_hop")
        if not 0.0 <= self.preemphasis < 1.0:
            raise SpecError(f"preemphasis: must lie in [0, 1), not {self.preemphasis!r}")
        if self.local_channels < 0:
            raise SpecError("local_channels: must not be negative")
        if self.shaping not in SHAPINGS:
            raise SpecError(f"shaping: must be one of {', '.join(SHAPINGS)}, not {self.shaping!r}")
        if self.shaping == "linear_prediction":
            features = FeatureSpec()
            expected = (features.channels, features.hop, features.sample_rate)
            if (self.local_channels, self.local_hop, self.sample_rate) != expected:
                channels, hop, rate = expected
                needed = f"frames of {channels} channels every {hop} samples at {rate} Hz"
                raise SpecError(f"shaping: linear prediction needs conditioning {needed}")

    @property
    @abstractmethod
    def receptive_field(self) -> int:
        """Past symbols that the distribution of the next one can depend on."""


LABEL_EMBEDDING: Final = "conditioner.embedding"
"""The tensor that holds the embedding of every label of an image network (:attr:`ImageSpec.conditions`)."""
COARSE_STRIDE: Final = 4
"""In a picture sampled in two scales, the coarse scale has one pixel per cell of this many pixels in each direction."""
COARSE: Final = slice(COARSE_STRIDE // 2, None, COARSE_STRIDE)
"""The rows, and the columns, of the coarse pixels."""
COARSE_PREFIX: Final = "coarse."
"""Of the tensors of the network that samples the coarse pixels."""


@dataclass(frozen=True)
class ImageSpec(Spec):
    """What every network of pictures has: the size, the levels of a sub-pixel, the conditions and their names.

    A sub-pixel is one channel of one pixel, a symbol below ``levels``. ``classes``, ``styles`` and ``subclasses`` name
    the labels of up to three conditions. The embedding of a label has ``condition_channels`` numbers; the vector h that
    the network is conditioned on is the sum of one embedding for each condition. A subclass belongs to one class:
    ``subclass_classes`` has that class's index, ``subclass_counts`` the number of training pictures.
    """

    height: int = 32
    width: int = 32
    channels: int = 3
    levels: int = 256
    classes: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    subclasses: tuple[str, ...] = ()
    subclass_classes: tuple[int, ...] = ()
    subclass_counts: tuple[int, ...] = ()
    condition_channels: int = 32

    def __post_init__(self) -> None:
        self.require_positive("height", "width", "condition_channels")
        if self.channels not in (1, 3):
            raise SpecError(f"channels: must be 1 or 3, not {self.channels!r}")
        if self.levels not in (2, 256):
            raise SpecError(f"levels: must be 2 or 256, not {self.levels!r}")
        for name in ("classes", "styles", "subclasses"):
            names = getattr(self, name)
            if not all(isinstance(n, str) and n for n in names) or len(set(names)) < len(names):
                raise SpecError(f"{name}: must be names, each once")
        self._check_subclasses()

    def _check_subclasses(self) -> None:
        if {name.casefold() for name in self.subclasses} & {name.casefold() for name in self.classes}:
            raise SpecError("subclasses: none may have the name of a class")
        for name, low, high in (("subclass_classes", 0, len(self.classes)), ("subclass_counts", 1, None)):
            numbers = getattr(self, name)
            valid = (isinstance(n, int) and n >= low and (high is None or n < high) for n in numbers)
            if len(numbers) != len(self.subclasses) or not all(valid):
                meaning = "the index of its class" if high is not None else "a positive number"
                raise SpecError(f"{name}: must have, for every subclass, {meaning}")

    @classmethod
    def for_pictures(
        cls, shape: tuple[int, int, int], conditions: Mapping[str, tuple[Any, ...]], **options: Any
    ) -> Self:
        """The spec of a network to train.

        Args:
            shape: height, width and channels of the pictures.
            conditions: the fields of the labels, by name.
            options: the other fields.

        Raises:
            SpecError: they describe no valid network.
        """
        height, width, channels = shape
        fields: dict[str, Any] = {**conditions, **options}
        return cls(height=height, width=width, channels=channels, **fields)

    @property
    def title(self) -> str:
        """The network's name in model cards."""
        return self.kind

    @property
    def dims(self) -> int:
        """Sub-pixels of a picture."""
        return self.height * self.width * self.channels

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The labels of each condition that the network has, of ``class``, ``style`` and ``subclass`` in this order."""
        conditions = {"class": self.classes, "style": self.styles, "subclass": self.subclasses}
        return {condition: names for condition, names in conditions.items() if names}

    @property
    def conditions(self) -> tuple[tuple[str, ...], ...]:
        """The values of :attr:`named`. The label ``len(names)`` of a condition is "unspecified"."""
        return tuple(self.named.values())

    @property
    def embedding_rows(self) -> int:
        """Rows of :data:`LABEL_EMBEDDING`: one for each label, and one for "unspecified", of each condition."""
        return sum(len(names) + 1 for names in self.conditions)

    @property
    def coarse(self) -> ImageSpec | None:
        """The spec of the network that samples the coarse pixels first, of a network in two scales."""
        return None

    @property
    def reach(self) -> int:
        """How many rows up the distribution of a pixel can depend on, besides coarse pixels."""
        return self.height
