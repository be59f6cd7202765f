"""Specs: frozen dataclasses that describe a model and survive a JSON round trip. No arrays, no torch, no I/O.

A spec is the part of a checkpoint that fixes the shape of every tensor in it (``config.json``). Numbers that belong to
one request (temperature, seed) or to one deployment (engine, threads) never appear in it.

Here are the bases: what the rest of the code needs to know of any speech or image network. The specs of the networks
themselves are in ancestral_models/architectures/.
"""

from __future__ import annotations

import dataclasses
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

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
        given = {k: _frozen(v) for k, v in data.items() if k != "kind"}
        if unknown := sorted(set(given) - names):
            raise SpecError(f"{unknown[0]}: unknown field of a {cls.kind} configuration")
        for f in dataclasses.fields(cls):
            if f.name in given and (wanted := _unfit(str(f.type), given[f.name])):
                raise SpecError(f"{f.name}: must be {wanted}, not {given[f.name]!r:.80}")
        try:
            return cls(**given)
        except TypeError as error:  # a required key is absent
            raise SpecError(f"{cls.kind} configuration: {error}") from error

    def require_positive(self, *names: str, most: int = 1 << 18) -> None:
        """Raise :class:`SpecError` unless these fields are positive integers, and not larger than any network has."""
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise SpecError(f"{name}: must be an integer from 1 to {most}, not {value!r}")


def _unfit(kind: str, value: Any) -> str:
    """What a value has to be by its annotation, if it is something else."""
    if kind.startswith("tuple["):
        element = kind[6:].removesuffix(", ...]")
        fits = isinstance(value, tuple) and not any(_unfit(element, each) for each in value)
        return "" if fits else f"a list, each of which is {_KINDS.get(element, ('', 'a list'))[1]}"
    types, name = _KINDS.get(kind, (object, ""))
    fits = isinstance(value, types) and isinstance(value, bool) <= (kind not in ("int", "float"))
    return "" if fits and not (isinstance(value, float) and not math.isfinite(value)) else name


_KINDS: Final[dict[str, Any]] = {
    "int": (int, "an integer"), "float": ((int, float), "a number"), "str": (str, "text"),
    "bool": (bool, "true or false"),
}  # fmt: skip


def _frozen(value: Any) -> Any:
    """A JSON list as a tuple, and the lists in it."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class FeatureSpec(Spec):
    """The conditioning frames: one row of ``channels`` numbers every ``hop`` samples.

    A row is ``mel_bands`` log-mel energies, then log-F0 (interpolated through unvoiced parts), then voicing in 0..1,
    each shifted and scaled by fixed constants (ancestral_models/audio/features.py).
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
    def requested_hz(self) -> tuple[float, float]:
        """The range of F0 that can be asked for. It begins four semitones below the range of the analysis: WaveNet
        learns from clips that are lowered by as much."""
        return self.pitch_low_hz * 2.0 ** (-4.0 / 12.0), self.pitch_high_hz

    @property
    def channels(self) -> int:
        """Numbers per frame: the mel bands, log-F0, voicing."""
        return self.mel_bands + 2


SHAPINGS = ("preemphasis", "linear_prediction")
"""The filter between sound and mu-law: a fixed one of order 1 (ancestral_models/audio/mu_law.py), or one of order 16
that follows the conditioning frames (ancestral_models/audio/shaping.py)."""


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
        if not self.gain > 0.0:
            raise SpecError(f"gain: must be positive, not {self.gain!r}")
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
LABEL_ROWS: Final = "label_rows"
"""The tensor of an image checkpoint that holds labels which occurred together in training
(ancestral_models/conditioning.py). It is no weight of the network."""
MAX_LABEL_ROWS: Final = 4096
MAX_SIDE: Final = 512
"""Pixels of a picture's sides."""
STYLE: Final = "style"
"""The name of the attribute that says how a picture is drawn, not what it shows: guidance leaves it as it is."""
COARSE_STRIDE: Final = 4
"""Pixels in each direction per pixel of the coarse scale, of a picture sampled in two scales."""
COARSE: Final = slice(COARSE_STRIDE // 2, None, COARSE_STRIDE)
"""The rows, and the columns, of the coarse pixels."""
COARSE_PREFIX: Final = "coarse."
"""Prefix of the tensors of the network that samples the coarse pixels."""
ENCODER_PREFIX: Final = "encoder."
"""Prefix of the encoder's tensors, in a network whose h is that of a picture."""
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}(00)?")


