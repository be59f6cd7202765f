"""What can be asked for: every model's description, architecture and hash. No weights are kept, nothing is sampled.

API processes hold a catalogue; workers hold a :class:`service.repertoire.Repertoire` of the same models.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from models.checkpoint import Checkpoint, CheckpointError, Spec, load
from models.library import LibraryError, ModelEntry, Voice, discover
from models.spec import FrameSpec, PixelCNNSpec, WaveNetSpec
from service.errors import InvalidRequest, NotFound
from service.settings import Settings

ANY: Final = "any"
"""Asks for no class, or no style, in particular."""


@dataclass(frozen=True)
class Model(ABC):
    """One model as it is described to clients."""

    entry: ModelEntry
    sha256: str
    """Of the weights that are sampled."""
    parameters: int
    """Numbers in those weights."""

    @property
    @abstractmethod
    def receptive_field(self) -> int:
        """How far back the network sees."""

    def require(self, capability: str) -> None:
        """Refuse a model that cannot do what is asked.

        Raises:
            InvalidRequest: it cannot.
        """
        if capability not in self.entry.capabilities:
            able = ", ".join(self.entry.capabilities)
            raise InvalidRequest(
                f"model: {self.entry.id} is not made for {capability}; it is made for {able}",
                param="model",
                code="model_not_capable",
            )


@dataclass(frozen=True)
class SoundModel(Model):
    """One that speaks, or babbles."""

    spec: WaveNetSpec
    """Of the network that is sampled."""

    @property
    def receptive_field(self) -> int:
        """Past samples that the next one depends on."""
        return self.spec.receptive_field

    def voice(self, voice_id: str) -> Voice:
        """The voice of this id.

        Raises:
            InvalidRequest: the model has none.
        """
        for voice in self.entry.voices:
            if voice.id == voice_id:
                return voice
        names = ", ".join(voice.id for voice in self.entry.voices)
        raise InvalidRequest(
            f"voice: {self.entry.id} has no such voice; it has {names}", param="voice", code="voice_not_found"
        )

    def speaker(self, voice_id: str) -> int | None:
        """What the network knows one of the voices by; None if it knows no speakers."""
        return self.spec.speakers.index(voice_id) if self.spec.speakers else None


@dataclass(frozen=True)
class PictureModel(Model):
    """One that draws."""

    spec: PixelCNNSpec
    """Of the network that is sampled."""
    embedding: tuple[tuple[float, ...], ...]
    """A vector for every class, then one for none; then the same of styles, then of kinds. None where nothing can be
    asked for."""

    @property
    def size(self) -> str:
        """``WIDTHxHEIGHT``."""
        return f"{self.spec.width}x{self.spec.height}"

    @property
    def receptive_field(self) -> int:
        """Rows above a pixel that it depends on."""
        return self.spec.reach

    def subject(self, name: str | None, param: str) -> tuple[int | None, int | None]:
        """What the network knows a class by, or a kind and its class; None for none in particular.

        Args:
            name: as asked for, in any case. :data:`ANY` and None ask for none in particular.
            param: the field that it came in.

        Raises:
            InvalidRequest: there is no such class or kind; the message has the nearest ones.
        """
        classes, kinds = self.spec.classes, self.spec.kinds
        found = self._find("class", (*classes, *kinds), name, param)
        if found is None or found < len(classes):
            return found, None
        kind = found - len(classes)
        return self.spec.kind_classes[kind], kind

    def style(self, name: str | None) -> int | None:
        """The same for a style, in the field of that name."""
        return self._find("style", self.spec.styles, name, "style")

    def _find(self, condition: str, names: Sequence[str], name: str | None, param: str) -> int | None:
        if name is None:
            return None
        known = {known.casefold(): index for index, known in enumerate(names)}
        wanted = name.strip().casefold()
        if wanted in known:
            return known[wanted]
        if wanted == ANY and names:
            return None
        if not names:
            message = f"{param}: {self.entry.id} has no {_PLURAL[condition]}"
        else:
            near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
            said = ", ".join(names[known[found]] for found in near) or ", ".join(self.spec.named[condition])
            heading = "nearest: " if near else "it has "
            message = f"{param}: {self.entry.id} has no such {condition}; {heading}{said}"
        raise InvalidRequest(message, param=param, code=f"{condition}_not_found")


_PLURAL: Final = {"class": "classes", "style": "styles"}
_M = TypeVar("_M", bound=Model)


class Catalogue:
    """Every model, by id."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models = dict(models)

    def model(self, model_id: str) -> Model:
        """The model of this id.

        Raises:
            NotFound: there is none.
        """
        try:
            return self.models[model_id]
        except KeyError:
            message = f"model: no such model; there is {', '.join(self.models)}"
            raise NotFound(message, param="model", code="model_not_found") from None

    def sound_model(self, model_id: str, capability: str) -> SoundModel:
        """The model of this id, which can do what is asked.

        Raises:
            NotFound: there is none.
            InvalidRequest: it cannot.
        """
        return self._capable(SoundModel, model_id, capability)

    def picture_model(self, model_id: str, capability: str) -> PictureModel:
        """The same of models that draw."""
        return self._capable(PictureModel, model_id, capability)

    def _capable(self, kind: type[_M], model_id: str, capability: str) -> _M:
        model = self.model(model_id)
        model.require(capability)
        assert isinstance(model, kind), "what a kind of model is capable of"
        return model

    @property
    def sound_models(self) -> list[SoundModel]:
        """Those with voices."""
        return [model for model in self.models.values() if isinstance(model, SoundModel)]

    @property
    def picture_models(self) -> list[PictureModel]:
        """Those that draw."""
        return [model for model in self.models.values() if isinstance(model, PictureModel)]


