"""Every model that can be asked for: descriptions, architectures, hashes. No weights are kept, nothing is sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from models.checkpoint import Checkpoint, CheckpointError, Spec, load
from models.library import LibraryError, ModelEntry, discover
from models.spec import AcousticSpec, PixelCNNSpec, WaveNetSpec
from service.catalog.models import ImageModel, Model, SpeechModel
from service.errors import NotFound
from service.settings import Settings

_M = TypeVar("_M", bound=Model)


class Catalog:
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

    def speech_model(self, model_id: str, capability: str) -> SpeechModel:
        """The model of this id, which can do what is asked.

        Raises:
            NotFound: there is none.
            InvalidRequest: it cannot.
        """
        return self._capable(SpeechModel, model_id, capability)

    def image_model(self, model_id: str, capability: str) -> ImageModel:
        """The same of models that draw."""
        return self._capable(ImageModel, model_id, capability)

    def _capable(self, kind: type[_M], model_id: str, capability: str) -> _M:
        model = self.model(model_id)
        model.require(capability)
        assert isinstance(model, kind), "what a kind of model is capable of"
        return model

    @property
    def speech_models(self) -> list[SpeechModel]:
        """Those with voices."""
        return [model for model in self.models.values() if isinstance(model, SpeechModel)]

    @property
    def image_models(self) -> list[ImageModel]:
        """Those that draw."""
        return [model for model in self.models.values() if isinstance(model, ImageModel)]


def loaded(
    settings: Settings, only: Callable[[ModelEntry], bool] = lambda entry: True
) -> Iterator[tuple[ModelEntry, Checkpoint, Checkpoint | None]]:
    """Every model that the settings lead to, with its checkpoints, checked against each other.

    Args:
        settings: which directories.
        only: leave out the models for which this is false.

    Yields:
        The description, the network that is sampled, and the acoustic model of a model that speaks text.

    Raises:
        LibraryError: a model's description is wrong, its parts do not fit each other, or there is no model.
        CheckpointError: weights are missing or damaged.
    """
    seen: set[str] = set()
    entries = discover(settings.models_dir) + discover(settings.data_dir / "models")
    if not entries:
        raise LibraryError(f"ANCESTRAL_MODELS_DIR: there is no model in {settings.models_dir}")
    for entry in filter(only, entries):
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
        raise LibraryError(f"no model has this id; there are {', '.join(entry.id for entry in entries)}")


def describe(entry: ModelEntry, sampled: Checkpoint) -> Model:
    """A loaded model's description."""
    parameters = sum(tensor.size for tensor in sampled.tensors.values())
    if isinstance(sampled.spec, PixelCNNSpec):
        rows = sampled.tensors.get("conditioner.embedding")
        embedding = () if rows is None else tuple(tuple(map(float, row)) for row in rows)
        return ImageModel(entry, sampled.sha256, parameters, sampled.spec, embedding)
    assert isinstance(sampled.spec, WaveNetSpec)
    return SpeechModel(entry, sampled.sha256, parameters, sampled.spec)


def load_catalog(settings: Settings) -> Catalog:
    """Describe every model that the settings lead to; raises as :func:`loaded` does."""
    return Catalog({entry.id: describe(entry, sampled) for entry, sampled, _ in loaded(settings)})


def _check_parts(entry: ModelEntry, sampled: Spec, frames: Spec | None) -> None:
    if entry.kind == "image":
        if not isinstance(sampled, PixelCNNSpec):
            raise LibraryError(f"{entry.id}: needs a pixelcnn checkpoint to draw")
        return
    if not isinstance(sampled, WaveNetSpec) or not (frames is None or isinstance(frames, AcousticSpec)):
        raise LibraryError(f"{entry.id}: needs a wavenet checkpoint, and a frames checkpoint to speak text")
    _check_sound(entry, sampled, frames)


def _check_sound(entry: ModelEntry, sampled: WaveNetSpec, frames: AcousticSpec | None) -> None:
    if bool(sampled.local_channels) == (frames is None):
        raise LibraryError(
            f"{entry.id}: a WaveNet that takes frames goes with an acoustic model, any other without one"
        )
    known = set(sampled.speakers)
    if frames is not None:
        mine = (sampled.local_channels, sampled.local_hop, sampled.sample_rate)
        theirs = (frames.outputs, frames.hop, frames.sample_rate)
        if mine != theirs:
            raise LibraryError(
                f"{entry.id}: the acoustic model makes {theirs} (channels, hop, rate), the WaveNet takes {mine}"
            )
        known &= set(frames.speakers)
    for voice in entry.voices:
        if voice.id not in known:
            raise LibraryError(f"{entry.id}: voices: the checkpoints know no speaker {voice.id!r}")
