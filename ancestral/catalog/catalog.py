"""Every model that can be requested: descriptions, specs, hashes. No weights are kept, nothing is sampled."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

import ancestral_models
from ancestral.catalog.descriptions import ImageModel, Model, SpeechModel
from ancestral.catalog.voices import VoiceMix, first_with_voice
from ancestral.errors import InvalidRequest, NotFound
from ancestral_models.architectures.acoustic import AcousticSpec, HighBandSpec
from ancestral_models.architectures.classifier import ClassifierSpec, shared_fields
from ancestral_models.checkpoint import Checkpoint, CheckpointError, give_back_memory, load
from ancestral_models.entries import MachineError, ModelEntry, ModelError, discover, model_folders
from ancestral_models.spec import LABEL_EMBEDDING, LABEL_ROWS, ImageSpec, Spec, SpeechSpec
from ancestral_models.text import PronunciationError, Pronunciations
from ancestral_models.text.pronunciations import read_pls

DEFAULT_MODEL: Final = "wavenet-multilingual"
"""What speaks where no model is named."""
VOICE_ALIASES: Final[Mapping[str, str]] = {
    # OpenAI's, but for alloy, echo, fable, nova and onyx, which are voices here
    "ash": "eric", "ballad": "george", "cedar": "joe", "coral": "sarah", "marin": "heart", "sage": "emma",
    "shimmer": "lily", "verse": "michael",
    # Kokoro's, of the voices here
    "af_heart": "heart", "af_nova": "nova", "af_alloy": "alloy", "af_sarah": "sarah", "am_echo": "echo",
    "am_eric": "eric", "am_michael": "michael", "am_onyx": "onyx", "bf_emma": "emma", "bf_lily": "lily",
    "bm_fable": "fable", "bm_george": "george", "ef_dora": "dora", "em_alex": "alex", "ff_siwis": "siwis",
    "if_sara": "sara", "im_nicola": "nicola", "pf_dora": "dora-br", "pm_alex": "alex-br", "hf_alpha": "alpha",
    # and of others
    "af_bella": "heart", "af_aoede": "sarah", "af_jessica": "heart", "af_kore": "nova", "af_nicole": "alloy",
    "af_river": "sarah", "af_sky": "nova", "am_adam": "joe", "am_fenrir": "eric", "am_liam": "michael",
    "am_puck": "michael", "am_santa": "eric", "bf_alice": "emma", "bf_isabella": "emma", "bm_daniel": "fable",
    "bm_lewis": "fable", "em_santa": "alex", "pm_santa": "alex-br",
}  # fmt: skip
"""OpenAI's names of voices, some clients of which accept no others, and Kokoro's ids. Where the voice is not here, the
nearest by sex and pitch."""
_SPEECH_MODELS: Final = (
    "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-03-20", "gpt-4o-mini-tts-2025-12-15",
    "eleven_monolingual_v1", "eleven_multilingual_v2", "eleven_turbo_v2", "eleven_turbo_v2_5", "eleven_flash_v2",
    "eleven_flash_v2_5", "eleven_v3", "eleven_v3_conversational", "eleven_v4", "eleven_v4_turbo", "kokoro",
)  # fmt: skip
_IMAGE_MODELS: Final = (
    "dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2", "gpt-image-2-2026-04-21",
    "gpt-image-2.5-sunburst", "gpt-image-2.5-sunburst-2026-09-08", "gpt-image-2.5-flare",
    "gpt-image-2.5-flare-2026-09-08", "gpt-image-2.6-sunburst", "gpt-image-2.6-flare", "chatgpt-image-latest",
)  # fmt: skip
MODEL_ALIASES: Final[Mapping[str, str]] = {
    **dict.fromkeys(_SPEECH_MODELS, DEFAULT_MODEL),
    **dict.fromkeys(_IMAGE_MODELS, "pixelcnn-sprites"),
}
"""Names of models that clients of OpenAI, ElevenLabs and Kokoro-FastAPI send by default."""


@dataclass(frozen=True)
class Aliases:
    """The aliases that are in force: each maps to an id that exists."""

    models: Mapping[str, str] = field(default_factory=dict)
    voices: Mapping[str, str] = field(default_factory=dict)

    def of_model(self, model_id: str) -> list[str]:
        return [alias for alias, target in self.models.items() if target == model_id]

    def of_voice(self, voice_id: str) -> list[str]:
        return [alias for alias, target in self.voices.items() if target == voice_id]


def effective_aliases(
    configured: Mapping[str, str] | None, default: Mapping[str, str], ids: Collection[str], setting: str
) -> dict[str, str]:
    """The aliases of one kind.

    Args:
        configured: by the deployment; None if it has not configured any.
        default: is used then, as far as its ids exist and its aliases are no ids themselves.
        ids: of all models, or of all voices.
        setting: its name, for messages.

    Raises:
        ModelError: a configured alias is an id itself, or maps to none.
    """
    if configured is None:
        return {alias: target for alias, target in default.items() if target in ids and alias not in ids}
    for alias, target in configured.items():
        if target not in ids:
            raise ModelError(f"{setting}: {alias}={target}: there is no {target}; available: {', '.join(ids)}")
        if alias in ids:
            raise ModelError(f"{setting}: {alias}={target}: {alias} is an id itself")
    return dict(configured)


def read_lexicon(path: Path | None) -> Pronunciations:
    """The lexicon in a file, JSON or ``.pls``; an empty one without a file.

    Raises:
        ModelError: the file cannot be read, or an entry cannot be used; the message names the entry.
    """
    if path is None:
        return Pronunciations({})
    form = "PLS" if path.suffix == ".pls" else "JSON"
    try:
        data = path.read_text("utf-8-sig")
        entries = read_pls(data) if form == "PLS" else json.loads(data, object_pairs_hook=_entries)
        if not isinstance(entries, dict):
            raise PronunciationError("must be one JSON object")
        return Pronunciations(entries)
    except PronunciationError as error:
        raise ModelError(f"pronunciations: {path.name}: {error}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"pronunciations: {path.name}: cannot be read as {form}") from error


def _entries(pairs: list[tuple[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry, phonemes in pairs:
        if not isinstance(phonemes, str):
            raise PronunciationError(f"{entry!r}: must be a string of phonemes")
        if entry in found:
            raise PronunciationError(f"{entry!r}: given twice")
        found[entry] = phonemes
    return found


log = logging.getLogger(__name__)
_M = TypeVar("_M", bound=Model)
_T = TypeVar("_T")
_PACKAGE: Final = Path(ancestral_models.__file__).parent
BUNDLED: Final = next((path for path in (_PACKAGE / "zoo", _PACKAGE.parent / "zoo") if path.exists()), _PACKAGE / "zoo")
"""The bundled models: in the package in a wheel, beside it in a clone."""


class Catalog:
    """Every model, by id (:class:`Aliases` has other names), and the deployment's lexicon.

    Listed first are models that an alias stands for, and models of speech; last are those of papers.
    """

    def __init__(
        self, models: Mapping[str, Model], aliases: Aliases | None = None, pronunciations: Pronunciations | None = None
    ) -> None:
        self.aliases = Aliases() if aliases is None else aliases
        aliased = set(self.aliases.models.values())

        def rank(model: Model) -> tuple[bool | str, ...]:
            entry = model.entry
            return entry.paper or "", model.needs_upload, entry.id not in aliased, "speech" not in model.capabilities

        self.models = {model.entry.id: model for model in sorted(models.values(), key=rank)}
        self.pronunciations = Pronunciations({}) if pronunciations is None else pronunciations
        """The deployment's lexicon."""

    def model(self, model_id: str) -> Model:
        """The model of this id or alias.

        Raises:
            NotFound: there is none.
        """
        try:
            return self.models[self.aliases.models.get(model_id, model_id)]
        except KeyError:
            message = f"model: no such model; available: {', '.join(self.models)}"
            raise NotFound(message, param="model", code="model_not_found") from None

    def model_that_draws(self, prompt: str | None) -> ImageModel:
        """The first model that draws this: names of values of its attributes, or what a picture shows if None.

        Raises:
            InvalidRequest: there is none; the message is that of the first one that knows most of the names.
        """
        capability = "image_generation" if prompt is not None else "image_reconstruction"
        refused: list[tuple[int, InvalidRequest]] = []
        for model in self.image_models:
            if capability not in model.capabilities:
                continue
            try:
                if prompt is not None:
                    model.labels(prompt, "prompt")
            except InvalidRequest as error:
                refused.append((model.known(prompt or ""), error))
            else:
                return model
        if not refused:
            raise InvalidRequest(f"no model is made for {capability}", code="model_not_capable")
        raise max(refused, key=lambda each: each[0])[1]

    def voice(self, model: SpeechModel, voice: str) -> VoiceMix:
        """The voice of this id or alias, or a mix of voices.

        Raises:
            InvalidRequest: it is no mix, or the model lacks one of its voices.
        """
        return model.mix(voice, self.aliases.voices)

    def model_and_voice(
        self, model_id: str | None, voice: str, capability: str = "speech"
    ) -> tuple[SpeechModel, VoiceMix]:
        """A model that has a voice, or all voices of a mix.

        An alias of a model, such as ``tts-1``, stands for each model with the capability, as None does: the first one
        that has the voice, and of several the one that the alias maps to.

        Raises:
            NotFound: there is no such model.
            InvalidRequest: the model has not got the capability, or lacks the voice; it is no mix.
        """
        chosen = None if model_id is None else self.speech_model(model_id, capability)
        if chosen is not None and model_id not in self.aliases.models:
            return chosen, self.voice(chosen, voice)
        others = (model for model in self.speech_models if capability in model.capabilities and model is not chosen)
        models = (*([] if chosen is None else [chosen]), *others)
        return first_with_voice(models, lambda model: self.voice(model, voice), capability)

    def speech_model(self, model_id: str, capability: str) -> SpeechModel:
        """The model of this id or alias, which must have the capability.

        Raises:
            NotFound: there is none.
            InvalidRequest: it has not.
        """
        return self._capable(SpeechModel, model_id, capability)

    def image_model(self, model_id: str, capability: str) -> ImageModel:
        """The image model of this id or alias, which must have the capability."""
        return self._capable(ImageModel, model_id, capability)

    def _capable(self, kind: type[_M], model_id: str, capability: str) -> _M:
        model = self.model(model_id)
        model.require(capability)
        assert isinstance(model, kind), "the capabilities of a kind of model"
        return model

    @property
    def speech_models(self) -> list[SpeechModel]:
        return [model for model in self.models.values() if isinstance(model, SpeechModel)]

    @property
    def image_models(self) -> list[ImageModel]:
        return [model for model in self.models.values() if isinstance(model, ImageModel)]


