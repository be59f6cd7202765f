"""Every model with its weights, for workers and for the commands that sample without a server."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TypeVar

from ancestral.catalog import catalog
from ancestral.catalog.models import ImageModel, Sampler, SpeechModel
from ancestral.errors import NotFound
from ancestral.images.sampler import ImageSampler
from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.classification import PictureClassifier
from ancestral.models.engines import load_engine
from ancestral.models.engines.base import Engine, EngineError
from ancestral.models.engines.images.engine import BatchEngine
from ancestral.models.engines.speech.engine import SpeechEngine
from ancestral.models.engines.speech.synthesis import SynthesisEngine
from ancestral.models.engines.speech.voices import VoicesEngine
from ancestral.models.entries import ModelEntry, ModelError
from ancestral.models.text import Pronunciations
from ancestral.models.text.acoustic import AcousticModel
from ancestral.speech.sampler import SpeechSampler

log = logging.getLogger(__name__)
_S = TypeVar("_S", bound=Sampler)
_EXTRAS = {"onnx-cuda": "gpu", "onnx-cpu": "cpu", "torch": "train"}
"""The extra of pyproject.toml that installs what an engine needs."""


class LoadedModels(catalog.Catalog):
    """A catalog of models that are loaded."""

    def __init__(
        self, samplers: Mapping[str, Sampler], aliases: catalog.Aliases, pronunciations: Pronunciations
    ) -> None:
        super().__init__({name: sampler.model for name, sampler in samplers.items()}, aliases, pronunciations)
        self.samplers = dict(samplers)

    def sound(self, model: SpeechModel) -> SpeechSampler:
        return self._sampler(SpeechSampler, model.entry.id)

    def picture(self, model: ImageModel) -> ImageSampler:
        return self._sampler(ImageSampler, model.entry.id)

    def _sampler(self, kind: type[_S], model_id: str) -> _S:
        sampler = self.samplers[model_id]
        assert isinstance(sampler, kind)
        return sampler

    def unload(self, idle_seconds: float) -> None:
        """Free the memory of models that have been idle this long; the next request waits until they are loaded."""
        for name, sampler in self.samplers.items():
            if sampler.engine.unload(idle_seconds):
                log.info("model unloaded", extra={"model": name})


def load_models(config: catalog.CatalogConfig, engine: str = "auto", only: str | None = None) -> LoadedModels:
    """Load models for sampling.

    Args:
        config: where they are.
        engine: one of :data:`ancestral.models.engines.NAMES`.
        only: the id or an alias of the one that is loaded; all of them if None.

    Raises:
        ModelError: a model's description is wrong, its parts do not fit each other, or there is no such model.
        CheckpointError: weights are missing or damaged.
    """
    entries = config.entries()
    aliases = config.aliases(entries)
    chosen = list(entries.values())
    if only is not None:
        known = aliases.models.get(only, only)
        if known not in entries:
            raise NotFound(
                f"model: no such model; available: {', '.join(entries)}", param="model", code="model_not_found"
            )
        chosen = [entries[known]]
    found = catalog.usable(chosen) if only is None else [(chosen[0], catalog.checkpoints(chosen[0]))]
    samplers = {entry.id: _sampler(entry, loaded, engine) for entry, loaded in found}
    return LoadedModels(samplers, aliases, catalog.read_lexicon(config.pronunciations))


def _engine(entry: ModelEntry, checkpoint: Checkpoint, engine: str) -> Engine:
    """The engine of a checkpoint; an error names the model."""
    try:
        return load_engine(engine, checkpoint)
    except ModuleNotFoundError as error:
        message = f"{entry.id}: the {engine} engine needs {error.name}, which is not installed"
        if extra := _EXTRAS.get(engine):
            message += f": pip install '.[{extra}]'"
        raise ModelError(message) from error
    except EngineError as error:
        raise ModelError(f"{entry.id}: {error}") from error


def _sampler(entry: ModelEntry, loaded: catalog.Checkpoints, engine_name: str) -> Sampler:
    model = catalog.describe(entry, loaded)
    if isinstance(model, ImageModel):
        pictures = _engine(entry, loaded.sampled, engine_name)
        assert isinstance(pictures, BatchEngine)
        return ImageSampler(model, pictures, _classifier(loaded.classifier))
    assert isinstance(model, SpeechModel)
    engine = _speech_engine(entry, loaded.sampled, engine_name)
    if loaded.networks:
        own = {name: _speech_engine(entry, network, engine_name) for name, network in loaded.networks.items()}
        engine = VoicesEngine(engine, {voice.id: own[voice.network] for voice in entry.voices if voice.network})
    sounding = SynthesisEngine(engine) if model.spec.shaping == "linear_prediction" else engine
    acoustic = None if loaded.acoustic is None else AcousticModel(loaded.acoustic, int8=engine.int8)
    return SpeechSampler(model, sounding, acoustic)


def _speech_engine(entry: ModelEntry, checkpoint: Checkpoint, engine_name: str) -> SpeechEngine:
    engine = _engine(entry, checkpoint, engine_name)
    assert isinstance(engine, SpeechEngine)
    return engine


def _classifier(loaded: Checkpoint | None) -> PictureClassifier | None:
    return None if loaded is None else PictureClassifier(loaded.spec_as(ClassifierSpec), loaded.tensors)


def warm_up(samplers: Mapping[str, Sampler]) -> dict[str, str]:
    """Warm every model up, with a log line for each; what :meth:`Sampler.warm` gives, by the id of the model."""
    probes = {}
    for number, (name, sampler) in enumerate(samplers.items(), 1):
        start = time.perf_counter()
        probes[name] = sampler.warm()
        seconds = round(time.perf_counter() - start, 3)
        log.info("model warm", extra={"model": name, "seconds": seconds, "progress": f"{number}/{len(samplers)}"})
    return probes