@dataclass(frozen=True)
class PictureSpec(Spec):
    """What every network that sees pictures has: the size, the levels of a sub-pixel, the palette.

    A sub-pixel is one channel of one pixel, a symbol below ``levels``. With a ``palette`` a pixel is one symbol, an
    index into it: the palette has one colour for each level, ``#rrggbb`` or, for a transparent one, ``#rrggbb00``.
    """

    height: int = 32
    width: int = 32
    channels: int = 3
    levels: int = 256
    palette: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.require_positive("height", "width", most=MAX_SIDE)
        if self.channels not in (1, 3):
            raise SpecError(f"channels: must be 1 or 3, not {self.channels!r}")
        if not self.palette and self.levels not in (2, 256):
            raise SpecError(f"levels: must be 2 or 256, not {self.levels!r}")
        self._check_palette()

    def _check_palette(self) -> None:
        if not self.palette:
            return
        colours: tuple[Any, ...] = self.palette
        if not all(isinstance(colour, str) and _COLOUR.fullmatch(colour) for colour in colours):
            raise SpecError("palette: must be colours like '#00ff7f', or '#00000000' for a transparent one")
        if not 2 <= len(self.palette) <= 256 or any(len(colour) > 7 for colour in self.palette[1:]):
            raise SpecError("palette: must be 2 to 256 colours, of which only the first may be transparent")
        if (self.channels, self.levels) != (1, len(self.palette)):
            raise SpecError("palette: a pixel is one channel, which has as many levels as the palette has colours")

    @classmethod
    def for_pictures(cls, shape: tuple[int, int, int], data: Mapping[str, Any], **options: Any) -> Self:
        """The spec of a network to train.

        Args:
            shape: height, width and channels of the pictures.
            data: what follows from the set of pictures: ``attributes``, ``label_rows``, ``levels``, ``palette``. What
                is no field of this spec is left out.
            options: the other fields.

        Raises:
            SpecError: they describe no valid network.
        """
        height, width, channels = shape
        names = {f.name for f in dataclasses.fields(cls)}
        fields: dict[str, Any] = {name: value for name, value in data.items() if name in names}
        return cls(height=height, width=width, channels=channels, **fields, **options)

    @property
    def title(self) -> str:
        """The network's name in model cards."""
        return self.kind

    @property
    def dims(self) -> int:
        """Sub-pixels of a picture."""
        return self.height * self.width * self.channels

    @property
    def binary(self) -> bool:
        """Whether pixels are black or white: pictures are binarised at random."""
        return self.levels == 2 and not self.palette

    @property
    def transparent(self) -> bool:
        """Whether the first colour of the palette is transparent."""
        return bool(self.palette) and len(self.palette[0]) > 7

    @property
    def planes(self) -> int:
        """Numbers that a symbol enters the network as: its level, or the red, green and blue of its colour in the
        palette, and its opacity if one is transparent (ancestral_models/spec.py)."""
        if not self.palette:
            return 1
        return 4 if self.transparent else 3


def check_attributes(attributes: tuple[Any, ...]) -> None:
    """Each name, and each name of a value, once: a prompt is a list of the latter, separated by commas.

    Raises:
        SpecError: they are no pairs of a name and its values, or a name is wrong or not unique.
    """
    if not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], tuple) for pair in attributes):
        raise SpecError("attributes: must be pairs of a name and a list of names of values")
    names: list[Any] = [name for name, _ in attributes]
    values: list[Any] = [value for _, known in attributes for value in known]
    if not all(known for _, known in attributes):
        raise SpecError("attributes: each must have a value")
    for name in (*names, *values):
        if not isinstance(name, str) or not name or name != name.strip() or "," in name:
            raise SpecError(f"attributes: {name!r} is no name: it must be text without commas")
    for group, said in ((names, "attributes"), (values, "values")):
        if len({name.casefold() for name in group}) < len(group):
            raise SpecError(f"attributes: two {said} have one name")