@dataclass(frozen=True)
class CatalogConfig:
    """Places of models, and their other names. The defaults are the bundled models."""

    directories: tuple[Path, ...] = (BUNDLED,)
    model_aliases: Mapping[str, str] | None = None
    """Other names of models, instead of :data:`~ancestral.catalog.catalog.MODEL_ALIASES`."""
    voice_aliases: Mapping[str, str] | None = None
    """Other names of voices, instead of :data:`~ancestral.catalog.catalog.VOICE_ALIASES`."""
    pronunciations: Path | None = None
    """A file of words and their phonemes, JSON or PLS (``.pls``)."""

    def entries(self) -> dict[str, ModelEntry]:
        """Every model, by id; no checkpoint is read. What :func:`discover` leaves out is left out.

        Raises:
            ModelError: two directories have a model of one id, or there is no model.
        """
        found: dict[str, ModelEntry] = {}
        for directory in self.directories:
            for entry in discover(directory):
                if entry.id in found:
                    raise ModelError(f"{entry.id}: two models have this id")
                found[entry.id] = entry
        if not found:
            for path in (path for directory in self.directories for path in model_folders(directory)):
                ModelEntry.read(path)  # raises the reason
            raise ModelError(f"there is no model in {', '.join(map(str, self.directories))}")
        return found

    def aliases(self, entries: Mapping[str, ModelEntry]) -> Aliases:
        """The aliases of these models and of their voices.

        Raises:
            ModelError: one is an id itself, or maps to none.
        """
        voices = dict.fromkeys(voice.id for entry in entries.values() for voice in entry.voices)
        return Aliases(
            effective_aliases(self.model_aliases, MODEL_ALIASES, entries, "model_aliases"),
            effective_aliases(self.voice_aliases, VOICE_ALIASES, voices, "voice_aliases"),
        )