def loaded(
    settings: Settings, only: Callable[[ModelEntry], bool] = lambda entry: True
) -> Iterator[tuple[ModelEntry, Checkpoint, Checkpoint | None]]:
    """Every model that the settings lead to, with its checkpoints, checked against each other.

    Args:
        settings: which directories.
        only: leave out the models for which this is false.

    Yields:
        The description, the network that is sampled, and the frame model of a model that speaks text.

    Raises:
        LibraryError: a model's description is wrong, its parts do not fit each other, or there is no model.
        CheckpointError: weights are missing or damaged.
    """
    seen: set[str] = set()
    for entry in filter(only, discover(settings.models_dir) + discover(settings.data_dir / "models")):
        if entry.id in seen:
            raise LibraryError(f"{entry.id}: two models have this id")
        seen.add(entry.id)
        try:
            sampled = load(entry.sampled)
            frames = load(entry.frames) if entry.frames is not None else None
        except CheckpointError as error:
            raise CheckpointError(f"{entry.id}: {error}") from error
        _check_parts(entry, sampled.spec, frames.spec if frames is not None else None)
        yield entry, sampled, frames
    if not seen:
        raise LibraryError("no model was found: ANCESTRAL_MODELS_DIR leads to none")


def describe(entry: ModelEntry, sampled: Checkpoint) -> Model:
    """A loaded model's description."""
    parameters = sum(tensor.size for tensor in sampled.tensors.values())
    if isinstance(sampled.spec, PixelCNNSpec):
        rows = sampled.tensors.get("conditioner.embedding")
        embedding = () if rows is None else tuple(tuple(map(float, row)) for row in rows)
        return PictureModel(entry, sampled.sha256, parameters, sampled.spec, embedding)
    assert isinstance(sampled.spec, WaveNetSpec)
    return SoundModel(entry, sampled.sha256, parameters, sampled.spec)


def load_catalogue(settings: Settings) -> Catalogue:
    """Describe every model that the settings lead to; raises as :func:`loaded` does."""
    return Catalogue({entry.id: describe(entry, sampled) for entry, sampled, _ in loaded(settings)})


def _check_parts(entry: ModelEntry, sampled: Spec, frames: Spec | None) -> None:
    if entry.kind == "image":
        if not isinstance(sampled, PixelCNNSpec):
            raise LibraryError(f"{entry.id}: needs a pixelcnn checkpoint to draw")
        return
    if not isinstance(sampled, WaveNetSpec) or not (frames is None or isinstance(frames, FrameSpec)):
        raise LibraryError(f"{entry.id}: needs a wavenet checkpoint, and a frames checkpoint to speak text")
    _check_sound(entry, sampled, frames)


def _check_sound(entry: ModelEntry, sampled: WaveNetSpec, frames: FrameSpec | None) -> None:
    if bool(sampled.local_channels) == (frames is None):
        raise LibraryError(f"{entry.id}: a WaveNet that takes frames goes with a frame model, any other without one")
    known = set(sampled.speakers)
    if frames is not None:
        mine = (sampled.local_channels, sampled.local_hop, sampled.sample_rate)
        theirs = (frames.outputs, frames.hop, frames.sample_rate)
        if mine != theirs:
            raise LibraryError(
                f"{entry.id}: the frame model makes {theirs} (channels, hop, rate), the WaveNet takes {mine}"
            )
        known &= set(frames.speakers)
    for voice in entry.voices:
        if voice.id not in known:
            raise LibraryError(f"{entry.id}: voices: the checkpoints know no speaker {voice.id!r}")