@dataclass(frozen=True)
class ImageSpec(PictureSpec):
    """What every network has whose output are pictures: what it is conditioned on.

    ``attributes`` are the conditions: pairs of a name and the names of its values, which are unique over all
    attributes; there are none where the network is conditioned on a picture. The embedding of a value has
    ``condition_channels`` numbers; the vector h that the network is conditioned on is the sum of one embedding for each
    attribute. ``label_rows`` is the length of the tensor :data:`LABEL_ROWS`.
    """

    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    label_rows: int = 0
    condition_channels: int = option(32, "Numbers of the vector h that conditions the network.", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("condition_channels")
        check_attributes(self.attributes)
        rows = self.label_rows
        if not 0 <= rows <= (MAX_LABEL_ROWS if self.attributes else 0):
            raise SpecError(f"label_rows: must lie in 0 … {MAX_LABEL_ROWS}, and be 0 without attributes, not {rows!r}")

    def require_odd(self, *names: str) -> None:
        """Raise :class:`SpecError` unless these sizes of kernels are odd and at least 3."""
        for name in names:
            if getattr(self, name) % 2 == 0 or getattr(self, name) < 3:
                raise SpecError(f"{name}: must be odd and at least 3, so that it has a centre and a past")

    @classmethod
    def for_pictures(cls, shape: tuple[int, int, int], data: Mapping[str, Any], **options: Any) -> Self:
        """The spec for pictures of this form; with ``conditioning`` ``none`` their attributes are not used."""
        unused = {"attributes": (), "label_rows": 0} if options.get("conditioning") == "none" else {}
        return super().for_pictures(shape, {**data, **unused}, **options)

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The values of each attribute, by its name, in order."""
        return dict(self.attributes)

    @property
    def conditions(self) -> tuple[tuple[str, ...], ...]:
        """The values of each attribute. The label ``len(values)`` of a condition is "unspecified"."""
        return tuple(values for _, values in self.attributes)

    @property
    def embedding_rows(self) -> int:
        """Rows of :data:`LABEL_EMBEDDING`: one for each label, and one for "unspecified", of each condition."""
        return sum(len(names) + 1 for names in self.conditions)

    @property
    def encoder(self) -> PictureSpec | None:
        """The spec of the encoder, of a network whose h is that of a picture
        (ancestral_models/architectures/classifier.py)."""
        return None

    @property
    def drawn_from(self) -> str:
        """What decides, besides the seed, what a picture shows: its ``labels``; another ``picture``, which it is to
        reconstruct; or a ``person`` on another picture."""
        return "labels"

    @property
    def conditioned(self) -> bool:
        """Whether the network is conditioned on a vector h: of labels, or of a picture."""
        return bool(self.attributes) or self.encoder is not None

    @property
    def coarse(self) -> ImageSpec | None:
        """The spec of the network that samples the coarse pixels first, of a network in two scales."""
        return None

    @property
    def draws_edits(self) -> bool:
        """Whether the network draws a region of a picture given all of the rest, below and right of it as well."""
        return False

    @property
    def reach(self) -> int:
        """How many rows up the distribution of a pixel can depend on, besides coarse pixels."""
        return self.height


# What symbols look like: as numbers for a network, as colours for people; and the nearest colours of a palette.
#
# Indices into a palette have no order, so a network sees the colours, not the indices.


WHITE = 255


@cache
def input_table(spec: PictureSpec) -> NDArray[np.float32]:
    """The numbers from -1 to 1 that each symbol enters the network as: ``float32 [levels, planes]``, read-only."""
    if spec.palette:
        values = rgba(spec)[:, : spec.planes] * (2.0 / WHITE) - 1.0
    else:
        # The scale is rounded first and the product is not, as in a fused multiply-add.
        values = np.arange(spec.levels)[:, None] * np.float64(np.float32(2.0 / (spec.levels - 1))) - 1.0
    table = values.astype(np.float32)
    table.flags.writeable = False
    return table


def rgba(spec: PictureSpec) -> NDArray[np.uint8]:
    """The colours of a palette, ``uint8 [levels, 4]``."""
    codes = [bytes.fromhex(colour[1:].ljust(8, "f")) for colour in spec.palette]
    return np.array([[*code] for code in codes], np.uint8)


def pixels_of(symbols: NDArray[np.uint8], spec: PictureSpec) -> NDArray[np.uint8]:
    """Symbols ``[..., C]`` as 8-bit pixels, grey or RGB; what is transparent is white.

    Without a palette the highest level is white.
    """
    if not spec.palette:
        return symbols * np.uint8(WHITE // (spec.levels - 1))
    colours = rgba(spec)
    opaque: NDArray[np.uint8] = np.where(colours[:, 3:] == 0, np.uint8(WHITE), colours[:, :3])
    return opaque[symbols[..., 0]]


_COLOURS: Final = 4096
"""Colours of a picture that are compared at once with those of a palette."""


def nearest_symbols(pixels: NDArray[np.uint8], spec: PictureSpec) -> tuple[NDArray[np.uint8], float]:
    """The nearest colours of a palette, and how far they are.

    Args:
        pixels: ``[H, W, 4]``, RGBA. Those that are less than half opaque become the transparent colour, if there is
            one; the others are taken as opaque.
        spec: with a palette.

    Returns:
        The symbols ``[H, W, 1]``, and the root mean square of the distances of the opaque pixels' channels, in 0..255.
    """
    colours = rgba(spec)[:, :3].astype(np.float32)
    hidden = pixels[..., 3] < 128 if spec.transparent else np.zeros(pixels.shape[:2], bool)
    flat, where = np.unique(pixels[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    first = int(spec.transparent)  # the transparent entry has no colour
    nearest, squares = np.empty(len(flat), np.intp), np.empty(len(flat), np.float32)
    for start in range(0, len(flat), _COLOURS):
        block = slice(start, start + _COLOURS)
        apart = ((flat[block, None].astype(np.float32) - colours[None, first:]) ** 2).mean(axis=2)
        nearest[block], squares[block] = apart.argmin(axis=1) + first, apart.min(axis=1)
    symbols = nearest[where].reshape(hidden.shape)
    seen = squares[where].reshape(hidden.shape)[~hidden]
    distance = float(np.sqrt(seen.mean())) if seen.size else 0.0
    return np.where(hidden, 0, symbols).astype(np.uint8)[..., None], distance