class Checkpoints(NamedTuple):
    sampled: Checkpoint
    acoustic: Checkpoint | None = None
    """None for a model that reads no text."""
    classifier: Checkpoint | None = None
    """None but for an image model that has one."""
    high_band: Checkpoint | None = None
    """None but for a speech model that has one."""
    networks: Mapping[str, str] = MappingProxyType({})
    """Hashes of the weights that sample single voices of a speech model, by the name of their directory."""

    @property
    def sha256(self) -> str:
        """Hash of the weights that sound is made of, or pictures; of several checkpoints that of their hashes."""
        used = [loaded.sha256 for loaded in (self.sampled, self.acoustic, self.high_band) if loaded is not None]
        used += [self.networks[name] for name in sorted(self.networks)]
        joined = "".join(used)
        return joined if len(used) == 1 else hashlib.sha256(joined.encode()).hexdigest()


def checkpoints(entry: ModelEntry) -> Checkpoints:
    """The checkpoints of a model, checked against each other.

    Raises:
        ModelError: they do not fit each other, or the description.
        CheckpointError: weights are missing or damaged.
    """
    sampled = load_part(entry, entry.sampled)
    acoustic, classifier, high_band = (
        None if path is None else load_part(entry, path) for path in (entry.acoustic, entry.classifier, entry.high_band)
    )
    networks = {name: load_part(entry, path) for name, path in entry.networks.items()}
    _check_parts(entry, sampled.spec, acoustic.spec if acoustic is not None else None)
    if classifier is not None:
        _check_classifier(entry, sampled.spec, classifier.spec)
    if high_band is not None:
        _check_high_band(entry, high_band.spec)
    for name, network in networks.items():
        if network.spec.to_json() | {"int8_ranges": []} != sampled.spec.to_json() | {"int8_ranges": []}:
            raise ModelError(f"{entry.id}: {name}: its configuration differs from that of {entry.sampled.name}")
    return Checkpoints(sampled, acoustic, classifier, high_band, {name: networks[name].sha256 for name in networks})


