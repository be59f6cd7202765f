"""The models on disk: one directory each, with a ``model.json`` beside its checkpoints.

wavenet-en/
    model.json      the model's name, its owner, its voices
    wavenet/        the checkpoint that is sampled (checkpoint.py), whatever it is called: frames to sound
    wavenet-joe/    optional: others like it, for the voices whose ``network`` they are
    acoustic/       the checkpoint of the acoustic model: phonemes to frames
    high_band/      optional: what each voice sounds like above 8 kHz

pixelcnn-sprites/
    model.json
    pixelcnn/       the checkpoint that is sampled
    classifier/     optional: a classifier of the same attributes, which says what a picture shows

The kind of a model is its modality; the architecture of the sampled checkpoint says which network it is. A model of
kind ``speech`` reads text aloud and has both checkpoints; one of kind ``audio`` generates speech without text (WaveNet,
section 3.1) and has no ``acoustic/``. One of kind ``image`` generates pictures and has no voices.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ancestral_models.checkpoint import MAX_JSON_BYTES, parse_object, read_file

log = logging.getLogger(__name__)

MANIFEST = "model.json"
CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "speech": ("speech", "likelihood"),
    "audio": ("generation", "continuation", "likelihood"),
    "image": ("image_generation", "image_completion", "image_interpolation", "image_likelihood"),
}
"""What a model of each kind can do; an image model, if it draws what labels say."""
EDIT_CAPABILITY = "image_edit"
"""Capability of an image model whose network draws edits."""
CLASSIFICATION_CAPABILITY = "image_classification"
"""Capability of an image model that has a classifier: it says what its pictures show, and chooses among candidates."""

ACOUSTIC = "acoustic"
"""The directory of the acoustic model's checkpoint."""
CLASSIFIER = "classifier"
"""The directory of the classifier's checkpoint, of an image model that has one."""
HIGH_BAND = "high_band"
"""The directory of the maps of the band above 8 kHz, of a speech model that has them."""
_PREVIEWS = "previews"
_DIRECTORIES: Final = (ACOUSTIC, CLASSIFIER, HIGH_BAND, _PREVIEWS)
"""Directories of a model whose checkpoints are not sampled."""
MAX_GUIDANCE = 10.0
MAX_TEMPERATURE = 2.0
MAX_NUMBER = 1e6
"""Largest absolute value of a number in a request's vector."""
MAX_BEST_OF: Final = 8
SPEEDS: Final = (0.25, 4.0)
"""The lowest and the highest speed."""
MAX_PITCH = 12.0
"""Semitones, up or down."""
MAX_INTONATION = 2.0
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


class ModelError(ValueError):
    """A model directory that cannot be used; the message names the model and the field."""


class MachineError(ModelError):
    """What would sample a model cannot run on this machine, whatever its weights; so no model is left out for it."""


