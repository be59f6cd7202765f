"""What can be asked for: every model's description, architecture and hash. No weights are kept, nothing is sampled.

API processes hold a catalogue; workers hold a :class:`service.synthesis.Synthesizer` of the same models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from models.checkpoint import Checkpoint, CheckpointError, load
from models.library import LibraryError, ModelEntry, Voice, discover
from models.spec import FrameSpec, WaveNetSpec
from service.errors import InvalidRequest, NotFound
from service.settings import Settings


@dataclass(frozen=True)
class Model:
    """One model as it is described to clients."""

    entry: ModelEntry
    spec: WaveNetSpec
    """Of the network that is sampled."""
    sha256: str
    """Of the weights that are sampled."""
    parameters: int
    """Numbers in those weights."""

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


def loaded(
    settings: Settings, only: Callable[[ModelEntry], bool] = lambda entry: True
) -> Iterator[tuple[ModelEntry, Checkpoint, Checkpoint | None]]:
    """Every model that the settings lead to, with its checkpoints, checked against each other.

    Args:
        settings: which directories.
        only: leave out the models for which this is false.

    Yields:
        The description, the WaveNet, and the frame model of a model that speaks text.

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
            wavenet = load(entry.wavenet)
            frames = load(entry.frames) if entry.frames is not None else None
        except CheckpointError as error:
            raise CheckpointError(f"{entry.id}: {error}") from error
        _check_parts(entry, wavenet, frames)
        yield entry, wavenet, frames
    if not seen:
        raise LibraryError("no model was found: ANCESTRAL_MODELS_DIR leads to none")


def describe(entry: ModelEntry, wavenet: Checkpoint) -> Model:
    """A loaded model's description."""
    assert isinstance(wavenet.spec, WaveNetSpec)
    parameters = sum(tensor.size for tensor in wavenet.tensors.values())
    return Model(entry, wavenet.spec, wavenet.sha256, parameters)


def load_catalogue(settings: Settings) -> Catalogue:
    """Describe every model that the settings lead to; raises as :func:`loaded` does."""
    return Catalogue({entry.id: describe(entry, wavenet) for entry, wavenet, _ in loaded(settings)})


def _check_parts(entry: ModelEntry, wavenet: Checkpoint, frames: Checkpoint | None) -> None:
    sampled = wavenet.spec
    if not isinstance(sampled, WaveNetSpec) or not (frames is None or isinstance(frames.spec, FrameSpec)):
        raise LibraryError(f"{entry.id}: needs a wavenet checkpoint, and a frames checkpoint to speak text")
    if bool(sampled.local_channels) == (frames is None):
        raise LibraryError(f"{entry.id}: a WaveNet that takes frames goes with a frame model, any other without one")
    known = set(sampled.speakers)
    if frames is not None:
        predicted = frames.spec
        assert isinstance(predicted, FrameSpec)
        mine = (sampled.local_channels, sampled.local_hop, sampled.sample_rate)
        theirs = (predicted.outputs, predicted.hop, predicted.sample_rate)
        if mine != theirs:
            raise LibraryError(
                f"{entry.id}: the frame model makes {theirs} (channels, hop, rate), the WaveNet takes {mine}"
            )
        known &= set(predicted.speakers)
    for voice in entry.voices:
        if voice.id not in known:
            raise LibraryError(f"{entry.id}: voices: the checkpoints know no speaker {voice.id!r}")