def load_part(entry: ModelEntry, path: Path) -> Checkpoint:
    """A checkpoint of a model, as :func:`load` reads it; errors name both."""
    try:
        return load(path)
    except CheckpointError as error:
        raise CheckpointError(f"{entry.id}: {path.name}: {error}") from error


def usable(entries: Iterable[ModelEntry], use: Callable[[ModelEntry, Checkpoints], _T]) -> dict[str, _T]:
    """What is made of each model and its checkpoints, by id. A model that cannot be used is left out, and the reason
    logged.

    Raises:
        MachineError: the first one.
        ModelError, CheckpointError: there is none; the reason of the last.
    """
    found, last = dict[str, _T](), None
    for entry in entries:
        try:
            found[entry.id] = use(entry, checkpoints(entry))
        except MachineError:
            raise
        except (ModelError, CheckpointError) as error:
            log.error("model left out: %s", error)
            last = error
    if not found and last is not None:
        raise last
    return found


def describe(entry: ModelEntry, loaded: Checkpoints) -> Model:
    """The description of a loaded model: of its entry, and its checkpoints."""
    sampled = loaded.sampled
    parameters = sum(tensor.size for name, tensor in sampled.tensors.items() if name != LABEL_ROWS)
    if isinstance(sampled.spec, ImageSpec):
        rows = sampled.tensors.get(LABEL_EMBEDDING)
        embedding = () if rows is None else tuple(tuple(map(float, row)) for row in rows)
        together = sampled.tensors.get(LABEL_ROWS, np.zeros((0, len(sampled.spec.attributes) + 1), np.float32))
        classified = loaded.classifier is not None
        return ImageModel(entry, loaded.sha256, parameters, sampled.spec, embedding, together, classified)
    assert isinstance(sampled.spec, SpeechSpec)
    bands = {} if loaded.high_band is None else loaded.high_band.tensors
    maps = {voice.id: bands[f"maps.{voice.id}"] for voice in entry.voices if bands}
    return SpeechModel(entry, loaded.sha256, parameters, sampled.spec, maps)