@dataclass(frozen=True)
class Sampling:
    """How a voice is sampled: a function of logits and frames alone. The defaults leave the distribution as it is.

    Likelihoods do not depend on it.
    """

    voiced_temperature: float = 1.0
    """Multiplies the request's temperature in voiced frames. In between it is interpolated by the voicing."""
    unvoiced_temperature: float = 1.0
    """Temperature in unvoiced frames."""
    min_p: float = 0.0
    """Symbols are left out that are less likely, at that temperature, than this share of the most likely one."""
    low_shelf_db: float = 0.0
    """Gain of the lowest frequencies in voiced frames (ancestral_models/audio/shaping.py), for models with linear
    prediction: a low voiced temperature makes the first harmonics too loud."""
    mel_correction: float = 0.0
    """Strength, 0 … 1, of a correction of the sound towards the mels that it is made from
    (ancestral_models/audio/shaping.py), for models with linear prediction."""
    contrast: float = 0.0
    """How much more the upper bands of predicted mels differ from their neighbours
    (:func:`~ancestral_models.audio.features.sharpened`)."""

    def __post_init__(self) -> None:
        for name in ("voiced_temperature", "unvoiced_temperature"):
            if not 0.0 < getattr(self, name) <= 2.0:
                raise ValueError(f"{name}: must lie above 0 and not above 2, not {getattr(self, name)}")
        if not 0.0 <= self.min_p < 1.0:
            raise ValueError(f"min_p: must lie in 0 … 1, below 1, not {self.min_p}")
        for name, low, high in (("low_shelf_db", -12, 12), ("mel_correction", 0, 1), ("contrast", 0, 2)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: must lie in {low} … {high}, not {getattr(self, name)}")

    @property
    def filtered(self) -> str | None:
        """The first setting in use that needs a model with linear prediction."""
        return next((name for name in ("low_shelf_db", "mel_correction") if getattr(self, name)), None)

    @property
    def by_voicing(self) -> bool:
        """Whether the temperatures depend on voicing, which needs frames."""
        return self.voiced_temperature != 1.0 or self.unvoiced_temperature != 1.0

    def temperature(self, voicing: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the request's temperature is multiplied by, of frames with this voicing in 0 … 1 ``[F]``."""
        return self.unvoiced_temperature + voicing * (self.voiced_temperature - self.unvoiced_temperature)


PLAIN: Final = Sampling()
"""The distribution of the network, unchanged."""


@dataclass(frozen=True)
class Voice:
    """One voice of a model. ``id`` is the speaker's name in both checkpoints."""

    id: str
    name: str
    language: str
    gender: str
    description: str
    license: str
    sampling: Sampling = PLAIN
    """Optional in ``model.json``, as are its fields."""
    network: str | None = None
    """The directory of the checkpoint that samples it instead of the model's own. Optional in ``model.json``."""


def speaks(voices: Iterable[Voice], language: str | None) -> bool:
    """Whether one of them speaks a language, a tag of BCP 47; of None any does."""
    own = None if language is None else language.partition("-")[0].lower()
    return own is None or any(voice.language.partition("-")[0] == own for voice in voices)


@dataclass(frozen=True)
class ModelEntry:
    """A model as its ``model.json`` describes it. Its checkpoints have not been loaded."""

    id: str
    kind: str
    """``speech``, ``audio`` or ``image``."""
    created: int
    """Seconds since 1970."""
    owned_by: str
    description: str
    temperature: float
    """The default of requests."""
    voices: tuple[Voice, ...]
    """Voices; none for an image model."""
    guidance: float
    """The default of requests to an image model (ancestral_models/engines/images/engine.py); 1 for any other."""
    edit_guidance: float
    """The default of ``guidance`` in edits and completions, which name few attributes. The key is optional in
    ``model.json``: :attr:`guidance` without it."""
    synonyms: Mapping[str, tuple[str, ...]]
    """Lower-case words, and the values of an image model's attributes that each may mean, the nearest first: error
    messages propose them. The key is optional in ``model.json``."""
    sheets: Mapping[str, SheetLayout]
    """Sheets of an image model, by name. The key is optional in ``model.json``."""
    path: Path
    paper: str | None = None
    """The paper whose network it shows, if that is what it is for. The key is optional in ``model.json``."""

    @property
    def sampled(self) -> Path:
        """The checkpoint that is sampled: the only one besides the acoustic model's, the classifier's and those of
        single voices.

        Raises:
            ModelError: there is none, or several.
        """
        others = (*_DIRECTORIES, *self.networks)
        found = sorted(p for p in self.path.iterdir() if p.is_dir() and p.name not in others and p.name[0] != ".")
        if len(found) != 1:
            names = ", ".join(p.name for p in found) or "none"
            raise ModelError(f"{self.id}: needs one directory with the checkpoint to sample; there are: {names}")
        return found[0]

    @property
    def networks(self) -> dict[str, Path]:
        """The checkpoints that sample some voices, by the name of their directory (:attr:`Voice.network`)."""
        return {voice.network: self.path / voice.network for voice in self.voices if voice.network is not None}

    def preview(self, name: str) -> Path:
        """The file that shows a voice (``joe.mp3``) or a value of an attribute (``cat.png``); it may be missing."""
        return self.path / _PREVIEWS / quote(name, safe=" ")

    @property
    def acoustic(self) -> Path | None:
        """The checkpoint of the acoustic model, in a model that reads text."""
        return self.path / ACOUSTIC if self.kind == "speech" else None

    @property
    def classifier(self) -> Path | None:
        """The checkpoint of the classifier, of an image model that has one."""
        path = self.path / CLASSIFIER
        return path if self.kind == "image" and path.is_dir() else None

    @property
    def high_band(self) -> Path | None:
        """The maps of the band above 8 kHz, in a speech model that has them."""
        path = self.path / HIGH_BAND
        return path if self.kind == "speech" and path.is_dir() else None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parse ``path/model.json``, strictly.

        Raises:
            ModelError: it is not JSON, or a key is missing, unknown or of the wrong type.
        """
        name = path.name
        try:
            data = parse_object(read_file(path / MANIFEST, MAX_JSON_BYTES))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ModelError(f"{name}: {MANIFEST} cannot be read as JSON ({reason})") from error
        special: dict[str, type] = {"created": int, "temperature": float, "voices": list}
        special |= {"guidance": float, "edit_guidance": float}
        is_image = data.get("kind") == "image"
        optional = {"paper", "edit_guidance"} if is_image else {"paper"}
        unused = {"path", "synonyms", "sheets", *(optional - data.keys())}
        unused |= {"voices"} if is_image else {"guidance", "edit_guidance"}
        synonyms = _read_synonyms(name, data.pop("synonyms", {})) if is_image else {}
        sheets = _read_sheets(name, data.pop("sheets", {})) if is_image else {}
        _check(name, data, {f.name: special.get(f.name, str) for f in dataclasses.fields(cls) if f.name not in unused})
        try:
            model_id(data["id"])
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        if data["kind"] not in CAPABILITIES:
            raise ModelError(f"{name}: kind: expected {', '.join(CAPABILITIES)}, found {data['kind']!r}")
        if not 0.0 <= data["temperature"] <= MAX_TEMPERATURE:
            raise ModelError(f"{name}: temperature: must lie in 0 … 2, not {data['temperature']}")
        guidances = {"guidance": data.pop("guidance", 1.0)}
        guidances["edit_guidance"] = data.pop("edit_guidance", guidances["guidance"])
        for key, guidance in guidances.items():
            if not 0.0 <= guidance <= MAX_GUIDANCE:
                raise ModelError(f"{name}: {key}: must lie in 0 … {MAX_GUIDANCE:g}, not {guidance}")
        voices = tuple(_voice(name, data["kind"], voice) for voice in data.pop("voices", ()))
        if bool(voices) == is_image or len({voice.id for voice in voices}) < len(voices):
            raise ModelError(f"{name}: voices: at least one, each id once")
        return cls(**data, voices=voices, **guidances, synonyms=synonyms, sheets=sheets, path=path)


def model_id(name: str) -> str:
    """The name, if it can be the id of a model.

    Raises:
        ModelError: it cannot.
    """
    if not _ID.fullmatch(name):
        raise ModelError(f"id: lowercase letters, digits, '.', '_' and '-' only, not {name!r}")
    return name


def _read_synonyms(name: str, data: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(data, dict) or not all(isinstance(meant, list) for meant in data.values()):
        raise ModelError(f"{name}: synonyms: expected a JSON object of lists")
    for word, meant in data.items():
        if word != word.casefold() or not meant or not all(isinstance(found, str) for found in meant):
            raise ModelError(f"{name}: synonyms: {word}: expected a lower-case word with the names of classes")
    return {word: tuple(meant) for word, meant in data.items()}


def _read_sheets(name: str, data: Any) -> dict[str, SheetLayout]:
    if not isinstance(data, dict):
        raise ModelError(f"{name}: sheets: expected a JSON object")
    found = {}
    for sheet, layout in data.items():
        try:
            found[sheet] = SheetLayout.read(layout)
        except ValueError as error:
            raise ModelError(f"{name}: sheets: {sheet}: {error}") from error
    return found


def _voice(model: str, kind: str, data: Any) -> Voice:
    """One voice of ``model.json``."""
    where = f"{model}: voices"
    given = data.pop("sampling", {}) if isinstance(data, dict) else {}
    optional = {"sampling", *({"network"} - data.keys() if isinstance(data, dict) else ())}
    _check(where, data, {f.name: str for f in dataclasses.fields(Voice) if f.name not in optional})
    if "network" in data and (not _ID.fullmatch(data["network"]) or data["network"] in _DIRECTORIES):
        raise ModelError(f"{where}: network: expected the name of a directory, found {data['network']!r}")
    names = {f.name for f in dataclasses.fields(Sampling)}
    known = names.intersection(given) if isinstance(given, dict) else ()
    _check(f"{where}: sampling", given, dict.fromkeys(known, float))
    try:
        sampling = Sampling(**given)
    except ValueError as error:
        raise ModelError(f"{where}: sampling: {error}") from error
    if kind == "audio" and (sampling.by_voicing or sampling.contrast):
        message = "temperatures by voicing and contrast need frames, which a model of kind audio lacks"
        raise ModelError(f"{where}: sampling: {message}")
    return Voice(**data, sampling=sampling)


def _check(where: str, data: Any, types: dict[str, type]) -> None:
    if not isinstance(data, dict):
        raise ModelError(f"{where}: expected a JSON object")
    if wrong := sorted(set(data) ^ set(types)):
        raise ModelError(f"{where}: {wrong[0]}: {'unknown key' if wrong[0] in data else 'missing'}")
    for key, kind in types.items():
        if type(data[key]) is not kind:
            raise ModelError(f"{where}: {key}: expected {kind.__name__}, found {type(data[key]).__name__}")


def model_folders(directory: Path) -> list[Path]:
    """The folders in ``directory`` that say they are models."""
    return sorted(manifest.parent for manifest in directory.glob(f"*/{MANIFEST}"))


def discover(directory: Path) -> list[ModelEntry]:
    """Every model in ``directory``, by the names of their folders. A directory that does not exist holds none.

    A model that cannot be used is left out, and the reason logged: it must not keep the others away.
    """
    found: dict[str, ModelEntry] = {}
    for path in model_folders(directory):
        try:
            entry = ModelEntry.read(path)
            if entry.id in found:
                raise ModelError(f"{path.name}: {found[entry.id].path.name} has the id {entry.id}")
            found[entry.id] = entry
        except ModelError as error:
            log.error("model left out: %s", error)
    return list(found.values())


# Sheets that a model of pictures can draw in one request: one thing in all its directions and frames.
#
# ``model.json`` says which values of which attributes they are, so nothing else knows the names of a model's
# attributes:
#
#     "sheets": {"run": {
#         "rows": ["north", "east", "south", "west"],
#         "animations": {"idle": ["standing {row}"], "run": ["running {row} 1", "running {row} 2"]},
#         "frames_per_second": 12
#     }}
#
# Every frame is a prompt. A row of the sheet has the frames of all animations.


MAX_FRAMES: Final = 256
"""Most frames of a sheet."""
_FIELDS: Final = frozenset({"rows", "animations", "frames_per_second"})
_ROW: Final = "{row}"


class Tag(NamedTuple):
    """One animation in one row."""

    name: str
    """The animation and the row: ``run north``."""
    first: int
    """The index of its first picture in the sheet."""
    length: int


@dataclass(frozen=True)
class SheetLayout:
    """What the pictures of a sheet show, row by row."""

    rows: tuple[str, ...]
    animations: Mapping[str, tuple[str, ...]]
    """The prompts of their frames, in which ``{row}`` stands for the name of a row."""
    frames_per_second: int

    @property
    def columns(self) -> int:
        """Pictures in a row."""
        return sum(map(len, self.animations.values()))

    @property
    def prompts(self) -> list[str]:
        """One for every picture."""
        every = [frame for frames in self.animations.values() for frame in frames]
        return [frame.replace(_ROW, row) for row in self.rows for frame in every]

    @property
    def tags(self) -> list[Tag]:
        """Every animation in every row."""
        found, first = [], 0
        for row in self.rows:
            for name, frames in self.animations.items():
                found.append(Tag(f"{name} {row}", first, len(frames)))
                first += len(frames)
        return found

    @classmethod
    def read(cls, data: Any) -> Self:
        """Parse a value of ``sheets``, strictly.

        Raises:
            ValueError: a field is missing, unknown or of the wrong type; the message names it.
        """
        if not isinstance(data, dict):
            raise ValueError("expected a JSON object")
        if wrong := sorted(_FIELDS ^ data.keys()):
            raise ValueError(f"{wrong[0]}: {'unknown key' if wrong[0] in data else 'missing'}")
        rows, animations, rate = data["rows"], data["animations"], data["frames_per_second"]
        if not _names(rows) or len(set(rows)) < len(rows):
            raise ValueError("rows: expected a list of different names")
        if not isinstance(animations, dict) or not animations or not all(map(_names, animations.values())):
            raise ValueError("animations: expected a JSON object of lists of prompts")
        if type(rate) is not int or not 1 <= rate <= 100:
            raise ValueError(f"frames_per_second: must be a whole number in 1 … 100, not {rate!r}")
        layout = cls(tuple(rows), {name: tuple(frames) for name, frames in animations.items()}, rate)
        if len(layout.rows) * layout.columns > MAX_FRAMES:
            raise ValueError(f"animations: at most {MAX_FRAMES} frames in all rows")
        return layout


def _names(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(name, str) and name for name in data)