def load_catalog(config: CatalogConfig) -> Catalog:
    """Describe every model; raises as :meth:`CatalogConfig.entries`, :func:`usable` and :func:`read_lexicon`."""
    entries = config.entries()
    models = usable(entries.values(), describe)
    give_back_memory()
    return Catalog(models, config.aliases(entries), read_lexicon(config.pronunciations))


def _check_parts(entry: ModelEntry, sampled: Spec, acoustic: Spec | None) -> None:
    if entry.kind == "image":
        if not isinstance(sampled, ImageSpec):
            raise ModelError(f"{entry.id}: an image model needs the checkpoint of an image network")
        known = {value for values in sampled.conditions for value in values}
        if unknown := sorted({name for meant in entry.synonyms.values() for name in meant} - known):
            raise ModelError(f"{entry.id}: synonyms: the checkpoint has no value {unknown[0]!r} of an attribute")
        frames = {prompt: {*prompt.split(", ")} for layout in entry.sheets.values() for prompt in layout.prompts}
        if unknown := sorted(set().union(*frames.values()) - known):
            raise ModelError(f"{entry.id}: sheets: the checkpoint has no value {unknown[0]!r} of an attribute")
        for prompt, named in frames.items():
            if len(named) > sum(not named.isdisjoint(values) for values in sampled.conditions):
                raise ModelError(f"{entry.id}: sheets: {prompt!r} names two values of one attribute")
        return
    if not isinstance(sampled, SpeechSpec) or not (acoustic is None or isinstance(acoustic, AcousticSpec)):
        raise ModelError(
            f"{entry.id}: needs the checkpoint of a speech network, and to speak text that of an acoustic model"
        )
    _check_speech(entry, sampled, acoustic)


def _check_classifier(entry: ModelEntry, sampled: Spec, classifier: Spec) -> None:
    assert isinstance(sampled, ImageSpec)
    if not isinstance(classifier, ClassifierSpec):
        raise ModelError(f"{entry.id}: classifier: needs the checkpoint of a classifier of pictures")
    for name, value in shared_fields(sampled).items():
        if getattr(classifier, name) != value:
            raise ModelError(f"{entry.id}: classifier: its {name} differ from those of the network that is sampled")


def _check_high_band(entry: ModelEntry, spec: Spec) -> None:
    if not isinstance(spec, HighBandSpec):
        raise ModelError(f"{entry.id}: high_band: needs maps of the band above 8 kHz, not a {spec.kind}")
    if missing := sorted({voice.id for voice in entry.voices} - set(spec.speakers)):
        raise ModelError(f"{entry.id}: high_band: it has no map of {missing[0]!r}")


def _check_speech(entry: ModelEntry, sampled: SpeechSpec, acoustic: AcousticSpec | None) -> None:
    if bool(sampled.local_channels) == (acoustic is None):
        raise ModelError(
            f"{entry.id}: a network with local conditioning needs an acoustic model, any other must have none"
        )
    speakers = set(sampled.speakers)
    if acoustic is not None:
        expected = (sampled.local_channels, sampled.local_hop, sampled.sample_rate)
        found = (acoustic.outputs, acoustic.hop, acoustic.sample_rate)
        if expected != found:
            raise ModelError(
                f"{entry.id}: the acoustic model makes frames of {found} (channels, hop, rate), "
                f"the network needs {expected}"
            )
        speakers &= set(acoustic.speakers)
    for voice in entry.voices:
        if voice.id not in speakers:
            raise ModelError(f"{entry.id}: voices: the checkpoints have no speaker {voice.id!r}")
        if (setting := voice.sampling.filtered) and sampled.shaping != "linear_prediction":
            raise ModelError(f"{entry.id}: voices: sampling: {setting} needs a model with linear prediction")
